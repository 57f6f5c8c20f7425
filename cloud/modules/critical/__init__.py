"""M10 Critical values (thin): found with the result, confirmed, told with read-back, the clock beside it."""

from cloud.modules.critical.rules import Perm
from cloud.modules.critical.views import VIEWS
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="critical",
    title="危急值",
    views=(VIEWS,),
    depends=("platform",),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director"),
        Perm.HANDLE: ("tester", "verifier", "senior", "leader"),
    },
    menu=(MenuItem("危急值", "/critical/board", Perm.READ, "检验", 33),),
)
