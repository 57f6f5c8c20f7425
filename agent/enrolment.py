"""Enrolment: the key is made here and never leaves; the code's pin decides which CA is believed."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import Any

from agent import store
from agent.config import DataDir, parse_config, write_atomic
from agent.journal import Journal
from agent.status import VERSION
from common import crypto
from common.errors import PeerError, UserError
from common.say import say

TIMEOUT_SECONDS = 20
MAX_ANSWER = 1 << 20


def enrol(data: DataDir, text: str, hostname: str, boot: str) -> str:
    """Enrol with a code; returns the agent's id. Raises UserError with what to do."""
    try:
        code = crypto.decode_enrol_code(text)
    except crypto.CryptoError as error:
        raise UserError("enrol.code", say("登记码不完整或已损坏，请从网页重新复制整段登记码。")) from error
    data.create()
    ca = _fetch_ca(code)
    key = crypto.new_key()
    request = {
        "code": code.code,
        "csr": crypto.make_csr(key, hostname).decode(),
        "hostname": hostname,
        "boot": boot,
        "version": VERSION,
    }
    answer = _post(f"{code.url}/edge/enrol", request, _trusting(ca))
    return _keep(data, code, ca, key, answer)


def _fetch_ca(code: crypto.EnrolCode) -> bytes:
    """The CA certificate, fetched unverified and believed only when it is the pinned one."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    pem = _open(urllib.request.Request(f"{code.url}/edge/ca"), context)
    try:
        found = crypto.pin(crypto.load_certificate(pem))
    except crypto.CryptoError as error:
        raise UserError("enrol.ca", say("{url} 没有给出证书，请核对登记码中的地址。", url=code.url)) from error
    if found != code.pin:
        raise UserError("enrol.pin", say("服务器的证书与登记码不符，可能有人冒充服务器。请停止并联系管理员。"))
    return pem


def _trusting(ca: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca.decode())
    return context


def _post(url: str, body: dict[str, Any], context: ssl.SSLContext) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        answer = json.loads(_open(request, context))
    except ValueError as error:
        raise PeerError("enrol.answer", say("服务器的答复读不懂。")) from error
    if not isinstance(answer, dict):
        raise PeerError("enrol.answer", say("服务器的答复读不懂。"))
    return answer


def _open(request: urllib.request.Request, context: ssl.SSLContext) -> bytes:
    secure = request.full_url.startswith("https://")
    if not secure and not request.full_url.startswith("http://127.0.0.1"):
        raise UserError("enrol.url", say("登记码中的地址不是 https，不能使用。"))
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=context if secure else None) as answer:
            found: bytes = answer.read(MAX_ANSWER)
            return found
    except urllib.error.HTTPError as error:
        words, english = _refusal(error)
        raise UserError("enrol.refused", words, en=english) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            "enrol.network", say("连接不上 {url}：{reason}。请检查网络和地址。", url=request.full_url, reason=reason)
        ) from error


def _refusal(error: urllib.error.HTTPError) -> tuple[str, str]:
    """The server's own words and their English; where it has none, ours."""
    try:
        told = json.loads(error.read(MAX_ANSWER))
        message, english = str(told.get("message") or told.get("error") or ""), str(told.get("message_en") or "")
    except (ValueError, OSError, AttributeError):
        message, english = "", ""
    return message or say("服务器拒绝登记（{code}）：登记码可能已用过或超过 30 分钟，请在网页上生成新的登记码。", code=error.code), english


def _keep(data: DataDir, code: crypto.EnrolCode, ca: bytes, key: crypto.PrivateKey, answer: dict[str, Any]) -> str:
    """Check the answer whole, then write it down, the identity last: it is what makes the rest count."""
    try:
        agent, tenant = str(answer["agent"]), str(answer["tenant"])
        certificate = crypto.load_certificate(str(answer["certificate"]).encode())
        cloud = crypto.public_pem(crypto.load_public(str(answer["cloud_key"]).encode()))
        mqtt = {"host": str(answer["mqtt"]["host"]), "port": int(answer["mqtt"]["port"])}
        config = answer["config"]
        parse_config(config)
    except (KeyError, TypeError, ValueError, PeerError) as error:
        raise PeerError("enrol.answer", say("服务器的答复不完整，登记没有完成。")) from error
    if crypto.public_pem(crypto.certificate_key(certificate)) != crypto.public_pem(key.public_key()):
        raise PeerError("enrol.certificate", say("服务器签发的证书不是本机的密钥，登记没有完成。"))
    if crypto.certificate_agent(certificate) != (tenant, agent):
        raise PeerError("enrol.certificate", say("服务器签发的证书不是给本代理的，登记没有完成。"))
    _same_hospital(data, tenant)
    write_atomic(data.file("key.pem"), crypto.private_pem(key))
    write_atomic(data.file("certificate.pem"), crypto.certificate_pem(certificate))
    write_atomic(data.file("ca.pem"), ca)
    write_atomic(data.file("cloud.pem"), cloud)
    data.save_config(config)
    identity = {"agent": agent, "tenant": tenant, "url": code.url, "mqtt": mqtt}
    write_atomic(data.file("identity.json"), json.dumps(identity).encode())
    return agent


def _same_hospital(data: DataDir, tenant: str) -> None:
    """Results kept for one hospital must never be sent to another."""
    known = data.identity()
    if known is None or known.tenant == tenant or not data.journal.exists():
        return
    try:
        journal = Journal(data.journal)
        waiting = journal.pending_count
        journal.close()
    except store.StoreDamaged:
        waiting = -1
    if waiting:
        raise UserError(
            "enrol.tenant",
            say(
                "本目录还有另一家医院（{other}）未上传的数据，不能登记到 {tenant}。请先让它们上传完，或换一个数据目录。",
                other=known.tenant,
                tenant=tenant,
            ),
        )
