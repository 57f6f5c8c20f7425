"""Histograms, scattergrams and images: beside the tube's results on the bench, on the report where the ordered set asks for it."""

from __future__ import annotations

import base64
import io

from PIL import Image
from sqlalchemy import select, text

from cloud.modules.bench import queries as bench
from cloud.modules.bench.pictures import svg
from cloud.modules.catalog import service as catalog
from cloud.modules.catalog.models import OrderSet
from cloud.reports.drawings import picture_svg
from tests.cloud.edge.world import Edge

CURVE = base64.b64encode(bytes(range(10, 138))).decode()
RUN, AGAIN = "20260504100000", "20260504103000"


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(out, "PNG")
    return out.getvalue()


def oru(tube: str, pictures: dict[str, str], values: dict[str, str], at: str = RUN, patient: str = "") -> bytes:
    """A message with values and ED fields; HL7 as Chinese cell counters send it."""
    lines = [f"MSH|^~\\&|X|Y|||{at}||ORU^R01|1|P|2.3.1||||||UNICODE", f"PID|1||||{patient}", f"OBR|1||{tube}|A"]
    lines += [f"OBX|{n}|NM|{code}||{value}|mmol/L|||||F|||{at}" for n, (code, value) in enumerate(values.items(), 1)]
    lines += [f"OBX|{n}|ED|{9000 + n}^{title}||{data}||||||F|||{at}" for n, (title, data) in enumerate(pictures.items(), 50)]
    return ("\r".join(lines) + "\r").encode()


def ed(data: bytes | str, kind: str = "PNG") -> str:
    coded = data if isinstance(data, str) else base64.b64encode(data).decode()
    return f"^Image^{kind}^Base64^{coded}"


def shown(edge: Edge) -> list[tuple[str, str, str]]:
    return [tuple(r) for r in edge.rows("SELECT title, state, media FROM run_picture ORDER BY id")]


def tube_page(edge: Edge, barcode: str) -> str:
    [(number,)] = edge.rows("SELECT id FROM specimen WHERE barcode = :b", b=barcode)
    return str(edge.lab.client("tester").get(f"/bench/CHEM?tube={number}").text)


