"""M06 Edge: lossless, ordered, explained traffic between analyzers and the laboratory."""

from cloud.modules.edge.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="edge",
    title="仪器接入",
    views=(
        "views:VIEWS",
        "machine_views:VIEWS",
        "views_onboard:VIEWS",
        "views_links:VIEWS",
        "views_instruments:VIEWS",
        "views_releases:VIEWS",
        "views_lists:VIEWS",
    ),
    depends=("bench", "catalog", "platform", "queue", "specimens"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup", "engineer", "sysadmin"),
        Perm.RAW: ("senior", "leader", "infogroup", "engineer"),
        Perm.MANAGE: ("sysadmin",),
        Perm.ATTACH: ("tester", "verifier", "senior", "leader"),
        Perm.MAP: ("leader", "infogroup"),
        Perm.PROPOSE: ("leader", "infogroup", "engineer"),
        Perm.INSTALL: ("leader", "infogroup", "engineer", "sysadmin"),
        Perm.CONSENT: ("infogroup",),  # the laboratory's group, and nobody besides it (M29 R1)
        Perm.APPROVE: ("leader", "infogroup", "quality", "director"),
    },
    menu=(
        MenuItem("仪器状态", "/edge/board", Perm.READ, "仪器", 60),
        MenuItem("无主结果", "/edge/orphans", Perm.ATTACH, "仪器", 61),
        MenuItem("未对照代码", "/edge/unmapped", Perm.MAP, "仪器", 62),
        MenuItem("待解析报文", "/edge/quarantine", Perm.RAW, "仪器", 63),
        MenuItem("仪器档案", "/edge/analyzers", Perm.READ, "仪器", 63),
        MenuItem("接入新仪器", "/edge/onboard", Perm.PROPOSE, "仪器", 64),
        MenuItem("项目对照", "/edge/mappings", Perm.READ, "仪器", 65),
        MenuItem("回放台", "/edge/replay", Perm.RAW, "仪器", 66),
        MenuItem("驱动库", "/edge/profiles", Perm.READ, "仪器", 67),
        MenuItem("采集端版本", "/edge/releases", Perm.READ, "仪器", 69),
        MenuItem("接入报表", "/edge/reports", Perm.READ, "仪器", 68),
    ),
    handlers={
        "specimen.collected": ("handlers:on_tube",),
        "specimen.received": ("handlers:on_received",),
        "specimen.rejected": ("handlers:on_tube",),
        "specimen.cancelled": ("handlers:on_tube",),
        "specimen.lost": ("handlers:on_tube",),
        "result.received": ("handlers:on_tube",),
        "result.rerun": ("handlers:on_tube",),
        "specimen.aliquoted": ("handlers:on_tube",),
        "edge.deferred": ("service:on_deferred",),
        "edge.mapping_active": ("handlers:on_mapping",),
    },
    jobs=(
        Job("edge_expire", "03:10", "service:expire"),
        Job("edge_clear", "03:20", "keeping:clear"),
        Job("edge_watch", "1m", "watch:look"),
        Job("edge_archive", "1m", "archiving:work"),
    ),
    starts={Perm.ATTACH: "start:strays", Perm.MAP: "start:codes", Perm.RAW: "start:unread"},
)
