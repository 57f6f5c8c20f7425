"""M11 Quality control: detects error before patients do, and holds release when in doubt."""

from cloud.modules.qc import intake
from cloud.modules.qc.rules import Perm
from cloud.modules.qc.views import VIEWS
from cloud.web.module import MenuItem, Module

EVERYBODY = ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup")
MODULE = Module(
    name="qc",
    title="室内质控",
    views=(VIEWS,),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: EVERYBODY,
        Perm.ENTER: ("tester", "verifier", "senior", "leader"),
        Perm.PLAN: ("leader",),
        Perm.APPROVE: ("quality",),
        Perm.CLOSE: ("leader",),
        Perm.BYPASS: ("director",),
    },
    menu=(MenuItem("今日质控", "/qc/today", Perm.READ, "质量", 60),),
    handlers={"qc.observed": (intake.take,)},
)
