"""The pages of bench, review, reports and clinic through the web: the whole way of a tube, and who is refused."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from zoneinfo import ZoneInfo

import openpyxl
import pytest
from pypdf import PdfReader
from sqlalchemy import event, text
from werkzeug.test import TestResponse

from cloud import relay, worker
from cloud.modules.bench import queries as bench_queries
from cloud.modules.catalog import models as md
from cloud.modules.reports import queries
from tests.cloud.bench.world import DRAWN, NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Client

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def world(fresh_db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = labs.make(fresh_db, data_dir=str(tmp_path_factory.mktemp("files")))
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = '{内科一病区}' WHERE employee_no = 'clinician1'"))
    yield build(lab)
    lab.db.dispose()


def work(world: World) -> None:
    """What the worker does."""
    relay.drain(world.lab.db, world.tenant, worker.all_handlers())


def reviewed(world: World, values: dict[str, str] | None = None, **more: object) -> int:
    """A tube with results, reviewed by the tester through the page; the report's id."""
    with world.lab.uow() as uow:
        tube = world.tube(uow, **more)  # type: ignore[arg-type]
        world.send(uow, tube, values or NORMAL, RUN)
    answer = world.lab.client("tester").post(f"/bench/CHEM/tube/{tube}/review", htmx=True)
    assert answer.status_code == 204 and "benchNext" in answer.headers["HX-Trigger"], answer.text
    with world.lab.uow() as uow:
        return int(uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :s"), {"s": tube}).scalar_one())


def released(world: World, values: dict[str, str] | None = None, **more: object) -> str:
    """A report's number after its release through the page."""
    report = reviewed(world, values, **more)
    verifier = world.lab.client("verifier")
    world.lab.sign(verifier)
    answer = verifier.post("/review/CHEM/release", {"id": report}, htmx=True)
    assert answer.status_code == 200, answer.text
    with world.lab.uow() as uow:
        told = queries.released(uow, report_id=report)
    assert told is not None
    return told.no


def test_the_bench_lists_what_is_ready_and_opens_it(world: World) -> None:
    with world.lab.uow() as uow:
        ready, waiting, urgent = world.tube(uow), world.tube(uow), world.tube(uow, stat=True)
        for tube in (ready, urgent):
            world.send(uow, tube, NORMAL | {"K": "6.8"}, RUN)
    tester = world.lab.client("tester")
    page = tester.get("/bench/CHEM").text
    assert page.index(f'id="t{urgent}"') < page.index(f'id="t{ready}"') and f'id="t{waiting}"' not in page
    assert "危↑" in page and "6.8" in page
    everything = tester.get("/bench/CHEM?show=all").text
    assert f'id="t{waiting}"' in everything
    changed = tester.fragment(f"/bench/CHEM/lines?show=ready&ids={ready},{waiting}").text
    assert f'id="t{ready}"' in changed and f'id="t{waiting}"' not in changed and "<html" not in changed
    assert tester.get("/bench/NONE").status_code == 404


def test_a_pregnancy_told_by_the_request_chooses_the_interval_and_is_shown_to_who_reviews(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.add(md.RefInterval(item_id=world.items["K"], sex="F", gest_low=20, gest_high=28, low=Decimal("3.0"), high=Decimal("4.0")))
        index = md.TestItem(code="HIL-H", name="溶血指数", abbr="H", section_id=world.section, unit="", decimals=0, print_order=90)
        uow.s.add(index)
        uow.s.flush()
        world.items["HIL-H"] = index.id
        tube = world.tube(uow, world.patient(uow, "孕妇", "F", datetime(1995, 1, 1, tzinfo=UTC)))
        began = DRAWN.date() - timedelta(days=24 * 7 + 6)
        order = "UPDATE lab_order SET gest_from = :d WHERE id = (SELECT order_id FROM order_item WHERE specimen_id = :s)"
        uow.s.execute(text(order), {"d": began, "s": tube})
        world.send(uow, tube, NORMAL | {"HIL-H": "12"}, RUN)
        (potassium,) = [t for t in bench_queries.tests_of(uow, [tube])[tube] if t.item.code == "K"]
        assert potassium.current is not None and potassium.current.ref_text == "3.0–4.0" and potassium.current.snapshot["week"] == 24
    tester = world.lab.client("tester")
    assert "孕周 24" in tester.get(f"/bench/CHEM?tube={tube}").text
    assert tester.post(f"/bench/CHEM/tube/{tube}/review", htmx=True).status_code == 204
    shown = world.lab.client("verifier").get("/review/CHEM").text
    assert "孕周 24" in shown and "溶血 12" in shown and "溶血指数" not in shown  # an index is no test to be verified


def test_one_item_of_many_to_amend_is_found_by_its_code_name_pinyin_or_number(world: World) -> None:
    page = world.lab.client("senior").get(f"/reports/{released(world, NORMAL)}/amend").text
    told = re.findall(r'<tr data-find="([^"]+)"><td class="num muted">(\d+)</td><td>([^<]+)</td>', page)
    assert len(told) == len(NORMAL) and [int(n) for _, n, _ in told] == list(range(1, len(NORMAL) + 1))
    assert all(words.split("|")[:2] == [n, name] for words, n, name in told)
    assert {words.split("|")[2] for words, _, _ in told} == set(NORMAL)
    assert ('id="amend-find"' in page) is (len(NORMAL) > 5) and page.count(" autofocus") >= 1


def test_who_amends_chooses_from_the_items_list_and_from_nothing_else(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.execute(
            text('UPDATE test_item SET result_type = \'enum\', choices = \'["阴性", "弱阳性", "阳性"]\', decimals = 0 WHERE id = :i'),
            {"i": world.items["EXTRA"]},
        )
    no = released(world, NORMAL | {"EXTRA": "阴性"})
    senior = world.lab.client("senior")
    page = senior.get(f"/reports/{no}/amend").text
    lists = dict(re.findall(r'<datalist id="c(\d+)">(.*?)</datalist>', page))
    assert set(lists) == {str(world.items["EXTRA"])}  # numbers are typed
    assert re.findall(r'<option value="([^"]+)"', lists[str(world.items["EXTRA"])]) == ["阴性", "弱阳性", "阳性"]
    assert f'name="v-{world.items["EXTRA"]}"' in page and f'list="c{world.items["EXTRA"]}"' in page
    world.lab.sign(senior)
    form = {"version": 1, "reason": "result", "why": "判读有误"}
    other = senior.post(f"/reports/{no}/amend", form | {f"v-{world.items['EXTRA']}": "强阳性"}, htmx=True)
    assert other.status_code == 422 and "阳性" in other.text
    assert senior.post(f"/reports/{no}/amend", form | {f"v-{world.items['EXTRA']}": "阳性"}, htmx=True).status_code == 204
    with world.lab.uow() as uow:
        told = queries.released(uow, no=no)
        assert told is not None and [line["value"] for line in told.lines if line["item_id"] == world.items["EXTRA"]] == ["阳性"]


def test_a_burst_of_results_is_shown_whole(world: World) -> None:
    """The page gathers what changed for a moment; after a stall that is more than a page of the list."""
    with world.lab.uow() as uow:
        tubes = [world.tube(uow) for _ in range(60)]
    changed = world.lab.client("tester").fragment(f"/bench/CHEM/lines?show=all&ids={','.join(map(str, tubes))}").text
    assert all(f'id="t{tube}"' in changed for tube in tubes)


def test_pages_of_the_list_hold_every_tube_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from cloud.modules.bench import listing

    with world.lab.uow() as uow:
        for n in range(7):
            world.send(uow, world.tube(uow, stat=n % 3 == 0), NORMAL, RUN)
        seen: list[str] = []
        after = ""
        while found := listing.page(uow, world.section, listing.Show.READY, after, limit=3):
            seen += [line.key for line in found]
            after = found[-1].key
    assert len(seen) == 7 == len(set(seen)) and seen == sorted(seen)


def test_a_typed_value_is_saved_or_asked_about_in_place(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, NORMAL, RUN)
        test, version = uow.s.execute(text("SELECT id, version FROM test WHERE item_id = :i"), {"i": world.items["K"]}).one()
    tester = world.lab.client("tester")
    refused = tester.post(f"/bench/test/{test}/enter", {"version": version, "value": "4,6"}, htmx=True)
    assert refused.status_code == 422 and refused.headers["HX-Retarget"] == "#notice" and "逗号" in refused.text
    asked = tester.post(f"/bench/test/{test}/enter", {"version": version, "value": "4.6"}, htmx=True)
    assert asked.status_code == 200 and 'name="reason"' in asked.text and 'value="4.6"' in asked.text
    saved = tester.post(f"/bench/test/{test}/enter", {"version": version, "value": "4.6", "reason": "复查"}, htmx=True)
    assert saved.status_code == 200 and "benchSaved" in saved.headers["HX-Trigger"]
    stale = tester.post(f"/bench/test/{test}/enter", {"version": version, "value": "4.7", "reason": "复查"}, htmx=True)
    assert stale.status_code == 409 and "4.6" in stale.text
    assert world.lab.client("clinician").post(f"/bench/test/{test}/enter", {"version": 1, "value": "1"}, htmx=True).status_code == 403


def test_release_asks_for_the_pin_and_refuses_the_tester(world: World) -> None:
    report = reviewed(world)
    assert world.lab.client("tester").post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 403
    verifier = world.lab.client("verifier")
    assert verifier.post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 401
    world.lab.sign(verifier)
    assert "无异常" in verifier.get("/review/CHEM").text
    assert verifier.post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 200
    again = verifier.post("/review/CHEM/release", {"id": report}, htmx=True)
    assert again.status_code == 409 and "已发布" in again.text
    assert verifier.post("/review/CHEM/release", {}, htmx=True).status_code == 422


def test_a_pdf_somebody_waits_for_is_made_before_those_that_nobody_looked_at(world: World) -> None:
    numbers = [released(world), released(world)]
    relay.drain(world.lab.db, world.tenant, worker.all_handlers(), False)
    verifier = world.lab.client("verifier")
    assert verifier.get(f"/reports/{numbers[1]}/pdf").status_code == verifier.get(f"/reports/{numbers[1]}/pdf").status_code == 202
    with world.lab.uow() as uow:
        asked = "SELECT count(*) FROM outbox_event WHERE done_at IS NULL AND topic = :topic"
        assert [uow.s.scalar(text(asked), {"topic": topic}) for topic in ("report.print", "report.render")] == [2, 1]
    relay.drain(world.lab.db, world.tenant, worker.all_handlers(), False)
    assert [verifier.get(f"/reports/{no}/pdf").status_code for no in numbers] == [202, 200]
    first = verifier.get(f"/reports/{numbers[1]}/pdf").data
    work(world)
    assert [verifier.get(f"/reports/{no}/pdf").status_code for no in numbers] == [200, 200]
    assert verifier.get(f"/reports/{numbers[1]}/pdf").data == first
    with world.lab.uow() as uow:
        told = [queries.released(uow, no) for no in numbers]
        rendered = text("SELECT count(*) FROM audit_log WHERE entity = 'report' AND entity_id = :i AND action = 'rendered'")
        assert [uow.s.scalar(rendered, {"i": str(each.report_id)}) for each in told if each is not None] == [1, 1]


def test_ac_r_3_every_print_has_the_bytes_of_the_first(world: World) -> None:
    no = released(world)
    verifier = world.lab.client("verifier")
    waiting = verifier.get(f"/reports/{no}/pdf")
    assert waiting.status_code == 202 and "正在生成" in waiting.text
    work(world)
    first = verifier.get(f"/reports/{no}/pdf")
    assert first.mimetype == "application/pdf" and first.data.startswith(b"%PDF")
    with world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None and told.pdf_sha256 == sha256(first.data).hexdigest()
        uow.emit("report.render", no, {"report_id": told.report_id, "version_no": 1})
    work(world)
    assert verifier.get(f"/reports/{no}/pdf?print=1").data == first.data == world.lab.client("leader").get(f"/reports/{no}/pdf").data
    # A reprint is the same pages under a layer that says so; the stored bytes stay as they were.
    job = verifier.post(f"/reports/{no}/reprint").headers["Location"]
    work(world)
    copy = verifier.get(f"{job}/file")
    old, new = (PdfReader(io.BytesIO(data)).pages for data in (first.data, copy.data))
    words = [page.extract_text() for page in new]
    assert len(old) == len(new) and all("补打 第 2 次" in w and "审核者一号" in w for w in words)
    assert all(line in words[0] for line in old[0].extract_text().split("\n") if line.strip())
    assert verifier.get(f"/reports/{no}/pdf").data == first.data


def test_a_damaged_file_is_not_printed(world: World) -> None:
    no = released(world)
    work(world)
    for path in world.lab.settings.files_dir.rglob("*.pdf"):
        path.write_bytes(path.read_bytes().replace(b"%PDF", b"%PDG", 1))
    answer = world.lab.client("verifier").get(f"/reports/{no}/pdf")
    assert answer.status_code == 409 and answer.mimetype == "text/html"


def test_ac_r_1_the_amended_report_through_the_pages(world: World) -> None:
    no = released(world, NORMAL | {"GLU": "3.2"})
    world.lab.client("clinician").get(f"/clinic/report/{no}")
    senior = world.lab.client("senior")
    form = {"version": 1, f"v-{world.items['GLU']}": "13.2", "reason": "result", "why": "小数点录入错误"}
    assert world.lab.client("verifier").post(f"/reports/{no}/amend", form).status_code == 403
    assert senior.post(f"/reports/{no}/amend", form, htmx=True).status_code == 401
    world.lab.sign(senior)
    assert senior.post(f"/reports/{no}/amend", form, htmx=True).status_code == 204
    stale = senior.post(f"/reports/{no}/amend", form, htmx=True)
    assert stale.status_code == 409 and "第 2 版" in stale.text
    assert re.search("GLU 3.20 mmol/L → 13.20", stale.text), "what the other changed stands in the refusal (C7)"
    page = senior.get(f"/reports/{no}/versions").text
    assert "已被替代" in page and "3.20" in page and "13.20" in page and "小数点录入错误" in page
    work(world)
    assert senior.get(f"/reports/{no}/pdf").data != senior.get(f"/reports/{no}/pdf?v=1").data
    assert "13.20" in world.lab.client("clinician").get(f"/clinic/report/{no}").text


def test_a_recalled_report_hides_its_values_everywhere(world: World) -> None:
    no = released(world, NORMAL | {"K": "5.9"})
    work(world)
    leader, doctor = world.lab.client("leader"), world.lab.client("clinician")
    assert "5.9" in doctor.get(f"/clinic/report/{no}").text
    assert leader.post(f"/reports/{no}/recall", {"reason": ""}, htmx=True).status_code == 422
    assert leader.post(f"/reports/{no}/recall", {"reason": "采错患者"}, htmx=True).status_code == 204
    for who, url in ((leader, f"/reports/{no}"), (doctor, f"/clinic/report/{no}"), (leader, f"/reports/{no}/versions")):
        page = who.get(url).text
        assert "召回" in page and "5.9" not in page, url
    # The laboratory must know whose it was and why it is gone, to do something about it.
    for url in (f"/reports/{no}", f"/reports/{no}/versions"):
        page = leader.get(url).text
        assert "采错患者" in page and "专业组长一号" in page and re.search(r"患者</dt><dd><b>[^<]{2,}</b>", page), url
    assert leader.get(f"/reports/{no}/pdf").status_code == 409 and doctor.get(f"/clinic/report/{no}/pdf").status_code == 409
    assert "召回" in leader.get(f"/reports/verify/{no}").text


def test_ac_cl_1_two_doctors_two_receipts_first_view_after_25_minutes(world: World) -> None:
    clock = world.lab.clock
    clock.set(datetime(2026, 5, 4, 2, 0, tzinfo=UTC))
    no = released(world)
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE app_user SET wards = '{内科一病区}' WHERE employee_no = 'nurse1'"))
        told = queries.released(uow, no)
    assert told is not None
    for role, minutes in (("clinician", 25), ("nurse", 60), ("clinician", 61)):
        clock.set(told.released_at + timedelta(minutes=minutes))
        assert _look(world.lab.client(role), no).status_code == 200
    with world.lab.uow() as uow:
        found = [v for v in queries.views(uow, told.report_id) if v.kind == "view"]
    assert [(v.viewer, (v.first_at - told.released_at) / timedelta(minutes=1), v.times) for v in found] == [
        ("临床医生一号", 25, 2),
        ("护士/采血员一号", 60, 1),
    ]


def test_ac_cl_3_another_wards_patient_needs_a_reason_which_is_kept(world: World) -> None:
    no = released(world, ward="外科二病区")
    doctor = world.lab.client("clinician")
    asked = _look(doctor, no)
    assert 'name="reason"' in asked.text and "4.1" not in asked.text
    with world.lab.uow() as uow:
        told = queries.released(uow, no)
        assert told is not None and list(queries.views(uow, told.report_id)) == []
    doctor.post(f"/clinic/patient/{told.patient_id}/reason", {"reason": "急会诊，患者转入本科"})
    assert "4.1" in _look(doctor, no).text
    with world.lab.uow() as uow:
        purposes = uow.s.execute(
            text("SELECT purpose FROM access_log WHERE patient_id = :p AND actor LIKE '临床%'"), {"p": told.patient_id}
        ).scalars()
        assert any("急会诊" in p for p in purposes)


def test_a_scan_at_the_clinic_shows_the_report_at_once_and_asks_whom_it_must(world: World) -> None:
    no = released(world)
    with world.lab.uow() as uow:
        told = queries.released(uow, no)
    assert told is not None
    barcode = told.subject["barcode"]
    doctor, abroad = world.lab.client("clinician"), world.lab.client("clinician", world.lab.b)
    for code in (barcode, no, no.lower()):
        answer = doctor.get(f"/clinic/find?code={code}")
        assert answer.status_code == 200 and no in answer.text and "4.1" in answer.text, code
        assert "4.1" not in abroad.get(f"/clinic/find?code={code}").text
    with world.lab.uow() as uow:
        seen = uow.s.execute(text("SELECT count(*) FROM report_view WHERE report_id = :r"), {"r": told.report_id}).scalar_one()
        paths = uow.s.execute(text("SELECT path FROM access_log WHERE patient_id = :p AND actor LIKE '临床%'"), {"p": told.patient_id})
        assert seen == 3 and list(paths.scalars()) == [f"/clinic/report/{no}"] * 3
        uow.s.execute(text("UPDATE app_user SET wards = '{外科}' WHERE employee_no = 'clinician1'"))
    asked = doctor.get(f"/clinic/find?code={barcode}").text
    assert "4.1" not in asked and f"/clinic/report/{no}" in asked


def test_what_is_not_released_or_not_ours_is_absent(world: World) -> None:
    report = reviewed(world)
    no = released(world)
    doctor, other = world.lab.client("clinician"), world.lab.client("clinician", world.lab.b)
    assert doctor.get("/clinic/report/R000000000000").status_code == 404
    assert other.get(f"/clinic/report/{no}").status_code == 404 and other.get(f"/clinic/report/{no}/pdf").status_code == 404
    foreign = world.lab.client("verifier", world.lab.b)
    world.lab.sign(foreign)
    build(world.lab, world.lab.b)
    for url in (f"/reports/{no}", f"/reports/{no}/versions", f"/reports/{no}/pdf", f"/reports/verify/{no}"):
        assert foreign.get(url).status_code == 404, url
    assert foreign.fragment(f"/review/CHEM/{report}").status_code == 404
    assert foreign.post("/review/CHEM/release", {"id": report}, htmx=True).status_code == 404
    with world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT state FROM report WHERE id = :i"), {"i": report}).scalar_one() == "tested"


def _look(client: Client, no: str) -> TestResponse:
    return client.get(f"/clinic/report/{no}")


def test_values_and_review_in_one_post_then_the_verifier_scans_the_tube(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
    tester, verifier = world.lab.client("tester"), world.lab.client("verifier")
    html = tester.fragment(f"/bench/CHEM/tube/{tube}").text
    lines = re.findall(r'data-test="(\d+)" data-version="(\d+)"', html)
    values = dict(zip((i for i, _ in lines), NORMAL.values(), strict=False))
    revision = re.search(r'data-revision="(\d+)"', html)
    assert revision is not None
    form = {"revision": revision[1]} | {f"v-{i}": v for i, v in values.items()} | {f"n-{i}": n for i, n in lines}
    asked = tester.post(f"/bench/CHEM/tube/{tube}/review", form | {f"v-{lines[0][0]}": "6.8"}, htmx=True)
    assert asked.status_code == 200 and "再输入一次" in asked.text and 'hx-swap-oob="true"' in asked.text and "缺少必报项目" in asked.text
    stale = tester.post(f"/bench/CHEM/tube/{tube}/review", form, htmx=True)
    assert stale.status_code == 409
    html = tester.fragment(f"/bench/CHEM/tube/{tube}").text
    revision = re.search(r'data-revision="(\d+)"', html)
    assert revision is not None
    first = {"revision": revision[1], f"v-{lines[0][0]}": "4.1", f"n-{lines[0][0]}": lines[0][1]}
    done = tester.post(f"/bench/CHEM/tube/{tube}/review", first, htmx=True)
    assert done.status_code == 204 and "benchNext" in done.headers["HX-Trigger"], done.text
    with world.lab.uow() as uow:
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
        report = uow.s.execute(text("SELECT id FROM report WHERE specimen_id = :i"), {"i": tube}).scalar_one()
    found = verifier.post("/review/CHEM/find", {"code": barcode}, htmx=True)
    assert found.status_code == 200 and f'data-report="{report}"' in found.text
    assert verifier.post("/review/CHEM/find", {"code": "000000000000"}, htmx=True).status_code == 404
    assert world.lab.client("clinician").post("/review/CHEM/find", {"code": barcode}, htmx=True).status_code == 403


def test_typed_values_need_the_right_to_enter(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        test = uow.s.execute(text("SELECT id FROM test WHERE specimen_id = :i LIMIT 1"), {"i": tube}).scalar_one()
    form = {f"v-{test}": "4.1", f"n-{test}": "1"}
    assert world.lab.client("quality").post(f"/bench/CHEM/tube/{tube}/values", form, htmx=True).status_code == 403
    saved = world.lab.client("tester").post(f"/bench/CHEM/tube/{tube}/values", form, htmx=True)
    assert saved.status_code == 200 and f'<tbody id="r{test}" hx-swap-oob="true"' in saved.text and 'id="acts"' in saved.text


def test_the_patient_page_costs_the_same_for_one_report_as_for_six(world: World) -> None:
    with world.lab.uow() as uow:
        patient = world.patient(uow)
    clinician = world.lab.client("clinician")
    counts = []
    for _ in range(2):
        for _n in range(1 if not counts else 3):
            released(world, patient=patient)
        seen: list[str] = []

        def note(_c: object, _cur: object, sql: str, *_: object, seen: list[str] = seen) -> None:
            seen.append(sql)

        event.listen(world.lab.db.engine, "before_cursor_execute", note)
        assert clinician.get(f"/clinic/patient/{patient}").status_code == 200
        event.remove(world.lab.db.engine, "before_cursor_execute", note)
        counts.append(len(seen))
    assert counts[0] == counts[1] <= 14, counts


def test_the_reports_page_tells_when_the_tube_was_taken_in(world: World) -> None:
    no = released(world)
    with world.lab.uow() as uow:
        told = queries.released(uow, no=no)
        assert told is not None and told.received_at is not None
    page = world.lab.client("verifier").get(f"/reports/{no}").text
    assert f"<dt>接收</dt><dd>{told.received_at.astimezone(ZoneInfo('Asia/Shanghai')):%Y-%m-%d %H:%M}</dd>" in page


def test_what_a_search_finds_goes_to_excel_row_by_row_and_no_name_is_a_formula(world: World) -> None:
    lab = world.lab
    with lab.uow() as uow:
        patient = world.patient(uow, name="=1+1")
    no = released(world, patient=patient)
    released(world)
    leader = lab.client("leader")
    listed = re.findall(r'<tr><td><a class="code" href="/reports/([^"]+)"', leader.get("/reports").text)
    assert no in listed and len(listed) > 1
    for asked, found in ((no, [no]), ("", listed), ("R000000000000", [])):
        job = leader.post(f"/reports/export?q={asked}", {"kind": "xlsx"}).headers["Location"]
        work(world)
        rows = list(openpyxl.load_workbook(io.BytesIO(leader.get(f"{job}/file").data)).active.iter_rows())
        assert [row[0].value for row in rows if re.fullmatch(r"R\d+", str(row[0].value))] == found, asked
        assert "仅限导出人使用" in str(rows[1][0].value) and not [c for row in rows for c in row if c.data_type == "f"]
        assert (no not in found) or any(c.value == "=1+1" for row in rows for c in row)
    assert lab.client("nurse").post("/reports/export", {"kind": "xlsx"}).status_code == 403
