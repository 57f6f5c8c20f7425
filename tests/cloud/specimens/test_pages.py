"""The pages of tubes through the web app: scans, answers with sound and status, labels made by the worker."""

from collections.abc import Iterator

import pytest

from cloud import relay
from cloud.worker import all_handlers
from common import ids
from tests.cloud.catalog.seed import seed
from tests.support.database import TestDatabase
from tests.support.hospital import MORNING
from tests.support.lab import Clock, Lab, make
from tests.support.ordering import place


@pytest.fixture(scope="module")
def lab(shared_db: TestDatabase) -> Iterator[Lab]:
    made = make(shared_db, Clock(MORNING))
    for tenant in (made.a, made.b):
        with made.uow(tenant) as uow:
            seed(uow)
    yield made
    made.db.dispose()


def order(lab: Lab, no: str, *codes: str, **more: object) -> tuple[int, list[int]]:
    with lab.uow() as uow:
        placed = place(uow, *codes, patient_no=no, **more)  # type: ignore[arg-type]
    return placed.patient_id, placed.item_ids


def labelled(lab: Lab, no: str, *codes: str, **more: object) -> tuple[int, list[str]]:
    patient, items = order(lab, no, *codes, **more)
    form = {"patient_id": patient, "item": items, "identifier": ["name", "birth"]}
    answer = lab.client("nurse").post("/sp/labels/print", form, htmx=True)
    assert answer.status_code == 200, answer.text
    with lab.uow() as uow:
        from cloud.modules.specimens import service

        return patient, [t.barcode for t in service.open_tubes(uow, patient)]


def collected(lab: Lab, no: str, *codes: str, **more: object) -> list[str]:
    patient, tubes = labelled(lab, no, *codes, **more)
    nurse = lab.client("nurse")
    for code in tubes:
        assert nurse.post("/sp/collect", {"code": code, "patient_id": patient}, htmx=True).status_code == 200
    return tubes


def sound(answer: object) -> str:
    return str(answer.headers["HX-Trigger"])  # type: ignore[attr-defined]


def test_a_scanned_card_opens_the_plan_and_is_logged(lab: Lab) -> None:
    order(lab, "L1", "1001", "1002", card="CARD-L1")
    answer = lab.client("nurse").fragment("/sp/labels?code=card-l1")
    assert answer.status_code == 200 and "<html" not in answer.text
    assert "2/2" in answer.text and "LYTES" in answer.text and "紫" in answer.text
    with lab.uow() as uow:
        from sqlalchemy import text

        assert uow.s.execute(text("SELECT count(*) FROM access_log WHERE purpose = '打印标签'")).scalar() == 1


def test_nobody_on_the_label_page_says_what_to_do(lab: Lab) -> None:
    assert "没有找到这位患者" in lab.client("nurse").fragment("/sp/labels?code=nobody").text


def test_printing_asks_for_two_identifiers(lab: Lab) -> None:
    patient, items = order(lab, "L2", "1001")
    answer = lab.client("nurse").post("/sp/labels/print", {"patient_id": patient, "item": items, "identifier": ["name"]}, htmx=True)
    assert answer.status_code == 422 and "核对两项身份信息" in answer.text


def test_labels_come_from_the_worker_as_pdf_and_zpl(lab: Lab) -> None:
    import pypdfium2
    import zxingcpp

    patient, items = order(lab, "L3", "1001", "1002", name="𠮷田伟")
    nurse = lab.client("nurse")
    shown = nurse.post("/sp/labels/print", {"patient_id": patient, "item": items, "identifier": ["name", "birth"]}, htmx=True).text
    job = shown.split("/sp/labels/jobs/")[1].split(".")[0]
    relay.drain(lab.db, lab.a, all_handlers())
    answer = nurse.get(f"/sp/labels/jobs/{job}.pdf")
    assert answer.status_code == 200 and answer.mimetype == "application/pdf"
    pdf = pypdfium2.PdfDocument(answer.data)
    read = [zxingcpp.read_barcodes(page.render(scale=6).to_pil())[0].text for page in pdf]
    with lab.uow() as uow:
        from cloud.modules.specimens import service

        assert read == [t.barcode for t in service.open_tubes(uow, patient)] and len(read) == 2
    zpl = nurse.get(f"/sp/labels/jobs/{job}.zpl").data
    assert zpl.count(b"^XA") == 2 and all(code.encode() in zpl for code in read)


