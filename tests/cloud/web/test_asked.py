"""What a browser may ask with: a number as a person writes it and the database can hold it, or none."""

import pytest

from cloud.web.asked import LARGEST, Parameters


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
