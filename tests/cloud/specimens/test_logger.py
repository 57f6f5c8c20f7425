"""A temperature logger's file (M05): read as makers write it, cut to the bag's way, thinned without losing an excursion, drawn."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from cloud.config import Settings
from cloud.modules.specimens import bags, logger
from cloud.modules.specimens.bag_rules import Reading
from cloud.modules.specimens.logger import ZONE, Point, Unreadable
from cloud.ports import s3
from common.errors import UserError
from tests.cloud.specimens.test_service import DESK, NURSE, act, collected
from tests.support.hospital import Hospital

AT = datetime(2026, 5, 4, 8, 10, tzinfo=ZONE)
D = Decimal
TWO = [(AT, D("4.2")), (AT + timedelta(minutes=5), D("5.1"))]
ALLOWED = Reading(D(2), D(8))


@pytest.mark.parametrize(
    "text",
    [
        "2026-05-04 08:10,4.2\n2026-05-04 08:15,5.1\n",
        "序号,时间,温度(℃),湿度\n1,2026/5/4 8:10:00,4.2,61\n2,2026/5/4 8:15:00,5.1,60\n平均,,4.6\n",
        "No;Date;Time;Temp\r\n1;2026-05-04;08:10:00;4.2 °C\r\n2;2026-05-04;08:15:00;5.1 °C\r\n",
        '"2026-05-04T08:10:00.000"\t"4.2"\n"2026-05-04T08:15:00.000"\t"5.1"\n',
        "2026.05.04 08:15,5.1\n2026.05.04 08:10,4.2\n",
        "2026-05-04 08:10,4.2\n2026-13-04 08:11,9\n2026-05-04 08:12,坏\n2026-05-04 08:13,\n2026-05-04 08:15,5.1\n",
    ],
)
def test_files_as_makers_write_them(text: str) -> None:
    for data in (text.encode(), text.encode("utf-8-sig"), text.encode("gb18030"), text.encode("utf-16")):
        assert logger.read(data) == TWO


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "没有读到温度"), (b"\x00\xff" * 50, "没有读到温度"), (b"2026-05-04 08:10,4.2", "没有读到温度"), (b"x" * 1_000_001, "1 MB")],
)
def test_bad_input_of_a_file_is_named(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words):
        logger.read(data)


def test_only_the_way_counts_and_another_days_file_is_refused() -> None:
    minute = timedelta(minutes=1)
    points = [(AT + n * minute, D(n)) for n in range(-60, 61)]
    found = logger.on_the_way(points, AT, AT + 30 * minute)
    assert (found[0][0], found[-1][0]) == (AT - 2 * minute, AT + 32 * minute), "two clocks are never quite the same"
    with pytest.raises(Unreadable, match="不在这一袋的运送时间（05-06 08:10～05-06 08:40）"):
        logger.on_the_way(points, AT + timedelta(days=2), AT + timedelta(days=2, minutes=30))


def test_thinning_keeps_the_extremes_and_the_picture_shows_them() -> None:
    points: list[Point] = [(AT + timedelta(seconds=n), D(5)) for n in range(5000)]
    points[1234], points[4000] = (points[1234][0], D("9.5")), (points[4000][0], D("1.5"))
    kept = logger.thinned(points)
    assert len(kept) <= logger.MOST_POINTS + 2 and logger.span(kept) == Reading(D("1.5"), D("9.5")) and kept == sorted(kept)
    curve = logger.drawn(kept, ALLOWED)
    assert curve is not None and len(curve.outside) == 2 and (curve.top, curve.bottom) == (D("10.5"), D("0.5"))
    inside = logger.drawn(TWO, ALLOWED)
    assert inside is not None and inside.outside == () and inside.line.startswith("0.0,") and 0 < inside.band[0] < inside.band[1]
    assert logger.drawn(TWO[:1], ALLOWED) is None


def test_a_bags_file_is_read_kept_and_an_excursion_marks_its_tubes(hospital: Hospital, tmp_path: Path) -> None:
    s3.configure(Settings("", "0" * 64, data_dir=str(tmp_path)))
    [code] = collected(hospital, "1002")
    bag_id, _ = act(hospital, lambda u: bags.pack(u, "B1", code), NURSE)
    act(hospital, lambda u: bags.send(u, bag_id, "老张", logger_no="tl-7"), NURSE)
    act(hospital, lambda u: bags.open_bag(u, "B1"), DESK)
    now = hospital.clock().astimezone(ZONE)

    def file(*values: str) -> bytes:
        return "".join(f"{now:%Y-%m-%d %H:%M:%S},{v}\n" for v in values).encode()

    with pytest.raises(UserError, match="没有读到温度"):
        act(hospital, lambda u: bags.read_file(u, bag_id, "x.csv", b"hello"), DESK)
    assert act(hospital, lambda u: bags.read_file(u, bag_id, "x.csv", file("4.0", "31.5")), DESK) == "运送温度 4.0～31.5 ℃，超出 2～25 ℃"
    [(low, high, curve)] = hospital.rows("SELECT temp_low, temp_high, temp_curve FROM specimen_bag")
    assert (low, high, [v for _, v in curve]) == (D("4.0"), D("31.5"), ["4.0", "31.5"])
    assert hospital.rows("SELECT issues FROM specimen WHERE barcode = :c", c=code) == [(["temp"],)]
    assert act(hospital, lambda u: bags.read_file(u, bag_id, "x.csv", file("4.0", "5.5")), DESK) is None
    assert hospital.rows("SELECT count(*) FROM alert WHERE kind = 'specimen.temperature' AND cleared_at IS NULL") == [(0,)]
