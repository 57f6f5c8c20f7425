"""M17 Reagents (smallest whole part): lots with their acceptance and expiry, and what is on board of which analyzer."""

from cloud.modules.reagents.rules import Perm
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="reagents",
    title="试剂",
    views=("views:VIEWS",),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "reagent"),
        Perm.KEEP: ("tester", "verifier", "senior", "leader", "reagent"),
        Perm.ACCEPT: ("senior", "leader", "quality"),
    },
    menu=(MenuItem("试剂批号", "/rg/open", Perm.READ, "质量", 65),),
)
