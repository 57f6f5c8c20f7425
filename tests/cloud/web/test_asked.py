"""What a browser may ask with: a number as a person writes it and the database can hold it, or none."""

import pytest

from cloud.web.asked import LARGEST, Parameters
from tests.support.lab import Lab


@pytest.mark.parametrize(
    ("text", "read"),
    [
        *(("0", 0), ("12", 12), ("-3", -3), (" 7 ", 7), ("１２", 12), (str(LARGEST), LARGEST), (str(-LARGEST), -LARGEST)),
        *((text, None) for text in ("", "x", "1.0", "1e3", "1_000", "0_1", "NaN", str(LARGEST + 1), str(-LARGEST - 1), "9" * 5000)),
    ],
)
def test_a_whole_number_is_one_or_absent(text: str, read: int | None) -> None:
    asked = Parameters({"n": text})
    assert asked.get("n", type=int) == read and asked.getlist("n", type=int) == ([] if read is None else [read])


@pytest.mark.parametrize("digits", [30, 5000])
def test_a_number_without_an_end_is_bad_input_wherever_it_is_read(lab: Lab, digits: int) -> None:
    """Python itself refuses more than 4 300 digits: once a form that read its numbers by hand answered 500."""
    long, tester = "9" * digits, lab.client("tester")
    form = {"patient_id": "1", "item": long, "identifier": ["name", "birth"]}
    for answer in (
        lab.client("nurse").post("/sp/labels/print", form, htmx=True),
        lab.client("nurse").post("/sp/collect", {"code": "P1", "patient_id": long}, htmx=True),
        tester.get(f"/bench/CHEM?ids={long}"),
        lab.client("engineer").get(f"/edge/orphans?from={long}"),
    ):
        assert answer.status_code in (200, 403, 404, 409, 422), answer.text
