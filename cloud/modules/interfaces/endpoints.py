"""An endpoint's settings, and which hospital a connection belongs to. Pure.

Incoming: the hospital is never guessed. An endpoint names what its messages are known by — the sender's certificate (SHA-256), MSH-3,
MSH-4, MSH-5, MSH-6, the listener (``plain``, ``tls``; ``any`` stands for both) — and every one it names must agree. Of several that
agree the one that names most wins; a tie is nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cloud.modules.interfaces.charset import GB18030, UTF8
from cloud.modules.interfaces.dialect import Dialect
from cloud.modules.interfaces.hl7_out import Address
from cloud.modules.interfaces.hl7_wire import Header
from cloud.modules.orders.messages import Charge

MATCH = ("sender_app", "sender_facility", "receiver_app", "receiver_facility")
IN_KEYS = frozenset({*MATCH, "certificate", "listener", "require_tls", "dialect", "default_charge", "enhanced"})
OUT_KEYS = frozenset(
    {"host", "port", "tls", "ca_pem", "charset", "app", "facility", "to_app", "to_facility", "processing"}
    | {"connect_s", "answer_s", "send", "id_types"}
)
LISTENERS = ("plain", "tls", "any")
SENDS = ("result", "status", "critical", "charge")
SENDS_UNASKED = ("result", "status")  # a system takes critical values and charges only when its side is known to be ready
# HL7 table 0203 and what Chinese systems write there, for the identifiers we send.
ID_TYPES = {
    "patient_no": "PI", "empi": "EMPI", "id_card": "NI", "medical_insurance": "HC", "visit_card": "VC", "health_card": "EHC",
    "inpatient_no": "IN", "outpatient_no": "OP",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Incoming:
    """A system that sends orders."""

    tenant_id: int
    id: int
    code: str
    source: str
    match: Mapping[str, str] = field(default_factory=dict)
    certificate: str = ""
    listener: str = ""
    require_tls: bool = False
    dialect: Dialect = field(default_factory=Dialect)
    default_charge: Charge = Charge.UNPAID
    enhanced: bool = False

    @classmethod
    def read(cls, tenant_id: int, row_id: int, code: str, source: str, config: Mapping[str, Any]) -> Incoming:
        """From a stored row. Raises ValueError naming what is wrong, so that a typing error is seen when it is saved."""
        _known(config, IN_KEYS)
        match = {k: str(config[k]) for k in MATCH if config.get(k)}
        listener = str(config.get("listener", ""))
        if listener and listener not in LISTENERS:
            raise ValueError(f"listener: {listener}")
        certificate = str(config.get("certificate", "")).replace(":", "").lower()
        if not match and not certificate and not listener:
            raise ValueError("nothing names the sender: certificate, MSH field or listener")
        return cls(
            tenant_id=tenant_id,
            id=row_id,
            code=code,
            source=source or code,
            match=match,
            certificate=certificate,
            listener=listener,
            require_tls=bool(config.get("require_tls", False)),
            dialect=Dialect.from_config(config.get("dialect", {})),
            default_charge=Charge(config.get("default_charge", "unpaid")),
            enhanced=bool(config.get("enhanced", False)),
        )

    def weight(self, header: Header, tls: bool, certificate: str) -> int:
        """How much of a connection this endpoint recognises; 0 = not its own. ``any`` counts less than everything else."""
        said = {
            "sender_app": header.app, "sender_facility": header.facility, "receiver_app": header.to_app,
            "receiver_facility": header.to_facility,
        }  # fmt: skip
        if any(said[k].split("^")[0].strip() != v for k, v in self.match.items()):
            return 0
        if self.certificate and certificate != self.certificate:
            return 0
        if (self.require_tls or self.listener == "tls") and not tls:
            return 0
        if self.listener == "plain" and tls:
            return 0
        return 1 + 2 * len(self.match) + (16 if self.certificate else 0) + (1 if self.listener in ("plain", "tls") else 0)


def route(endpoints: Iterable[Incoming], header: Header, tls: bool, certificate: str) -> Incoming | None:
    """Whose message this is, or None for an unknown or an ambiguous sender."""
    weighed = [(e.weight(header, tls, certificate), e) for e in endpoints]
    best = max((w for w, _ in weighed), default=0)
    found = [e for w, e in weighed if w == best]
    return found[0] if best > 0 and len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A system that is told: where it listens, how it reads, what it wants to hear. Times in seconds."""

    id: int
    code: str
    source: str
    host: str
    port: int
    address: Address
    tls: bool = False
    ca_pem: str = ""
    connect_s: float = 5.0
    answer_s: float = 30.0
    send: frozenset[str] = frozenset(SENDS_UNASKED)
    id_types: Mapping[str, str] = field(default_factory=lambda: ID_TYPES)

    @classmethod
    def read(cls, row_id: int, code: str, source: str, config: Mapping[str, Any]) -> Outgoing:
        """From a stored row. Raises ValueError naming what is wrong."""
        _known(config, OUT_KEYS)
        charset = str(config.get("charset", UTF8)).lower()
        if charset not in (UTF8, GB18030):
            raise ValueError(f"charset: {charset}")
        port = int(config.get("port", 0))
        if not config.get("host") or not 0 < port < 65536:
            raise ValueError("host and port are needed")
        send = frozenset(config.get("send", SENDS_UNASKED))
        if send - set(SENDS):
            raise ValueError(f"send: {', '.join(sorted(send - set(SENDS)))}")
        address = Address(
            app=str(config.get("app", "JIANLIAN")), facility=str(config.get("facility", "")), to_app=str(config.get("to_app", "HIS")),
            to_facility=str(config.get("to_facility", "")), charset=charset, processing=str(config.get("processing", "P")),
        )  # fmt: skip
        return cls(
            id=row_id,
            code=code,
            source=source or code,
            host=str(config["host"]),
            port=port,
            address=address,
            tls=bool(config.get("tls", False)),
            ca_pem=str(config.get("ca_pem", "")),
            connect_s=float(config.get("connect_s", 5)),
            answer_s=float(config.get("answer_s", 30)),
            send=send,
            id_types={**ID_TYPES, **config.get("id_types", {})},
        )


def _known(config: Mapping[str, Any], keys: frozenset[str]) -> None:
    if unknown := set(config) - keys:
        raise ValueError(f"unknown setting: {', '.join(sorted(unknown))}")
