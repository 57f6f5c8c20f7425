"""Change control of master data (M02): proposed, tried on past reports, approved by two, scheduled, active, retired."""

from cloud.modules.changes.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="changes",
    title="变更控制",
    depends=("autoverify", "catalog", "bench", "platform", "qc"),
    views=("views:VIEWS", "review_views:REVIEWS"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup", "engineer", "receiver"),
        Perm.PROPOSE: ("leader", "infogroup", "quality", "engineer"),
        Perm.TEST: ("leader", "infogroup", "quality"),
        Perm.SECTION: ("leader",),
        Perm.AV: ("quality",),
        Perm.GROUP: ("infogroup",),
        Perm.EMERGENCY: ("leader", "infogroup"),
    },
    menu=(
        MenuItem("公式", "/md/formulas", Perm.READ, "基础数据", 740),
        MenuItem("变更控制", "/md/changes", Perm.READ, "基础数据", 760),
        MenuItem("界限年度复核", "/md/review", Perm.READ, "基础数据", 765),
        MenuItem("导入", "/md/import", Perm.PROPOSE, "基础数据", 770),
    ),
    handlers={"catalog.trial": ("trial:step",)},
    jobs=(Job("changes-activate", "1m", "service:activate_job"), Job("changes-watch", "15m", "watch:look")),
    leaving="leaving",
    starts=dict.fromkeys((Perm.TEST, Perm.SECTION, Perm.AV, Perm.GROUP), "start:waiting"),
)
