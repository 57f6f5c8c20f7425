"""What track lines say of tubes: HL7 SSU^U03 and ASTM words, in the makers' languages; a result is never taken for a word."""

from __future__ import annotations

import pytest

from common.instruments.decode import decode
from common.instruments.reading import Result
from common.instruments.tubes import Step, TubeEvent, is_word, step_of, tube_events


def ssu(*segments: str) -> bytes:
    return "\r".join(["MSH|^~\\&|TLA|LINE|LIS|LAB|20260504100000||SSU^U03|7|P|2.5.1", *segments, ""]).encode()


def events(data: bytes, track: bool = True) -> list[TubeEvent]:
    return tube_events(decode(data), track)


def test_a_status_update_names_tube_step_place_and_time() -> None:
    said = ssu("EQU|离心机1^CENT|20260504095900|OP", "SAC|||T1^LIS|||||R||R07|3", "SAC|||T2|||||I")
    assert events(said, track=False) == [
        TubeEvent("T1", Step.CENTRIFUGED, "process completed", "离心机1 R07 3", "20260504095900"),
        TubeEvent("T2", Step.LOADED, "identified", "离心机1", "20260504095900"),
    ]


def test_an_aliquot_names_its_parent() -> None:
    [event] = events(ssu("EQU|ALIQ", "SAC|||T1-A||T1|||P"))
    assert (event.tube, event.parent, event.step) == ("T1-A", "T1", Step.ALIQUOTED)


def test_missing_and_unavailable_are_errors_whatever_else_is_said() -> None:
    said = ssu("EQU|LINE1", "SAC|||T1|||||M", "NTE|1||loaded", "SAC|||T2|||||O", "OBX|1|ST|MSG||离心异常：不平衡||||||F")
    assert [(e.tube, e.step) for e in events(said)] == [("T1", Step.ERROR), ("T2", Step.ERROR)]


def test_a_line_without_a_tube_says_nothing_of_one() -> None:
    assert events(ssu("EQU|LINE1|20260504|OP")) == [] and events(ssu("SAC|||")) == []


@pytest.mark.parametrize(
    ("said", "step"),
    [
        *(("LOADED", "loaded"), ("上样", "loaded"), ("Centrifuged", "centrifuged"), ("离心完成", "centrifuged"), ("DECAPPED", "decapped")),
        *(("去盖", "decapped"), ("ALIQUOTED", "aliquoted"), ("分杯", "aliquoted"), ("Routed", "routed"), ("分拣", "routed")),
        *(("STORED", "stored"), ("入库", "stored"), ("Error lane", "error"), ("异常道", "error"), ("recapped", "recapped")),
        *(("UNLOADED", "unloaded"), ("下线", "unloaded"), ("Centrifuge error", "error"), ("XYZZY", "other")),
    ],
)  # fmt: skip
def test_words_of_makers(said: str, step: str) -> None:
    assert step_of(said) == step


def astm(*results: str) -> bytes:
    lines = ["H|\\^&|||LINE^1|||||||P|1", "P|1", "O|1|T1||^^^ALL|R", *results, "L|1|N", ""]
    return "\r".join(lines).encode()


def test_words_in_records_are_events_of_a_line_only() -> None:
    said = astm("R|1|^^^STATUS|CENTRIFUGED^C1||||F||||20260504100100", "R|2|^^^DECAPPED|DC-2||||F", "R|3|^^^HEM|12|mg/dL||N||F")
    found = events(said)
    assert [(e.tube, e.step, e.place, e.at) for e in found] == [
        ("T1", Step.CENTRIFUGED, "C1", "20260504100100"), ("T1", Step.DECAPPED, "DC-2", None),
    ]  # fmt: skip
    assert events(said, track=False) == []


@pytest.mark.parametrize(("code", "value"), [("HEM", "12"), ("STORAGE", "5.6"), ("GLU", "POSITIVE"), ("LOAD", "<20")])
def test_a_result_is_no_word(code: str, value: str) -> None:
    assert not is_word(Result(code, value))