def prints(edge: Edge, barcode: str, graphs: bool = True) -> list[tuple[str, bool]]:
    """(title, whole) of what the tube's report prints."""
    with edge.lab.uow() as uow:
        uow.s.scalars(select(OrderSet)).one().graphs = graphs
    with edge.lab.uow() as uow:
        tube = uow.s.scalar(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": barcode})
        return [(p.title, not p.problem) for p in bench.printed(uow, [tube]).get(tube, [])]


def test_pictures_stand_beside_the_results_and_never_block_one(edge: Edge) -> None:
    barcode = edge.tube()
    sent = {
        "WBC直方图": ed(CURVE, "Octet-stream"),
        "散点图": ed(png()),
        "坏图": ed(png()[:60]),
        "空图": ed("%%%"),
        "远图": "C:\\IMG\\A.BMP^^Image",
    }
    edge.take(edge.agent.raw(oru(barcode, sent, {"K": "4.1", "Na": "140"})))
    assert edge.current(barcode) == {"K": "4.1", "NA": "140"}
    assert shown(edge) == [
        ("WBC直方图", "whole", "points"), ("散点图", "whole", "image/png"), ("坏图", "damaged", "image/png"), ("空图", "damaged", ""),
        ("远图", "elsewhere", ""),
    ]  # fmt: skip
    page = tube_page(edge, barcode)
    assert page.count('src="/bench/picture/') == 3 and "图像文件不完整" in page and "A.BMP" in page and "! 空图" in page
    # what is stored of the observation names the bytes and does not repeat them
    assert max(len(r[0]) for r in edge.rows("SELECT value FROM observation")) < 80


def test_a_picture_is_served_to_its_section_and_hospital_only(edge: Edge) -> None:
    edge.take(edge.agent.raw(oru(edge.tube(), {"散点图": ed(png()), "曲线": ed(CURVE, "X")}, {"K": "4.1"})))
    tester = edge.lab.client("tester")
    answer = tester.get("/bench/picture/1")
    assert (answer.data, answer.mimetype, answer.headers["X-Content-Type-Options"]) == (png(), "image/png", "nosniff")
    drawn = tester.get("/bench/picture/2")
    assert drawn.mimetype == "image/svg+xml" and b"<path" in drawn.data
    assert tester.get("/bench/picture/3").status_code == 404
    assert edge.lab.client("tester", edge.lab.b).get("/bench/picture/1").status_code == 404
    # With a sensitive item in the tube its pictures are shut as its values are (M01 R8): no message says whose picture it is.
    keeper = edge.lab.client("quality")
    assert keeper.get("/bench/picture/1").status_code == 200
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE test_item SET sensitive = true WHERE code = 'K'"))
        catalog.changed(uow)
    assert keeper.get("/bench/picture/1").status_code == 404 and tester.get("/bench/picture/1").status_code == 200


def test_a_resend_brings_no_second_picture_and_a_rerun_does(edge: Edge) -> None:
    barcode = edge.tube()
    body = oru(barcode, {"散点图": ed(png())}, {"K": "4.1"})
    edge.take(edge.agent.raw(body, 1))
    edge.take(edge.agent.raw(body, 2))
    assert len(shown(edge)) == 1
    edge.take(edge.agent.raw(oru(barcode, {"散点图": ed(png("blue"))}, {"K": "4.2"}, AGAIN), 3))
    assert len(shown(edge)) == 2 and "较早的一次" in tube_page(edge, barcode)


def test_pictures_follow_their_results_out_of_the_tray(edge: Edge) -> None:
    barcode = edge.tube("张三丰")
    edge.take(edge.agent.raw(oru("0007", {"散点图": ed(png())}, {"K": "4.1"})))
    assert shown(edge) == [] and {f[3] for f in edge.fates()} == {"orphan"}
    edge.lab.client("tester").post(
        "/edge/orphans/1/attach", {"specimen": "0007", "barcode": barcode, "patient": "张三丰", "reason": "条码贴错"}
    )
    assert edge.current(barcode) == {"K": "4.1"} and shown(edge) == [("散点图", "whole", "image/png")]


def test_pictures_of_another_patient_lie_with_their_results(edge: Edge) -> None:
    edge.take(edge.agent.raw(oru(edge.tube("张三丰"), {"散点图": ed(png())}, {"K": "4.1"}, patient="李小四")))
    assert {f[3] for f in edge.fates()} == {"mismatch"} and shown(edge) == []


def test_a_message_of_pictures_only_finds_its_tube(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(oru(barcode, {}, {"K": "4.1"})))
    edge.take(edge.agent.raw(oru(barcode, {"散点图": ed(png())}, {})))
    assert shown(edge) == [("散点图", "whole", "image/png")] and prints(edge, barcode) == [("散点图", True)]


def test_controls_leave_no_picture_with_a_tube(edge: Edge) -> None:
    edge.take(edge.agent.raw(oru("QC-1", {"散点图": ed(png())}, {"K": "4.1"})))
    assert shown(edge) == []


def test_the_report_prints_the_graphs_of_the_run_that_counts_where_the_set_asks(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(oru(barcode, {"散点图": ed(png()), "坏图": ed(png()[:60])}, {"K": "4.1"})))
    # another value of a later run counts until a person chooses
    edge.take(edge.agent.raw(oru(barcode, {"散点图": ed(png("blue")), "直方图": ed(CURVE, "X")}, {"K": "4.9"}, AGAIN)))
    assert prints(edge, barcode, graphs=False) == []
    assert prints(edge, barcode) == [("散点图", True), ("直方图", True)]
    with edge.lab.uow() as uow:
        uow.s.execute(text("UPDATE test t SET current_id = v.id FROM result_version v WHERE v.test_id = t.id AND v.version_no = 1"))
    assert prints(edge, barcode) == [("散点图", True), ("坏图", False)]
    with edge.lab.uow() as uow:
        tube = uow.s.scalar(text("SELECT id FROM specimen WHERE barcode = :b"), {"b": barcode})
        [whole] = [p for p in bench.printed(uow, [tube])[tube] if not p.problem]
    assert whole.data.startswith(b"\x89PNG") and "<image" in picture_svg(whole.data)


def test_a_run_that_was_set_aside_prints_nothing_though_one_of_its_values_stands(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(oru(barcode, {"直方图": ed(CURVE, "X")}, {"K": "4.1", "Na": "140"})))
    edge.take(edge.agent.raw(oru(barcode, {"散点图": ed(png())}, {"K": "4.9", "Na": "140"}, AGAIN)))
    stand = (
        "SELECT v.version_no FROM test t JOIN result_version v ON v.id = t.current_id JOIN test_item i ON i.id = t.item_id ORDER BY i.code"
    )
    assert [r[0] for r in edge.rows(stand)] == [2, 1], "Na is still that of the first run, K that of the second"
    assert prints(edge, barcode) == [("散点图", True)]


def test_kept_points_are_drawn_as_our_own_svg() -> None:
    drawn = svg("points", b"[[0,1],[1,5],[2,2]]", "<b>")
    assert drawn.startswith(b"<svg ") and b"&lt;b&gt;" in drawn and picture_svg(drawn) == drawn.decode()
