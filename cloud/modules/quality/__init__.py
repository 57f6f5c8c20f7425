"""M22 Quality (smallest whole part): nonconformities, opened by the lab's own mishaps or by hand, worked through to a proven end."""

from cloud.modules.quality.rules import Perm
from cloud.web.module import Job, MenuItem, Module

BENCH = ("tester", "verifier", "senior", "leader")

MODULE = Module(
    name="quality",
    title="质量管理",
    views=("views:VIEWS",),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: (*BENCH, "quality", "director", "infogroup"),
        Perm.REPORT: (*BENCH, "quality", "director"),
        Perm.WORK: ("leader", "quality", "director"),
        Perm.CLOSE: ("quality", "director"),
    },
    menu=(MenuItem("不符合项", "/qms/nc", Perm.READ, "质量", 68),),
    handlers={"specimen.lost": ("handlers:specimen_lost",), "critical.escalate": ("handlers:critical_escalated",)},
    jobs=(Job("quality.watch", "08:00", "watch:overdue"),),
)
