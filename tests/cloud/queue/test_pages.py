"""The queue through the web app: the window's steps, the hall's screen, the guide, the board, live within a notice."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from cloud import relay
from cloud.modules.queue.models import QueueWindow
from cloud.worker import all_handlers
from tests.cloud.catalog.seed import seed
from tests.support.database import TestDatabase
from tests.support.hospital import MORNING
from tests.support.lab import Client, Clock, Lab, make
from tests.support.ordering import place


@pytest.fixture(scope="module")
def world(shared_db: TestDatabase) -> Iterator[Lab]:
    made = make(shared_db, Clock(MORNING))
    for tenant in (made.a, made.b):
        with made.uow(tenant) as uow:
            seed(uow)
            uow.s.add_all([QueueWindow(hall="1F", no=n) for n in (1, 2)])
    yield made
    made.db.dispose()


@pytest.fixture
def lab(world: Lab) -> Lab:
    """A morning with nobody in it yet."""
    with world.uow() as uow:
        uow.s.execute(text("UPDATE queue_ticket /* by hand */ SET state = 'cancelled'"))
        uow.s.execute(text("UPDATE queue_window /* by hand */ SET state = 'closed', operator_id = NULL"))
    world.clock.advance(hours=24)
    return world


def arrive(lab: Lab, no: str, **more: Any) -> str:
    with lab.uow() as uow:
        place(uow, *more.pop("codes", ("1001",)), patient_no=no, **more)
    form = {"code": no, "hall": "1F", **({"klass": more["klass"]} if "klass" in more else {})}
    answer = lab.client("guide").post("/queue/guide/checkin", form, htmx=True)
    assert answer.status_code == 200, answer.text
    return answer.text


def window_id(lab: Lab, no: int = 1) -> int:
    with lab.uow() as uow:
        found: int = uow.s.execute(text("SELECT id FROM queue_window WHERE no = :n"), {"n": no}).scalar_one()
        return found


def sit(lab: Lab, nurse: Client, no: int = 1) -> str:
    base = f"/queue/window/{window_id(lab, no)}"
    assert nurse.post(f"{base}/open").headers["Location"] == base
    return base


def test_a_whole_visit_at_the_window(lab: Lab) -> None:
    arrive(lab, "W1", name="张小伟", codes=("1001", "1002"))
    nurse = lab.client("nurse")
    base = sit(lab, nurse)
    assert "叫下一位" in nurse.get(base).text
    called = nurse.post(f"{base}/next", htmx=True)
    assert "N001" in called.text and "张小伟" in called.text and called.headers["HX-Trigger"] == '{"sound": "ok"}'
    assert nurse.post(f"{base}/scan", {"code": "W1", "identifier": ["name"]}, htmx=True).status_code == 422
    serving = nurse.post(f"{base}/scan", {"code": "W1", "identifier": ["name", "birth"]}, htmx=True)
    assert "打印 2 张标签" in serving.text
    printed = nurse.post(f"{base}/print", htmx=True)
    assert "标签已生成" in printed.text
    codes = [part.split("<")[0] for part in printed.text.split('<span class="code">')[1:]]
    assert len(codes) == 2
    assert nurse.post(f"{base}/done", htmx=True).status_code == 409
    wrong = nurse.post(f"{base}/scan", {"code": "126326000423"}, htmx=True)
    assert "校验位不对" in wrong.text and "bad" in wrong.headers["HX-Trigger"]
    for code in codes:
        last = nurse.post(f"{base}/scan", {"code": code}, htmx=True)
    assert "全部采集完成" in last.text
    assert "叫下一位" in nurse.post(f"{base}/done", htmx=True).text
    nobody = nurse.post(f"{base}/next", htmx=True)
    assert "现在没有人等候" in nobody.text and "warn" in nobody.headers["HX-Trigger"]
    assert nurse.post(f"{base}/close").status_code == 303


def test_a_step_without_scripts_comes_back_to_the_window(lab: Lab) -> None:
    arrive(lab, "W2")
    nurse = lab.client("nurse")
    base = sit(lab, nurse)
    answer = nurse.post(f"{base}/next")
    assert answer.status_code == 303 and answer.headers["Location"] == base
    assert "N001" in nurse.get(base).text


def test_ones_own_window_opens_by_itself(lab: Lab) -> None:
    nurse = lab.client("nurse")
    base = sit(lab, nurse)
    assert nurse.get("/queue/window").headers["Location"] == base
    assert "选择窗口" in nurse.get("/queue/window?all=1").text


def test_the_hall_sees_masked_names_and_what_to_say(lab: Lab) -> None:
    for n, name in enumerate(("张小伟", "欧阳振锋", "王芳")):
        arrive(lab, f"S{n}", name=name)
    nurse = lab.client("nurse")
    base = sit(lab, nurse)
    nurse.post(f"{base}/next", htmx=True)
    shown = lab.client("screen").get("/queue/screen/1F").text
    assert 'data-say="请 N001 号 张*伟 到 1 号窗口采血"' in shown
    assert "欧**锋" in shown and "王*" in shown
    for name in ("张小伟", "欧阳振锋", "王芳"):
        assert name not in shown
    piece = lab.client("screen").fragment("/queue/screen/1F").text
    assert "<html" not in piece and "N001" in piece


def test_serving_is_no_longer_spoken(lab: Lab) -> None:
    arrive(lab, "S9")
    nurse = lab.client("nurse")
    base = sit(lab, nurse)
    nurse.post(f"{base}/next", htmx=True)
    nurse.post(f"{base}/scan", {"code": "S9", "identifier": ["name", "birth"]}, htmx=True)
    assert "data-say" not in lab.client("screen").get("/queue/screen/1F").text


@pytest.mark.parametrize("path", ["/queue/screen/9F", "/queue/window/999999", "/queue/guide?hall=9F"])
def test_what_is_not_there(lab: Lab, path: str) -> None:
    assert lab.client("nurse").get(path).status_code == 404


def test_a_foreign_window_and_ticket_answer_like_absent_ones(lab: Lab) -> None:
    arrive(lab, "F1")
    with lab.uow() as uow:
        ticket = uow.s.execute(text("SELECT max(id) FROM queue_ticket")).scalar()
    here, there = window_id(lab), lab.client("nurse", lab.b)
    for foreign, absent in (
        (there.get(f"/queue/window/{here}"), there.get("/queue/window/99999")),
        (there.post(f"/queue/window/{here}/next"), there.post("/queue/window/99999/next")),
        (there.post(f"/queue/tickets/{ticket}/hold"), there.post("/queue/tickets/99999/hold")),
        (there.post(f"/queue/tickets/{ticket}/print"), there.post("/queue/tickets/99999/print")),
    ):
        assert foreign.status_code == absent.status_code == 404 and len(foreign.data) == len(absent.data)


def test_the_guide_gives_priority_with_a_proof_and_holds_places(lab: Lab) -> None:
    arrive(lab, "G1")
    arrive(lab, "G2", name="赵敏")
    guide = lab.client("guide")
    with lab.uow() as uow:
        ids = [r[0] for r in uow.s.execute(text("SELECT id FROM queue_ticket WHERE state = 'waiting' ORDER BY id"))]
    assert guide.post(f"/queue/tickets/{ids[1]}/priority", {"proof": ""}).status_code == 422
    assert guide.post(f"/queue/tickets/{ids[1]}/priority", {"proof": "age80"}).status_code == 303
    assert guide.post(f"/queue/tickets/{ids[0]}/hold").status_code == 303
    page = guide.get("/queue/guide").text
    assert "优先 采血" in page and "暂离" in page
    assert guide.post(f"/queue/tickets/{ids[0]}/hold").status_code == 409
    assert guide.post(f"/queue/tickets/{ids[0]}/resume").status_code == 303
    assert guide.post(f"/queue/tickets/{ids[0]}/explode").status_code == 404
    assert guide.post(f"/queue/tickets/{ids[0]}/cancel").status_code == 303


def test_a_ticket_is_printed_by_the_worker(lab: Lab) -> None:
    import pypdfium2
    import zxingcpp

    arrive(lab, "T1")
    guide = lab.client("guide")
    with lab.uow() as uow:
        ticket = uow.s.execute(text("SELECT max(id) FROM queue_ticket")).scalar()
    job = guide.post(f"/queue/tickets/{ticket}/print", htmx=True).text.split("/queue/tickets/jobs/")[1].split(".")[0]
    relay.drain(lab.db, lab.a, all_handlers())
    answer = guide.get(f"/queue/tickets/jobs/{job}.pdf")
    assert answer.status_code == 200
    found = zxingcpp.read_barcodes(pypdfium2.PdfDocument(answer.data)[0].render(scale=4).to_pil())
    assert found[0].text.startswith("Q1") and "N0001" in found[0].text
    assert guide.get(f"/queue/tickets/jobs/{job}.bin").data.startswith(b"\x1b@")
    assert lab.client("guide", lab.b).get(f"/queue/tickets/jobs/{job}.pdf").status_code == 404


def test_the_board_counts_and_warns(lab: Lab) -> None:
    arrive(lab, "B1")
    arrive(lab, "B2")
    assert "有人等候，没有开放的窗口" in lab.client("leader").get("/queue/board").text
    sit(lab, lab.client("nurse"))
    lab.clock.advance(minutes=31)
    page = lab.client("leader").get("/queue/board").text
    assert "有人已等 31 分钟" in page and "1 号窗口空闲而有人等候" in page and "<b>2</b>等候" in page


def test_a_call_wakes_the_screens(lab: Lab) -> None:
    """The notice a call leaves at COMMIT is what the hall's stream carries."""
    import psycopg

    arrive(lab, "N1")
    nurse = lab.client("nurse")
    base = sit(lab, nurse)
    dsn = lab.settings.database_url.replace("postgresql+psycopg", "postgresql")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("LISTEN queue")
        nurse.post(f"{base}/next", htmx=True)
        note = next(conn.notifies(timeout=5, stop_after=1))
    assert '"hall":"1F"' in note.payload and f'"t":{lab.a}' in note.payload


@pytest.mark.parametrize(
    ("role", "path"), [("nurse", "/queue/window"), ("guide", "/queue/guide"), ("screen", "/queue/screen"), ("leader", "/queue/board")]
)
def test_pages_open_in_english_too(lab: Lab, role: str, path: str) -> None:
    client = lab.client(role)
    client.c.set_cookie("lang", "en", domain="localhost", secure=True)
    assert client.get(path).status_code == 200


def test_a_clinician_has_no_queue(lab: Lab) -> None:
    for path in ("/queue/window", "/queue/guide", "/queue/board", "/queue/screen"):
        assert lab.client("clinician").get(path).status_code == 403
