"""The outbox on its way to the cloud, and what comes back. The only importer of paho in the agent.

A message is published with QoS 1 and kept until the cloud's receipt names its number and hash; a PUBACK only paces
(RELIABILITY R2). Nothing that comes down is used before its signature by the pinned cloud key is verified.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from agent import log
from agent.channels.base import iso, now_ms
from agent.config import Identity
from agent.journal import Journal
from agent.rows import SEQ_BITS, Stored
from agent.transport.tcp import no_delay
from common import envelope, topics
from common.crypto import PrivateKey, PublicKey
from common.envelope import Envelope, EnvelopeError, Header

WINDOW = 100  # messages on the way at once (RELIABILITY 2.1b)
RECEIPT_SECONDS = 15.0  # after this long without a receipt a message is sent again, then after twice as long, and so on
RECEIPT_MOST = 120.0
ROAD_SECONDS = 5.0
SLICE = 16  # messages sealed in one turn of the loop, so that links are served between
KEEPALIVE_SECONDS = 30  # a dead broker is noticed after 1.5 of these (F7: 90 s)

_log = log.get("uplink")


@dataclass(frozen=True, slots=True)
class Keys:
    """What the agent signs with, and whom it believes."""

    private: PrivateKey
    cloud: PublicKey


@dataclass(slots=True)
class Flight:
    """A message on the way."""

    sent: float
    token: int
    tries: int = 1
    puback: bool = False

    @property
    def patience(self) -> float:
        """Seconds to wait for its receipt."""
        return float(min(RECEIPT_SECONDS * 2 ** (self.tries - 1), RECEIPT_MOST))


Down = Callable[[str, Envelope], None]


class Uplink:
    """One agent's connection to its broker. All methods but paho's callbacks run in the event loop's thread."""

    def __init__(self, journal: Journal, identity: Identity, keys: Keys, boot: str, on_down: Down, tls: ssl.SSLContext | None) -> None:
        self._journal = journal
        self._identity = identity
        self._keys = keys
        self._boot = boot
        self._on_down = on_down
        self._loop = asyncio.get_running_loop()
        self._flights: dict[int, Flight] = {}
        self._tokens: dict[int, int] = {}  # paho's message id to ours
        self._backlog_end = 0  # what is newer than the connection is fresh, and goes first
        self._pump_due = False
        self.connected = False
        self.since = now_ms()
        self.last_error = ""
        self.skew_ms: int | None = None  # our clock minus the cloud's, rough
        self.road = ""  # how far towards the broker we get: see common/diagnosis.py
        self.last_receipt = 0
        self._tls = tls
        self._probing: asyncio.Task[None] | None = None
        self.on_connect: Callable[[], None] | None = None
        self._client = self._make_client(tls)

    def _make_client(self, tls: ssl.SSLContext | None) -> mqtt.Client:
        me = self._identity
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=topics.client_name(me.tenant, me.agent),
            clean_session=False,
            protocol=mqtt.MQTTv311,
        )
        if tls is not None:
            client.tls_set_context(tls)
        client.will_set(topics.up(me.tenant, me.agent, topics.LAST_WILL), b"", qos=1)
        client.max_inflight_messages_set(WINDOW)
        client.reconnect_delay_set(1, 30)
        client.on_connect = self._paho_connect
        client.on_connect_fail = lambda *_: self._post(self._failed, "broker unreachable")
        client.on_disconnect = lambda _c, _u, _f, reason, _p: self._post(self._disconnected, str(reason))
        client.on_publish = lambda _c, _u, mid, _r, _p: self._post(self._puback, mid)
        client.on_socket_open = lambda _c, _u, opened: no_delay(opened)
        client.on_message = lambda _c, _u, message: self._post(self._received, message.topic, message.payload)
        return client

    def start(self) -> None:
        """Connect, and again whenever the connection is lost."""
        self._client.connect_async(self._identity.mqtt_host, self._identity.mqtt_port, KEEPALIVE_SECONDS)
        self._client.loop_start()

    def stop(self) -> None:
        """Say goodbye; what has no receipt stays in the journal."""
        self._client.disconnect()
        self._client.loop_stop()

    # --- paho's thread

    def _paho_connect(self, client: mqtt.Client, _data: Any, _flags: Any, reason: Any, _properties: Any) -> None:
        if reason.is_failure:
            self._post(self._failed, str(reason))
            return
        client.subscribe(topics.down_filter(self._identity.tenant, self._identity.agent), qos=1)
        self._post(self._connected)

    def _post(self, call: Callable[..., None], *values: Any) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call, *values)

    # --- the event loop's thread

    def _connected(self) -> None:
        self.connected, self.since, self.last_error = True, now_ms(), ""
        self._backlog_end = self._journal.highest
        # What has a PUBACK may be lost with the broker's store and is sent anew; paho itself sends the rest again.
        self._flights = {number: flight for number, flight in self._flights.items() if not flight.puback}
        _log.info("connected", pending=self._journal.pending_count)
        if self.on_connect is not None:
            self.on_connect()
        self.wake()

    def _failed(self, reason: str) -> None:
        if reason != self.last_error:
            _log.warning("broker refused or unreachable", reason=reason)
        self.connected, self.last_error = False, reason
        self._probe()

    def _probe(self) -> None:
        """Find out how far we get; in a thread, and never two at once."""
        if self._probing is None or self._probing.done():
            self._probing = self._loop.create_task(self._probed())

    async def _probed(self) -> None:
        self.road = await asyncio.to_thread(road, self._identity.mqtt_host, self._identity.mqtt_port, self._tls)

    def _disconnected(self, reason: str) -> None:
        if self.connected:
            self.since = now_ms()
            _log.warning("disconnected", reason=reason)
        self.connected = False
        self.last_error = reason
        self._probe()

    def wake(self) -> None:
        """There may be something to send."""
        if not self._pump_due:
            self._pump_due = True
            self._loop.call_soon(self._pump)

    def tick(self) -> None:
        """Each second: send again what waited too long for its receipt."""
        now = self._loop.time()
        for number, flight in list(self._flights.items()):
            if flight.puback and now - flight.sent > flight.patience:
                self._send(number, flight.tries + 1)
        self.wake()

    def _pump(self) -> None:
        self._pump_due = False
        if not self.connected:
            return
        # A message that never gets a receipt must not hold its place in the window for ever.
        room = WINDOW - sum(flight.tries <= 3 for flight in self._flights.values())
        if room <= 0 or len(self._flights) >= 10 * WINDOW:
            return
        chosen = self._choose(min(room, SLICE))
        for number in chosen:
            self._send(number, 1)
        if len(chosen) == SLICE:
            self.wake()

    def _choose(self, count: int) -> list[int]:
        """Urgent ones, then those newer than the backlog, then the backlog from its oldest."""
        chosen: list[int] = []
        for urgent, above in ((True, 0), (False, self._backlog_end), (False, 0)):
            if len(chosen) < count:
                found = self._journal.pending_ids(urgent=urgent, above=above, limit=count + len(self._flights) + len(chosen))
                chosen += [number for number in found if number not in self._flights and number not in chosen]
        return chosen[:count]

    def _send(self, number: int, tries: int) -> None:
        stored = self._journal.read(number)
        if stored is None or stored.state != 0:
            self._flights.pop(number, None)
            return
        token = self._publish(stored.kind, envelope.seal(self._header(stored), stored.body, self._keys.private), qos=1)
        self._flights[number] = Flight(self._loop.time(), token, tries)
        self._tokens[token] = number

    def _header(self, stored: Stored) -> Header:
        captured = stored.meta.get("captured") or {}
        return Header(
            tenant=self._identity.tenant,
            agent=self._identity.agent,
            kind=stored.kind,
            at=iso(stored.at),
            mono=int(captured.get("mono", 0)),
            boot=str(captured.get("boot") or self._boot),
            stream=stored.stream,
            seq=stored.seq,
            conn=stored.conn,
            meta=stored.meta,
        )

    def publish_now(self, kind: str, body: Any, conn: str = "") -> bool:
        """Send something that is not kept (status, query). False while there is no connection."""
        if not self.connected:
            return False
        header = Header(
            tenant=self._identity.tenant,
            agent=self._identity.agent,
            kind=kind,
            at=iso(now_ms()),
            mono=time.monotonic_ns(),
            boot=self._boot,
            stream=self._journal.stream,
            conn=conn,
        )
        data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        self._publish(kind, envelope.seal(header, data, self._keys.private), qos=0)
        return True

    def _publish(self, kind: str, data: bytes, qos: int) -> int:
        topic = topics.up(self._identity.tenant, self._identity.agent, kind)
        return self._client.publish(topic, data, qos=qos).mid

    def _puback(self, mid: int) -> None:
        number = self._tokens.pop(mid, None)
        flight = self._flights.get(number) if number is not None else None
        if flight is not None and flight.token == mid:
            flight.puback = True
            flight.sent = self._loop.time()

    # --- what comes down

    def _received(self, topic: str, payload: bytes) -> None:
        try:
            kind, found = self._admit(topic, payload)
        except (EnvelopeError, topics.TopicError) as error:
            self.last_error = error.code
            _log.error("refused a message from the broker", code=error.code, topic=topic)
            return
        self.skew_ms = now_ms() - _ms(found.header.at) if found.header.at else self.skew_ms
        if kind == "receipt":
            self._receipt(found)
        else:
            self._on_down(kind, found)

    def _admit(self, topic: str, payload: bytes) -> tuple[str, Envelope]:
        place = topics.parse(topic)
        found = envelope.parse(payload)
        if not envelope.verify(found, self._keys.cloud):
            raise EnvelopeError("down.signature", "not signed by the cloud")
        header, me = found.header, self._identity
        if (header.tenant, header.agent, header.kind) != (me.tenant, me.agent, place.kind):
            raise EnvelopeError("down.address", "meant for somebody else")
        return place.kind, found

    def _receipt(self, found: Envelope) -> None:
        body = found.json()
        try:
            stream, items = str(body["stream"]), [(int(seq), str(sha)) for seq, sha in body["items"]]
        except (KeyError, TypeError, ValueError):
            _log.error("a receipt of a shape we do not read")
            return
        self._journal.receipt(stream, items, now_ms(), lambda ok: self._receipted(stream, items) if ok else None)

    def _receipted(self, stream: str, items: list[tuple[int, str]]) -> None:
        self.last_receipt = now_ms()
        number = self._journal.number_of(stream)
        for seq, _ in items:
            self._flights.pop(number << SEQ_BITS | seq, None)
        self.wake()


def road(host: str, port: int, tls: ssl.SSLContext | None) -> str:
    """How far a connection to the broker gets: dns, network, closed, tls; refused when only the broker itself says no."""
    try:
        with socket.create_connection((host, port), ROAD_SECONDS) as plain:
            if tls is not None:
                with tls.wrap_socket(plain, server_hostname=host):
                    return "refused"
            return "refused"
    except socket.gaierror:
        return "dns"
    except ConnectionRefusedError:
        return "closed"
    except ssl.SSLError:
        return "tls"
    except OSError:
        return "network"


def tls_context(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.2 or better with our client certificate, trusting the pinned CA and nobody else. Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context


def _ms(at: str) -> int:
    try:
        return int(datetime.fromisoformat(at).timestamp() * 1000)
    except ValueError:
        return now_ms()