def test_another_hospitals_print_job_is_absent(lab: Lab) -> None:
    labelled(lab, "L4", "1001")
    with lab.uow() as uow:
        from sqlalchemy import text

        job = uow.s.execute(text("SELECT max(id) FROM label_job")).scalar()
    for url in (f"/sp/labels/jobs/{job}.pdf", "/sp/labels/jobs/999999.pdf", f"/sp/labels/jobs/{job}.exe"):
        assert lab.client("nurse", lab.b).get(url).status_code == 404


def test_collecting_names_the_patient_first(lab: Lab) -> None:
    patient, (code,) = labelled(lab, "C1", "1001", card="CARD-C1")
    nurse = lab.client("nurse")
    early = nurse.post("/sp/collect", {"code": code}, htmx=True)
    assert early.status_code == 409 and "请先扫患者" in early.text and "bad" in sound(early)
    person = nurse.post("/sp/collect", {"code": "CARD-C1"}, htmx=True)
    assert f'name="patient_id" value="{patient}"' in person.text and "待采集" in person.text
    done = nurse.post("/sp/collect", {"code": code, "patient_id": patient}, htmx=True)
    assert "全部采集完成" in done.text and '"ok"' in sound(done)
    again = nurse.post("/sp/collect", {"code": code, "patient_id": patient}, htmx=True)
    assert "已经登记采集过" in again.text and "warn" in sound(again)


def test_another_patients_tube_at_the_bedside(lab: Lab) -> None:
    _, (code,) = labelled(lab, "C2", "1001")
    other, _ = labelled(lab, "C3", "1001")
    answer = lab.client("nurse").post("/sp/collect", {"code": code, "patient_id": other}, htmx=True)
    assert answer.status_code == 409 and "不是这位患者的管" in answer.text


def test_a_receipt_answers_with_colour_sound_and_a_line(lab: Lab) -> None:
    (code,) = collected(lab, "R1", "1002", name="李雷")
    desk = lab.client("receiver")
    ok = desk.post("/sp/receive", {"code": code}, htmx=True)
    assert ok.status_code == 200 and '"ok"' in sound(ok)
    assert "answer huge ok" in ok.text and "李雷" in ok.text and "C0001" in ok.text
    assert 'hx-swap-oob="afterbegin:#scans"' in ok.text and 'id="counts"' in ok.text
    double = desk.post("/sp/receive", {"code": code}, htmx=True)
    assert "warn" in sound(double) and "首次" in double.text and "receiver" not in double.text


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        (ids.accession_number(1, MORNING.date(), 9999), 404, "登记为无主标本"),
        ("126326000423", 422, "校验位不对"),
        (ids.ticket_code(1, MORNING.date(), "N", 7), 422, "排队小票"),
        ("", 404, "没有扫到条码"),
        ("<script>alert(1)</script>", 404, "&lt;SCRIPT&gt;"),
    ],
)
def test_bad_scans_at_the_desk(lab: Lab, code: str, status: int, words: str) -> None:
    answer = lab.client("receiver").post("/sp/receive", {"code": code}, htmx=True)
    assert answer.status_code == status and words in answer.text and "bad" in sound(answer)


def test_a_stray_tube_is_listed(lab: Lab) -> None:
    answer = lab.client("receiver").post("/sp/receive/stray", {"code": "126326077778"}, htmx=True)
    assert answer.status_code == 200 and "126326077778" in answer.text


