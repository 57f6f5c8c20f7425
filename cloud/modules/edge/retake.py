"""Stored observations are placed again: a code was mapped, a tube was received, a person attached one, a late message proved a rerun."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import tzinfo
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.bench import service as bench
from cloud.modules.edge import interpret, lookup, placing, rules, store
from cloud.modules.edge.interpret import Said
from cloud.modules.edge.lookup import Cursor, Link, Tube
from cloud.modules.edge.models import RawMessage
from cloud.modules.edge.placing import Heard
from cloud.modules.edge.rules import Fate
from common import values
from common.instruments.pictures import Picture

ROWS = """
SELECT o.id, o.idx, o.specimen_text, o.patient_text, o.patient_name, o.code, o.value, o.read_as, o.unit, o.flags, o.status, o.time_text,
       o.aspect, o.received_at, r.id, r.agent_id, r.stream_uuid, r.seq, r.sha256, r.conn_key, coalesce(r.agent_at, r.received_at),
       c.id, c.analyzer_id, c.driver, c.encoding, c.simulator_from, c.simulator_until, o.analyzer_id,
       NOT EXISTS (SELECT 1 FROM observation p WHERE p.tenant_id = o.tenant_id AND p.raw_message_id = o.raw_message_id AND p.idx < o.idx
                   AND p.code = o.code AND p.specimen_text IS NOT DISTINCT FROM o.specimen_text AND p.aspect IS DISTINCT FROM o.aspect),
       CASE WHEN o.attached THEN o.specimen_id END
