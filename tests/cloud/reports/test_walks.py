"""Anything that may happen to a tube, in any order: what readers are told is what stands in the laboratory, at every step.

Wider than F26 (``test_interleavings``): a mandatory and an optional item, reruns asked and withdrawn, "no result", parts told first,
reports sent back, recalled, cancelled. ``JIANLIAN_WALKS=5000 pytest -k walks`` goes further.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import facts, rerun
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.bench.reading import Reader
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import queries as md
from cloud.modules.catalog.models import RefInterval
from cloud.modules.catalog.rule_models import CalcFormula
from cloud.modules.reports import queries, service
from cloud.modules.reports.rules import State
from tests.cloud.bench.world import BORN, ITEMS, World, build
from tests.cloud.reports.test_interleavings import VALUES, VERSIONS, Play
from tests.cloud.reports.test_release import DESK, RUN
from tests.support import lab as labs
from tests.support.database import TestDatabase

WALKS = max(12, int(os.environ.get("JIANLIAN_WALKS", "0")))
STEPS = 24
CODES = ("K", "NA", "EXTRA")
SODIUM = ("NA", "mmol/L", 1, "3.0", "4.6", None, None, True)  # critical, it would stop every report here
DERIVED = ("AG", "mmol/L", 1, "0.5", "9.0", None, None, False)
BIRTHS = (BORN, datetime(2015, 3, 1, tzinfo=UTC))
MACHINE = ("sent", "again")
TOLD = (TestState.RELEASED, TestState.AMENDED)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    made = build(lab, items=[SODIUM if row[0] == "NA" else row for row in ITEMS if row[0] in CODES] + [DERIVED])
    with lab.uow() as uow:  # a corrected sex or birth is judged otherwise, what is calculated too
        for code, low, high, sex, age in (
            *(("K", "3.0", "6.9", "F", None), ("NA", "2.0", "4.2", None, 18)),
            *(("AG", "0.1", "8.5", "F", None), ("AG", "0.2", "4.3", "M", 18)),
        ):
            fits = {"sex": sex, "age_low": None if age is None else 0, "age_high": age}
            uow.s.add(RefInterval(item_id=made.items[code], low=Decimal(low), high=Decimal(high), **fits))
        uow.s.add(
            CalcFormula(item_id=made.items["AG"], name="差", expression='"K" + "NA" - 4', units=dict.fromkeys(("K", "NA", "AG"), "mmol/L"))
        )
    yield made
    lab.db.dispose()


class Walk(Play):
    """A tube of three tests."""

    names = (
        *(
            "typed",
            "sent",
            "sent",
            "sent",
            "sent",
            "again",
            "chosen",
            "accepted",
            "accepted",
            "reviewed",
            "reviewed",
            "reviewed",
            "released",
            "released",
            "released",
            "amended",
        ),
        *(
            "dismissed",
            "rerun",
            "withdrawn",
            "nothing",
            "part",
            "back",
            "recalled",
            "cancelled",
            "remarked",
            *("renamed",) * 3,
            *("finished",) * 3,
        ),
    )
    remark = asked = ""
    judged: Counter[str]

    def __init__(self, world: World, seed: int) -> None:
        super().__init__(world, seed)
        self.judged = Counter()

    def arrives(self, uow: UnitOfWork, value: str, run_at: Any) -> None:
        # The same dice for the same message: what is sent again is equal, item by item.
        some = [c for n, c in enumerate(CODES) if (int(value[-1]) + run_at.minute) >> n & 1] or ["K"]
        self.world.send(uow, self.tube, dict.fromkeys(some, value), run_at)

    def line(self, uow: UnitOfWork) -> bench_queries.TestLine:
        return self.dice.choice(bench_queries.tests_of(uow, [self.tube])[self.tube])

    def chosen(self, uow: UnitOfWork) -> None:
        """Of the values that wait for a choice where there are any: a line by chance mostly has none."""
        self.room.person(uow, "tester")
        lines = bench_queries.tests_of(uow, [self.tube])[self.tube]
        test = self.dice.choice([t for t in lines if t.pending is not None] or lines)
        pick = self.dice.choice([v for v in (test.current, test.pending) if v is not None] or [None])
        bench.choose_version(uow, test.id, test.version, pick.id if pick else 0, "核对原始数据")

    def report(self, uow: UnitOfWork) -> int:
        return uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": self.tube}).scalar() or 0

    def amended(self, uow: UnitOfWork) -> None:
        row = uow.s.execute(text("SELECT id, current_no FROM report WHERE specimen_id = :s"), {"s": self.tube}).one_or_none()
        if row is not None:
            change = {self.world.items[self.dice.choice(CODES)]: self.dice.choice(VALUES)}
            asked = service.AmendRequest(row.id, row.current_no, change, "result", "核对原始数据")
            service.amend(uow, asked, self.room.person(uow, "senior"), DESK)

    def remarked(self, uow: UnitOfWork) -> None:
        """Words without a value, now and then taken out again."""
        row = uow.s.execute(text("SELECT id, current_no FROM report WHERE specimen_id = :s"), {"s": self.tube}).one_or_none()
        self.asked = self.dice.choice(["已与临床核对", "标本少", ""])
        asked = service.AmendRequest(row.id if row else 0, row.current_no if row else 0, {}, "supplement", "补充", self.asked)
        service.amend(uow, asked, self.room.person(uow, "senior"), DESK)

    def renamed(self, uow: UnitOfWork) -> None:
        """The hospital corrects who the patient is; mostly the report follows."""
        new = {
            "n": self.dice.choice(["张三丰", "张三峰", "无名氏"]),
            "x": self.dice.choice("MF"),
            "b": self.dice.choice(BIRTHS),
            "s": self.tube,
        }
        query = "UPDATE patient SET name = :n, sex = :x, birth = :b FROM specimen sp WHERE sp.id = :s AND patient.id = sp.patient_id"
        uow.s.execute(text(query), new)
        uow.audit("patient", self.tube, "changed")  # as the message would
        row = uow.s.execute(text("SELECT id, current_no FROM report WHERE specimen_id = :s"), {"s": self.tube}).one_or_none()
        if row is not None and self.dice.random() < 0.7:
            asked = service.AmendRequest(row.id, row.current_no, {}, "patient", "HIS 更正")
            service.amend(uow, asked, self.room.person(uow, "senior"), DESK)
            self.fits(uow)

    def fits(self, uow: UnitOfWork) -> None:
        """Whatever is told now is judged for the patient as known now."""
        reader, tube = Reader(md.catalog(uow), uow.now), facts.tubes(uow, [self.tube])[self.tube]
        for test in bench_queries.tests_of(uow, [self.tube])[self.tube]:
            if test.state in TOLD and (now := test.current) is not None and not now.reported_text.startswith("无法计算"):
                due = reader.read(test.item.id, now.analyzer_id, now.reported_text, tube)
                self.judged[now.source] += 1
                said = (now.ref_text, now.flag, now.critical)
                assert said == (due.ref_text, due.flag, due.critical), f"{test.item.code} judged for somebody else after {self.log}"

    def rerun(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        rerun.request_rerun(uow, self.tube, None, [self.line(uow).id] if self.dice.random() < 0.7 else [], "与前次相差大")

    def withdrawn(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "senior")
        query = text("SELECT id FROM follow_up WHERE specimen_id = :s AND state IN ('asked','back') ORDER BY id LIMIT 1")
        rerun.withdraw(uow, uow.s.execute(query, {"s": self.tube}).scalar() or 0, "标本量不足", True)

    def nothing(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "tester")
        test = self.line(uow)
        bench.set_no_result(uow, test.id, test.version, "标本量不足")

    def part(self, uow: UnitOfWork) -> None:
        service.review_part(uow, self.tube, None, self.room.person(uow, "leader"))

    def back(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "verifier")
        service.send_back(uow, self.report(uow), "请核对")

    def finished(self, uow: UnitOfWork) -> None:
        """Straight to a told report: by single steps most walks never come to what may happen to one."""
        self.world.send(uow, self.tube, {c: self.dice.choice(VALUES) for c in CODES}, RUN + timedelta(minutes=self.dice.randrange(3)))
        for step in (self.accepted, self.reviewed, self.released):
            step(uow)

    def recalled(self, uow: UnitOfWork) -> None:
        if self.dice.random() < 0.3:
            service.recall(uow, self.report(uow), "标本混淆", self.room.person(uow, "leader"))

    def cancelled(self, uow: UnitOfWork) -> None:
        self.room.person(uow, "leader")
        service.cancel(uow, self.report(uow), "病人有误")

    # -- what must hold --

    def stands(self) -> dict[int, tuple[TestState, str, str]]:
        """Test → state, source and text of the value that counts."""
        with self.world.lab.uow() as uow:
            lines = bench_queries.tests_of(uow, [self.tube])[self.tube]
            return {t.id: (t.state, t.current.source if t.current else "", t.current.reported_text if t.current else "") for t in lines}

    def holds(self, before: dict[int, tuple[TestState, str, str]], name: str) -> None:
        after = self.stands()
        with self.world.lab.uow() as uow:
            found = {r.id: tuple(r) for r in uow.s.execute(VERSIONS, {"s": self.tube}).all()}
            assert self.versions.items() <= found.items(), f"a version was changed or lost: {self.log}"
            self.versions = found
            if "(" in name:
                assert after == before, f"refused and yet changed: {self.log}"
            for test, (state, source, value) in before.items():
                if name in MACHINE and (state in TOLD or source in ("manual", "amendment")):
                    assert after[test][1:] == (source, value), f"overwritten by a machine: {self.log}"
            report = self.report(uow)
            row = uow.s.execute(text("SELECT state, current_no, partial FROM report WHERE id = :i"), {"i": report}).one_or_none()
            if row is None or row.current_no == 0:
                assert not any(state in TOLD for state, _, _ in after.values()), f"told without a report: {self.log}"
                return
            told = queries.released(uow, report_id=report)
            assert told is not None
            live = {i: s for i, (s, _, _) in after.items() if s is not TestState.CANCELLED}
            if row.state in (State.RELEASED, State.AMENDED):
                assert set(live.values()) <= {*TOLD}, f"a final report over open tests: {live} after {self.log}"
            if row.state in (State.RECALLED, State.CANCELLED):
                assert not told.lines, f"recalled and yet shown: {self.log}"
                return
            lines = bench_queries.tests_of(uow, [self.tube])[self.tube]
            stand = {t.item.code: t.current.reported_text for t in lines if t.state in TOLD and t.current is not None}
            shown = {each["code"]: each["value"] for each in told.lines if each["value"] not in ("无结果", "")}
            assert shown == stand, f"told something else: {shown}, {stand} after {self.log}"
            self.remark = self.asked if name == "remarked" else self.remark
            assert told.document.get("remark", "") == self.remark, f"words lost or left: {self.remark} after {self.log}"
            assert told.sheet, f"nothing shown: {row} {live} {told.state} {told.version_state} after {self.log}"
            assert any(self.remark in c for c in told.sheet["comments"]) or not self.remark, f"words not printed after {self.log}"
            open_ = {t.item.name for t in lines if t.state not in TOLD}
            listed = {c["item"].split(" ")[0] for c in (told.sheet.get("amendment") or {}).get("changes", ())}
            assert not listed & open_, f"a change of what is not told: {listed} after {self.log}"
            known = {t.item.code: t.current.ref_text for t in lines if t.state in TOLD and t.current is not None}
            printed = {each["code"]: each["interval"] for each in told.lines if "version_id" in each}
            assert printed == known, f"told another interval: {printed}, {known} after {self.log}"


def test_walks_tell_what_stands(world: World) -> None:
    seen: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for seed in range(WALKS):
        walk = Walk(world, seed)
        for _ in range(STEPS):
            walk.step()
        seen.update(walk.log)
        judged.update(walk.judged)
    assert set(Walk.names) - {"cancelled", "dismissed", "part", "recalled", "rerun", "withdrawn"} <= set(seen), seen
    assert {"calc", "amendment"} <= set(judged), judged


def test_an_amended_part_names_no_open_value_that_is_calculated_with_it(world: World) -> None:
    walk = Walk(world, 0)
    with world.lab.uow() as uow:
        world.send(uow, walk.tube, {"K": "4.1"}, RUN)
        walk.part(uow)
        walk.released(uow)
    with world.lab.uow() as uow:
        world.send(uow, walk.tube, {"NA": "4.4"}, RUN)
        asked = service.AmendRequest(walk.report(uow), 1, {world.items["K"]: "5.0"}, "result", "核对原始数据")
        service.amend(uow, asked, walk.room.person(uow, "senior"), DESK)
        told, open_ = queries.released(uow, report_id=walk.report(uow)), bench_queries.tests_of(uow, [walk.tube])[walk.tube]
        assert told is not None and [c["item"] for c in told.sheet["amendment"]["changes"]] == ["项目K"]
        assert [t.current.reported_text for t in open_ if t.item.code == "AG" and t.current is not None] == ["5.4"]
