"""The shift's start and end (M07 R10): what is open in a section, the hand-over note written from it, and the section's day log."""

from cloud.modules.handover.rules import Perm
from cloud.web.module import Job, MenuItem, Module

BENCH = ("tester", "verifier", "senior", "leader")

MODULE = Module(
    name="handover",
    title="交接班",
    views=("views:VIEWS",),
    depends=(
        "autoverify",
        "bench",
        "catalog",
        "critical",
        "edge",
        "equipment",
        "platform",
        "qc",
        "reagents",
        "reports",
        "scheduling",
        "servicedesk",
    ),  # fmt: skip
    permissions={Perm.READ: (*BENCH, "quality", "director", "infogroup"), Perm.WRITE: BENCH},
    menu=(MenuItem("交接班", "/bench/handover", Perm.READ, "检验", 29), MenuItem("科室日志", "/bench/daylog", Perm.READ, "检验", 42)),
    jobs=(Job("handover.watch", "15m", "watch:untaken"),),
    starts={Perm.WRITE: "start:given"},
)
