"""gunicorn with our app: threads, because live pages hold a connection each; TLS when a certificate is set."""

from __future__ import annotations

from typing import Any

from gunicorn.app.base import BaseApplication

from cloud import memory
from cloud.config import Settings


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn embedded, so that one settings file configures everything."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
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
        }
        if s.tls_cert:
            options |= {"certfile": s.tls_cert, "keyfile": s.tls_key}
        for key, value in options.items():
            if key in self.cfg.settings:
                self.cfg.set(key, value)

    def load(self) -> Any:
        """The app, made in each worker."""
        from cloud.app import create_app, warm_up
        from cloud.web import log

        log.setup(self.settings.log_level)
        app = create_app(self.settings)
        warm_up(app)
        return app


def serve(settings: Settings) -> int:
    """Run until stopped."""
    memory.few_arenas()
    import cloud.app  # noqa: F401  # loaded before the workers are forked: they start at once and share its memory

    memory.settle()
    Server(settings).run()
    return 0
