"""What a pre-analytical system or track line says about tubes: seen, spun, opened, shared out, on its way, stored, in the error lane. Pure.

HL7: SSU^U03 (specimen status update) with EQU and a SAC a tube: SAC-3 container, SAC-5 the primary (parent) container, SAC-8 container
status (table 0370), SAC-10/11 carrier and place in it, SAC-13/14 tray and place, SAC-15 location; what was done is in EQU-3, OBX or NTE,
in the maker's words. ASTM: R records below the tube's O whose code or value is such a word (only on lines that were set up as a track: an
analyzer's result is never taken for a word). Words nobody knows are told as sent (``Step.OTHER``), never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from common.instruments.reading import Message, Reading, Result, Specimen


class Step(StrEnum):
    """What happened to a tube on the line."""

    LOADED = "loaded"
    CENTRIFUGED = "centrifuged"
    DECAPPED = "decapped"
    ALIQUOTED = "aliquoted"
    RECAPPED = "recapped"
    ROUTED = "routed"
    STORED = "stored"
    UNLOADED = "unloaded"
    ERROR = "error"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class TubeEvent:
    """One thing said of one tube. ``said``: the line's own word; ``parent``: the tube an aliquot was taken from; ``at``: as sent."""

    tube: str
    step: Step
    said: str
    place: str = ""
    at: str | None = None
    parent: str | None = None


_WORDS: tuple[tuple[Step, str], ...] = (
    # What is wrong comes first: "centrifuge error" is an error, whatever else it names.
    (Step.ERROR, r"\berr(?:or)?s?\b|error|fail|reject|exception|alarm|jam|missing|unavailable|no.?read|异常|错误|故障|失败|拒收|卡住|漏读"),
    (Step.DECAPPED, r"\b(?:de|un)[- ]?cap|cap ?removed|开盖|去盖|拔盖|脱盖"),
    (Step.RECAPPED, r"\bre-?cap|\bseal|capped|加盖|封膜|封盖|盖帽"),
    (Step.CENTRIFUGED, r"centrifug|\bspun\b|离心"),
    (Step.ALIQUOTED, r"aliquot|daughter|secondary|分杯|分注|子管|分管"),
    (Step.STORED, r"stor(?:ed|age)|archiv|refrigerat|stockyard|入库|存储|存放|冷藏|归档|后处理"),
    (Step.UNLOADED, r"unload|left equipment|removed|\bexit|\boutput|\bout\b|下线|出样|离开|取出"),
    (Step.ROUTED, r"rout(?:e|ed|ing)|\bsort(?:ed)?\b|dispatch|transferr|sent to|arriv|in process|process|分拣|路由|送往|转运|到达|传送"),
    (Step.LOADED, r"load(?:ed)?\b|input|induct|identif|check.?in|entered|in position|scanned|上样|进样|上线|装载|识别"),
)
_KNOWN = tuple((step, re.compile(pattern, re.IGNORECASE)) for step, pattern in _WORDS)
_STATUS = {
    "I": "identified",
    "P": "in position",
    "O": "in process",
    "R": "process completed",
    "L": "left equipment",
    "M": "missing",
    "X": "unavailable",
}
"""HL7 table 0370."""
_BY_STATUS = {"I": Step.LOADED, "P": Step.ROUTED, "O": Step.ROUTED, "R": Step.OTHER, "L": Step.UNLOADED, "M": Step.ERROR, "X": Step.ERROR}
_MARKS = re.compile(
    r"(?i)^(?:tube|sample|specimen|track|tla)?[ _-]?(?:event|status|state|step|lane|location|position|动作|状态|位置|事件)$"
)
"""Codes of R records whose value is the word."""


def step_of(said: str) -> Step:
    """The step a line's word means."""
    return next((step for step, pattern in _KNOWN if pattern.search(said)), Step.OTHER)


