"""Results of instruments become versions: bulk, repeats, differing values, order, closed tubes, criticals."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries, service
from cloud.modules.bench.arrival_rules import Outcome
from cloud.modules.bench.rules import TestState, TubeState
from cloud.modules.catalog import queries as md
from cloud.modules.critical import queries as critical
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    yield build(lab)
    lab.db.dispose()


def shown(uow: UnitOfWork, tube: int) -> dict[str, tuple[str, str, str]]:
    """Item → (reported text, sign, state)."""
    tests = queries.tests_of(uow, [tube])[tube]
    return {t.item.code: (t.current.reported_text if t.current else "", t.current.mark if t.current else "", t.state.value) for t in tests}


def bench_state(uow: UnitOfWork, tube: int) -> str:
    detail = queries.tube(uow, tube)
    assert detail is not None
    return detail.state


def test_results_are_rounded_then_judged(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        answers = world.send(uow, tube, {"K": "5.34", "NA": "147.4", "GLU": "0", "CREA": "80"}, RUN)
        assert [a.outcome for a in answers] == [Outcome.RECORDED] * 4
    with world.lab.uow() as uow:
        found = shown(uow, tube)
        # AC-MD-2: 5.34 prints 5.3, which is inside; 147.4 prints 147, which is inside. Zero is a result.
        assert found["K"] == ("5.3", "", "received")
        assert found["NA"] == ("147", "", "received")
        assert found["GLU"] == ("0.00", "危↓", "received")
        assert found["EXTRA"] == ("", "", "expected")
        assert bench_state(uow, tube) == TubeState.READY


def test_ac_md_2_just_over_the_limit(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "5.35"}, RUN)
        assert shown(uow, tube)["K"] == ("5.4", "↑", "received")
        assert bench_state(uow, tube) == TubeState.PARTIAL


def test_same_value_is_a_repeat_and_writes_nothing(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
    with world.lab.uow() as uow:
        before = _rows(uow)
        again = world.send(uow, tube, NORMAL, RUN)
        later = world.send(uow, tube, NORMAL, RUN + timedelta(hours=1))
        assert {a.outcome for a in again + later} == {Outcome.REPEAT}
        assert _rows(uow) == before


def test_a_different_value_is_held_beside_the_first(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        [answer] = world.send(uow, tube, {"K": "5.00"}, RUN + timedelta(minutes=9))
        assert answer.outcome is Outcome.HELD and "4.1 与 5.0" in answer.reason
        line = next(t for t in queries.tests_of(uow, [tube])[tube] if t.item.code == "K")
        assert line.state is TestState.HELD
        assert line.current is not None and line.current.reported_text == "5.0"
        assert line.pending is not None and line.pending.reported_text == "4.1"
        assert bench_state(uow, tube) == TubeState.HELD
        with pytest.raises(Exception, match="待处理的结果：项目K"):
            service.review(uow, tube)
        service.choose_version(uow, line.id, line.version, line.pending.id, "复查一致")
        assert shown(uow, tube)["K"] == ("4.1", "", "received")
        assert bench_state(uow, tube) == TubeState.READY
        assert _versions(uow, line.id) == ["4.1", "5.0"]


@pytest.mark.parametrize("order", [(10, 5), (5, 10)])
def test_the_higher_sequence_counts_whatever_came_first(world: World, order: tuple[int, int]) -> None:
    """RELIABILITY R4: an older message may come later, but never becomes current after a newer one."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        for seq in order:
            world.send(uow, tube, {"K": {5: "4.1", 10: "5.0"}[seq]}, RUN + timedelta(minutes=seq), stream="s", seq=seq)
        assert shown(uow, tube)["K"] == ("5.0", "", "held")


def test_without_a_run_time_the_resend_window_decides(world: World) -> None:
    clock = world.lab.clock
    clock.set(RUN)
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "4.1"})
        world.send(uow, tube, {"K": "5.0"})
    clock.advance(minutes=5)
    with world.lab.uow() as uow:
        [answer] = world.send(uow, tube, {"K": "4.1"})
        assert answer.outcome is Outcome.REPEAT
    clock.advance(minutes=30)
    with world.lab.uow() as uow:
        [answer] = world.send(uow, tube, {"K": "4.1"})
        assert answer.outcome is Outcome.HELD