FROM observation o JOIN raw_message r ON r.tenant_id = o.tenant_id AND r.id = o.raw_message_id
LEFT JOIN connection c ON c.tenant_id = r.tenant_id AND c.agent_id = r.agent_id AND c.key = r.conn_key
WHERE o.tenant_id = %s AND o.id = ANY(%s) AND o.closed_at IS NULL
ORDER BY r.agent_id, r.stream_uuid, r.seq, o.idx
FOR UPDATE OF o
"""


def place_again(
    uow: UnitOfWork, cur: Cursor, observations: Sequence[int], zone: tzinfo, given: Tube | None = None
) -> dict[int, tuple[str, str]]:
    """Decide anew where these observations belong; (fate, reason) by observation.

    ``given``: the tube a person names now; without it one that a person named before still counts.
    """
    if not observations:
        return {}
    cur.execute(ROWS, (uow.tenant_id, list(observations)))
    trios = [_trio(row) for row in cur.fetchall()]
    known = placing.load(uow, cur, [h for _, h, _ in trios], zone)
    named = {given.id: given} if given is not None else _named(cur, uow.tenant_id, {tube for _, _, tube in trios if tube is not None})
    if named:
        known.tests.update(lookup.tests(cur, uow.tenant_id, list(named)))
    out: dict[int, tuple[str, str]] = {}
    todo, fates, drawn = [], [], []
    for number, h, before in trios:
        (said,) = h.said
        verdict = placing.decide(known, h, said, given or named.get(before or 0))
        tube = verdict.tube
        test = known.tests.get((tube.id, verdict.channel.item_id)) if tube and verdict.channel else None
        fates.append((number, str(verdict.fate), verdict.reason, test, tube.id if tube else None))
        out[number] = (verdict.fate, verdict.reason)
        if verdict.fate is Fate.MATCHED:
            todo.append((number, test, h, said, verdict))
        if verdict.reason == "picture" and tube is not None:
            drawn.append((number, tube.id, h, said))
    store.set_fate(cur, uow.tenant_id, fates)
    out.update(placing.hand_over(uow, cur, known, todo))
    _hand_over_pictures(uow, cur, known, drawn)
    uow.notify("edge", {"what": "tray"})
    return out


def _named(cur: Cursor, tenant: int, specimens: Collection[int]) -> dict[int, Tube]:
    return lookup.tubes_by_id(cur, tenant, specimens) if specimens else {}


def _hand_over_pictures(uow: UnitOfWork, cur: Cursor, known: placing.Known, drawn: Sequence[tuple[int, int, Heard, Said]]) -> None:
    """Graphs that lay in the tray with their results: read once more from the message they came in."""
    read: dict[int, dict[int, Picture]] = {}
    out = []
    for number, specimen_id, heard, said in drawn:
        if heard.raw_id not in read:
            raw = uow.s.get_one(RawMessage, (uow.tenant_id, heard.raw_id))
            link = lookup.links(cur, uow.tenant_id, [raw.agent_id]).get((raw.agent_id, raw.conn_key))
            again = interpret.observations(interpret.reading_of(raw.body, raw.meta, link, known.catalog))
            read[heard.raw_id] = {s.idx: s.picture for s in again if s.picture is not None}
        found = read[heard.raw_id].get(said.idx)
        if found is not None:
            out.append(placing.picture_of(number, specimen_id, heard, found))
    bench.keep_pictures(uow, out)


def _trio(row: tuple[Any, ...]) -> tuple[int, Heard, int | None]:
    (number, idx, specimen, patient, name, code, value, read_as, unit, flags, status, time, aspect, received, raw, agent, stream,
     seq, sha, conn, at, link_id, link_analyzer, driver, encoding, sim_from, sim_until, analyzer, main, named) = row  # fmt: skip
    text = read_as if read_as is not None else value or ""
    said = Said(
        idx=idx, specimen=specimen, patient=patient, name=name, code=code, label=None, value=value, text=text, unit=unit, flags=flags,
        status=status, time=time, run=None, aspect=aspect, qc=False, no_result=values.nothing(text),
        main=main,
    )  # fmt: skip
    # The analyzer a connection has today: an engineer may have named it only now.
    owner = analyzer if link_analyzer is None else link_analyzer
    link = None if link_id is None else Link(link_id, agent, conn, owner, driver, encoding, None, sim_from, sim_until)
    return number, Heard(raw, stream, seq, sha, link, "", at, received, [said]), named


WAITING = "SELECT id FROM observation WHERE tenant_id = %s AND specimen_text = ANY(%s) AND state = 'orphan' AND closed_at IS NULL"


def take_up_waiting(uow: UnitOfWork, barcode: str, zone: tzinfo) -> int:
    """A tube was received: results that came before it leave the tray by themselves. How many did."""
    cur = store.cursor(uow)
    cur.execute(WAITING, (uow.tenant_id, [barcode]))
    done = place_again(uow, cur, [number for (number,) in cur.fetchall()], zone)
    return sum(fate == Fate.MATCHED for fate, _ in done.values())


OPEN_CODE = """
SELECT id FROM observation WHERE tenant_id = %s AND analyzer_id = %s AND btrim(code) = %s AND state = 'unmapped' AND closed_at IS NULL
"""


def take_up_code(uow: UnitOfWork, analyzer_id: int, code: str, zone: tzinfo) -> int:
    """A code was mapped or declared no result: what was stored under it is placed again. How many left the list."""
    cur = store.cursor(uow)
    cur.execute(OPEN_CODE, (uow.tenant_id, analyzer_id, code))
    done = place_again(uow, cur, [number for (number,) in cur.fetchall()], zone)
    return sum(fate != Fate.UNMAPPED for fate, _ in done.values())


RESENDS = """
UPDATE observation o SET content_key = %s || ':' || o.idx, state = 'orphan', reason = 'unknown_tube'
FROM raw_message r
WHERE r.tenant_id = %s AND r.agent_id = %s AND r.stream_uuid = %s AND r.seq = %s
  AND o.tenant_id = r.tenant_id AND o.raw_message_id = r.id AND o.state = 'repeat' AND o.content_key IS NULL
RETURNING o.id
"""


def split_resends(uow: UnitOfWork, cur: Cursor, pairs: Sequence[tuple[store.Key, store.Key]], zone: tzinfo) -> None:
    """A message came in between two equal ones: what was taken for a resend was a rerun (M06 R3), whatever the order of arrival."""
    for pair in pairs:
        for agent, stream, seq in pair:
            name = rules.content_key("", None, None, None, None, 0, None, f"{agent}:{stream}:{seq}")
            cur.execute(RESENDS, (name, uow.tenant_id, agent, stream, seq))
            found = [number for (number,) in cur.fetchall()]
            if found:
                place_again(uow, cur, found, zone)
                break
