"""Observations find their place: the right test of the right tube, or a tray with the reason; never somewhere else (M06 R6, R8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as benched
from cloud.modules.bench import service as bench
from cloud.modules.catalog import queries as md
from cloud.modules.edge import comparing, lookup, rules, store
from cloud.modules.edge.interpret import PICTURE, TRACK, Said
from cloud.modules.edge.lookup import Cursor, Link, Tube
from cloud.modules.edge.rules import Fate
from cloud.modules.edge.store import ObservationRow
from common import ids
from common.instruments.pictures import Picture
from common.run_time import run_time
from common.say import say

MAX_SAMPLE_NO = 8
"""Characters of a sample number; anything longer is a barcode or nothing."""


Number = tuple[int, date, str]
"""Section, day, and a sample number as typed at the instrument."""


@dataclass(slots=True)
class Heard:
    """One interpreted message with its origin. ``at``: when the agent took it (else when it came here)."""

    raw_id: int
    stream: str
    seq: int
    sha256: str
    link: Link | None
    source: str
    at: datetime
    received_at: datetime
    said: list[Said]
    resend: bool = False


@dataclass(slots=True)
class Verdict:
    """What became of one thing said, before the bench was asked."""

    fate: Fate
    reason: str = ""
    tube: Tube | None = None
    channel: md.ChannelRow | None = None
    unsure: bool = False


@dataclass(slots=True)
class Known:
    """Everything the deciding needs for a batch, loaded at once."""

    catalog: md.Catalog
    zone: tzinfo
    by_barcode: dict[str, Tube]
    by_number: dict[Number, list[Tube]]
    ignored: set[tuple[int, str]]
    identifiers: dict[int, set[str]]
    tests: dict[tuple[int, int], int] = field(default_factory=dict)
    materials: set[str] = field(default_factory=set)
    reruns: dict[int, datetime] = field(default_factory=dict)
    """Tests of these that were asked to be measured again: when."""

    def section(self, link: Link) -> int | None:
        """The section of a link's analyzer."""
        row = None if link.analyzer_id is None else self.catalog.analyzers.get(link.analyzer_id)
        return None if row is None else row.section_id


def load(uow: UnitOfWork, cur: Cursor, heard: Sequence[Heard], zone: tzinfo) -> Known:
    """Load tubes, identifiers, tests and mappings of everything a batch names."""
    tenant = uow.tenant_id
    catalog = md.catalog(uow)
    codes = {ids.normalise_scan(s.specimen) for h in heard for s in h.said if s.specimen and not s.qc}
    known = Known(catalog, zone, lookup.tubes_by_barcode(cur, tenant, codes), {}, set(), {})
    known.materials = lookup.materials(cur, tenant, codes)
    known.by_number.update(lookup.tubes_by_number(cur, tenant, _numbers(known, heard)))
    known.ignored = lookup.ignored(cur, tenant, {h.link.analyzer_id for h in heard if h.link and h.link.analyzer_id is not None})
    tubes = {t.id: t for t in (*known.by_barcode.values(), *(t for hits in known.by_number.values() for t in hits))}
    if any(s.patient for h in heard for s in h.said):
        known.identifiers = lookup.identifiers(cur, uow, {t.patient_id for t in tubes.values()})
    known.tests = lookup.tests(cur, tenant, list(tubes))
    if any(h.resend for h in heard):
        known.reruns = benched.reruns_asked(uow, known.tests.values())
    return known


def _numbers(known: Known, heard: Sequence[Heard]) -> set[Number]:
    return {key for h in heard for s in h.said if not s.qc and h.link is not None and (key := _number(known, h, h.link, s)) is not None}


def _number(known: Known, heard: Heard, link: Link, said: Said) -> Number | None:
    section = known.section(link)
    if not said.specimen or len(said.specimen) > MAX_SAMPLE_NO or section is None:
        return None
    if ids.normalise_scan(said.specimen) in known.by_barcode:
        return None
    return (section, rules.run_day(said.time, heard.at.astimezone(known.zone).date()), said.specimen)


