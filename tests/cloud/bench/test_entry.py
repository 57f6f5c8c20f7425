"""Typed values: what is refused, what is asked back, what is kept; and two people at one tube."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import ending, messages, queries, service
from cloud.modules.bench.queries import TestLine
from cloud.modules.bench.service import Entry
from cloud.modules.catalog.models import TestItem
from cloud.modules.critical import queries as critical
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = labs.make(fresh_db)
    yield build(lab)
    lab.db.dispose()


def line(uow: UnitOfWork, tube: int, code: str) -> TestLine:
    return next(t for t in queries.tests_of(uow, [tube])[tube] if t.item.code == code)


def enter(uow: UnitOfWork, tube: int, code: str, value: str, **more: object) -> bool:
    found = line(uow, tube, code)
    return service.enter_result(uow, Entry(found.id, found.version, value, **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(("typed", "word"), [("1,5", "逗号"), ("4.l", "l"), ("", "没有填写"), ("4..1", "不是")])
def test_what_is_no_number_is_refused_by_name(world: World, typed: str, word: str) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        with pytest.raises(UserError, match=word) as refused:
            enter(uow, tube, "K", typed)
        assert "项目K" in refused.value.message


def test_a_qualitative_value_comes_from_the_items_list_only(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.get_one(TestItem, (uow.tenant_id, world.items["K"])).choices = ["阴性", "弱阳性", "阳性"]
        uow.s.get_one(TestItem, (uow.tenant_id, world.items["K"])).result_type = "enum"
        tube = world.tube(uow)
        with pytest.raises(UserError, match="项目K只能从列表中选择：阴性、弱阳性、阳性。“阳”没有保存"):
            enter(uow, tube, "K", "阳")
        with pytest.raises(UserError, match="只能从列表中选择"):
            service.check_entry(uow, world.items["K"], "+")
        assert enter(uow, tube, "K", " 弱阳性")
        current = line(uow, tube, "K").current
        assert current is not None and current.reported_text == "弱阳性"


def test_a_barcode_is_never_a_result(world: World) -> None:
    with world.lab.uow() as uow:
        tube, other = world.tube(uow), world.tube(uow)
        [code] = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :s"), {"s": other}).scalars()
        for typed in (code, f" {code.lower()} "):
            with pytest.raises(UserError, match="标本条码"):
                enter(uow, tube, "K", typed)
        with pytest.raises(UserError, match="标本条码"):
            service.check_entry(uow, line(uow, tube, "K").item.id, code)
        assert line(uow, tube, "K").current is None


def test_saving_what_is_there_writes_nothing(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        before = uow.s.execute(text("SELECT count(*), max(version) FROM result_version, test")).one()
        assert not enter(uow, tube, "K", "4.1")
        assert not enter(uow, tube, "K", " 4.10 ")
        assert uow.s.execute(text("SELECT count(*), max(version) FROM result_version, test")).one() == before


def test_a_change_needs_a_reason_and_keeps_the_old_value(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        with pytest.raises(UserError) as asked:
            enter(uow, tube, "K", "4.6")
        assert asked.value.fields["field"] == "reason"
        assert enter(uow, tube, "K", "4.6", reason="溶血复查")
        rows = uow.s.execute(
            text("SELECT reported_text, source, reason FROM result_version WHERE test_id = :t ORDER BY id"), {"t": line(uow, tube, "K").id}
        )
        assert [tuple(r) for r in rows] == [("4.1", "analyzer", ""), ("4.6", "manual", "溶血复查")]


def test_a_critical_value_is_typed_twice_and_then_called(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        for again in ("", "6.9"):
            with pytest.raises(UserError) as asked:
                enter(uow, tube, "K", "6.8", again=again)
            assert asked.value.fields["field"] == "again"
        assert critical.board(uow) == []
        assert enter(uow, tube, "K", "6.8", again="6.8")
        assert [c.event.value_text for c in critical.board(uow)] == ["6.8"]


def test_a_value_a_thousand_times_off_is_asked_about(world: World) -> None:
    with world.lab.uow() as uow:
        patient = world.patient(uow)
        first, second = world.tube(uow, patient), world.tube(uow, patient)
        world.send(uow, first, NORMAL, RUN)
        service.review(uow, first)
        service.release(service.lock_reported(uow, [first]), [first])
        with pytest.raises(UserError, match="1000 倍") as asked:
            enter(uow, second, "CREA", "0.08")
        assert asked.value.fields["field"] == "sure"
        assert enter(uow, second, "CREA", "0.08", sure=True)


def test_a_value_that_is_critical_at_some_age_says_so_in_the_readers_language(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow, world.patient(uow, birth=None))
        uow.s.execute(text("UPDATE critical_limit SET age_low = 1 WHERE item_id = :i"), {"i": world.items["K"]})
        uow.s.execute(text("UPDATE catalog_version SET number = number + 1"))
    with world.lab.uow() as uow:
        world.send(uow, tube, {"K": "6.5"})
    tester = world.lab.client("tester")
    assert "（&lt;2.8 或 &gt;6.2）" in tester.fragment(f"/bench/CHEM/tube/{tube}").text
    tester.c.set_cookie("lang", "en", domain="localhost", secure=True)
    assert "by the limits of some age (&lt;2.8 or &gt;6.2) “6.5” may be critical" in tester.fragment(f"/bench/CHEM/tube/{tube}").text


def test_a_cancelled_item_takes_no_value(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'cancelled'"))
        with pytest.raises(UserError, match="已取消") as refused:
            enter(uow, tube, "K", "4.1")
        assert refused.value.code == "conflict"


def test_a_told_value_is_not_typed_over(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        service.review(uow, tube)
        service.release(service.lock_reported(uow, [tube]), [tube])
        with pytest.raises(UserError, match="修改报告"):
            enter(uow, tube, "K", "4.9", reason="x")


def test_a_stale_form_is_told_the_other_value(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        mine = line(uow, tube, "K")
        world.send(uow, tube, {"K": "4.7"}, RUN)
        with pytest.raises(UserError, match=r"改为 4\.7") as refused:
            service.enter_result(uow, Entry(mine.id, mine.version, "4.1"))
        assert refused.value.code == "stale"


def test_two_people_typing_at_once_leave_one_value(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        found = line(uow, tube, "K")
    answers: list[str] = []
    start = threading.Barrier(2)

    def type_(value: str) -> None:
        try:
            with world.lab.uow() as uow:
                start.wait()
                service.enter_result(uow, Entry(found.id, found.version, value))
            answers.append("saved")
        except UserError as refused:
            answers.append(refused.code)

    threads = [threading.Thread(target=type_, args=(v,)) for v in ("4.1", "4.2")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == ["saved", "stale"]


def test_an_instrument_never_replaces_a_typed_value(world: World) -> None:
    """RELIABILITY F26."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        enter(uow, tube, "K", "4.1")
        world.send(uow, tube, {"K": "4.9"}, RUN)
        found = line(uow, tube, "K")
        assert found.current is not None and found.pending is not None
        assert (found.current.reported_text, found.pending.reported_text, found.state) == ("4.1", "4.9", "held")


