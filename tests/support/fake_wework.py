"""A WeChat-Work as its documents describe it: tokens for corp id and secret, a user id for a code that is good once."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


class FakeWework(ThreadingHTTPServer):
    """Listens on the loopback; ``scan`` is a member holding the telephone to the page."""

    def __init__(self, corp_id: str = "ww-corp", secret: str = "ww-secret") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.corp_id, self.corp_secret = corp_id, secret
        self.codes: dict[str, dict[str, str]] = {}
        self.tokens: set[str] = set()
        self.asked: list[str] = []
        self.told: list[dict[str, Any]] = []
        self.members = {"WangWu", "LiSi"}
        self.broken = False
        self._numbers = itertools.count(1)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def scan(self, userid: str = "", **other: str) -> str:
        """A code of this member, or of somebody outside (``openid``)."""
        code = f"code{next(self._numbers)}"
        self.codes[code] = {"userid": userid} if userid else other
        return code

    def answer(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        self.asked.append(path)
        if path == "/cgi-bin/gettoken":
            if asked.get("corpid") != self.corp_id:
                return {"errcode": 40013, "errmsg": "invalid corpid"}
            if asked.get("corpsecret") != self.corp_secret:
                return {"errcode": 40001, "errmsg": "invalid credential"}
            token = f"token{next(self._numbers)}"
            self.tokens.add(token)
            return {"errcode": 0, "errmsg": "ok", "access_token": token, "expires_in": 7200}
        if path == "/cgi-bin/auth/getuserinfo":
            if asked.get("access_token") not in self.tokens:
                return {"errcode": 42001, "errmsg": "access_token expired"}
            found = self.codes.pop(asked.get("code", ""), None)
            return {"errcode": 40029, "errmsg": "invalid code"} if found is None else {"errcode": 0, "errmsg": "ok", **found}
        return {"errcode": -1, "errmsg": "no such interface"}

    def message(self, path: str, asked: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
        """A message of the application; the same one to the same member is left out within its interval."""
        self.asked.append(path)
        if path != "/cgi-bin/message/send":
            return {"errcode": -1, "errmsg": "no such interface"}
        if asked.get("access_token") not in self.tokens:
            return {"errcode": 42001, "errmsg": "access_token expired"}
        if body["touser"] not in self.members:
            return {"errcode": 81013, "errmsg": "user & party & tag all invalid"}
        if not (body.get("enable_duplicate_check") and body in self.told):
            self.told.append(body)
        return {"errcode": 0, "errmsg": "ok", "msgid": f"m{next(self._numbers)}"}

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FakeWework

    def do_GET(self) -> None:
        self._reply(lambda path, asked: self.server.answer(path, asked))

    def do_POST(self) -> None:
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._reply(lambda path, asked: self.server.message(path, asked, said))

    def _reply(self, answer: Callable[[str, dict[str, str]], dict[str, Any]]) -> None:
        parts = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        body = b"<html>" if self.server.broken else json.dumps(answer(parts.path, asked)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass
