"""Review, release, amendment and recall on a real database: four eyes, completeness, staleness, signatures, two at once."""

from __future__ import annotations

import importlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import listing
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.critical import queries as critical_queries
from cloud.modules.critical import service as critical
from cloud.modules.equipment import service as equipment
from cloud.modules.platform import alerts, signing
from cloud.modules.platform.models import UserSession
from cloud.modules.reports import document, figures, queries, service, watch
from cloud.modules.reports.rules import Perm, State, VersionState
from cloud.modules.scheduling import service as roster
from cloud.web.principal import Principal
from common import ids
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)
DESK = service.Desk(signing.open_signer("", "5e" * 32), "https://lab.example")


@dataclass
class Room:
    """A laboratory with people who may sign."""

    world: World

    def person(self, uow: UnitOfWork, role: str, sections: frozenset[str] = frozenset()) -> Principal:
        """Somebody with an open signing window."""
        user = self.world.lab.users[(uow.tenant_id, role)]
        until = uow.now + timedelta(minutes=5)
        session = UserSession(
            token_hash=uuid.uuid4().hex,
            user_id=user,
            workstation="WS1",
            created_at=uow.now,
            seen_at=uow.now,
            mfa_at=uow.now,
            signing_until=until,
            signing_id=f"win-{role}",
        )
        uow.s.add(session)
        uow.s.flush()
        uow.actor = replace(uow.actor, user_id=user, name=role)
        return Principal(
            user_id=user,
            name=role,
            employee_no=f"{role}1",
            tenant_id=uow.tenant_id,
            tenant_code="a",
            tenant_name="甲医院（虚构）",
            session_id=session.id,
            permissions=frozenset(),
            roles=frozenset({role}),
            sections=sections,
            wards=frozenset(),
            workstation="WS1",
            locale="zh",
            mfa=True,
            locked=False,
            signing_until=until,
            signing_id=f"win-{role}",
        )

    def tested(self, uow: UnitOfWork, values: dict[str, str] | None = None, **more: Any) -> int:
        """A report reviewed by the tester."""
        tube = self.world.tube(uow, **more)
        self.world.send(uow, tube, values or NORMAL, RUN)
        return service.review(uow, tube, None, self.person(uow, "tester"))

    def checked(self, uow: UnitOfWork, report: int) -> int:
        """Its critical values looked at by two persons."""
        tube = uow.s.execute(text("SELECT specimen_id FROM report WHERE id = :r"), {"r": report}).scalar_one()
        for line in critical_queries.of_specimen(uow, tube):
            for role in ("tester", "senior"):
                self.person(uow, role)
                critical.confirm(uow, line.event.id, line.event.version)
                uow.s.flush()
        return report

    def told(self, uow: UnitOfWork, values: dict[str, str] | None = None, **more: Any) -> str:
        """A released report's number."""
        report = self.checked(uow, self.tested(uow, values, **more))
        return service.release(uow, [report], self.person(uow, "verifier"), DESK)[0]


@pytest.fixture
def room(fresh_db: TestDatabase) -> Iterator[Room]:
    lab = labs.make(fresh_db)
    yield Room(build(lab))
    lab.db.dispose()


def test_releasing_costs_a_bounded_number_of_statements(room: Room) -> None:
    seen: list[str] = []

    def note(_c: object, _cur: object, sql: str, *_: object) -> None:
        seen.append(sql)

    with room.world.lab.uow() as uow:
        report, who = room.tested(uow), room.person(uow, "verifier")
        event.listen(room.world.lab.db.engine, "before_cursor_execute", note)
        service.release(uow, [report], who, DESK)
        uow.s.flush()
        event.remove(room.world.lab.db.engine, "before_cursor_execute", note)
    assert len(seen) <= 20, "\n".join(seen)


