"""M09 Reports: reviewed by one, verified by another, frozen, signed, rendered once, and amended only by a new version."""

from cloud.modules.reports.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="reports",
    title="报告",
    views=("views:VIEWS", "layout_views:LAYOUTS"),
    depends=("bench", "catalog", "critical", "equipment", "orders", "personnel", "platform", "qc", "quality", "scheduling", "specimens"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup"),
        Perm.TEST: ("tester", "verifier", "senior", "leader"),
        Perm.RELEASE: ("verifier", "senior", "leader"),
        Perm.AMEND: ("senior", "leader"),
        Perm.RECALL: ("leader", "director"),
        # The card is the clinician's to fill in and the public-health office's to watch; the laboratory sees that it went out.
        # Whoever may propose a change of master data draws them; approving is the change control's (M02).
        Perm.LAYOUTS: ("leader", "quality", "infogroup"),
        Perm.NOTIFY: ("leader", "quality", "director", "infogroup"),
    },
    menu=(
        MenuItem("审核发布", "/review", Perm.RELEASE, "检验", 32),
        MenuItem("报告查询", "/reports", Perm.READ, "检验", 37),
        MenuItem("传染病阳性", "/reports/infectious", Perm.NOTIFY, "检验", 39),
        MenuItem("修改与召回通知", "/reports/notices", Perm.AMEND, "检验", 38),
        MenuItem("报告统计", "/reports/figures", Perm.READ, "检验", 40),
        MenuItem("报告格式", "/templates", Perm.LAYOUTS, "基础数据", 232),
    ),
    handlers={
        "report.preliminary": ("handlers:print_later", "corrected:on_changed"),
        "report.released": ("handlers:print_later",),
        "report.amended": ("handlers:print_later", "corrected:on_changed"),
        "report.recalled": ("corrected:on_changed",),
        "report.cancelled": ("corrected:on_changed",),
        "patient.corrected": ("corrected:on_corrected",),
        "result.withdrawn": ("service:on_withdrawn",),
        "report.print": ("handlers:render_report",),
        "report.render": ("handlers:render_now",),
        "report.reprint": ("handlers:render_reprint",),
        "report.preview": ("handlers:render_preview",),
    },
    jobs=(Job("reports.watch", "1m", "watch:watch"),),
    starts={Perm.RELEASE: "start:to_release", Perm.AMEND: "start:unread"},
)
