"""The demo's literals: whole, consistent, honest about their sources, and its messages read by the product's own code."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations

import pytest

from cloud.demo import analyzer_data, catalog_data, formulas, his, messages, people_data, seed
from cloud.expression import Env
from cloud.modules.bench import measure
from cloud.modules.catalog import queries as md
from cloud.modules.catalog.rules import Age, allowed_error
from cloud.modules.interfaces.hl7_in import parse_order
from common import values as values_of
from common.instruments.decode import decode
from common.instruments.pictures import is_picture
from tests.support.lab import Lab

ITEMS = {item.code: item for rows in catalog_data.ITEMS.values() for item in rows}
MONTHS = {"month": 1, "year": 12}


def test_codes_are_unique_and_everything_refers_to_one() -> None:
    assert len(ITEMS) == sum(len(rows) for rows in catalog_data.ITEMS.values())
    assert {row.item for row in catalog_data.INTERVALS} == set(ITEMS)
    assert {code for row in catalog_data.ORDER_SETS for code in row.items} == set(ITEMS)
    assert {code for code, _low, _high in catalog_data.CRITICAL} <= set(ITEMS)
    for codes in catalog_data.HIS_CODES.values():
        assert set(codes) == {row.code for row in catalog_data.ORDER_SETS}
        assert len(set(codes.values())) == len(codes)
    for rows in analyzer_data.INSTRUMENTS.values():
        assert len({row.key for row in rows}) == len(rows)
        assert all(channel.item in ITEMS for row in rows for channel in row.channels)


def test_the_demo_has_what_the_issue_names() -> None:
    assert len(catalog_data.CBC) == 25
    assert len(people_data.HOSPITALS) == 2
    for rows in analyzer_data.INSTRUMENTS.values():
        assert {row.transport for row in rows if row.section is None} == {"tcp-listen", "tcp-dial", "serial"}
    for staff in people_data.STAFF.values():
        assert len({person.number for person in staff}) == len(staff)


def test_every_interval_names_its_source_and_that_it_is_a_placeholder() -> None:
    assert [row for row in catalog_data.INTERVALS if "占位" not in row.source] == []
    for row in catalog_data.INTERVALS:
        assert row.text or row.low is not None or row.high is not None
        if row.low is not None and row.high is not None:
            assert float(row.low) < float(row.high), row


def test_no_two_intervals_fit_the_same_patient_equally() -> None:
    for one, other in combinations(catalog_data.INTERVALS, 2):
        if one.item != other.item or (one.sex != other.sex and None not in (one.sex, other.sex)):
            continue
        low = max((row.age[0] or 0) * MONTHS[row.unit] for row in (one, other))
        high = min(row.age[1] * MONTHS[row.unit] if row.age[1] is not None else 10**6 for row in (one, other))
        assert low >= high, (one, other)


def test_both_sexes_and_children_are_judged() -> None:
    for item in ("WBC", "RBC", "HGB", "PLT", "ALT", "CREA", "K"):
        rows = [row for row in catalog_data.INTERVALS if row.item == item]
        for months in (3, 8, 18, 40, 100, 180, 300, 900):
            for sex in ("M", "F"):
                fits = [
                    row
                    for row in rows
                    if row.sex in (None, sex)
                    and (row.age[0] or 0) * MONTHS[row.unit] <= months
                    and (row.age[1] is None or months < row.age[1] * MONTHS[row.unit])
                ]
                assert len(fits) == 1, (item, months, sex, fits)


@pytest.mark.parametrize("hospital", people_data.HOSPITALS, ids=lambda h: h.code)
def test_orders_are_read_whole_rare_characters_too(hospital: people_data.Hospital) -> None:
    names = set()
    known = set(catalog_data.HIS_CODES[hospital.code].values())
    for number in range(1, 60):
        order = parse_order(his.order_message(hospital, number, datetime.now(UTC), random.Random(number))).order
        names.add(order.patient.name)
        assert order.problems == ()
        codes = {item.code for item in order.items}
        assert bool(codes - known) == (number % his.UNKNOWN_EVERY == 0)
    assert names <= {patient.name for patient in people_data.PATIENTS[hospital.code]}
    assert any("㛃" in name for name in names)
    assert any("䶮" in name for name in names)


@pytest.mark.parametrize(
    ("hospital", "row"),
    [(h, row) for h, rows in analyzer_data.INSTRUMENTS.items() for row in rows if row.section],
    ids=lambda value: getattr(value, "key", value),
)
def test_what_an_analyzer_says_decodes_to_what_it_measured(hospital: str, row: analyzer_data.Instrument) -> None:
    tube = messages.Tube("126112300016", "F", [channel.item for channel in row.channels])
    values = messages.measure(row, tube, random.Random(hospital))
    assert len(values) == len(row.channels)
    reading = decode(messages.message(row, tube, values, datetime.now(UTC), 7), row.driver)
    assert not reading.problems
    specimens = [specimen for message in reading.messages for specimen in message.specimens]
    assert [specimen.specimen_id for specimen in specimens] == [tube.barcode]
    results = [r for r in specimens[0].results if not is_picture(r.value)]
    assert len(specimens[0].results) - len(results) == (3 if row.driver == "sysmex_xn" else 0)
    assert [(r.code, r.value, r.unit or "") for r in results] == [(v.channel.code, v.text, v.channel.unit) for v in values]


def test_what_the_demo_draws_does_not_contradict_itself() -> None:
    codes = [code for code, item in ITEMS.items() if item.kind == "numeric"]
    for number in range(200):
        drawn = messages.coherent({code: messages.draw(code, "MF"[number % 2], random.Random(f"{number}{code}")) for code in codes})
        told = {c: measure.comparable(c, round(value, messages.DECIMALS[c]), ITEMS[c].unit) for c, value in drawn.items()}
        assert measure.contradictions(told) == []


def test_calculated_items_have_a_formula_whose_inputs_come_with_the_order_and_no_channel() -> None:
    by_code = {each.code: each for each in formulas.FORMULAS}
    assert set(by_code) == {row.code for row in catalog_data.CALCULATED}
    measured = {channel.item for rows in analyzer_data.INSTRUMENTS.values() for row in rows for channel in row.channels}
    assert not measured & set(by_code)
    for order_set in catalog_data.ORDER_SETS:
        for code in set(order_set.items) & set(by_code):
            assert set(by_code[code].units) <= set(order_set.items), (order_set.code, code)
            assert {c: ITEMS[c].unit for c in by_code[code].units} == dict(by_code[code].units)


def test_the_demo_seeds_formulas_that_calculate_and_tea_once(lab: Lab) -> None:
    with lab.uow() as uow:
        seed._catalog(uow, "rm")
        for _ in range(2):
            formulas.seed(uow)
        uow.s.flush()
    with lab.uow() as uow:
        read = md.catalog(uow)
        assert {read.items[c.item_id].code: c.problem for c in read.calculations} == {f.code: "" for f in formulas.FORMULAS}
        values = {
            c: values_of.parse(v, "numeric") for c, v in {"TP": "72.0", "ALB": "44.5", "TBIL": "15.2", "DBIL": "4.1", "CREA": "106"}.items()
        }
        found = {
            read.items[c.item_id].code: c.evaluate(Env(values, md.person("M", Age(525960, 21915, 720, 60)))) for c in read.calculations
        }
        assert {k: round(v, 1) for k, v in found.items() if isinstance(v, Decimal)} == {
            "GLO": Decimal("27.5"),
            "A/G": Decimal("1.6"),
            "IBIL": Decimal("11.1"),
            "EGFR": Decimal("69.3"),  # AC-MD-3: 69
        }
        assert allowed_error(read.items_by_code["K"].tea, Decimal("3.3")) == Decimal("0.2")
        assert allowed_error(read.items_by_code["K"].tea, Decimal("5")) == Decimal("0.30")