def test_what_nobody_ordered_or_nobody_may_touch_is_not_written(world: World) -> None:
    with world.lab.uow() as uow:
        tube, gone = world.tube(uow), world.tube(uow, state="rejected")
        uow.s.execute(text("DELETE FROM test WHERE specimen_id = :s AND item_id = :i"), {"s": tube, "i": world.items["NA"]})
        batch = [
            *world.incoming(tube, {"NA": "140"}, RUN),
            *world.incoming(gone, {"K": "4"}, RUN),
            *world.incoming(987654, {"K": "4"}, RUN),
        ]
        answers = service.record_results(uow, batch)
        assert [a.outcome for a in answers] == [Outcome.NOT_ORDERED, Outcome.REFUSED, Outcome.REFUSED]
        assert _rows(uow) == 0


def test_no_value_is_held_and_a_later_value_is_simply_the_value(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        [answer] = world.send(uow, tube, {"K": "-----"}, RUN)
        assert answer.outcome is Outcome.HELD and shown(uow, tube)["K"] == ("", "", "held")
        detail = queries.tube(uow, tube)
        assert detail is not None
        assert service.accept_holds(uow, tube, detail.revision) == 0
        world.send(uow, tube, {"K": "4.1"}, RUN + timedelta(minutes=3))
        assert shown(uow, tube)["K"] == ("4.1", "", "received")
        [answer] = world.send(uow, tube, {"K": "****"}, RUN + timedelta(minutes=4))
        assert answer.outcome is Outcome.NO_VALUE and shown(uow, tube)["K"] == ("4.1", "", "received")


def test_letters_in_a_numeric_item_are_held(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        [answer] = world.send(uow, tube, {"K": "HEMOLYZED"}, RUN)
        assert answer.outcome is Outcome.HELD and "应为数值" in answer.reason


def test_a_critical_value_opens_one_event_for_the_tube_and_item(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"K": "6.8", "CREA": "920"}, RUN)
        world.send(uow, tube, {"K": "6.9"}, RUN + timedelta(minutes=8))
        events = {line.event.item_name: line.event.value_text for line in critical.board(uow)}
        # AC-CV-3: a rerun of the same tube counts once, each item by itself.
        assert events == {"项目K": "6.9", "项目CREA": "920"}


def test_a_value_after_the_report_never_changes_it(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        service.review(uow, tube)
        work = service.lock_reported(uow, [tube])
        service.release(work, [tube])
        assert bench_state(uow, tube) == TubeState.RELEASED
        [answer] = world.send(uow, tube, {"K": "5.0"}, RUN + timedelta(minutes=50))
        assert answer.outcome is Outcome.LATE
        assert shown(uow, tube)["K"] == ("4.1", "", "released")
        assert bench_state(uow, tube) == TubeState.HELD
        line = next(t for t in queries.tests_of(uow, [tube])[tube] if t.item.code == "K")
        service.dismiss_late(uow, line.id, line.version, "复查用，原结果不变")
        assert bench_state(uow, tube) == TubeState.RELEASED


def test_results_for_two_hospitals_do_not_meet(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
    with world.lab.uow(world.lab.b) as uow:
        answers = service.record_results(uow, world.incoming(tube, {"K": "4.1"}, RUN))
        assert [a.outcome for a in answers] == [Outcome.REFUSED]
    with world.lab.uow() as uow:
        assert shown(uow, tube)["K"][0] == ""


def test_a_mapping_factor_turns_the_raw_value(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"CREA": "0.905"}, RUN, factor=Decimal("88.4"))
        assert shown(uow, tube)["CREA"] == ("80", "", "received")


def test_few_statements_whatever_the_size(world: World) -> None:
    from sqlalchemy import event

    def statements(tubes: list[int]) -> int:
        seen: list[str] = []
        with world.lab.uow() as uow:

            def note(*args: object) -> None:
                seen.append(str(args[2]))

            event.listen(world.lab.db.engine, "before_cursor_execute", note)
            batch = [i for tube in tubes for i in world.incoming(tube, NORMAL, RUN)]
            service.record_results(uow, batch)
            uow.s.flush()
            event.remove(world.lab.db.engine, "before_cursor_execute", note)
        return len(seen)

    with world.lab.uow() as uow:
        tubes = [world.tube(uow) for _ in range(21)]
        md.catalog(uow)  # read once a version, whoever asks first
    assert statements(tubes[:1]) == statements(tubes[1:])


def _rows(uow: UnitOfWork) -> int:
    return uow.s.execute(text("SELECT count(*) FROM result_version")).scalar_one()


def _versions(uow: UnitOfWork, test_id: int) -> list[str]:
    query = text("SELECT reported_text FROM result_version WHERE test_id = :t ORDER BY version_no")
    return list(uow.s.execute(query, {"t": test_id}).scalars())
