"""M05 through the web: a ward's own alerts, late tubes, the collection guide, and figures that drill to their lists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, lists
from cloud.modules.platform.models import ListJob
from cloud.modules.specimens import figures, referral, service
from cloud.modules.specimens.figures import By, Figure, Wanted
from cloud.modules.specimens.models import SpecimenEvent
from cloud.web import span
from tests.cloud.catalog.seed import seed
from tests.support.database import TestDatabase
from tests.support.hospital import MORNING
from tests.support.lab import Clock, Lab, make
from tests.support.ordering import place


@pytest.fixture(scope="module")
def lab(shared_db: TestDatabase) -> Iterator[Lab]:
    made = make(shared_db, Clock(MORNING))
    with made.uow() as uow:
        seed(uow)
        uow.s.execute(text("UPDATE app_user SET wards = '{呼吸科}' WHERE employee_no = 'nurse1'"))
        uow.s.execute(text("UPDATE order_set SET prep_notes = '空腹 8 小时', handling = '冰浴', sex = 'F' WHERE code = 'KALIUM'"))
    yield made
    made.db.dispose()


def drawn(uow: UnitOfWork, no: str, ward: str) -> str:
    placed = place(uow, "1002", patient_no=no, name=f"病人{no}", ward=ward, kind="inpatient")
    made, _ = service.print_labels(uow, placed.patient_id, placed.item_ids, ["name", "birth"])
    service.collect(uow, made[0].barcode, placed.patient_id)
    return made[0].barcode


def test_a_ward_sees_its_own_alerts_only_until_it_has_read(lab: Lab) -> None:
    with lab.uow() as uow:
        mine, other = drawn(uow, "W1", "呼吸科"), drawn(uow, "W2", "骨科")
        reason = uow.s.execute(text("SELECT id FROM reject_reason ORDER BY id LIMIT 1")).scalar_one()
        for code in (mine, other):
            service.reject(uow, code, reason)
    nurse = lab.client("nurse")
    page = nurse.get("/alerts").text
    assert "病人W1" in page and "病人W2" not in page
    assert "1" in nurse.fragment("/alerts/count").text
    with lab.uow() as uow:
        row = next(a for a in alerts.visible(uow, frozenset({"specimens:notice"})) if a.fields["name"] == "病人W2")
    assert nurse.post(f"/alerts/{row.id}/acknowledge", {"note": "看看"}).status_code == 404
    asked = nurse.post("/sp/rejections/export", {"kind": "xlsx"}).headers["Location"]
    with lab.uow() as uow:
        job = uow.s.get_one(ListJob, (uow.tenant_id, int(asked.rsplit("/", 1)[1])))
        exported = lists.document_of(job.document)
        assert [row[1] for row in exported.rows] == ["病人W1"], "a ward exports its own"
        assert exported.watermark, "names patients: marked with who and when"
    assert lab.client("screen").post("/sp/rejections/export", {"kind": "xlsx"}).status_code == 403
    shown = nurse.get("/sp/rejections").text
    assert shown.count('data-key="F4"') == 1, "the next unread one is a key away"
    notice = shown.split("/read")[0].rsplit("/", 1)[1]
    nurse.post(f"/sp/rejections/{notice}/read", htmx=True)
    assert "病人W1" not in nurse.get("/alerts").text


def again(uow: UnitOfWork, patient_id: int, items: list[int]) -> None:
    """Labels for these requests, and their tubes collected."""
    made, _ = service.print_labels(uow, patient_id, items, ["name", "birth"])
    for document in made:
        service.collect(uow, document.barcode, patient_id)


def test_a_notice_is_read_by_whoever_does_all_it_asks(lab: Lab) -> None:
    """Two requests of one rejected tube: after the first was drawn again the notice still asks for the other."""
    with lab.uow() as uow:
        placed = place(uow, "1001", "1002", patient_no="W9", name="病人W9", ward="呼吸科", kind="inpatient")
        made, _ = service.print_labels(uow, placed.patient_id, placed.item_ids, ["name", "birth"])
        for document in made:
            service.collect(uow, document.barcode, placed.patient_id)
        reason = uow.s.execute(text("SELECT id FROM reject_reason ORDER BY id LIMIT 1")).scalar_one()
        rows = [service.reject(uow, document.barcode, reason).id for document in made]
        items = [
            uow.s.execute(text("SELECT order_item_id FROM rejection_item WHERE rejection_id = :r"), {"r": row}).scalar_one() for row in rows
        ]
    nurse = lab.client("nurse")
    assert nurse.get("/alerts").text.count("病人W9") == len(rows) == 2
    with lab.uow() as uow:
        again(uow, placed.patient_id, items[:1])
    assert nurse.get("/alerts").text.count("病人W9") == 1 and nurse.get("/sp/rejections?unread=1").text.count("病人W9") == 1
    with lab.uow() as uow:
        again(uow, placed.patient_id, items[1:])
    assert "病人W9" not in nurse.get("/alerts").text and "病人W9" not in nurse.get("/sp/rejections?unread=1").text
    with lab.uow() as uow:
        told = uow.s.execute(
            text("SELECT count(*) FROM audit_log WHERE entity = 'rejection' AND action = 'read' AND entity_id = ANY(:r)"),
            {"r": [str(r) for r in rows]},
        )
        assert told.scalar() == 2


def test_a_notice_whose_requests_were_cancelled_asks_for_nothing(lab: Lab) -> None:
    with lab.uow() as uow:
        code = drawn(uow, "W10", "呼吸科")
        reason = uow.s.execute(text("SELECT id FROM reject_reason ORDER BY id LIMIT 1")).scalar_one()
        row = service.reject(uow, code, reason).id
        item = "(SELECT order_item_id FROM rejection_item WHERE rejection_id = :r)"
        uow.s.execute(text(f"UPDATE order_item /* by hand */ SET status = 'cancelled' WHERE id IN {item}"), {"r": row})
    nurse = lab.client("nurse")
    assert "病人W10" in nurse.get("/sp/rejections?unread=1").text
    with lab.uow() as uow:
        referral.look(uow)
    assert "病人W10" not in nurse.get("/sp/rejections?unread=1").text and "病人W10" not in nurse.get("/alerts").text


def test_who_was_printed_leaves_the_list_beside_it(lab: Lab) -> None:
    with lab.uow() as uow:
        placed = place(uow, "1002", patient_no="W11", name="病人W11", ward="呼吸科", kind="inpatient")
        place(uow, "1002", patient_no="W12", name="病人W12", ward="呼吸科", kind="inpatient")
    nurse = lab.client("nurse")
    assert "病人W11" in nurse.get("/sp/labels").text
    form = {"patient_id": placed.patient_id, "item": placed.item_ids, "identifier": ["name", "birth"]}
    answer = nurse.post("/sp/labels/print", form, htmx=True).text
    beside = answer.split('id="waiting" hx-swap-oob="true"')[1].split("</section>")[0]
    assert "病人W12" in beside and "病人W11" not in beside and 'data-key="F7"' in answer


def test_a_lost_tube_is_told_to_the_ward_and_the_laboratory(lab: Lab) -> None:
    with lab.uow() as uow:
        code = drawn(uow, "W3", "呼吸科")
        tube = uow.s.execute(text("SELECT id FROM specimen WHERE barcode = :c"), {"c": code}).scalar_one()
    assert lab.client("leader").post(f"/sp/tubes/{tube}/lost", {"searched": "离心机、窗口"}).status_code == 303
    assert f"标本丢失 {code}" in lab.client("nurse").get("/alerts").text
    assert "已找过：离心机、窗口" in lab.client("receiver").get("/alerts").text


def test_the_late_page_shows_a_ward_its_own(lab: Lab) -> None:
    with lab.uow() as uow:
        mine, other = drawn(uow, "W4", "呼吸科"), drawn(uow, "W5", "骨科")
    lab.clock.advance(hours=3)
    desk, nurse = lab.client("receiver").get("/sp/late").text, lab.client("nurse").get("/sp/late").text
    assert mine in desk and other in desk and mine in nurse and other not in nurse
    assert lab.client("receiver").post("/sp/late/export?show=way", {"kind": "xlsx"}).headers["Location"].startswith("/lists/")
    assert lab.client("receiver").post("/sp/late/export", {"kind": "doc"}, htmx=True).status_code == 422


def test_the_guide_is_the_catalogs_and_open_to_every_ward(lab: Lab) -> None:
    for role in ("nurse", "clinician", "receiver"):
        page = lab.client(role).get("/sp/handbook").text
        assert page.count('href="/sp/handbook"') == 1, "once in the menu"
        assert "空腹 8 小时" in page and "冰浴" in page and "限女性" in page and page.index("蓝 枸橼酸钠管") < page.index("紫 EDTA 管")
    found = lab.client("nurse").fragment("/sp/handbook?q=%E9%92%A0").text  # an item's name finds the request it belongs to
    assert "电解质" in found and "血常规" not in found and found.count("<tr") == 1
    assert "没有符合的项目" in lab.client("nurse").fragment("/sp/handbook?q=zzz").text
    assert lab.client("clinician").post("/sp/handbook/export", {"kind": "pdf"}).headers["Location"].startswith("/lists/")


def test_each_figure_is_the_length_of_its_list(lab: Lab) -> None:
    """Rejections by ward, reason and collector; transport times; every number drills to its list."""
    with lab.uow() as uow:
        code, slow = drawn(uow, "W6", "心内科"), drawn(uow, "W7", "心内科")
        reason = uow.s.execute(text("SELECT id FROM reject_reason ORDER BY id LIMIT 1")).scalar_one()
        service.reject(uow, code, reason, "标签脱落")
    lab.clock.advance(minutes=125)
    with lab.uow() as uow:
        service.receive(uow, slow)
        days = span.asked({}, uow.now)
        parts = figures.breakdown(uow, Wanted(days), By.PLACE)
        assert next((p.n, p.of) for p in parts if p.name == "心内科") == (1, 2)
        assert figures.breakdown(uow, Wanted(days, Figure.SLOW), By.REASON) == []
        times = {t.place: t for t in figures.transport(uow, days)}
        assert (times["心内科"].n, round(times["心内科"].median), times["心内科"].slow) == (1, 125, 1)
        counts = figures.counts(uow, days)
        for figure in Figure:
            assert len(figures.rows(uow, Wanted(days, figure))) == counts[figure], figure
        # A tube that was accepted with reserve twice stands there twice, also where a page ends between the two.
        tube = uow.s.execute(text("SELECT id FROM specimen WHERE barcode = :c"), {"c": slow}).scalar_one()
        for _ in range(2):
            uow.s.add(SpecimenEvent(specimen_id=tube, kind="conditional", at=uow.now, actor="演示"))
        uow.s.flush()
        wanted, shown, before = Wanted(days, Figure.CONDITIONAL), 0, 0
        while listed := figures.rows(uow, wanted, before, limit=1):
            shown, before = shown + 1, listed[-1].key
        assert shown == figures.counts(uow, days)[Figure.CONDITIONAL] == 2
    leader = lab.client("leader")
    page = leader.get("/sp/figures?figure=rejected&place=%E5%BF%83%E5%86%85%E7%A7%91").text
    assert code in page and "标签脱落" in page and slow not in page
    assert slow in leader.get("/sp/figures?figure=slow").text
    assert leader.post("/sp/figures/export?figure=slow", {"kind": "xlsx"}).headers["Location"].startswith("/lists/")
    assert lab.client("nurse").get("/sp/figures").status_code == 403
