"""Catalog (M02): what the laboratory can measure, how it judges, and how analyzers and the HIS call it."""

from cloud.modules.catalog.rules import Perm
from cloud.web.module import MenuItem, Module

MODULE = Module(
    name="catalog",
    title="基础数据",
    views=("views:VIEWS", "breakpoint_views:VIEWS"),
    permissions={
        Perm.READ: ("tester", "verifier", "senior", "leader", "quality", "director", "infogroup", "engineer", "receiver"),
        Perm.MAP: ("infogroup",),
    },
    menu=(
        MenuItem("检验项目", "/md/items", Perm.READ, "基础数据", 700),
        MenuItem("参考区间", "/md/ri", Perm.READ, "基础数据", 720),
        MenuItem("药敏折点", "/md/breakpoints", Perm.READ, "基础数据", 725),
        MenuItem("对照", "/md/maps", Perm.READ, "基础数据", 730),
        MenuItem("WS/T 886", "/md/wst886", Perm.READ, "基础数据", 735),
        MenuItem("医嘱项目", "/md/ordersets", Perm.READ, "基础数据", 710),
    ),
)
