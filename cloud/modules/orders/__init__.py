"""M03 Orders: right test, right patient, once, paid or authorised, traceable to the requester."""

from cloud.modules.orders.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="orders",
    title="申请",
    views=("views:VIEWS", "merge_views:MERGE", "outside_views:OUTSIDE"),
    depends=("catalog", "platform"),
    permissions={
        Perm.READ: ("nurse", "receiver", "guide", "tester", "verifier", "senior", "leader", "quality", "director"),
        Perm.REGISTER: ("nurse", "receiver", "leader"),
        Perm.REFUND: ("senior", "leader"),
        # Whose results are read together is decided by few, with two points of identity compared.
        Perm.MERGE: ("leader", "infogroup"),
        Perm.FIGURES: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup"),
    },
    menu=(
        MenuItem("申请", "/orders", Perm.READ, "检验前", 10),
        MenuItem("口头申请", "/orders/verbal", Perm.READ, "检验前", 11),
        MenuItem("退费申请", "/orders/refund-requests", Perm.READ, "检验前", 12),
        MenuItem("漏费清单", "/orders/uncharged", Perm.FIGURES, "检验前", 13),
        MenuItem("申请统计", "/orders/figures", Perm.FIGURES, "检验前", 16),
        MenuItem("外院互认报告", "/orders/outside", Perm.REGISTER, "检验前", 15),
        MenuItem("患者合并", "/patients/merge", Perm.MERGE, "检验前", 14),
    ),
    handlers={
        "catalog.mapped": ("service:on_mapped",),
        "result.received": ("service:on_result",),
        "report.preliminary": ("service:on_preliminary",),
        "report.released": ("service:on_released",),
        "report.recalled": ("service:on_recalled",),
    },
    jobs=(
        Job("orders.discard_parked", "1m", "service:discard_parked"),
        Job("orders.expire", "00:00", "expiry:expire"),
        Job("orders.look", "15m", "verbal:look"),
        Job("orders.merge", "15m", "merge:watch"),
        Job("orders.seal", "1m", "private:seal_old"),
    ),
    starts={Perm.REGISTER: "start:unwritten", Perm.REFUND: "start:refunds"},
)