def decide(known: Known, heard: Heard, said: Said, given: Tube | None = None) -> Verdict:
    """Where one thing said belongs. ``given``: the tube a person attached it to, having compared two identifiers."""
    link = heard.link
    if link is not None and link.simulated(heard.at):
        return Verdict(Fate.INFO, "simulator")
    named = ids.normalise_scan(said.specimen) if said.specimen else ""
    if named in known.materials and named in known.by_barcode:
        return Verdict(Fate.ORPHAN, "control_code")
    if said.qc or named in known.materials:
        return Verdict(Fate.QC, "qc")
    code = (said.code or "").strip()
    if said.aspect == TRACK:
        return Verdict(Fate.INFO, "track")
    if link is not None and (link.analyzer_id or 0, code) in known.ignored:
        return Verdict(Fate.INFO, "ignored")
    if link is None or link.analyzer_id is None:
        return Verdict(Fate.ORPHAN, "no_analyzer")
    tube, reason = (given, "") if given is not None else _tube(known, heard, link, said)
    if tube is None:
        return Verdict(Fate.ORPHAN, reason)
    closed = rules.tube_problem(tube.state)
    if closed is not None:
        return Verdict(Fate.ORPHAN, closed, tube)
    same = rules.Identity.AGREES if given is not None else _identity(known, said, tube)
    if same is rules.Identity.DIFFERS:
        return Verdict(Fate.MISMATCH, "name_differs", tube)
    if said.aspect == PICTURE:
        return Verdict(Fate.INFO, "picture", tube)
    return _item(known, link.analyzer_id, code, said, tube, same is rules.Identity.UNSURE)


def _tube(known: Known, heard: Heard, link: Link, said: Said) -> tuple[Tube | None, str]:
    if said.specimen is None:
        return None, "no_id"
    found = known.by_barcode.get(ids.normalise_scan(said.specimen))
    if found is not None:
        return found, ""
    number = _number(known, heard, link, said)
    hits = [] if number is None else known.by_number.get(number, [])
    if len(hits) == 1:
        return hits[0], ""
    return None, "ambiguous" if hits else "unknown_tube"


def _identity(known: Known, said: Said, tube: Tube) -> rules.Identity:
    if not said.patient and not said.name:
        return rules.Identity.AGREES
    own = (tube.barcode, tube.sample_no or "", *known.identifiers.get(tube.patient_id, ()))
    return rules.identity(said.patient, said.name, tube.person, own)


def _item(known: Known, analyzer: int, code: str, said: Said, tube: Tube, unsure: bool) -> Verdict:
    own = known.catalog.channel(analyzer, f"{code}/{said.aspect}") if said.aspect else None
    row = own or (known.catalog.channel(analyzer, code) if said.main else None)
    if row is not None:
        return Verdict(Fate.MATCHED, "", tube, row, unsure)
    if not said.main and known.catalog.channel(analyzer, code) is not None:
        return Verdict(Fate.INFO, "aspect", tube)
    return Verdict(Fate.UNMAPPED, "unmapped", tube)


# --- new observations ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Placed:
    """What a batch came to: counts by fate, and the tubes that changed."""

    fates: dict[str, int] = field(default_factory=dict)

    def count(self, fates: Iterable[str]) -> None:
        """Add up."""
        for fate in fates:
            self.fates[fate] = self.fates.get(fate, 0) + 1

    @property
    def needs_person(self) -> bool:
        """Whether something now lies in a tray."""
        return any(self.fates.get(f) for f in rules.OPEN_FATES)


def place(uow: UnitOfWork, cur: Cursor, heard: Sequence[Heard], zone: tzinfo) -> Placed:
    """Store the observations of these messages and hand the matched ones to the bench, all in this transaction."""
    known = load(uow, cur, heard, zone)
    rows: list[ObservationRow] = []
    origin: list[tuple[Heard, Said, Verdict]] = []
    for h in heard:
        for s in h.said:
            verdict = decide(known, h, s)
            rows.append(_row(known, h, s, verdict))
            origin.append((h, s, verdict))
    fresh = store.insert_observations(cur, uow.tenant_id, rows)
    todo = [(r, *o) for r, o in zip(rows, origin, strict=True) if r.id in fresh and r.state == Fate.MATCHED]
    changed = hand_over(uow, cur, known, [(r.id, r.test_id, h, s, v) for r, h, s, v in todo])
    drawn = [(r, h, s) for r, (h, s, _) in zip(rows, origin, strict=True) if r.id in fresh and r.reason == "picture" and s.picture]
    # The pictures of another tube's measurement wait with its values.
    strange = {(h.raw_id, r.specimen_id) for r, h, _, _ in todo if changed.get(r.id, ("", ""))[1] == STRANGER}
    astray = [r.id for r, h, _ in drawn if (h.raw_id, r.specimen_id) in strange]
    store.set_fate(cur, uow.tenant_id, [(number, Fate.ORPHAN, STRANGER, None, None) for number in astray])
    drawn = [(r, h, s) for r, h, s in drawn if (h.raw_id, r.specimen_id) not in strange]
    bench.keep_pictures(uow, [picture_of(r.id, r.specimen_id, h, s.picture) for r, h, s in drawn if r.specimen_id and s.picture])
    controls = [(r, h, s) for r, (h, s, _) in zip(rows, origin, strict=True) if r.id in fresh and r.state == Fate.QC]
    _tell_controls(uow, known, controls)
    placed = Placed()
    placed.count(changed[r.id][0] if r.id in changed else r.state for r in rows)
    return placed