def tube_events(reading: Reading, track: bool) -> list[TubeEvent]:
    """Everything a reading says of tubes, in order. ``track``: the connection is a line, so that ASTM results may be words."""
    out: list[TubeEvent] = []
    for message in reading.messages:
        if message.protocol == "hl7" and (message.type or "").startswith("SSU"):
            out += _status_update(message)
        elif track and message.kind in ("results", "qc"):
            out += [event for specimen in message.specimens for event in _of_specimen(specimen)]
    return out


def is_word(result: Result) -> bool:
    """Whether a result of a track line is an event and no measurement."""
    code, value = (result.code or "").strip(), (result.value or "").strip()
    if _MARKS.match(code):
        return True
    return step_of(code) is not Step.OTHER and not re.match(r"[-+<>=]*\s*\d+(?:\.\d+)?\s*$", value)


def _of_specimen(specimen: Specimen) -> Iterator[TubeEvent]:
    for result in specimen.results:
        if not is_word(result) or not specimen.specimen_id:
            continue
        code, value = (result.code or "").strip(), (result.value or "").strip()
        named = _MARKS.match(code) is not None
        said = value if named else code
        parts = [p for p in re.split(r"[\^|/;,]", said) if p.strip()] or [said]
        place = "" if named and len(parts) < 2 else (parts[1].strip() if named else value.strip("^ "))
        parent = next((c.strip() for c in specimen.other_ids if c.strip() != specimen.specimen_id), None)
        yield TubeEvent(specimen.specimen_id, step_of(parts[0]), parts[0].strip(), place or (specimen.position or ""), result.time, parent)


def _status_update(message: Message) -> list[TubeEvent]:
    component = message.delimiters[1:2] or "^"
    out: list[TubeEvent] = []
    equipment, state, at = "", "", message.sent_at
    tube: dict[str, str] = {}
    words: list[str] = []

    def first(field: str) -> str:
        return next((p.strip() for p in field.split(component) if p.strip()), "")

    def close() -> None:
        if tube:
            out.append(_told(tube, words, equipment, state, at))
        tube.clear()
        words.clear()

    for fields in message.records:
        get = [*fields, *[""] * 30].__getitem__
        if fields[0] == "EQU":
            close()
            equipment, at, state = first(get(1)), get(2).strip() or message.sent_at, first(get(3))
        elif fields[0] == "SAC":
            close()
            places = [first(get(n)) for n in (15, 10, 11, 13, 14)]
            tube.update(
                id=first(get(3)) or first(get(4)),
                parent=first(get(5)),
                status=first(get(8)).upper(),
                place=" ".join(p for p in places if p),
            )
        elif fields[0] == "OBX":
            words += [w for w in (get(3), get(5)) if w.strip()]
        elif fields[0] == "NTE" and get(3).strip():
            words.append(get(3))
    close()
    return [event for event in out if event.tube]


def _told(tube: dict[str, str], words: list[str], equipment: str, state: str, at: str | None) -> TubeEvent:
    """The step: what is missing or unavailable is an error; else the maker's own words, else the equipment's name and the status."""
    status = tube["status"]
    said = "；".join(words) or _STATUS.get(status, status)
    place = " ".join(p for p in (equipment, tube["place"]) if p)
    if status in ("M", "X"):
        step = Step.ERROR
    else:
        step = next((s for text in ("；".join(words), state) if text and (s := step_of(text)) is not Step.OTHER), Step.OTHER)
        if step is Step.OTHER and status == "R":
            step = step_of(equipment)  # a centrifuge that says "process completed" has spun it
            step = step if step in (Step.CENTRIFUGED, Step.DECAPPED, Step.ALIQUOTED, Step.RECAPPED, Step.STORED) else Step.OTHER
        elif step is Step.OTHER:
            step = _BY_STATUS.get(status, Step.OTHER)
    if tube["parent"] and tube["parent"] != tube["id"] and step in (Step.OTHER, Step.LOADED, Step.ROUTED):
        step = Step.ALIQUOTED
    return TubeEvent(tube["id"], step, said, place, at, tube["parent"] or None)
