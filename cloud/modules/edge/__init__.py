"""M06 Edge: lossless, ordered, explained traffic between analyzers and the laboratory."""

from cloud.modules.edge import handlers, machine_views, service
from cloud.modules.edge.rules import Perm
from cloud.modules.edge.views import VIEWS
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="edge",
    title="仪器接入",
    views=(VIEWS, machine_views.VIEWS),
    depends=("bench", "catalog", "platform", "queue"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup", "engineer", "sysadmin"),
        Perm.RAW: ("senior", "leader", "infogroup", "engineer"),
        Perm.MANAGE: ("sysadmin",),
        Perm.ATTACH: ("tester", "verifier", "senior", "leader"),
        Perm.MAP: ("leader", "infogroup"),
    },
    menu=(
        MenuItem("仪器状态", "/edge/board", Perm.READ, "仪器", 60),
        MenuItem("无主结果", "/edge/orphans", Perm.ATTACH, "仪器", 61),
        MenuItem("未对照代码", "/edge/unmapped", Perm.MAP, "仪器", 62),
        MenuItem("待解析报文", "/edge/quarantine", Perm.RAW, "仪器", 63),
    ),
    handlers={
        "specimen.collected": (handlers.on_tube,),
        "specimen.received": (handlers.on_received,),
        "specimen.rejected": (handlers.on_tube,),
        "specimen.cancelled": (handlers.on_tube,),
        "result.received": (handlers.on_tube,),
        "edge.deferred": (service.on_deferred,),
    },
    jobs=(Job("edge_expire", "03:10", service.expire),),
)
