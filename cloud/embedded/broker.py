"""The demo's MQTT broker: amqtt with TLS, client certificates and topic rules, as a process of its own.

    python -m cloud.embedded.broker --pki DIR --port N [--host ADDRESS]

amqtt takes a client without a certificate, and sends a last will to any topic; both are closed here. A certificate on
the revocation list is refused at once and its session cut within seconds.
"""

import argparse
import asyncio
import logging
import signal
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.broker import Broker
from amqtt.contexts import Action, ListenerConfig
from amqtt.errors import MQTTError
from amqtt.mqtt.connack import NOT_AUTHORIZED, ConnackPacket
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import Session
from cryptography import x509
from cryptography.x509.oid import NameOID

from cloud.embedded import acl
from cloud.ports.ca import revoked_serials
from cloud.ports.pki import CLOUD_NAME, Pki

REVOCATION_CHECK_SECONDS = 2.0
HERE = "cloud.embedded.broker"
log = logging.getLogger(HERE)


@dataclass(frozen=True)
class Identity:
    """What a client's certificate says."""

    name: str
    serial: int


def identity(tls: ssl.SSLObject | None) -> Identity | None:
    """The certificate's common name and serial number; None without a certificate."""
    der = tls.getpeercert(binary_form=True) if tls is not None else None
    if not der:
        return None
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Identity(str(names[0].value), certificate.serial_number) if len(names) == 1 else None


class CertificateAuth(BaseAuthPlugin):
    """amqtt wants an opinion from a plugin; the decision fell before (see StrictBroker), which set the user name."""

    async def authenticate(self, *, session: Session) -> bool | None:
        client = identity(session.ssl_object)
        return client is not None and client.name == session.username

    @dataclass
    class Config:
        """Nothing to set."""


class CertificateTopics(BaseTopicPlugin):
    """Holds each client to the topics of its certificate's name."""

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        if session is None or session.username is None or topic is None or action is None:
            return False
        return acl.allowed(session.username, CLOUD_NAME, acl.Act(action.value), topic)

    @dataclass
    class Config:
        """Nothing to set."""


class Rereader(ReaderAdapter):
    """Lets the first packet be read twice."""

    def __init__(self, reader: ReaderAdapter) -> None:
        self._reader = reader
        self._seen = bytearray()
        self._again = b""

    async def read(self, n: int = -1) -> bytes:
        if self._again:
            data, self._again = self._again[:n], self._again[n:]
            return data
        data = await self._reader.read(n)
        self._seen += data
        return data

    def feed_eof(self) -> None:
        self._reader.feed_eof()

    def rewind(self) -> None:
        self._again = bytes(self._seen)


class StrictBroker(Broker):
    """amqtt's broker with the doors closed that it leaves open.

    It ends the handshake when the client shows no certificate of our CA. It decides about a client before amqtt touches
    any session: amqtt itself drops or takes over the session of the client id first and asks its plugins later, and for
    a kept session it asks about the certificate of the connection before.
    """

    def __init__(self, settings: dict[str, Any], crl: Path) -> None:
        super().__init__(settings)
        self._crl = crl

    async def _initialize_client_session(
        self, reader: ReaderAdapter, writer: WriterAdapter, remote_address: str, remote_port: int
    ) -> tuple[BrokerProtocolHandler, Session]:
        first = Rereader(reader)
        connect = await ConnectPacket.from_stream(first)
        client = identity(writer.get_ssl_info())
        if client is None or not self._welcome(client, connect):
            await ConnackPacket.build(0, NOT_AUTHORIZED).to_stream(writer)
            await writer.close()
            raise MQTTError(f"refused {client} with client id {connect.client_id!r}")
        first.rewind()
        handler, session = await super()._initialize_client_session(first, writer, remote_address, remote_port)
        session.ssl_object, session.username = writer.get_ssl_info(), client.name
        return handler, session

    def _welcome(self, client: Identity, connect: ConnectPacket) -> bool:
        will = connect.will_topic if connect.will_flag else None
        return client.serial not in revoked_serials(self._crl) and acl.may_connect(client.name, CLOUD_NAME, connect.client_id or "", will)

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(listener["certfile"], listener["keyfile"])
        context.load_verify_locations(listener["cafile"])
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def cut_revoked(self) -> None:
        """Close the connections whose certificate has come onto the revocation list."""
        revoked = revoked_serials(self._crl)
        for session, handler in list(self._sessions.values()):
            client = identity(session.ssl_object)
            if client is not None and client.serial in revoked and handler.writer is not None:
                log.warning("cutting the session of the revoked client %s", client.name)
                asyncio.ensure_future(handler.writer.close())


def config(pki: Pki, host: str, port: int) -> dict[str, Any]:
    """amqtt's settings: one TLS listener, our two plugins and nothing else (no store, no $SYS)."""
    server = pki.pair("mqtt")
    files = {"cafile": str(pki.ca_file), "certfile": str(server.certificate), "keyfile": str(server.key)}
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{host}:{port}", "ssl": True, **files}},
        "plugins": {f"{HERE}.CertificateAuth": {}, f"{HERE}.CertificateTopics": {}},
    }


async def serve(pki: Pki, host: str, port: int, stop: asyncio.Event) -> None:
    """Run until `stop` is set."""
    broker = StrictBroker(config(pki, host, port), pki.crl_file)
    await broker.start()
    log.info("listening on %s:%s", host, port)
    while not stop.is_set():
        broker.cut_revoked()
        try:
            await asyncio.wait_for(stop.wait(), REVOCATION_CHECK_SECONDS)
        except TimeoutError:
            continue
    await broker.shutdown()


async def _run(pki: Pki, host: str, port: int) -> None:
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    await serve(pki, host, port, stop)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cloud.embedded.broker", description=__doc__)
    parser.add_argument("--pki", type=Path, required=True, help="folder with CA, certificates and revocation list")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for chatty in ("amqtt", "transitions"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    asyncio.run(_run(Pki(args.pki), args.host, args.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