def test_release_freezes_numbers_signs_and_tells(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None and told.state is State.RELEASED and told.version_no == 1
        assert ids.recognise(no).kind == ids.CodeKind.REPORT and ids.recognise(no).ok
        sheet = document.sheet(told.document)
        assert [(r.code, r.result, r.mark) for r in sheet.rows] == [
            ("K", "4.1", ""),
            ("NA", "140", ""),
            ("GLU", "5.00", ""),
            ("CREA", "80", ""),
        ]
        assert (sheet.tester, sheet.verifier, sheet.report_no) == ("检验者一号", "审核者一号", no)
        assert sheet.placeholder_intervals and sheet.signature_note == "内部签名"
        assert queries.signature_holds(uow, told.report_id, 1)
        events = uow.s.execute(text("SELECT topic, key, payload FROM outbox_event WHERE topic LIKE 'report.%'")).all()
        assert [(e.topic, e.key, e.payload["report_id"]) for e in events] == [("report.released", no, told.report_id)]


def test_m09_r2_what_a_blocked_analyzer_measured_stays_until_its_repair_is_verified(room: Room) -> None:
    with room.world.lab.uow() as uow:
        before = room.tested(uow)
    room.world.lab.clock.set(RUN + timedelta(hours=1))
    with room.world.lab.uow() as uow:
        fault = equipment.report_fault(uow, room.world.analyzer, "加样针堵塞").id
        tube = room.world.tube(uow)
        room.world.send(uow, tube, NORMAL, RUN + timedelta(hours=1, minutes=1))
    room.world.lab.clock.advance(minutes=2)
    with room.world.lab.uow() as uow:
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        with pytest.raises(UserError, match="仪器停用期间测定：.*加样针堵塞"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        service.release(uow, [before], room.person(uow, "verifier"), DESK)
        equipment.end_fault(uow, fault, "已清洗，质控在控")
        uow.s.flush()
        assert service.release(uow, [report], room.person(uow, "verifier"), DESK)


def test_ac_r_2_the_tester_may_not_verify_own_report_by_day(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        with pytest.raises(UserError, match="不能是同一人"):
            service.release(uow, [report], room.person(uow, "tester"), DESK)
        assert queries.released(uow, report_id=report) is None


def _solo(uow: UnitOfWork) -> set[str]:
    watch.watch(uow)
    return {a.kind for a in alerts.visible(uow, frozenset({str(Perm.TEST)})) if a.kind.startswith("reports.cocheck")}


def test_ac_r_2_on_a_flagged_night_one_person_may_and_is_listed(room: Room) -> None:
    clock = room.world.lab.clock
    clock.set(datetime(2026, 5, 4, 15, 0, tzinfo=UTC))  # 23:00 local
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        tester = room.person(uow, "tester")
        room.person(uow, "leader")
        night = roster.add_shift(uow, "N", "夜班", time(22), time(8))
        today = date(2026, 5, 4)
        roster.assign(uow, tester.user_id, room.world.section, night.id, today, today, alone=True)
        service.release(uow, [report], tester, DESK)
        [listed] = queries.cochecks(uow, room.world.section)
        assert listed.id == report and listed.cocheck_due == uow.now + timedelta(hours=24)
        assert listed.tester_id == listed.released_by == tester.user_id, "the page offers it to others only"
        # What is recalled meanwhile shows nothing any more that a second person could look at.
        uow.s.execute(text("UPDATE report /* by hand */ SET state = 'recalled'"))
        wanted = figures.Wanted(today, today, [room.world.section])
        assert queries.cochecks(uow, room.world.section) == [] and figures.counts(uow, wanted)[figures.Figure.PENDING] == 0
        uow.s.execute(text("UPDATE report /* by hand */ SET state = 'released'"))
        assert figures.counts(uow, wanted)[figures.Figure.PENDING] == 1
        # In the morning's digest: told until somebody looks, and urgently once its day is over.
        assert _solo(uow) == {"reports.cocheck_open"}
        uow.s.execute(text("UPDATE report SET cocheck_due = :now - interval '1 second'"), {"now": uow.now})
        assert _solo(uow) == {"reports.cocheck"}
        uow.s.execute(text("UPDATE report SET cocheck_due = :now"), {"now": uow.now})
        assert _solo(uow) == {"reports.cocheck_open"}
        with pytest.raises(UserError, match="不能是原检验者"):
            service.cocheck(uow, report, tester)
        service.cocheck(uow, report, room.person(uow, "verifier"))
        assert queries.cochecks(uow, room.world.section) == [] and _solo(uow) == set()
    clock.advance(hours=9)
    with room.world.lab.uow() as uow:
        late = room.tested(uow)
        with pytest.raises(UserError, match="不能是同一人"):
            service.release(uow, [late], room.person(uow, "tester"), DESK)


def test_who_typed_a_value_may_not_verify_it(room: Room) -> None:
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {k: v for k, v in NORMAL.items() if k != "K"}, RUN)
        verifier = room.person(uow, "verifier")
        line = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "K")
        bench.enter_result(uow, bench.Entry(line.id, line.version, "4.2"))
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        with pytest.raises(UserError, match="不能是同一人"):
            service.release(uow, [report], verifier, DESK)
        assert service.release(uow, [report], room.person(uow, "leader"), DESK)


def test_an_empty_mandatory_item_is_named(room: Room) -> None:
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {"K": "4.1"}, RUN)
        with pytest.raises(UserError, match="缺少必报项目：项目NA、项目GLU、项目CREA"):
            service.review(uow, tube, None, room.person(uow, "tester"))


