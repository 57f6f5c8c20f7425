"""Messages the decoder was not written for: many makers, odd wires, damage. Each against a reading written by hand before."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable

import pytest

from common.instruments.decode import read
from common.instruments.reading import Reading
from tests.common.instruments import newcomers
from tests.common.instruments.newcomers.tools import Kind

TABLES = [name for _, name, _ in pkgutil.iter_modules(newcomers.__path__) if name != "tools"]
BY_TABLE: dict[str, list[Kind]] = {name: importlib.import_module(f"{newcomers.__name__}.{name}").KINDS for name in TABLES}
KINDS = [(f"{table}: {one.name}", one) for table, kinds in BY_TABLE.items() for one in kinds]


def facts(reading: Reading) -> list[tuple[object, ...]]:
    return [
        (
            message.kind,
            tuple((one.specimen_id, tuple((result.code, result.value) for result in one.results)) for one in message.specimens),
            tuple(message.query),
        )
        for message in reading.messages
    ]


def fault(one: Kind) -> str:
    """What differs from the hand-written reading; empty when nothing does."""
    reading = read(one.data)
    json.dumps(reading.to_json())
    codes = [problem.code for problem in reading.problems]
    if facts(reading) != [want.facts() for want in one.wants]:
        return f"reads {facts(reading)}\nwants {[want.facts() for want in one.wants]}\nproblems {reading.problems}"
    if one.problem and one.problem not in codes:
        return f"no problem {one.problem}: {codes}"
    if not one.problem and codes:
        return f"problems where there is none: {reading.problems}"
    return ""


@pytest.mark.parametrize("one", [one for _, one in KINDS], ids=[name for name, _ in KINDS])
def test_a_kind_nobody_described_is_read(one: Kind) -> None:
    assert not fault(one), fault(one)


def test_how_many_kinds_are_read(record_property: Callable[[str, object], None]) -> None:
    assert len({name for name, _ in KINDS}) == len(KINDS)
    good = sum(not fault(one) for _, one in KINDS)
    record_property("figure", f"kinds of messages read: {good}/{len(KINDS)}")
    assert len(KINDS) >= 200
