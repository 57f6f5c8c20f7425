"""M26 Service desk (smallest whole part): tickets with owner and backup, the solution clock, the laboratory's confirmation."""

from cloud.modules.servicedesk.rules import Perm
from cloud.web.module import Job, MenuItem, Module

BENCH = ("tester", "verifier", "senior", "leader")

MODULE = Module(
    name="servicedesk",
    title="服务台",
    views=("views:VIEWS",),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: (*BENCH, "quality", "director", "infogroup", "engineer", "supervision"),
        Perm.OPEN: (*BENCH, "quality", "director", "infogroup"),
        # Wards and the record room report and ask; they read what they opened themselves.
        Perm.ASK: ("clinician", "recordroom"),
        Perm.WORK: ("engineer", "infogroup"),
        # Engineers never close their own work (R7): the laboratory says that it is solved.
        Perm.CONFIRM: (*BENCH, "quality", "director"),
    },
    menu=(
        MenuItem("服务台", "/desk", Perm.READ, "质量", 69),
        MenuItem("报修与咨询", "/desk/mine", Perm.ASK, "服务", 69),
    ),
    handlers={"ticket.open": ("handlers:open_by_system",)},
    jobs=(Job("servicedesk.watch", "1m", "watch:look"),),
    leaving="leaving",
    tickets="queries:open_title",
    starts={Perm.WORK: "start:tickets"},
)