def _tell_controls(uow: UnitOfWork, known: Known, controls: Sequence[tuple[ObservationRow, Heard, Said]]) -> None:
    """Control results go on by event, by analyzer and in order: whatever is wrong with one holds up no patient's result."""
    by_source: dict[str, list[tuple[int, str | None]]] = {}
    for row, heard, said in controls:
        at = run_time(said.time, known.zone)
        by_source.setdefault(heard.source, []).append((row.id, None if at is None else at.isoformat()))
    for source, told in by_source.items():
        uow.emit("qc.observed", f"qc:{source}", {"observations": told})


def _row(known: Known, heard: Heard, said: Said, verdict: Verdict) -> ObservationRow:
    link, tube = heard.link, verdict.tube
    test = None if tube is None or verdict.channel is None else known.tests.get((tube.id, verdict.channel.item_id))
    # What was asked to be measured again comes as the same bytes where it gives the same value: that is its answer, not a resend.
    answer = verdict.fate is Fate.MATCHED and test is not None and bench.answers_rerun(known.reruns.get(test), heard.at)
    resend = heard.resend and not said.time and not answer
    identity = heard.sha256 if said.time else f"{heard.stream}:{heard.seq}"
    specimen = ids.normalise_scan(said.specimen) if said.specimen else None
    key = rules.content_key(heard.source, specimen, said.code, said.time, said.run, said.nth, said.value, identity)
    return ObservationRow(
        raw_message_id=heard.raw_id,
        idx=said.idx,
        connection_id=None if link is None else link.id,
        analyzer_id=None if link is None else link.analyzer_id,
        specimen_text=said.specimen,
        patient_text=said.patient,
        patient_name=said.name,
        code=said.code,
        value=said.value,
        read_as=None if said.text == (said.value or "") else said.text,
        aspect=said.aspect,
        unit=said.unit,
        flags=said.flags,
        status=said.status,
        time_text=said.time,
        received_at=heard.received_at,
        state=Fate.REPEAT if resend else verdict.fate,
        reason="resend" if resend else verdict.reason,
        content_key=None if resend else key,
        specimen_id=None if tube is None else tube.id,
        test_id=test,
    )


def hand_over(
    uow: UnitOfWork, cur: Cursor, known: Known, todo: Sequence[tuple[int, int | None, Heard, Said, Verdict]]
) -> dict[int, tuple[str, str]]:
    """Give matched observations to the bench; store what it made of them where that differs. Returns the changed ones."""
    if not todo:
        return {}
    incoming = [_incoming(known, number, h, s, v) for number, _, h, s, v in todo]
    fates: list[tuple[int, str, str, int | None, int | None]] = []
    made = bench.record_results(uow, incoming)
    strangers = _strangers(cur, known, [(h, v, str(done.outcome)) for (_, _, h, _, v), done in zip(todo, made, strict=True)], uow.tenant_id)
    for (number, test_id, h, _, v), done in zip(todo, made, strict=True):
        fate, reason = _OUTCOME[str(done.outcome)]
        if v.tube is not None and (h.raw_id, v.tube.id) in strangers:
            fates.append((number, Fate.ORPHAN, STRANGER, None, None))
        elif fate is not Fate.MATCHED or reason or done.test_id != test_id:
            fates.append((number, fate, reason, done.test_id, v.tube.id if v.tube else None))
    store.set_fate(cur, uow.tenant_id, fates)
    return {f[0]: (f[1], f[2]) for f in fates}


STRANGER = "nothing_ordered"
_ASKED = "SELECT DISTINCT specimen_id, item_id FROM test WHERE tenant_id = %s AND specimen_id = ANY(%s)"


