"""gunicorn with our app: threads, because live pages hold a connection each; TLS when a certificate is set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from cloud import memory
from cloud.config import Settings
from cloud.db import awaited
from cloud.web import log


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn embedded, so that one settings file configures everything. ``begun`` is called in each worker, once it listens."""

    def __init__(self, settings: Settings, app: Flask, begun: Callable[[Flask], None]) -> None:
        self.settings, self.app, self.begun = settings, app, begun
        super().__init__()

    def load_config(self) -> None:
        """Translate our settings into gunicorn's."""
        s = self.settings
        options: dict[str, Any] = {
            "bind": s.bind,
            "workers": s.web_workers,
            "threads": s.web_threads,
            "worker_class": "gthread",
            "timeout": 60,
            "graceful_timeout": 5,
            "keepalive": 30,
            "max_requests": 200_000,
            "max_requests_jitter": 20_000,
            "accesslog": None,
            "loglevel": "warning",
            "proc_name": "jianlian-web",
            "preload_app": False,
            "control_socket_disable": True,
            # Beside the first requests and not before them: a database that does not answer may not keep a worker from beginning.
            "post_worker_init": lambda _worker: threading.Thread(target=self.begun, args=(self.app,), daemon=True).start(),
        }
        if s.tls_cert:
            options |= {"certfile": s.tls_cert, "keyfile": s.tls_key}
        for key, value in options.items():
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def load(self) -> Any:
        """The app as it was made before the workers were forked: one that begins later has the code of the others."""
        return self.app


def serve(settings: Settings) -> int:
    """Run until stopped. The app is made once, before the workers are forked: they start at once and share its memory."""
    from cloud.app import create_app, rehearse, warm_up

    memory.few_arenas()
    log.setup(settings.log_level)
    app = create_app(settings)
    awaited.schema(settings.database_url, settings.schema_wait_s)
    warm_up(app)
    app.extensions["jianlian"].db.dispose()  # no connection may be shared by two workers
    memory.settle()
    Server(settings, app, rehearse).run()
    return 0
