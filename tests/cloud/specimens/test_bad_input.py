"""M05 *Bad input*, a test a line of the specification: each is answered in words, and nothing is lost or changed by it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from cloud.modules.specimens import service
from cloud.modules.specimens.rules import Finding
from common import ids
from tests.cloud.specimens.test_service import DESK, act, collected, labelled, one, receive
from tests.support.hospital import MORNING, Hospital

Bad = Callable[[Hospital], str]


def cancelled(hospital: Hospital) -> str:
    (code,) = labelled(hospital, "1002")
    act(hospital, lambda u: service.void(u, one(hospital, code).id, "医生取消"))
    hospital.clock.advance(hours=24)
    return code


def received(hospital: Hospital) -> str:
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    hospital.clock.advance(minutes=3)
    return code


# The line's words, what is scanned, what is found, words of the answer.
LINES: tuple[tuple[str, Bad, Finding, str], ...] = (
    ("unknown barcode → red + 「登记为无主标本」 option", lambda h: "126326000422", Finding.UNKNOWN, "请登记为无主标本"),
    ("check-digit fail", lambda h: "126326000423", Finding.CHECK_DIGIT, "校验位不对"),
    ("barcode of yesterday's cancelled order", cancelled, Finding.CANCELLED, "已经取消或退回"),
    ("double scan (shows first time/person)", received, Finding.DOUBLE, "已经核收过"),
    ("scan of ticket", lambda h: ids.ticket_code(1, MORNING.date(), "N", 1), Finding.WRONG_KIND, "扫到的是排队小票，不是标本条码"),
    ("scan of patient card", lambda h: ids.patient_card(1, MORNING.date(), 1), Finding.WRONG_KIND, "扫到的是患者卡或身份证，不是标本条码"),
)


@pytest.mark.parametrize(("line", "bad", "finding", "words"), LINES, ids=[line[0] for line in LINES])
def test_m05_bad_input(hospital: Hospital, line: str, bad: Bad, finding: Finding, words: str) -> None:
    code = bad(hospital)
    count = "SELECT count(*) FROM specimen_event"
    before = hospital.rows(count), hospital.rows("SELECT barcode, state, sample_no FROM specimen ORDER BY id")
    answer = receive(hospital, code)
    assert answer.finding is finding and answer.sound != "ok" and words in answer.text, line
    if finding is Finding.DOUBLE:
        assert answer.first is not None and (answer.first[1], hospital.clock() - answer.first[0]) == (DESK.name, timedelta(minutes=3))
    assert (hospital.rows(count), hospital.rows("SELECT barcode, state, sample_no FROM specimen ORDER BY id")) == before, "nothing moved"
