"""One tube, from the doctor's order to the doctor's screen, through real processes and a real browser.

The cloud is killed in the middle, while the analyzer measures, and started again; nothing is lost and nothing doubled.
"""

from __future__ import annotations

import re
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pypdf
import pypdfium2
import pytest
import zxingcpp
from playwright.sync_api import Page, expect

from cloud.demo import catalog_data, messages
from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.demo.launcher import answers as web_answers
from cloud.demo.messages import Measured, Tube
from tests.flows.stack import World, eventually, world
from tests.support.fake_his import send

NAME = "虚构㛃䶮"
CARD = "6299000000077"
NUMBER = "P900077"
CODES = catalog_data.HIS_CODES["rm"]
LINES = {row.key: row for row in INSTRUMENTS["rm"]}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("path")) as made:
        yield made
        made.pictures(made.stack.state.folder.parent)


def order(number: str, charset: str, kind: str, version: str) -> bytes:
    """An order of a blood count and clotting times for the patient with the rare name, plus one item nobody mapped."""
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    lines = [
        f"MSH|^~\\&|HIS-RM|rm|LIS|LAB|{stamp}||{kind}|{number}|P|{version}||||||{charset}",
        f"PID|1||{NUMBER}^^^rm^PI~{CARD}^^^^VC||{NAME}||199211050000|F",
        f"PV1|1|O|门诊|||||||内科|||||||||O{NUMBER}",
    ]
    for n, (code, name) in enumerate(((CODES["CBC"], "血常规"), (CODES["COA"], "凝血"), ("X99777", "未知项目")), 1):
        lines += [
            f"ORC|NW|{number}-{n}||{number}|||||{stamp}|||D01^演示医生",
            f"OBR|{n}|{number}-{n}||{code}^{name}^L|R" + "|" * 22 + "^^^^^R",
            f"ZPY|{n}|PAID",
        ]
    return ("\r".join(lines) + "\r").encode("gb18030" if charset == "GB18030" else "utf-8")


def codes_in(pdf: bytes) -> set[str]:
    """Barcodes a reader finds on the pages."""
    found: set[str] = set()
    for page in pypdfium2.PdfDocument(pdf):
        found |= {r.text for r in zxingcpp.read_barcodes(page.render(scale=6).to_pil())}
    return found


def text_of(pdf: bytes) -> str:
    return "".join(page.extract_text() for page in pypdf.PdfReader(BytesIO(pdf)).pages)


def scan(page: Page, code: str) -> None:
    """What a scanner does in the page's scan field: type and Enter."""
    field = page.locator("[data-scan-here]:visible").first
    field.fill(code)
    field.press("Enter")


def xn(tube: Tube, values: dict[str, str]) -> bytes:
    channels = {c.item: c for c in LINES["xn1"].channels}
    return messages.message(LINES["xn1"], tube, [Measured(channels[i], v) for i, v in values.items()], datetime.now(UTC), 1)


def clotting(tube: Tube, values: dict[str, str]) -> bytes:
    channels = {c.item: c for c in LINES["cs1"].channels}
    return messages.message(LINES["cs1"], tube, [Measured(channels[i], v) for i, v in values.items()], datetime.now(UTC), 1)


def query(barcode: str) -> bytes:
    stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    return f"H|\\^&|||    XN-DEMO^00-24^10001^^^^AA000001||||||||E1394-97\rQ|1|1^1^{barcode:>22}^B||||{stamp}\rL|1|N\r".encode()


CBC = {"WBC": "15.21", "RBC": "4.10", "HGB": "12.6", "HCT": "38.2", "PLT": "231", "NEUT%": "60.0", "LYMPH%": "30.0", "MONO%": "6.0"}
CBC |= {"EO%": "3.0", "BASO%": "1.0", "NEUT#": "9.13", "LYMPH#": "4.56", "MONO#": "0.91", "EO#": "0.46", "BASO#": "0.15", "MCV": "93.2"}
CBC |= {
    "MCH": "30.7",
    "MCHC": "33.0",
    "RDW-CV": "12.9",
    "RDW-SD": "43.1",
    "MPV": "10.2",
    "PDW": "12.2",
    "PCT": "0.24",
    "P-LCR": "27.1",
    "IG%": "0.3",
}