def test_rejection_reaches_the_ward_and_is_confirmed(lab: Lab) -> None:
    (code,) = collected(lab, "J1", "1002", name="韩梅梅")
    desk, nurse = lab.client("receiver"), lab.client("nurse")
    form = desk.fragment(f"/sp/reject?code={code}").text
    reason = form.split('name="reason_id" value="')[1].split('"')[0]
    assert desk.post("/sp/reject", {"code": code, "note": "x"}, htmx=True).status_code == 422
    done = desk.post("/sp/reject", {"code": code, "reason_id": reason, "note": "量少"}, htmx=True)
    assert done.status_code == 200 and "已拒收" in done.text
    again = desk.post("/sp/reject", {"code": code, "reason_id": reason}, htmx=True)
    assert again.status_code == 409 and "已拒收" in again.text
    shown = nurse.get("/sp/rejections").text
    assert "韩梅梅" in shown and "量少" in shown
    notice = shown.split("/read")[0].rsplit("/", 1)[1]
    assert "护士/采血员一号" in nurse.post(f"/sp/rejections/{notice}/read", htmx=True).text
    assert lab.client("nurse", lab.b).post(f"/sp/rejections/{notice}/read", htmx=True).status_code == 404


def test_find_shows_the_way_of_a_tube(lab: Lab) -> None:
    (code,) = collected(lab, "F1", "1002")
    lab.client("receiver").post("/sp/receive", {"code": code}, htmx=True)
    text = lab.client("tester").get(f"/sp/find?code={code}").text
    steps = [text.index(word) for word in ("已贴标签", "已采集</strong>", "已核收</strong>")]
    assert steps == sorted(steps) and "护士/采血员一号" in text and "标本接收员一号" in text
    assert "没有找到" in lab.client("tester").get("/sp/find?code=126326066661").text


def test_find_knows_a_person_whose_tubes_are_still_to_come(lab: Lab) -> None:
    order(lab, "F4", "1002")
    told = lab.client("nurse").get("/sp/find?code=F4").text
    assert "还没有标本" in told and "没有找到" not in told and 'href="/sp/labels?code=F4"' in told
    assert "/sp/labels?code=" not in lab.client("clinician").get("/sp/find?code=F4").text, "who may not print labels is not sent there"
    there = lab.client("nurse", lab.b)
    assert "没有找到" in there.get("/sp/find?code=F4").text, "another hospital's patient is nobody"


def test_a_foreign_tube_answers_like_an_absent_one(lab: Lab) -> None:
    collected(lab, "F2", "1002")
    with lab.uow() as uow:
        from sqlalchemy import text

        tube = uow.s.execute(text("SELECT max(id) FROM specimen")).scalar()
    there = lab.client("tester", lab.b)
    foreign, absent = there.get(f"/sp/tubes/{tube}"), there.get("/sp/tubes/99999999")
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert len(foreign.data) == len(absent.data)
    assert lab.client("tester").get(f"/sp/tubes/{tube}").status_code == 200


def test_the_top_bars_scan_goes_to_the_tube(lab: Lab) -> None:
    (code,) = collected(lab, "F3", "1002")
    answer = lab.client("tester").post("/scan", {"code": code})
    assert answer.headers["Location"].endswith(f"/sp/find?code={code}")


def test_conditional_receipt_is_for_seniors(lab: Lab) -> None:
    (code,) = collected(lab, "F4", "1002")
    lab.client("receiver").post("/sp/receive", {"code": code}, htmx=True)
    with lab.uow() as uow:
        from sqlalchemy import text

        tube = uow.s.execute(text("SELECT id FROM specimen WHERE barcode = :c"), {"c": code}).scalar()
    assert lab.client("tester").post(f"/sp/tubes/{tube}/conditional", {"caveat": "溶血"}).status_code == 403
    senior = lab.client("senior")
    assert senior.post(f"/sp/tubes/{tube}/conditional", {"caveat": "溶血"}).status_code == 303
    assert "让步接收：溶血" in senior.get(f"/sp/tubes/{tube}").text
    assert senior.post(f"/sp/tubes/{tube}/conditional", {"caveat": "溶血"}).status_code == 409


@pytest.mark.parametrize("path", ["/sp/labels", "/sp/collect", "/sp/rejections", "/sp/find"])
def test_a_nurses_pages_open_in_both_languages(lab: Lab, path: str) -> None:
    nurse = lab.client("nurse")
    assert nurse.get(path).status_code == 200
    nurse.c.set_cookie("lang", "en", domain="localhost", secure=True)
    assert nurse.get(path).status_code == 200
