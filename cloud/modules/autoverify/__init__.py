"""M08 Autoverification: release what needs no eye, stop what does, prove both."""

from cloud.modules.autoverify.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="autoverify",
    title="自动审核",
    views=("views:VIEWS", "list_views:LISTS", "batch_views:VIEWS", "certificate_views:CERTIFICATES"),
    depends=(
        "bench",
        "catalog",
        "critical",
        "equipment",
        "orders",
        "personnel",
        "platform",
        "qc",
        "quality",
        "reagents",
        "reports",
        "scheduling",
    ),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup"),
        Perm.WRITE: ("leader",),
        Perm.APPROVE: ("quality", "infogroup"),
        Perm.STOP: ("tester", "verifier", "senior", "leader", "quality", "director"),
        Perm.AUDIT: ("verifier", "senior", "leader", "quality"),
    },
    menu=(MenuItem("自动审核", "/av/board", Perm.READ, "检验", 36),),
    handlers={"result.received": ("service:on_results",), "result.settled": ("service:on_results",)},
    jobs=(Job("autoverify.watch", "15m", "service:watch"), Job("autoverify.take_over", "1m", "service:take_over")),
)
