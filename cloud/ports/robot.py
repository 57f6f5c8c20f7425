"""A group's robot in WeChat-Work (群机器人): one message by its webhook, whose address is a secret (whoever has it may write there).

Documented as ``POST {"msgtype": "text", "text": {"content": …}}``, answered by ``{"errcode": 0, "errmsg": "ok"}``.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from urllib.parse import urlsplit

from cloud.ports import wework
from common.errors import PeerError
from common.say import say

TIMEOUT_S = 5.0
MAX_ANSWER = 64 * 1024
MOST_BYTES = 2048  # of a text, by WeChat-Work's own rule


def is_webhook(url: str) -> bool:
    """Whether this may be written to: https (or http on the loopback), with a path, nothing before the host."""
    base = url.split("?", 1)[0]
    return wework.is_address(base) and bool(urlsplit(url).path.strip("/")) and not any(c.isspace() or ord(c) < 33 for c in url)


def send(url: str, words: str) -> None:
    """Say it in the group. Raises PeerError: away, refused (with its number), or no answer we know; never with the address in it."""
    content = words.encode()[:MOST_BYTES].decode(errors="ignore")
    body = json.dumps({"msgtype": "text", "text": {"content": content}}, ensure_ascii=False).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=TIMEOUT_S) as answer:
            found = json.loads(answer.read(MAX_ANSWER))
    except ValueError as error:
        raise PeerError("robot_answer", "企业微信的回答无法识别。") from error
    except (urllib.error.URLError, OSError) as error:  # its text may hold the address
        raise PeerError("robot_away", say("企业微信连不上（{why}）。", why=type(error).__name__)) from error
    number = found.get("errcode") if isinstance(found, dict) else None
    if not isinstance(number, int):
        raise PeerError("robot_answer", "企业微信的回答无法识别。")
    if number != 0:
        raise PeerError("robot_refused", say("企业微信没有接受（错误号 {number}）。", number=number))
