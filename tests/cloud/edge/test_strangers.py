"""Values for a tube that has no business on the analyzer: another tube's, by a label or a scan. They wait in the tray for a person."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import text

from cloud.modules.bench import service as bench
from cloud.modules.catalog import models as md
from tests.cloud.edge.test_graphs import ed, oru, png, shown
from tests.cloud.edge.world import Edge, astm


def asked_for(edge: Edge, barcode: str, *items: str) -> None:
    """The tube's requests ask for these alone."""
    with edge.lab.uow() as uow:
        places = {"section_id": edge.bench.section, "specimen_type_id": edge.bench.specimen_type, "container_id": edge.bench.container}
        other = md.OrderSet(code="+".join(items), name="另一组", abbr="另", volume_ml=Decimal(2), **places)
        uow.s.add(other)
        uow.s.flush()
        uow.s.add_all(md.OrderSetItem(order_set_id=other.id, item_id=edge.bench.items[i]) for i in items)
        tube = uow.s.scalar(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": barcode})
        uow.s.execute(text("UPDATE order_item SET order_set_id = :o WHERE specimen_id = :s"), {"o": other.id, "s": tube})
        uow.s.execute(text("DELETE FROM test WHERE specimen_id = :s"), {"s": tube})
        bench.expect_tests(uow, [tube])


def fates(edge: Edge) -> list[tuple[str, str, str]]:
    return [tuple(r) for r in edge.rows("SELECT code, state, reason FROM observation ORDER BY id")]


def test_values_nobody_asked_for_on_a_stranger_tube_wait_for_a_person(edge: Edge) -> None:
    wrong, right = edge.tube("张三丰"), edge.tube("李四光")
    asked_for(edge, wrong, "EXTRA")
    edge.take(edge.agent.raw(astm(wrong, {"K": "4.1", "Na": "140"})))
    assert fates(edge) == [("K", "orphan", "nothing_ordered"), ("Na", "orphan", "nothing_ordered")]
    assert edge.current(wrong) == {}
    tester = edge.lab.client("tester")
    page = tester.get("/edge/orphans").text
    assert wrong in page and "可能扫错或贴错条码" in page
    # Whoever looks into it attaches them to the tube that was measured; to the same tube they still do not belong.
    [(raw,)] = edge.rows("SELECT DISTINCT raw_message_id FROM observation")
    form = {"specimen": wrong, "reason": "扫错条码，核对架位", "patient": "张三丰", "barcode": wrong}
    again = tester.post(f"/edge/orphans/{raw}/attach", form, htmx=True)
    assert again.status_code == 409 and "没有申请本仪器的任何项目" in again.text
    assert tester.post(f"/edge/orphans/{raw}/attach", form | {"barcode": right, "patient": "李四光"}, htmx=True).status_code < 400
    assert edge.current(right) == {"K": "4.1", "NA": "140"} and edge.current(wrong) == {}


def test_what_an_analyzer_measures_besides_what_was_asked_for_is_nobodys(edge: Edge) -> None:
    tube = edge.tube()
    asked_for(edge, tube, "K")
    edge.take(edge.agent.raw(astm(tube, {"K": "4.1", "Na": "140"})))
    edge.take(edge.agent.raw(astm(tube, {"GLU": "5"}, time="20260504100500")))  # some send each test by itself
    assert fates(edge) == [("K", "matched", ""), ("Na", "info", "not_ordered"), ("GLU", "info", "not_ordered")]


def test_one_stranger_in_a_batch_is_one_stranger(edge: Edge) -> None:
    stranger, own = edge.tube("张三丰"), edge.tube("李四光")
    asked_for(edge, stranger, "EXTRA")
    edge.take(edge.agent.raw(astm(stranger, {"K": "4.1"})), edge.agent.raw(astm(own, {"K": "5.0", "Na": "141"})))
    assert fates(edge) == [("K", "orphan", "nothing_ordered"), ("K", "matched", ""), ("Na", "matched", "")]


def test_a_strangers_pictures_wait_with_its_values(edge: Edge) -> None:
    wrong, right = edge.tube("张三丰"), edge.tube("李四光")
    asked_for(edge, wrong, "EXTRA")
    edge.take(edge.agent.raw(oru(wrong, {"散点图": ed(png())}, {"K": "4.1"})))
    assert [f[1] for f in fates(edge)] == ["orphan", "orphan"] and shown(edge) == []
    [(raw,)] = edge.rows("SELECT DISTINCT raw_message_id FROM observation")
    form = {"specimen": wrong, "reason": "扫错条码，核对架位", "patient": "李四光", "barcode": right}
    assert edge.lab.client("tester").post(f"/edge/orphans/{raw}/attach", form, htmx=True).status_code < 400
    assert shown(edge) == [("散点图", "whole", "image/png")] and edge.current(right) == {"K": "4.1"}
    at = "SELECT s.barcode FROM run_picture p JOIN specimen s ON s.tenant_id = p.tenant_id AND s.id = p.specimen_id"
    assert edge.rows(at) == [(right,)]