def _strangers(cur: Cursor, known: Known, told: Sequence[tuple[Heard, Verdict, str]], tenant_id: int) -> set[tuple[int, int]]:
    """(message, tube) of measurements of which nothing was asked for on a tube that has no business on this analyzer: most likely another
    tube's, by a label or a scan. What an analyzer measures beyond the request, with something that was asked for, is nobody's."""
    none: dict[tuple[int, int], bool] = {}
    analyzers: dict[tuple[int, int], int | None] = {}
    for heard, verdict, outcome in told:
        if verdict.tube is not None:
            key = (heard.raw_id, verdict.tube.id)
            none[key] = none.get(key, True) and outcome == "not_ordered"
            analyzers[key] = None if heard.link is None else heard.link.analyzer_id
    doubtful = [key for key, nothing in none.items() if nothing]
    if not doubtful:
        return set()
    cur.execute(_ASKED, (tenant_id, sorted({tube for _, tube in doubtful})))
    asked: dict[int, set[int]] = {}
    for tube, item in cur.fetchall():
        asked.setdefault(tube, set()).add(item)
    return {key for key in doubtful if not any((analyzers[key], item) in known.catalog.item_channels for item in asked.get(key[1], ()))}


def picture_of(number: int, specimen_id: int, heard: Heard, picture: Picture) -> bench.Drawn:
    """A graph for the bench: what was sent, and from which run."""
    analyzer = None if heard.link is None else heard.link.analyzer_id
    return bench.Drawn(specimen_id, number, analyzer, heard.stream, heard.seq, heard.received_at, picture)


_OUTCOME = {
    "recorded": (Fate.MATCHED, ""),
    "held": (Fate.MATCHED, ""),
    "late": (Fate.MATCHED, "late"),
    "repeat": (Fate.MATCHED, "same_value"),
    "not_ordered": (Fate.INFO, "not_ordered"),
    "no_value": (Fate.INFO, "no_value"),
    "refused": (Fate.ORPHAN, "refused"),
}


def _incoming(known: Known, number: int, heard: Heard, said: Said, verdict: Verdict) -> bench.Incoming:
    assert verdict.tube is not None and verdict.channel is not None and heard.link is not None
    holds: tuple[bench.Hold, ...] = (bench.Hold("ID_MISMATCH", _mismatch(said, verdict.tube)),) if verdict.unsure else ()
    item = known.catalog.items[verdict.channel.item_id]
    right = comparing.unit_slip(said.unit, item.unit, verdict.channel.factor)
    other = comparing.other_unit(said.unit, verdict.channel.unit, item.unit, verdict.channel.factor)
    if right is not None:
        holds += (bench.Hold("UNIT", _unit(said.unit or "", item.unit, verdict.channel.factor, right)),)
    elif other is not None:
        holds += (bench.Hold("UNIT", _other_unit(said.unit or "", other)),)
    run_at = run_time(said.time, known.zone)
    # C2: accepted and flagged; who measures turnaround leaves it out.
    future = rules.in_future(run_at, heard.received_at)
    return bench.Incoming(
        specimen_id=verdict.tube.id,
        item_id=verdict.channel.item_id,
        observation_id=number,
        analyzer_id=heard.link.analyzer_id,
        raw_text=said.text,
        unit=said.unit,
        flags=(*said.flags, "future_time") if future else tuple(said.flags),
        run_at=run_at,
        stream=heard.stream,
        seq=heard.seq,
        no_result=said.no_result,
        holds=holds,
        factor=verdict.channel.factor,
        offset=verdict.channel.offset,
        taken_at=heard.at,
    )


def _unit(said: str, wanted: str, factor: Decimal, right: Decimal) -> str:
    given = {"said": said, "wanted": wanted, "right": f"{right:f}", "factor": f"{factor:f}"}
    return say(
        "仪器发送的单位是 {said}，换算到 {wanted} 应乘 {right}，通道设定为 {factor}；请核对数值后接受或改正，并核对通道设置。", **given
    )


def _other_unit(said: str, expected: str) -> str:
    return say(
        "仪器发送的单位是 {said}，通道是按 {expected} 设置的；请核对数值后接受或改正，并核对仪器和通道的单位。",
        said=said,
        expected=expected,
    )


def _mismatch(said: Said, tube: Tube) -> str:
    sent = " ".join(part for part in (said.patient, said.name) if part)
    return say("仪器报文中的患者（{sent}）与本标本患者（{name}）对不上，请核对标本后接受或改正。", sent=sent, name=tube.person.name)
