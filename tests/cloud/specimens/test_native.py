"""A scan before the page's scripts are there is sent by the browser itself: its answer is a whole page that takes the next scan."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.cloud.specimens.test_pages import collected, lab, labelled
from tests.support.lab import Lab

__all__ = ["lab"]
TEMPLATES = "cloud/modules/specimens/templates/specimens"


def whole(answer: Any, action: str, style: str = "row scanrow") -> str:
    """The page, which can be worked with: its own scan form is there once, and nothing in it waits for htmx to place it."""
    page = str(answer.text)
    assert page.count("<html") == 1 and page.count("</html>") == 1
    assert len(re.findall(rf'<form class="{style}" method="(?:post|get)" action="{action}"', page)) == 1
    assert "hx-swap-oob" not in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)), sorted(i for i in ids if ids.count(i) > 1)
    return page


def test_the_receiving_desk_answers_with_its_page(lab: Lab) -> None:
    (code,) = collected(lab, "NV1", "1001")
    desk = lab.client("receiver")
    page = whole(desk.post("/sp/receive", {"code": code}), "/sp/receive")
    assert 'class="answer huge ok"' in page and re.search(r'<ol id="scans"[^>]*>\s*<li class="ok">', page)
    assert "没有无主标本" in page
    unknown = desk.post("/sp/receive", {"code": "ZZZ404"})
    assert unknown.status_code == 404
    whole(unknown, "/sp/receive")
    stray = whole(desk.post("/sp/receive/stray", {"code": "ZZZ404"}), "/sp/receive")
    assert "ZZZ404" in stray
    asked = desk.post("/sp/receive", {"code": code}, htmx=True).text  # and with htmx still a piece
    assert "<html" not in asked and 'hx-swap-oob="afterbegin:#scans"' in asked and 'id="counts"' in asked


def test_collection_answers_with_its_page(lab: Lab) -> None:
    patient, (code,) = labelled(lab, "NV2", "1001")
    page = whole(lab.client("nurse").post("/sp/collect", {"code": code, "patient_id": patient}), "/sp/collect")
    assert "已采集" in page and f'name="patient_id" value="{patient}"' in page


def test_rejection_answers_with_its_page(lab: Lab) -> None:
    (code,) = collected(lab, "NV3", "1001")
    desk = lab.client("receiver")
    reason = re.search(r'name="reason_id" value="(\d+)"', desk.get(f"/sp/reject?code={code}").text)
    assert reason is not None
    page = whole(desk.post("/sp/reject", {"code": code, "reason_id": reason[1]}), "/sp/reject")
    assert "已拒收" in page and code in page and "data-scan-here autofocus" in page


def test_the_archive_answers_with_its_page(lab: Lab) -> None:
    page = whole(lab.client("receiver").post("/sp/archive", {"code": "ZZZ404"}), "/sp/archive")
    assert 'class="answer huge bad"' in page


def test_bags_are_packed_sent_opened_and_compared_without_scripts(lab: Lab) -> None:
    (code,) = collected(lab, "NV4", "1001")
    nurse, desk = lab.client("nurse"), lab.client("receiver")
    page = whole(nurse.post("/sp/bag/pack", {"bag": "BAGNV4", "code": code}), "/sp/bag/pack")
    assert code in page and re.search(r'name="bag"[^>]* value="BAGNV4"', page)
    sent = re.search(r'method="post" action="(/sp/bag/\d+/send)"', page)
    assert sent is not None
    assert nurse.post(sent[1], {"courier": "运送员"}).status_code == 303
    assert 'method="post" action="/sp/bag/open"' in desk.get("/sp/bag").text
    opened = desk.post("/sp/bag/open", {"code": "BAGNV4"})
    assert opened.status_code == 303
    at = opened.headers["Location"]
    page = whole(desk.post(f"{at}/scan", {"code": code}), f"{at}/scan")
    assert 'class="answer huge ok"' in page and f'action="{at}/close"' in page


def test_a_tube_in_hand_and_what_is_seen_on_a_tube_answer_with_their_pages(lab: Lab) -> None:
    desk = lab.client("receiver")
    offered = re.search(r'name="order_set" value="(\w+)"', desk.get("/sp/register").text)
    assert offered is not None
    form: dict[str, Any] = {"key": "5" * 32, "patient_no": "NV5", "name": "登记甲", "sex": "M", "birth": "1980-01-02"}
    form |= {
        "kind": "exam",
        "priority": "routine",
        "doctor": "王医生",
        "paid": "1",
        "order_set": offered[1],
        "identifier": ["name", "birth"],
    }
    page = whole(desk.post("/sp/register", form), "/sp/register", "card")
    assert "已登记并核收" in page and 'data-key="F8"' in page
    piece = desk.post("/sp/register", {**form, "key": "6" * 32, "patient_no": "NV6", "name": "登记乙"}, htmx=True).text
    assert "<html" not in piece and "已登记并核收" in piece
    (code,) = collected(lab, "NV7", "1001")
    answered = desk.post("/sp/receive", {"code": code}).text
    url = re.search(r'action="(/sp/tubes/\d+/issues)"', answered)
    assert url is not None
    page = whole(desk.post(url[1], {"at": "desk", "issue": "haemolysis"}), "/sp/receive")
    assert re.search(r'<p id="noted"><span class="tag warn">! [^<]*溶血', page) and code in page
    assert "<html" not in desk.post(url[1], {"at": "desk", "issue": "haemolysis"}, htmx=True).text


@pytest.mark.parametrize("name", ["receive", "collect", "reject", "bag", "bags", "pack", "archive"])
def test_every_scan_form_says_where_it_goes_and_proves_who_sends_it(name: str) -> None:
    from cloud.web.assets_build import REPO

    source = (REPO / TEMPLATES / f"{name}.html").read_text(encoding="utf-8")
    forms = re.findall(r'<form class="row scanrow"[^>]*>.*?</form>', source, re.S)
    assert forms
    for form in forms:
        head = form[: form.index(">") + 1]
        assert re.search(r'\bmethod="(post|get)" action="/sp/', head), head
        assert 'method="get"' in head or 'name="_csrf"' in form, head
