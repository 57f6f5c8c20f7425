"""M20 Equipment (smallest whole part): until when an analyzer's calibration is valid, and which analyzers are out of order."""

from cloud.modules.equipment.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="equipment",
    title="设备",
    views=("views:VIEWS",),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "equipment"),
        Perm.CALIBRATE: ("tester", "verifier", "senior", "leader", "equipment"),
        Perm.FAULT: ("tester", "verifier", "senior", "leader", "equipment"),
    },
    jobs=(Job("equipment.calibration", "08:00", "watch:look"),),
    menu=(MenuItem("校准与故障", "/eq/due", Perm.READ, "质量", 66),),
)
