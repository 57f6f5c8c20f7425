"""The webhook of a WeChat-Work group's robot, answering as its documents say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Group(ThreadingHTTPServer):
    """The webhook of one group: what was said in it; ``answer`` is its next ones."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.said: list[str] = []
        self.answer: bytes = b'{"errcode":0,"errmsg":"ok"}'
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/cgi-bin/webhook/send?key=SECRET"


class _Handler(BaseHTTPRequestHandler):
    server: Group

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["msgtype"] == "text" and self.path.endswith("key=SECRET")
        if b'"errcode":0' in self.server.answer:
            self.server.said.append(body["text"]["content"])
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def group() -> Iterator[Group]:
    made = Group()
    yield made
    made.shutdown()
    made.server_close()


__all__ = ["Group", "group"]
