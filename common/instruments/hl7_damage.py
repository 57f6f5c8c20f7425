"""HL7 segments that are not what they say: the name damaged into that of another segment, or a separator lost or added.

HL7 has no checksum, so only the content tells. A segment taken for another one would give its results to the
wrong specimen or drop them without a word; where the signs say so it is nobody's and reported.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property, lru_cache

from common.instruments.hl7_fields import KNOWN
from common.protocol.hl7.messages import Message, Segment

BEARERS = ("PID", "ORC", "OBR", "SPM", "SAC", "MSH")
_TYPES = frozenset(
    {"AD", "CE", "CF", "CK", "CN", "CNE", "CP", "CWE", "CX", "DR", "DT", "DTM", "ED", "FT", "ID", "IS", "MA", "MO", "NA", "NM", "NR"}
    | {"PN", "RP", "SI", "SN", "ST", "TM", "TN", "TS", "TX", "XAD", "XCN", "XON", "XPN", "XTN"}
)
"""What OBX-2 may say (table 0125)."""
_FIELDS = {"SID": ("PID", 4), "QID": ("PID", 2), "UAC": ("SAC", 2)}
"""Segments one letter from a bearer, and how many fields they have at most."""
_STATUS = frozenset("CDFINOPRSUVWX")
"""What OBX-11 may say (table 0085)."""
_ONLY_RESULT = _STATUS - frozenset("OPRS")
"""Those that OBR-11 (table 0065) cannot say."""
_NUMBER = re.compile(r"[<>=~+-]*\s*\d")
_JOINED = re.compile(r"\d{1,3}[^\d\s].*[^\s].")
Shape = tuple[int, ...]


@lru_cache(4096)
def harmless(name: str) -> bool:
    """Whether a damaged name may be that of a segment with one letter wrong, but of none that names a patient, an order or a specimen."""
    alike = [one for one in KNOWN if sum(a != b for a, b in zip(one, name, strict=False)) < 2]
    return bool(alike) and not any(one in BEARERS for one in alike)


@lru_cache(4096)
def like(name: str, wanted: str) -> bool:
    """Whether a name that means nothing may be the wanted one with one letter wrong."""
    return name not in KNOWN and len(name) > 2 and sum(a != b for a, b in zip(name, wanted, strict=False)) == 1


class Damage:
    """Looks at each segment of one message for what it was before it was damaged."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.shapes: dict[str, Counter[Shape]] = {}

    def was(self, segment: Segment) -> str:
        """What a damaged segment was that can still be read as another: ``OBX``, a bearer, ``?``; empty when it is what it says."""
        name = segment.name
        if name == "OBX":
            if segment.get(2) in _TYPES and segment.get(11) in _STATUS:
                return ""
            return "OBR" if self._was_order(segment) else "OBX" if self._shifted(segment) else ""
        if name == "OBR":
            return "OBX" if self._was_observation(segment) else "OBR" if self._joined(segment) else ""
        if name == "SPM":
            return "SPM" if self._joined(segment) else ""
        if name in KNOWN:
            return self._was_bearer(segment)
        if name[:1] != "Z" and any(like(name, one) for one in BEARERS):
            return "?"
        return self._was_sibling(segment)

    def _was_order(self, segment: Segment) -> bool:
        """Nothing that only an OBX has, where the OBX of this sender have it; and the numbers begin anew around it."""
        if segment.get(2) in _TYPES or segment.get(11) in _ONLY_RESULT:
            return False
        if segment.get(3) and any(field.strip() and not field.strip().isdigit() for field in segment.fields[6:9]):
            return False  # unit, range or flag, where an OBR has times
        if self.observations < 2:
            return False
        mine = _shape(segment)
        if len(mine) > 1 and mine in self._shapes("OBR") and self._shapes("OBX")[mine] == 1:
            return self._anew(segment, same=True)
        told = segment.get(3) and len(segment.get(5)) > 1  # a code and a value, where an OBR has a letter for its priority at most
        return not told and self.untold == _untold(segment) and self._anew(segment, same=False)

    def _anew(self, segment: Segment, same: bool) -> bool:
        """Is an OBX the first of a message without an order, or not between its neighbours' numbers? ``same``: or has it one of theirs?"""
        segments = self.message.segments
        at = next(at for at, one in enumerate(segments) if one is segment)
        own = _number(segment)
        before = next((one for one in reversed(segments[:at]) if one.name in ("OBX", "OBR")), None)
        after = next((one for one in segments[at + 1 :] if one.name in ("OBX", "OBR")), None)
        if before is None or own is None:
            return same or before is None
        lower = _number(before) if before.name == "OBX" else None
        upper = _number(after) if after is not None and after.name == "OBX" else None
        if lower == own == upper:
            return same
        return lower is not None and own <= lower or upper is not None and upper <= own

    def _was_observation(self, segment: Segment) -> bool:
        """A type of value in the place of a number, a value in that of the priority; or filled as the OBX are, as no other OBR is."""
        typed = segment.get(2) in _TYPES
        if not segment.get(3) or not (segment.get(5) and (typed or segment.get(6))):
            return False
        mine = _shape(segment)
        return typed or mine in self._shapes("OBX") and self._shapes("OBR")[mine] == 1

    def _shifted(self, segment: Segment) -> bool:
        """A number one field from where it belongs, the status with it."""
        if segment.get(2) != "NM" or segment.get(11):
            return False
        value = segment.get(5)
        if segment.get(10) in _STATUS:
            return bool(value) and not _NUMBER.match(value) and _NUMBER.match(segment.get(4)) is not None
        return segment.get(12) in _STATUS and not value and _NUMBER.match(segment.get(6)) is not None

    def _joined(self, segment: Segment) -> bool:
        """A set id that goes on into the next field, as where the separator between them was lost; the others are numbers."""
        return _JOINED.fullmatch(segment.get(1)) is not None and self.unnumbered == 1 < self.numbering

    def _was_bearer(self, segment: Segment) -> str:
        name = segment.name
        if name in _FIELDS:
            was, most = _FIELDS[name]
            return was if len(segment.fields) > most + 1 else ""
        if name == "MSA":
            return "MSH" if segment.get(1) and not segment.get(1)[0].isalnum() else ""
        if name == "ORG":
            return "" if self.message.first("STF") or self.message.first("MSA") else "ORC"
        return ""

    def _was_sibling(self, segment: Segment) -> str:
        """A name of no segment that stands once only, its fields filled exactly as those of a bearer of this message."""
        mine = _shape(segment)
        name = segment.name
        if not mine or name[:1] == "Z" and not any(like(name, one) for one in BEARERS) or self._shapes(name).total() > 1:
            return ""
        return "?" if any(mine in self._shapes(one) for one in BEARERS) else ""

    def _shapes(self, name: str) -> Counter[Shape]:
        found = self.shapes.get(name)
        if found is None:
            found = self.shapes[name] = Counter(_shape(one) for one in self.message.segments if one.name == name)
        return found

    @cached_property
    def observations(self) -> int:
        return sum(one.name == "OBX" for one in self.message.segments)

    @cached_property
    def untold(self) -> int:
        """OBX without a type of value and without a status."""
        return sum(one.name == "OBX" and _untold(one) for one in self.message.segments)

    @cached_property
    def _numbers(self) -> list[str]:
        return [one.get(1).strip() for one in self.message.segments if one.name in ("OBX", "OBR", "SPM")]

    @cached_property
    def numbering(self) -> int:
        return len(self._numbers)

    @cached_property
    def unnumbered(self) -> int:
        return sum(not one.isdecimal() for one in self._numbers)


def _number(segment: Segment) -> int | None:
    text = segment.get(1).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _untold(segment: Segment) -> bool:
    return segment.get(2) not in _TYPES and (segment.get(2) != "" or segment.get(11) == "")


def _shape(segment: Segment) -> Shape:
    return tuple(at for at, field in enumerate(segment.fields) if at and field.strip())