def test_one_tube_from_order_to_screen(lab: World, tmp_path: Path) -> None:
    ports = lab.stack.ports

    # 1. The HIS orders over TLS; the same message three times is one order; an unknown item is kept and warned of.
    context = ssl.create_default_context(cafile=str(lab.stack.pki.ca_file))
    first = order("RM77001", "UNICODE UTF-8", "OML^O21^OML_O21", "2.5.1")
    answers = send(ports["mllp-tls"], first, first, first, tls=context)
    assert len(answers) == 3 and all(b"MSA|AA|RM77001" in a for a in answers)
    assert b"X99777" in answers[0] or b"ERR|" in answers[0]
    # The other dialect, on the plain port: GB18030.
    [plain] = send(ports["mllp"], order("RM77002", "GB18030", "ORM^O01", "2.3.1"))
    assert b"MSA|AA|RM77002" in plain
    cancel = (
        order("RM77002", "GB18030", "ORM^O01", "2.3.1").replace(b"ORC|NW", b"ORC|CA").replace(b"||ORM^O01|RM77002|", b"||ORM^O01|RM77002C|")
    )
    send(ports["mllp"], cancel)

    # 2. The patient takes a number at the kiosk by card.
    kiosk = lab.anonymous().new_page()
    kiosk.goto(f"http://127.0.0.1:{ports['kiosk-rm']}")
    ticket = take_number(kiosk)

    nurse, screen = lab.person("nurse"), lab.person("screen")
    screen.goto(lab.url("/queue/screen/1F"))
    nurse.goto(lab.url("/queue/window"))
    sit_down(nurse)
    nurse.keyboard.press("F4")
    expect(screen.locator("#board")).to_contain_text(ticket)
    assert NAME not in screen.locator("#board").inner_text(), "the hall sees a masked name"

    # 3. Two identifiers, labels, each tube scanned closed; the lab receives by scan.
    for key in ("Alt+1", "Alt+2"):
        expect(nurse.locator(f"input[name=identifier][data-key='{key}']")).to_be_visible()
        nurse.keyboard.press(key)
        expect(nurse.locator(f"input[name=identifier][data-key='{key}']")).to_be_checked()
    scan(nurse, "6200000000000")  # nobody's card: told, and told no longer once the right one was scanned
    expect(nurse.locator("#notice .notice")).to_be_visible()
    scan(nurse, CARD)
    nurse.wait_for_selector("text=F10")
    expect(nurse.locator("#notice .notice")).to_have_count(0)
    nurse.keyboard.press("F10")
    link = nurse.wait_for_selector("a[href$='.pdf']")
    assert link is not None
    address = link.get_attribute("href") or ""
    pdf = eventually(
        lambda: got.body() if (got := nurse.request.get(lab.url(address))).ok and got.body().startswith(b"%PDF") else None,
        seconds=120,
        what="labels",
    )
    barcodes = {c for c in codes_in(pdf) if re.fullmatch(r"[0-9]{12}", c)}
    assert len(barcodes) == 2, "one tube for blood count, one for clotting"
    assert NAME in text_of(pdf)
    zpl = nurse.request.get(lab.url(address.replace(".pdf", ".zpl"))).body()
    assert all(code.encode() in zpl for code in barcodes)
    for code in sorted(barcodes):
        scan(nurse, code)
        expect(nurse.locator("#desk .tube.done", has_text=code)).to_be_visible()
    nurse.keyboard.press("F4")

    receiver = lab.person("receiver")
    receiver.goto(lab.url("/sp/receive"))
    for code in sorted(barcodes):
        scan(receiver, code)
        expect(receiver.locator("#answer .answer.ok", has_text=code)).to_be_visible()
        assert receiver.evaluate("document.body.dataset.lastSound") == "ok"
    scan(receiver, sorted(barcodes)[0])
    expect(receiver.locator("#answer .answer.warn")).to_be_visible()
    scan(receiver, "123456789012")
    expect(receiver.locator("#answer .answer.bad")).to_be_visible()

    # 4. The agent knows the tubes: which is which, the analyzer asks.
    def ask(code: str) -> str:
        return lab.simulate(tmp_path, query(code), "--tcp", f"127.0.0.1:{ports['rm-xn1']}", wait=2.5).stdout

    counts = eventually(lambda: next((c for c in sorted(barcodes) if "WBC" in ask(c)), None), 120, "host query answered")
    clots = (barcodes - {counts}).pop()

    # The cloud dies. The query is still answered, results are still acknowledged.
    lab.stack.stop_cloud()
    eventually(lambda: "WBC" in ask(counts), 120, "host query answered without the cloud")
    assert "WBC" not in ask(clots), "never another tube's order"
    tube = Tube(counts, "F", tuple(CBC))
    for _twice in range(2):  # an analyzer that resends: still one result
        played = lab.simulate(tmp_path, xn(tube, CBC), "--tcp", f"127.0.0.1:{ports['rm-xn1']}")
        assert played.returncode == 0, played.stderr
    serial = str(lab.stack.state.serial("rm", "cs1")[1])
    played = lab.simulate(
        tmp_path,
        clotting(Tube(clots, "F", ()), {"PT": "12.1", "INR": "1.02", "APTT": "31.4", "TT": "16.9", "FIB": "310"}),
        "--serial",
        serial,
    )
    assert played.returncode == 0, played.stderr
    orphan = xn(Tube("000000000000", "F", ()), {"WBC": "5.55"})
    assert lab.simulate(tmp_path, orphan, "--tcp", f"127.0.0.1:{ports['rm-xn1']}").returncode == 0
    strange = xn(tube, {"WBC": "15.21"}).replace(b"^^^^WBC^1|15.21", b"^^^^NEWCODE^1|7.7")
    assert lab.simulate(tmp_path, strange, "--tcp", f"127.0.0.1:{ports['rm-xn1']}").returncode == 0

    # 5/6. It comes back; the results stand on the bench, flagged, once.
    lab.stack.start_cloud()
    eventually(lambda: web_answers(ports["web"]), 180, "web is back")
    tester = lab.person("tester")
    tester.goto(lab.url("/bench/XY?show=all"))
    row = tester.locator("#lines tr", has_text=counts)
    expect(row.locator("td").nth(2)).to_contain_text(f"{len(CBC)}/")
    row.click()
    wbc = tester.locator("#tube tbody.test", has_text="WBC").first
    expect(wbc.locator("input[name=value]")).to_have_value("15.21")
    expect(wbc.locator(".mark")).to_contain_text("↑")
    senior = lab.person("leader")
    senior.goto(lab.url("/edge/orphans"))
    expect(senior.locator("main")).to_contain_text("000000000000")
    info = lab.person("infogroup")
    info.goto(lab.url("/edge/unmapped"))
    expect(info.locator("main")).to_contain_text("NEWCODE")

    # 7. Reviewed by one, verified by another with PIN; the tester cannot verify.
    tester.keyboard.press("F4")
    expect(tester.locator("#lines tr", has_text=counts)).to_have_count(0)
    lab.his.down()  # the release does not wait for the HIS
    verifier = lab.person("verifier")
    verifier.goto(lab.url("/review/XY"))
    expect(verifier.locator("#tube .who .code")).to_contain_text(counts)
    verifier.keyboard.press("F3")
    pin = verifier.wait_for_selector("dialog[open] input[name=pin]")
    assert pin is not None
    pin.fill("000000")
    pin.press("Enter")
    expect(verifier.locator("dialog[open]")).to_contain_text("PIN 不正确")
    again = verifier.locator("dialog[open] input[name=pin]")
    again.fill(lab.account("verifier").pin)
    again.press("Enter")
    expect(verifier.locator("#lines tr", has_text=NAME)).to_have_count(0)

    # 8. The clinician's page: report, trend, PDF with both names; another hospital's clinician gets 404.
    clinician = lab.person("clinician")
    clinician.goto(lab.url(f"/clinic/find?q={counts}"))
    expect(clinician.locator("main")).to_contain_text(NAME)
    expect(clinician.locator("main")).to_contain_text("15.21")
    no = str(clinician.locator("a[href$='/pdf']").get_attribute("href")).split("/")[3]
    clinician.locator("tr", has_text="白细胞").locator("a[href*='/clinic/trend']").first.click()
    expect(clinician.locator("svg.trend circle")).to_have_count(1)
    got = eventually(
        lambda: r.body() if (r := clinician.request.get(lab.url(f"/clinic/report/{no}/pdf"))).body().startswith(b"%PDF") else None,
        120,
        "PDF",
    )
    words = text_of(got)
    assert NAME in words and lab.account("tester").name in words and lab.account("verifier").name in words and no in words
    assert counts in codes_in(got)
    stranger = lab.person("clinician", "zx")
    assert stranger.goto(lab.url(f"/clinic/report/{no}")).status == 404  # type: ignore[union-attr]

    # 9. The HIS returns and gets the report once.
    assert not [s for s in lab.his.seen if b"ORU^R01" in s.raw]
    lab.his.up()
    oru = eventually(lambda: [s for s in lab.his.seen if b"ORU^R01" in s.raw and no.encode() in s.raw], 180, "ORU at the HIS")
    assert len({s.control_id for s in oru}) == 1
    assert "15.21" in oru[0].raw.decode()


