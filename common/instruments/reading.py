"""The one shape every instrument message is read into.

``to_json`` gives exactly the JSON contract of ``jianlian-agent decode``; the classes carry more
(name, range, run, comments, pictures …) for the cloud. Text is as sent: ids are trimmed, values are
not, nothing is rounded, converted or translated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.protocol.problem import Problem

Json = dict[str, object]


@dataclass(slots=True)
class Result:
    """One result as the instrument sent it."""

    code: str | None
    value: str | None
    unit: str | None = None
    flags: list[str] = field(default_factory=list)
    status: str | None = None
    time: str | None = None
    qc: bool = False
    name: str | None = None
    test_id: str | None = None
    """The whole test identifier field, where several results share a code (F/I/P, aspects, probes)."""
    ref_range: str | None = None
    run: str | None = None
    """Sub-id, replicate or isolate the result belongs to."""
    operator: str | None = None
    instrument: str | None = None
    aspect: str | None = None
    """What kind of statement this is when a test has several: quantitative, qualitative, organism …"""
    decimals: int | None = None
    """Implied decimals of a fixed-width format: the number is ``value`` divided by 10^decimals."""
    comments: list[str] = field(default_factory=list)
    details: list[list[str]] = field(default_factory=list)
    """Manufacturer records below the result (curves, reaction grades)."""

    def to_json(self) -> Json:
        """The result in the outside contract."""
        return {
            "code": self.code,
            "value": self.value,
            "unit": self.unit,
            "flags": self.flags,
            "status": self.status,
            "time": self.time,
            "qc": self.qc,
        }


@dataclass(slots=True)
class Specimen:
    """The results (or ordered tests) of one specimen in one message."""

    specimen_id: str | None
    patient_id: str | None = None
    results: list[Result] = field(default_factory=list)
    qc: bool = False
    position: str | None = None
    """Rack, tube, sequence: the specimen's own words of where it was."""
    sample_type: str | None = None
    priority: str | None = None
    action: str | None = None
    collected_at: str | None = None
    observed_at: str | None = None
    patient_name: str | None = None
    sex: str | None = None
    birth: str | None = None
    control: str | None = None
    """Name and lot of control material."""
    other_ids: list[str] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    details: list[list[str]] = field(default_factory=list)

    def to_json(self) -> Json:
        """The specimen in the outside contract."""
        return {
            "specimen_id": self.specimen_id,
            "patient_id": self.patient_id,
            "results": [result.to_json() for result in self.results],
        }


@dataclass(slots=True)
class Message:
    """One message: what kind, which specimens, which specimens it asks about."""

    kind: str
    specimens: list[Specimen] = field(default_factory=list)
    query: list[str] = field(default_factory=list)
    protocol: str = "unknown"
    driver: str | None = None
    encoding: str | None = None
    type: str | None = None
    """HL7 message type (``ORU^R01``); for ASTM the processing id or Roche action (``TSREQ^REAL``)."""
    control_id: str | None = None
    sender: str | None = None
    sent_at: str | None = None
    complete: bool = True
    delimiters: str = ""
    records: list[list[str]] = field(default_factory=list)
    """Records (ASTM) or segments (HL7) as sent, for replies that echo fields."""
    comments: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    tolerates: frozenset[str] = frozenset()
    """Problem codes this analyzer's driver or site declared to be a habit."""

    def to_json(self) -> Json:
        """The message in the outside contract."""
        return {
            "kind": self.kind,
            "specimens": [specimen.to_json() for specimen in self.specimens],
            "query": self.query,
        }


@dataclass(slots=True)
class Reading:
    """Everything one capture or one raw message says."""

    protocol: str
    driver: str | None
    messages: list[Message]
    problems: list[Problem]

    def to_json(self) -> Mapping[str, object]:
        """The document of the outside contract."""
        return {
            "protocol": self.protocol,
            "driver": self.driver,
            "messages": [message.to_json() for message in self.messages],
            "problems": [str(problem) for problem in self.problems],
        }
