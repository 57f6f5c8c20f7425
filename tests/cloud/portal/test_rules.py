"""Scope and trends of the portal (M15 R1, R3)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.platform.glass_rules import reason_problem
from cloud.modules.portal.rules import HEIGHT, TREND_POINTS, WIDTH, Point, draw, lines, treats

START = datetime(2026, 1, 1, tzinfo=UTC)


def point(days: int, value: str, method: str = "酶法", low: str | None = "57", high: str | None = "97") -> Point:
    limits = (None if low is None else Decimal(low), None if high is None else Decimal(high))
    return Point(START + timedelta(days=days), Decimal(value), value, "", method, *limits)


def test_a_shared_ward_is_a_treating_relation_and_nothing_else_is() -> None:
    assert treats({"心内科", "急诊"}, ["急诊"])
    assert not treats({"心内科"}, ["骨科", ""])
    assert not treats(set(), ["心内科"])
    assert not treats({""}, [""])


def test_break_glass_needs_words() -> None:
    assert reason_problem("会诊") is not None
    assert reason_problem("   ") is not None
    assert reason_problem("急会诊查看") is None


def test_ac_cl_2_line_breaks_where_the_method_changed() -> None:
    change = (datetime(2026, 5, 1, tzinfo=UTC) - START).days
    points = [point(10, "80", "Jaffe"), point(90, "84", "Jaffe"), point(change, "76"), point(change + 30, "78")]
    assert [[p.text for p in s] for s in lines(points)] == [["80", "84"], ["76", "78"]]
    picture = draw(points)
    assert picture is not None and len(picture.stretches) == 2 and len(picture.breaks) == 1


def test_only_the_last_twenty_are_drawn_oldest_first() -> None:
    drawn = lines([point(d, "80") for d in range(30, 0, -1)])
    assert len(drawn) == 1 and len(drawn[0]) == TREND_POINTS
    assert drawn[0][0].at == START + timedelta(days=11)


def test_nothing_to_draw_is_nothing() -> None:
    assert draw([]) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 4000), st.decimals("-1e6", "1e6", places=3, allow_nan=False), st.sampled_from(["a", "b"])),
        min_size=1,
        max_size=40,
    ),
    st.booleans(),
)
def test_every_point_stays_inside_the_picture(rows: list[tuple[int, Decimal, str]], limits: bool) -> None:
    points = [Point(START + timedelta(days=d), v, str(v), "", m, Decimal(-5) if limits else None, Decimal(5)) for d, v, m in rows]
    picture = draw(points)
    assert picture is not None
    for stretch in picture.stretches:
        for dot in stretch:
            assert 0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT
