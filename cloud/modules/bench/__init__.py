"""M07 Bench: runs become reportable results; one screen a section, worked by keyboard."""

from cloud.modules.bench import service, watch
from cloud.modules.bench.rules import Perm
from cloud.modules.bench.views import VIEWS
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="bench",
    title="检验工作台",
    views=(VIEWS,),
    depends=("catalog", "critical", "orders", "platform", "qc"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup"),
        Perm.ENTER: ("tester", "verifier", "senior", "leader"),
        Perm.DECIDE: ("senior", "leader"),
    },
    menu=(MenuItem("检验工作台", "/bench", Perm.READ, "检验", 30), MenuItem("复查与加做", "/bench/rerun", Perm.READ, "检验", 31)),
    jobs=(Job("bench.watch", "1m", watch.look),),
    handlers={
        "specimen.rejected": (service.on_withdrawn,),
        "specimen.cancelled": (service.on_withdrawn,),
    },
)
