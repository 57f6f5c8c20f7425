"""M11 Quality control (thin): QC results are recognised and listed; none ever lands on a patient."""

from cloud.modules.qc.rules import Perm
from cloud.modules.qc.views import VIEWS
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="qc",
    title="室内质控",
    views=(VIEWS,),
    permissions={Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup")},
    menu=(MenuItem("今日质控", "/qc/today", Perm.READ, "质量", 60),),
)
