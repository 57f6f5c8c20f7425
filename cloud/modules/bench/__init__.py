"""M07 Bench: runs become reportable results; one screen a section, worked by keyboard."""

from cloud.modules.bench.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="bench",
    title="检验工作台",
    views=("worklist_views:VIEWS", "views:VIEWS"),
    depends=("catalog", "critical", "equipment", "orders", "platform", "qc", "reagents"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup"),
        Perm.ENTER: ("tester", "verifier", "senior", "leader"),
        Perm.DECIDE: ("senior", "leader"),
    },
    menu=(
        MenuItem("检验工作台", "/bench", Perm.READ, "检验", 30),
        MenuItem("复查与加做", "/bench/rerun", Perm.READ, "检验", 33),
        MenuItem("手工工作单", "/bench/entry", Perm.ENTER, "检验", 31),
        MenuItem("确证送检", "/bench/confirm", Perm.READ, "检验", 34),
        MenuItem("检验统计", "/bench/figures", Perm.READ, "检验", 41),
    ),
    jobs=(Job("bench.watch", "1m", "watch:look"), Job("bench.trace", "1m", "trace:note"), Job("bench.confirm", "15m", "confirming:look")),
    handlers={
        "specimen.rejected": ("ending:on_withdrawn",),
        "specimen.cancelled": ("ending:on_withdrawn",),
        "specimen.lost": ("ending:on_withdrawn",),
        "patient.corrected": ("corrected:on_corrected",),
        "order.item_status": ("ending:on_item_status",),
    },
    starts={Perm.ENTER: "start:waiting"},
)
