"""Specimens (M05): each tube's identity, place and fitness at every minute."""

from cloud.modules.specimens.rules import Perm
from cloud.web.module import Job, MenuItem, Module

BENCH = ("tester", "verifier", "senior", "leader")

MODULE = Module(
    name="specimens",
    title="标本",
    views=(
        "views:VIEWS",
        "bag_views:BAGS",
        "storage_views:STORAGE",
        "referral_views:REFERRAL",
        "track_views:TRACK",
        "figure_views:FIGURES",
    ),
    depends=("bench", "catalog", "orders", "platform"),
    permissions={
        Perm.READ: (*BENCH, "quality", "director", "infogroup", "nurse", "receiver"),
        Perm.LABEL: ("nurse",),
        Perm.COLLECT: ("nurse",),
        Perm.RECEIVE: (*BENCH, "receiver"),
        # A tube in hand is ordered, labelled, collected and received by one person.
        Perm.REGISTER: ("receiver", "leader"),
        Perm.REJECT: (*BENCH, "receiver"),
        Perm.CONDITIONAL: ("senior", "leader"),
        Perm.LOST: ("leader",),
        Perm.REFER: (*BENCH, "receiver"),
        Perm.NUMBER: ("verifier", "senior", "leader", "receiver"),
        Perm.ARCHIVE: (*BENCH, "receiver"),
        Perm.DISCARD: ("verifier", "senior", "leader", "receiver"),
        Perm.NOTICE: ("nurse", "clinician"),
        Perm.FIGURES: (*BENCH, "quality", "director", "infogroup", "receiver"),
    },
    menu=(
        MenuItem("打印标签", "/sp/labels", Perm.LABEL, "标本", 200),
        MenuItem("采集", "/sp/collect", Perm.COLLECT, "标本", 210),
        MenuItem("标本袋", "/sp/bag", Perm.READ, "标本", 215),
        MenuItem("核收", "/sp/receive", Perm.RECEIVE, "标本", 220),
        MenuItem("加做", "/orders/addon", Perm.RECEIVE, "标本", 228),
        MenuItem("登记核收", "/sp/register", Perm.REGISTER, "标本", 225),
        MenuItem("拒收", "/sp/reject", Perm.REJECT, "标本", 230),
        MenuItem("拒收通知", "/sp/rejections", Perm.NOTICE, "标本", 240),
        MenuItem("查找标本", "/sp/find", Perm.READ, "标本", 250),
        MenuItem("迟到标本", "/sp/late", Perm.READ, "标本", 251),
        MenuItem("流水线标本", "/sp/track", Perm.READ, "标本", 252),
        MenuItem("重采跟踪", "/sp/recollect", Perm.READ, "标本", 235),
        MenuItem("外送", "/sp/referral", Perm.REFER, "标本", 256),
        MenuItem("样本号", "/sp/numbers", Perm.RECEIVE, "标本", 258),
        MenuItem("归档", "/sp/archive", Perm.ARCHIVE, "标本", 260),
        MenuItem("销毁", "/sp/discard", Perm.ARCHIVE, "标本", 262),
        MenuItem("标本统计", "/sp/figures", Perm.FIGURES, "标本", 270),
        MenuItem("采集手册", "/sp/handbook", Perm.READ, "标本", 272),
    ),
    handlers={
        "label.render": ("handlers:render_labels",),
        "order.item_status": ("follow:on_item_status",),
        "result.received": ("follow:on_result",),
        "result.withdrawn": ("follow:on_withdrawn",),
        "report.released": ("follow:on_released", "storage:on_released"),
        "reflex.wanted": ("add_on:on_reflex",),
        "tube.seen": ("track:on_seen",),
        "specimen.cancelled": ("storage:on_void",),
        "specimen.rejected": ("storage:on_void",),
    },
    jobs=(
        Job("specimens.purge_labels", "03:20", "handlers:purge_jobs"),
        Job("specimens.discard", "00:30", "discard:daily"),
        Job("specimens.gaps", "00:30", "referral:nightly"),
        Job("specimens.look", "15m", "referral:look"),
        Job("specimens.late", "1m", "late:look"),
    ),
    starts={Perm.NOTICE: "start:sent_back", Perm.RECEIVE: "start:on_the_way"},
)
