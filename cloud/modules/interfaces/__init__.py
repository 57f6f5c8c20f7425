"""M23 Interfaces: data called and pushed to the hospital's other systems, without loss, doubles or guesses."""

from cloud.modules.interfaces.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="interfaces",
    title="接口",
    views=("views:VIEWS",),
    depends=("catalog", "critical", "orders", "platform", "reports"),
    permissions={
        Perm.BOARD: ("infogroup", "engineer", "leader", "director", "sysadmin", "supervision"),
        Perm.MESSAGES: ("infogroup", "engineer", "leader"),
        Perm.RAW: ("leader",),
        Perm.RESEND: ("infogroup", "leader"),
        Perm.MAPS: ("infogroup", "leader"),
    },
    menu=(
        MenuItem("接口看板", "/if/board", Perm.BOARD, "接口", 800),
        MenuItem("接口消息", "/if/messages", Perm.MESSAGES, "接口", 810),
        MenuItem("隔离消息", "/if/quarantine", Perm.MESSAGES, "接口", 815),
        MenuItem("HIS 项目对照", "/if/maps", Perm.MAPS, "接口", 820),
    ),
    handlers={
        "order.item_status": ("outbox:on_item_status",),
        "order.charge": ("outbox:on_charge",),
        "order.credit": ("outbox:on_credit",),
        "order.refund_decided": ("outbox:on_refund_decided",),
        "report.preliminary": ("outbox:on_preliminary",),
        "report.released": ("outbox:on_released",),
        "report.amended": ("outbox:on_amended",),
        "report.recalled": ("outbox:on_recalled",),
        "critical.confirmed": ("outbox:on_critical",),
        "catalog.mapped": ("outbox:on_mapped",),
    },
    jobs=(Job("interfaces.watch", "1m", "service:watch"),),
)