def test_no_result_with_a_reason_completes_the_report(room: Room) -> None:
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {"K": "4.1", "NA": "140", "GLU": "5"}, RUN)
        line = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "CREA")
        bench.set_no_result(uow, line.id, line.version, "标本量不足")
        report = service.review(uow, tube, None, room.person(uow, "tester"))
        [no] = service.release(uow, [report], room.person(uow, "verifier"), DESK)
        told = queries.released(uow, no)
        assert told is not None
        sheet = document.sheet(told.document)
        assert sheet.rows[-1].result == "无结果" and sheet.comments == ("项目CREA未出结果：标本量不足",)


def test_a_value_that_came_after_the_review_stops_the_release(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        tube = uow.s.execute(text("SELECT specimen_id FROM report")).scalar_one()
        room.world.send(uow, tube, {"K": "5.0"}, RUN + timedelta(minutes=20))
        assert queries.queue(uow, room.world.section, 0) == []
        with pytest.raises(UserError, match="待处理的结果：项目K"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
        line = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "K")
        assert line.current is not None
        bench.choose_version(uow, line.id, line.version, line.current.id, "")
        with pytest.raises(UserError, match="重新初审"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
        assert service.review(uow, tube, None, room.person(uow, "tester")) == report
        assert service.release(uow, [report], room.person(uow, "verifier"), DESK)


def test_what_was_settled_after_the_review_is_reviewed_again(room: Room) -> None:
    """The value is the one that was reviewed, so its version says nothing: the state of the test does (F26, found by its interleavings)."""
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        tube = uow.s.execute(text("SELECT specimen_id FROM report")).scalar_one()
        line = bench_queries.tests_of(uow, [tube])[tube][0]
        assert line.current is not None
        with pytest.raises(UserError, match="只有一个结果"):
            bench.choose_version(uow, line.id, line.version, line.current.id, "核对原始数据")
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'received' WHERE id = :i"), {"i": line.id})
        with pytest.raises(UserError, match=f"初审之后又处理过：{line.item.name}"):
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
        assert service.review(uow, tube, None, room.person(uow, "tester")) == report
        assert service.release(uow, [report], room.person(uow, "verifier"), DESK)


def test_an_optional_value_that_comes_after_the_report_is_late_and_supplemented(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        tube = uow.s.execute(text("SELECT specimen_id FROM report")).scalar_one()
        service.release(uow, [report], room.person(uow, "verifier"), DESK)
        [recorded] = room.world.send(uow, tube, {"EXTRA": "12"}, RUN + timedelta(minutes=40))
        assert recorded.outcome == "late"
        line = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "EXTRA")
        assert line.current is None and line.pending is not None and line.pending.reported_text == "12"
        asked = service.AmendRequest(report, 1, {line.item.id: "12"}, "supplement", "补充项目")
        service.amend(uow, asked, room.person(uow, "senior"), DESK)
        told = queries.released(uow, report_id=report)
        assert told is not None and told.lines[-1]["value"] == "12" and told.version_no == 2
        line = next(t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "EXTRA")
        assert line.state == "amended" and line.pending is None


def test_optional_tests_of_reports_told_by_an_earlier_release_are_closed(room: Room, fresh_db: TestDatabase) -> None:
    """Until 045f25a a final report left them open: migration 0052."""
    states = ("released", "amended", "recalled")
    by_hand = "UPDATE test t /* by hand */ SET state = :s, current_id = CASE WHEN :keep THEN current_id END FROM report r, test_item i"
    by_hand += " WHERE r.id = :r AND t.specimen_id = r.specimen_id AND i.id = t.item_id AND i.code = :c"
    with room.world.lab.uow() as uow:
        old = {state: room.tested(uow) for state in states}
        stuck, part, draft = room.tested(uow, NORMAL | {"EXTRA": "12"}), room.tested(uow), room.tested(uow)
        service.release(uow, [*old.values(), stuck, part], room.person(uow, "verifier"), DESK)
        for state, report in old.items():
            uow.s.execute(text("UPDATE report /* by hand */ SET state = :s WHERE id = :r"), {"s": state, "r": report})
            uow.s.execute(text(by_hand), {"s": "expected", "keep": False, "r": report, "c": "EXTRA"})
        for report, code, state in ((stuck, "EXTRA", "held"), (part, "EXTRA", "expected"), (part, "K", "reviewed")):
            uow.s.execute(text(by_hand), {"s": state, "keep": state != "expected", "r": report, "c": code})
    engine = create_engine(fresh_db.owner_url)
    with engine.begin() as conn:
        conn.execute(text("ALTER TABLE test DISABLE TRIGGER watch_test"))
        importlib.import_module("cloud.db.migrations.versions.0052_optional_tests_of_told_reports").close(conn)
    engine.dispose()
    query = "SELECT r.id, t.state, t.pending_id, r.specimen_id FROM report r JOIN test t ON t.specimen_id = r.specimen_id"
    query += " JOIN test_item i ON i.id = t.item_id WHERE i.code = 'EXTRA'"
    with room.world.lab.uow() as uow:
        found = {r.id: r for r in uow.s.execute(text(query))}
        assert {i: r.state for i, r in found.items()} == {old[s]: s for s in states} | {
            stuck: "released",
            part: "expected",
            draft: "expected",
        }
        assert {i for i, r in found.items() if r.pending_id is not None} == {stuck}
        assert bench_queries.state_of(uow, found[stuck].specimen_id) == "held"
        [recorded] = room.world.send(uow, found[old["released"]].specimen_id, {"EXTRA": "12"}, RUN + timedelta(minutes=40))
        assert recorded.outcome == "late"
    with room.world.lab.uow() as uow:  # what stood open in vain is told now
        told = queries.released(uow, report_id=stuck)
        assert told is not None
        asked = service.AmendRequest(stuck, 1, {room.world.items["EXTRA"]: "12"}, "supplement", "补充项目")
        service.amend(uow, asked, room.person(uow, "senior"), DESK)
        assert bench_queries.state_of(uow, told.specimen_id) == "released"


def test_a_batch_leaves_whole_or_not_at_all_and_signs_once(room: Room) -> None:
    with room.world.lab.uow() as uow:
        good = [room.tested(uow) for _ in range(3)]
        bad = room.tested(uow)
        uow.s.execute(text("UPDATE report SET basis = 'x' WHERE id = :i"), {"i": bad})
        uow.s.expire_all()
        with pytest.raises(UserError, match="未发布任何报告"):
            service.release(uow, [*good, bad], room.person(uow, "verifier"), DESK)
    with room.world.lab.uow() as uow:
        good = [room.tested(uow) for _ in range(3)]
        numbers = service.release(uow, good, room.person(uow, "verifier"), DESK)
        assert len(set(numbers)) == 3
        rows = uow.s.execute(text("SELECT target_id, value, batch_sha256, content_sha256 FROM signature ORDER BY batch_no")).all()
        assert [r.target_id for r in rows] == good
        assert len({r.value for r in rows}) == 1 == len({r.batch_sha256 for r in rows}) and len({r.content_sha256 for r in rows}) == 3


def test_without_an_open_window_nothing_is_signed(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        who = room.person(uow, "verifier")
        uow.s.execute(text("UPDATE user_session SET signing_until = now() - interval '1 second'"))
        with pytest.raises(UserError) as refused:
            service.release(uow, [report], who, DESK)
        assert refused.value.code == "reauth"


def test_a_verifier_of_another_section_is_refused(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        with pytest.raises(UserError, match="专业组"):
            service.release(uow, [report], room.person(uow, "verifier", frozenset({"HEM"})), DESK)


def test_another_hospitals_report_is_absent(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
    with room.world.lab.uow(room.world.lab.b) as uow:
        with pytest.raises(UserError) as refused:
            service.release(uow, [report], room.person(uow, "verifier"), DESK)
        assert refused.value.code == "not_found"


def test_two_verifiers_at_once_release_one_report_once(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
    answers: list[str] = []
    start = threading.Barrier(2)

    def press(role: str) -> None:
        try:
            with room.world.lab.uow() as uow:
                who = room.person(uow, role)
                start.wait()
                answers.append(service.release(uow, [report], who, DESK)[0])
        except UserError as refused:
            answers.append(refused.code)

    threads = [threading.Thread(target=press, args=(role,)) for role in ("verifier", "senior")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(a[0] for a in answers) == ["R", "c"], answers
    with room.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM report_version")).scalar_one() == 1


def test_sending_back_needs_a_reason_and_opens_the_tube_again(room: Room) -> None:
    with room.world.lab.uow() as uow:
        report = room.tested(uow)
        with pytest.raises(UserError, match="退回原因"):
            service.send_back(uow, report, " ")
        service.send_back(uow, report, "钾请复查")
        assert [line.state for line in listing.page(uow, room.world.section, listing.Show.READY)] == ["ready"]
        assert queries.queue(uow, room.world.section, 0) == []


def test_ac_r_1_an_amendment_keeps_the_old_version_and_tells_its_readers(room: Room) -> None:
    with room.world.lab.uow() as uow:
        no = room.told(uow, NORMAL | {"GLU": "3.2"})
        told = queries.released(uow, no)
        assert told is not None
        for role in ("clinician", "nurse", "senior"):
            room.person(uow, role)
            service.seen(uow, told.report_id, 1)
        senior = room.person(uow, "senior")
        glu = {room.world.items["GLU"]: "13.2"}
        with pytest.raises(UserError, match="修改原因"):
            service.amend(uow, service.AmendRequest(told.report_id, 1, glu, "result", " "), senior, DESK)
        with pytest.raises(UserError, match="没有变化"):
            same = {room.world.items["GLU"]: "3.20"}
            service.amend(uow, service.AmendRequest(told.report_id, 1, same, "result", "复核"), senior, DESK)
        assert service.amend(uow, service.AmendRequest(told.report_id, 1, glu, "result", "小数点录入错误"), senior, DESK) == 2
    with room.world.lab.uow() as uow:
        new, old = queries.versions(uow, no)
        assert (new.version_no, new.version_state, new.state) == (2, VersionState.CURRENT, State.AMENDED)
        assert old.version_state is VersionState.SUPERSEDED and document.sheet(old.document).rows[2].result == "3.20"
        sheet = document.sheet(new.document)
        assert sheet.rows[2].result == "13.20" and sheet.version == 2 and sheet.amendment is not None
        assert sheet.amendment.reason == "结果错误：小数点录入错误" and sheet.amendment.changes[0].before == "3.20 mmol/L"
        assert queries.signature_holds(uow, new.report_id, 1) and queries.signature_holds(uow, new.report_id, 2)
        unread = uow.s.execute(text("SELECT count(*) FROM report_notice WHERE read_at IS NULL")).scalar_one()
        room.person(uow, "clinician")
        service.seen(uow, new.report_id, 2)
        assert (unread, uow.s.execute(text("SELECT count(*) FROM report_notice WHERE read_at IS NULL")).scalar_one()) == (2, 1)
        assert uow.s.execute(text("SELECT topic FROM outbox_event ORDER BY id DESC LIMIT 1")).scalar_one() == "report.amended"


def test_a_recalled_report_shows_no_value_to_anybody(room: Room) -> None:
    with room.world.lab.uow() as uow:
        no = room.told(uow)
        told = queries.released(uow, no)
        assert told is not None
        service.recall(uow, told.report_id, "标本采错患者", room.person(uow, "leader"))
        after = queries.released(uow, no)
        assert after is not None and after.recalled and after.lines == () and after.pdf_key is None and after.sheet == {}
        assert bench_queries.history(uow, told.patient_id, list(room.world.items.values()), 9) == {}


class Undone(Exception):
    """Nothing of this transaction is kept."""


def test_any_change_of_the_stored_document_breaks_the_signature(room: Room) -> None:
    with room.world.lab.uow() as uow:
        no = room.told(uow)
        told = queries.released(uow, no)
        assert told is not None
    damage = (
        "UPDATE report_version SET document = jsonb_set(document, '{print,rows,0,result}', '\"4.2\"')",
        "UPDATE report_version SET content_sha256 = repeat('0', 64)",
        "UPDATE signature SET content_sha256 = repeat('0', 64)",
        "UPDATE signature SET meaning = 'amend'",
        "UPDATE signature SET at = at + interval '1 second'",
        "UPDATE signature SET signer_id = (SELECT min(id) FROM app_user WHERE id <> signer_id AND tenant_id = signature.tenant_id)",
        "UPDATE signature SET value = 'AAAA' || substr(value, 5)",
    )
    for statement in damage:
        with pytest.raises(Undone), room.world.lab.uow() as uow:
            uow.s.execute(text(statement))
            assert not queries.signature_holds(uow, told.report_id, 1), statement
            raise Undone
        with room.world.lab.uow() as uow:
            assert queries.signature_holds(uow, told.report_id, 1)
