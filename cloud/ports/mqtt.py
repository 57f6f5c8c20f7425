"""MQTT as the cloud sees it: the only importer of paho here. Messages come in batches; a batch is acknowledged by hand.

QoS 1, MQTT 3.1.1, TLS with our client certificate. The session is kept at the broker, so what arrives while we restart waits there; but the
broker is a pipe and not a store (RELIABILITY 0.1): nothing here says that a message is safe, only our receipts do.
"""

from __future__ import annotations

import queue
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from cloud.ports.sockets import no_delay

log = structlog.get_logger("mqtt")

MAX_BATCH = 64
"""Messages of one transaction: 1 600 results of CBCs. More is not faster (brokers keep at most 100 on the way) and takes memory."""
LINGER_S = 0.015
"""How long a batch waits for company. A lone message pays it once; under load a batch is full long before."""
KEEPALIVE_S = 20
RECONNECT_S = (1, 10)


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is and who we are there."""

    host: str
    port: int
    ca: str
    certificate: str
    key: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message not yet acknowledged. ``link`` counts connections: an id of an older one must not be acknowledged on a newer."""

    topic: str
    payload: bytes
    mid: int
    qos: int
    link: int


class Mqtt:
    """A connection that reconnects by itself; subscriptions are renewed at each connect."""

    def __init__(self, address: Address, filters: Sequence[str], *, keep_session: bool = True) -> None:
        self._address = address
        self._filters = [(f, 1) for f in filters]
        self._in: queue.SimpleQueue[Incoming | None] = queue.SimpleQueue()
        self._link = 0
        self.on_link: Callable[[bool], None] = lambda _up: None
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            clean_session=not keep_session,
            protocol=paho.MQTTv311,
            manual_ack=True,
        )
        context = ssl.create_default_context(cafile=address.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(address.certificate, address.key)
        self._client.tls_set_context(context)
        self._client.max_inflight_messages_set(1000)
        self._client.reconnect_delay_set(*RECONNECT_S)
        self._client.on_socket_open = lambda _c, _u, opened: no_delay(opened)
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._arrived

    # life

    def start(self) -> None:
        """Begin connecting in the background; returns at once, whether or not the broker answers."""
        self._client.connect_async(self._address.host, self._address.port, keepalive=KEEPALIVE_S)
        self._client.loop_start()

    def stop(self) -> None:
        """Leave the broker in order and wake whoever waits for a batch."""
        self._client.disconnect()
        self._client.loop_stop()
        self.wake()

    def wake(self) -> None:
        """End a waiting `batch` early. Safe in a signal handler: the queue is reentrant."""
        self._in.put(None)

    @property
    def connected(self) -> bool:
        """Whether the broker currently knows us."""
        return self._client.is_connected()

    # in

    def batch(self, timeout: float, limit: int = MAX_BATCH, linger: float = LINGER_S) -> list[Incoming]:
        """Wait up to ``timeout`` seconds for a first message, then at most ``linger`` for up to ``limit`` of them."""
        out: list[Incoming] = []
        end = time.monotonic() + timeout
        while len(out) < limit:
            try:
                item = self._in.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if item is None:
                break
            if not out:
                end = time.monotonic() + linger
            out.append(item)
        return out

    def acknowledge(self, messages: Sequence[Incoming]) -> None:
        """PUBACK, after their fate is decided. Ids of a lost connection are left out: the broker sends those again."""
        for message in messages:
            if message.link == self._link:
                self._client.ack(message.mid, message.qos)

    # out

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send with QoS 1. False when we are not connected; the caller keeps the message then."""
        if not self._client.is_connected():
            return False
        return self._client.publish(topic, payload, qos=1).rc == paho.MQTT_ERR_SUCCESS

    # callbacks, on paho's thread: none may raise, or paho's loop ends

    def _connected(self, client: paho.Client, _user: object, _flags: paho.ConnectFlags, code: ReasonCode, _p: Properties | None) -> None:
        if code.is_failure:
            log.warning("refused_by_broker", reason=str(code))
            return
        self._link += 1
        client.subscribe(self._filters)
        log.info("connected", broker=f"{self._address.host}:{self._address.port}")
        self._tell(True)

    def _disconnected(
        self, _client: paho.Client, _user: object, _flags: paho.DisconnectFlags, code: ReasonCode, _p: Properties | None
    ) -> None:
        log.warning("disconnected", reason=str(code))
        self._tell(False)

    def _tell(self, up: bool) -> None:
        try:
            self.on_link(up)
        except Exception as exc:
            log.error("link_callback", error=str(exc))

    def _arrived(self, client: paho.Client, _user: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            # MQTT asks for UTF-8; whoever sends something else gets past no later check either.
            log.warning("topic_undecodable")
            client.ack(message.mid, message.qos)
            return
        self._in.put(Incoming(topic, bytes(message.payload), message.mid, message.qos, self._link))