def test_no_result_needs_a_reason(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        found = line(uow, tube, "K")
        with pytest.raises(UserError, match="写明原因"):
            service.set_no_result(uow, found.id, found.version, " ")
        service.set_no_result(uow, found.id, found.version, "标本量不足")
        assert line(uow, tube, "K").state == "no_result"
        world.send(uow, tube, {"K": "4.1"}, RUN)
        assert line(uow, tube, "K").state == "received"


def test_an_analyzer_that_read_nothing_of_several_needs_one_reason(world: World) -> None:
    """Eight fields of a strip without a value asked for eight reasons."""
    with world.lab.uow() as uow:
        tube, other = world.tube(uow), world.tube(uow)
        for each in (tube, other):
            world.send(uow, each, {**NORMAL, "K": "----", "GLU": "----"})
        shown = {line(uow, tube, code).id: line(uow, tube, code).version for code in ("K", "GLU")}
        foreign = line(uow, other, "K")
    tester, url = world.lab.client("tester"), f"/bench/CHEM/tube/{tube}/none"
    form: dict[str, object] = {f"n-{i}": version for i, version in shown.items()}
    page = tester.fragment(f"/bench/CHEM/tube/{tube}").text
    assert f'hx-post="{url}"' in page and "仪器无结果的 2 项" in page and all(f'name="n-{i}"' in page for i in shown)
    assert tester.post(url, form | {"reason": " "}, htmx=True).status_code == 422
    assert tester.post(url, form | {f"n-{foreign.id}": foreign.version, "reason": "试纸失效"}, htmx=True).status_code == 404
    assert tester.post(url, {"reason": "试纸失效"}, htmx=True).status_code == 404
    assert tester.post(url, form | {f"n-{min(shown)}": 99, "reason": "试纸失效"}, htmx=True).status_code == 409
    with world.lab.uow() as uow:
        assert {line(uow, tube, code).state for code in ("K", "GLU")} == {"held"}, "all or none"
    done = tester.post(url, form | {"reason": "试纸失效"}, htmx=True)
    assert done.status_code == 200 and "试纸失效" in done.text and f'hx-post="{url}"' not in done.text
    with world.lab.uow() as uow:
        for code in ("K", "GLU"):
            told = line(uow, tube, code)
            assert (told.state, told.no_result_reason, told.current) == ("no_result", "试纸失效", None)
        assert line(uow, tube, "NA").state == "received" and line(uow, other, "K").state == "held"
        service.review(uow, tube)
    assert tester.post(url, form | {"reason": "再次"}, htmx=True).status_code == 409


def test_what_the_request_asks_for_is_expected_once(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        service.expect_tests(uow, [tube, tube])
        assert uow.s.execute(text("SELECT count(*) FROM test")).scalar_one() == 5
        ending.on_withdrawn(uow, {"specimen_id": tube})
        assert {t.state for t in queries.tests_of(uow, [tube])[tube]} == {"cancelled"}


# --- a whole tube in one post -------------------------------------------------------------------------------------------------------------


def typed(uow: UnitOfWork, tube: int, values: dict[str, str], **more: object) -> list[Entry]:
    lines = {t.item.code: t for t in queries.tests_of(uow, [tube])[tube]}
    return [Entry(lines[code].id, lines[code].version, value, **more) for code, value in values.items()]  # type: ignore[arg-type]


def test_all_values_of_a_tube_in_one_go_each_with_its_entry_in_the_chain(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        entered = service.enter_tube(uow, tube, typed(uow, tube, NORMAL))
        entered.keep()
        assert len(entered.written) == 4 and entered.asked == {}
        assert {line(uow, tube, code).current.reported_text for code in NORMAL} == {"4.1", "140", "5.00", "80"}  # type: ignore[union-attr]
    with world.lab.uow() as uow:
        log = uow.s.execute(
            text("SELECT body::jsonb->'after'->>'value' FROM audit_log WHERE action = 'bench:enter' ORDER BY seq")
        ).scalars()
        assert list(log) == ["4.1", "140", "5.00", "80"]
        events = uow.s.execute(text("SELECT payload FROM outbox_event WHERE topic = 'result.received'")).scalars().all()
        assert [e["specimen_id"] for e in events] == [tube]


def test_what_needs_an_answer_is_asked_and_the_rest_is_saved(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        entered = service.enter_tube(uow, tube, typed(uow, tube, NORMAL | {"K": "6.8", "NA": "14l"}))
        entered.keep()
        k, na = line(uow, tube, "K"), line(uow, tube, "NA")
        assert set(entered.asked) == {k.id, na.id}
        assert entered.asked[k.id].fields["field"] == "again" and "项目NA" in entered.asked[na.id].message
        assert k.current is None and line(uow, tube, "GLU").current is not None
        again = service.enter_tube(uow, tube, typed(uow, tube, {"K": "6.8"}, again="6.8"))
        assert again.asked == {} and again.review_problem is not None and "项目NA" in again.review_problem
        again.keep()
        assert uow.s.execute(text("SELECT value_text FROM critical_event")).scalar_one() == "6.8"


def test_one_stale_value_refuses_the_whole_and_writes_nothing(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        entries = typed(uow, tube, NORMAL)
        enter(uow, tube, "K", "4.5")
    with pytest.raises(UserError, match="4.5") as stale, world.lab.uow() as uow:
        service.enter_tube(uow, tube, entries)
    assert stale.value.code == "stale"
    with world.lab.uow() as uow:
        assert line(uow, tube, "NA").current is None


def test_saving_a_tube_unchanged_writes_nothing(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
    count = text("SELECT (SELECT count(*) FROM result_version) + (SELECT count(*) FROM audit_log) + (SELECT sum(revision) FROM bench_tube)")
    with world.lab.uow() as uow:
        before = uow.s.execute(count).scalar_one()
        entered = service.enter_tube(uow, tube, typed(uow, tube, NORMAL))
        entered.keep()
        assert entered.written == []
    with world.lab.uow() as uow:
        assert uow.s.execute(count).scalar_one() == before


def test_a_test_of_another_tube_is_refused(world: World) -> None:
    with world.lab.uow() as uow:
        one, other = world.tube(uow), world.tube(uow)
        with pytest.raises(UserError, match="不属于这管"):
            service.enter_tube(uow, one, typed(uow, other, {"K": "4.1"}))


def test_a_form_is_read_whatever_it_holds(world: World) -> None:
    form = {"v-7": "4.1", "n-7": "2", "v-x": "1", "v--1": "2", "v-9": "", "n-9": "abc", "again-7": "4.1", "sure-9": "1", "reason-9": "r"}
    assert messages.entries_of(form) == [Entry(7, 2, "4.1", "4.1"), Entry(9, 0, "", sure=True, reason="r")]
    with pytest.raises(UserError):
        messages.entries_of({f"v-{n}": "1" for n in range(messages.MOST_TESTS + 1)})


def test_saving_and_reviewing_costs_a_bounded_number_of_statements(world: World) -> None:
    seen: list[str] = []
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        entries = typed(uow, tube, NORMAL)
    event.listen(world.lab.db.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: seen.append(sql))
    with world.lab.uow() as uow:
        entered = service.enter_tube(uow, tube, entries, 0)
        service.review(uow, tube, work=entered.work)
    assert len(seen) <= 8, "\n".join(seen)


def test_an_empty_tube_needs_one_reason_or_goes_back_to_the_ward(world: World) -> None:
    """Found by hand: a tube of 25 items without a value asked for 25 reasons."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        shown = {t.id: t.version for t in queries.tests_of(uow, [tube])[tube]}
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
    tester, url = world.lab.client("tester"), f"/bench/CHEM/tube/{tube}"
    page = tester.fragment(url).text
    assert f"还没有结果的 {len(shown)} 项" in page and f'href="/sp/reject?code={barcode}"' in page
    done = tester.post(f"{url}/none", {f"n-{i}": v for i, v in shown.items()} | {"reason": "标本量不足"}, htmx=True)
    assert done.status_code == 200 and "还没有结果的" not in done.text
    with world.lab.uow() as uow:
        assert {t.state for t in queries.tests_of(uow, [tube])[tube]} == {"no_result"}
        service.review(uow, tube)
    # A tube with a value is not sent back whole: what came of it is told.
    with world.lab.uow() as uow:
        part = world.tube(uow)
        world.send(uow, part, {"K": "4.1"})
    page = tester.fragment(f"/bench/CHEM/tube/{part}").text
    assert f"还没有结果的 {len(shown) - 1} 项" in page and "/sp/reject" not in page
