"""M10 Critical values: found with the result, checked twice, told with read-back, escalated by the clock, handled, counted."""

from cloud.modules.critical.rules import Perm
from cloud.web.module import Front, Job, MenuItem, Module

MODULE = Module(
    name="critical",
    title="危急值",
    views=("views:VIEWS",),
    depends=("catalog", "orders", "platform", "qc", "scheduling"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director"),
        Perm.HANDLE: ("tester", "verifier", "senior", "leader"),
        Perm.SETUP: ("leader", "quality", "director"),
        Perm.CLINIC: ("clinician", "nurse"),
    },
    menu=(
        MenuItem("危急值", "/critical/board", Perm.READ, "检验", 34),
        MenuItem("危急值登记本", "/critical/register", Perm.READ, "检验", 35),
        MenuItem("危急值待确认", "/critical/clinic", Perm.CLINIC, "临床", 40),
    ),
    front=(Front(Perm.CLINIC, "/critical/clinic/waiting", "critical", ("critical.css",), ("critical.js", "review.js")),),
    jobs=(
        Job("critical.watch", "10s", "service:watch"),
        Job("critical.corrected", "30s", "corrected:watch"),
        Job("critical_robot", "10s", "service:send"),
    ),
    starts={Perm.HANDLE: "start:untold", Perm.CLINIC: "start:at_ward"},
)
