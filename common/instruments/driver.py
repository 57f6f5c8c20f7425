"""What is known about one analyzer model, as data.

The generic reader works without any driver; a driver says where this model differs. A position is
``(record, field, component)`` in the standard's numbering: ``("O", 4, 3)`` is O.4.3, ``("SPM", 2, 1)``
SPM-2.1; component 0 means the whole field, if it has no components. See README.md for how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.instruments.layout import Layout

Position = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Match:
    """One way to recognise the model: every condition holds.

    A condition is ``(where, text)``: the place (``H.5``, ``H.12``, ``H.13``, ``H.2``, ``MSH-3``, ``MSH-4``, ``OBR-4``,
    ``text``) contains the text, case-insensitively; text that starts with ``=`` must be equal.
    """

    conditions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class QueryReply:
    """How a host answers this model's query."""

    shape: str = "astm"
    """``astm`` H P O L; ``dsr`` QCK+DSR; ``law`` RSP^K11+OML^O33; ``z02`` RSP^Z02; ``orr`` ORR^O02; ``ca`` a telegram of fixed
    columns (Sysmex CA); ``bci`` an mtmpr message."""
    specimen: tuple[int, int] = (3, 1)
    """Field and component of the O record that take the specimen id."""
    echo: bool = False
    """Put the query's own specimen field (rack, tube, id, attribute) into O.3 or O.4."""
    echo_field: int = 4
    test: str = "^^^{code}"
    receiver: str = ""
    action: str = "A"
    action_urgent: str = "A"
    report_type: str = "Q"
    processing: str = "P"
    none: str = "I"
    """Termination code when nothing is ordered; ``-`` means no answer at all."""
    end: str = "N"
    header_11: str = ""
    """Text of H.11 in the answer (Roche: ``TSDWN^REPLY``)."""


@dataclass(frozen=True, slots=True)
class Driver:
    """A model's description. Empty tuples and None mean: as the generic reader does."""

    id: str
    vendor: str
    model: str
    protocol: str
    match: tuple[Match, ...] = ()
    specimen: tuple[Position, ...] = ()
    patient: tuple[Position, ...] = ()
    code: int | str | None = None
    """Component of the test id that is the vendor's code, or ``whole``; for HL7 also ``OBX-4``."""
    shifted_from: int = 0
    """R records of some firmware have one field more, empty, from this field on."""
    qc_prefix: str | tuple[str, ...] = ""
    """Specimen ids that begin so are control material."""
    encoding: str | None = None
    reply: QueryReply | None = None
    decimals: Mapping[str, int] = field(default_factory=dict)
    """Implied decimals by code."""
    columns: tuple[str, ...] = ()
    """Codes of positional values, in their order."""
    layout: Layout | None = None
    """A positional format described by its columns."""
    tolerates: frozenset[str] = frozenset()
    """Problem codes that are this model's habit and say nothing about the data."""
    notes: str = ""
    evidence: str = ""
    """What the description was checked against."""
    unverified: str = ""
    """Why this model counts as not verified (未验证): what no recording or maker's document was seen for."""
    two_way: str = ""
    """Whether the query and order path was ever tried, and against what; empty: never."""
    answer_unverified: str = ""
    """Why what we answer to its queries counts as not verified (未验证): no recording or maker's document of an answer was seen."""
