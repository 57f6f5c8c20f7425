"""Portal (M15): the clinician finds, understands and acknowledges results in ten seconds."""

from cloud.modules.portal.rules import Perm
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="portal",
    title="临床查询",
    views=("views:VIEWS",),
    depends=("platform", "catalog", "orders", "bench", "reports"),
    permissions={Perm.READ: ("clinician", "nurse")},
    menu=(
        MenuItem("我的患者", "/clinic", Perm.READ, "临床", 10),
        MenuItem("查找患者", "/clinic/find", Perm.READ, "临床", 20),
        MenuItem("采集手册", "/sp/handbook", Perm.READ, "临床", 30),
    ),
    starts={Perm.READ: "start:unread"},
)
