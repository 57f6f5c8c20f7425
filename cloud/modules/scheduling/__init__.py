"""M18 Scheduling (smallest whole part): shifts and who is on duty in which section; the roster solver comes with its own issue."""

from cloud.modules.scheduling.rules import Perm
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="scheduling",
    title="排班",
    views=("views:VIEWS",),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup", "scheduler"),
        Perm.PUBLISH: ("leader", "director", "scheduler"),
        Perm.ALONE: ("leader", "director"),
    },
    menu=(MenuItem("值班", "/sch/duty", Perm.READ, "人员", 810),),
    leaving="leaving",
)
