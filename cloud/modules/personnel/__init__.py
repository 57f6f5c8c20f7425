"""M21 Personnel (smallest whole part): who may verify what, until when; without it no verify button and the service refuses."""

from cloud.modules.personnel.rules import Perm
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="personnel",
    title="人员",
    views=("views:VIEWS",),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "scheduler"),
        Perm.GRANT: ("director",),
    },
    menu=(MenuItem("岗位授权", "/hr/matrix", Perm.READ, "人员", 800),),
)
