"""M11 Quality control: detects error before patients do, and holds release when in doubt."""

from cloud.modules.qc.rules import Perm
from cloud.web.module import Job, MenuItem, Module

EVERYBODY = ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup")
MODULE = Module(
    name="qc",
    title="室内质控",
    views=("views:VIEWS", "settings_views:SETTINGS", "sheet_views:SHEETS", "lot_views:LOTS"),
    depends=("catalog", "equipment", "platform", "reagents"),
    permissions={
        Perm.READ: EVERYBODY,
        Perm.ENTER: ("tester", "verifier", "senior", "leader"),
        Perm.PLAN: ("leader",),
        Perm.APPROVE: ("quality",),
        Perm.CLOSE: ("leader",),
        Perm.BYPASS: ("director",),
    },
    menu=(
        MenuItem("今日质控", "/qc/today", Perm.READ, "质量", 60),
        MenuItem("质控录入", "/qc/entry", Perm.ENTER, "质量", 60),
        MenuItem("质控图", "/qc/lj", Perm.READ, "质量", 60),
        MenuItem("失控处理", "/qc/ooc", Perm.READ, "质量", 60),
        MenuItem("质控月总结", "/qc/month", Perm.READ, "质量", 60),
        MenuItem("西格玛", "/qc/sigma", Perm.READ, "质量", 60),
        MenuItem("患者数据质控", "/qc/moving", Perm.READ, "质量", 60),
        MenuItem("质控靶值", "/qc/targets", Perm.READ, "质量", 60),
        MenuItem("失控通知", "/qc/robots", Perm.PLAN, "质量", 61),
        MenuItem("质控计划", "/qc/plans", Perm.READ, "质量", 60),
    ),
    handlers={"qc.observed": ("intake:take",)},
    jobs=(
        Job("qc_recheck", "1m", "jobs:recheck"),
        Job("qc_moving", "15m", "patients:work"),
        Job("qc_lots", "08:00", "jobs:lots"),
        Job("qc_convert", "08:00", "jobs:convert"),
        Job("qc_robot", "10s", "robot:send"),
        Job("qc_month", "00:30", "jobs:month"),
    ),
    starts={Perm.ENTER: "start:out", Perm.APPROVE: "start:to_approve"},
)