def take_number(kiosk: Page) -> str:
    """Type the card number on the kiosk's own keys, as a patient without a scanner; the number that is shown."""
    for digit in CARD:
        kiosk.locator(f"#card [data-digit='{digit}']").click()
    kiosk.locator("#go").click()
    kiosk.locator("section.question:visible [data-answer]").first.click()
    number = kiosk.locator("#number")
    # The page goes back to its start by itself; what it showed stays in it, however late somebody looks.
    expect(number).to_have_text(re.compile(r"^[A-Z]\d{3}$"))
    return (number.text_content() or "").strip()


def sit_down(nurse: Page) -> None:
    """Open a window if none is the nurse's yet."""
    if "/queue/window/" not in nurse.url:
        nurse.locator("form[action*='/open'] button").first.click()
        nurse.wait_for_url(re.compile(r"/queue/window/\d+"))
    expect(nurse.locator("#desk")).to_be_visible()


def test_the_tester_cannot_verify_own_report(lab: World) -> None:
    tester = lab.person("tester")
    assert tester.goto(lab.url("/review/NX")).status in (200, 403)  # type: ignore[union-attr]
    assert tester.locator("button[data-key=F3], button[data-key=F4]").count() == 0


def test_subprocess_is_real(lab: World) -> None:
    """Every part is a process of its own."""
    names = {c.name for c in lab.stack.supervisor.children}
    assert {"web", "intake", "worker", "mllp", "broker", "agent-rm", "agent-zx"} <= names
    assert all(isinstance(c.process, subprocess.Popen) for c in lab.stack.supervisor.children)
