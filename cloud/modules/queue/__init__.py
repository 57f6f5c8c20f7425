"""Queue (M04): fair, calm, correct collection; numbers, windows, hall screens, kiosks."""

from cloud.modules.queue.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="queue",
    title="排队叫号",
    views=("views:VIEWS",),
    depends=("catalog", "platform", "specimens"),
    permissions={
        Perm.WINDOW: ("nurse",),
        Perm.GUIDE: ("guide", "nurse"),
        Perm.BOARD: ("guide", "nurse", "leader", "director"),
        Perm.SCREEN: ("screen", "guide", "nurse"),
    },
    menu=(
        MenuItem("采血窗口", "/queue/window", Perm.WINDOW, "采血排队", 100),
        MenuItem("导诊台", "/queue/guide", Perm.GUIDE, "采血排队", 110),
        MenuItem("排队概况", "/queue/board", Perm.BOARD, "采血排队", 120),
        MenuItem("大厅屏幕", "/queue/screen", Perm.SCREEN, "采血排队", 130),
    ),
    handlers={"ticket.render": ("handlers:render_ticket",)},
    jobs=(Job("queue.purge_tickets", "03:25", "handlers:purge_jobs", cleans=True),),
)
