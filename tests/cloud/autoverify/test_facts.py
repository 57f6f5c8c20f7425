"""What a decision looks at, as it stands in the database: the diluted value, the earlier one, the set and the items of then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import facts, service
from cloud.modules.autoverify.case import Case, Expression, Failure, Item, Policy, Prior
from cloud.modules.autoverify.decision import decide, part, prepare
from cloud.modules.bench import queries as bench
from cloud.modules.catalog import models as md
from cloud.modules.catalog.rule_models import LogicRule
from tests.cloud.autoverify.floor import MORNING, Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


def diluted(floor: Floor, tube: int, by: int) -> None:
    """The tube's sodium as if it had been measured diluted: what the analyzer sent, times the dilution, is what is told."""
    with floor.world.lab.uow() as uow:
        given = {"i": tube, "item": floor.world.items["NA"], "by": by}
        query = """UPDATE result_version SET snapshot = snapshot || jsonb_build_object('dilution', CAST(:by AS int)),
                          value = value * :by, reported_text = (value * :by)::text
                   WHERE id = (SELECT current_id FROM test WHERE specimen_id = :i AND item_id = :item)"""
        uow.s.execute(text(query), given)


def seen(floor: Floor, tube: int) -> Item:
    with floor.world.lab.uow() as uow:
        case = facts.cases(uow, bench.details_of(uow, [tube]))[tube]
        return next(i for i in case.items if i.code == "NA")


def test_a_diluted_value_is_judged_as_it_is_told_and_not_as_it_was_sent(floor: Floor) -> None:
    with floor.world.lab.uow() as uow:
        uow.s.get_one(md.TestItem, (uow.tenant_id, floor.world.items["NA"])).crr_high = D(1000)
        patient = floor.world.patient(uow)
    tube = floor.tube({"K": "4.1", "NA": "140"}, patient)
    diluted(floor, tube, 5)
    item = seen(floor, tube)
    assert (item.value, item.reported, item.dilution) == (D(700), D(700), D(5))
    floor.decide()
    assert "AV_RANGE NA 700>155" in floor.reasons(tube)
    with floor.world.lab.uow() as uow:  # and as the earlier value of the next one
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'released' WHERE specimen_id = :i"), {"i": tube})
        uow.s.execute(
            text("UPDATE result_version SET released_at = :now WHERE id IN (SELECT current_id FROM test WHERE specimen_id = :i)"),
            {"i": tube, "now": uow.now},
        )
    floor.world.lab.clock.advance(minutes=5)
    later = floor.tube({"K": "4.1", "NA": "150"}, patient)
    assert [p.value for p in seen(floor, later).priors] == [700]


def test_a_decision_is_reproduced_after_an_item_of_its_rules_was_retired(floor: Floor) -> None:
    lab = floor.world.lab
    with lab.uow() as uow:
        uow.s.add(LogicRule(code="K_NA", name="钾不低于钠", section_id=floor.world.section, expression='"K" >= "NA"', message="钾钠颠倒"))
        md.raise_version(uow.s)
    tube = floor.tube({"K": "6.8", "NA": "140"})
    floor.decide()
    with lab.uow() as uow:
        decision = uow.s.execute(text("SELECT id FROM av_decision WHERE specimen_id = :i"), {"i": tube}).scalar_one()
        uow.s.execute(text("UPDATE test_item SET active = false WHERE code = 'NA'"))
        md.raise_version(uow.s)
    with lab.uow() as uow:
        stored, verdict = service.reproduce(uow, decision)
        kept = [each for each in stored if each[0] != 0]  # the set had to be validated again: that is no word of its rules
        assert kept == [[f.category, f.code, f.item, f.figures] for f in verdict.failures] and kept


def report(*items: Item) -> Case:
    return Case(1, MORNING, items, sex="F", age_years=D(50))


def test_an_earlier_limit_is_no_number() -> None:
    ready = prepare(Policy(logic=(Expression("FELL", 'prev("K") - "K" > 3'),)), {"K": True})
    for sign, expected in (("", []), ("<", ["LOGIC_NE"]), (">", ["LOGIC_NE"])):
        before = Prior(MORNING - timedelta(days=1), f"{sign}5", D(5), sign)
        case = report(Item("K", "钾", text="4", value=D(4), reported=D(4), priors=(before,)))
        assert [f.code for f in decide(case, ready).failures if f.category == 10] == expected
    assert not [f for f in decide(report(Item("K", "钾", text="4", value=D(4))), ready).failures if f.category == 10]


def test_two_rules_of_one_code_hold_the_items_each_of_them_names() -> None:
    policy = Policy(partial=True, logic=(Expression("X", '"K" > 5'),), context=(Expression("X", '"NA" > 150'),))
    ready = prepare(policy, {"K": True, "NA": True, "CL": True})
    case = report(Item("K", "钾"), Item("NA", "钠"), Item("CL", "氯"))
    assert part(case, ready, (Failure(10, "LOGIC", "X"),)) == ("NA", "CL")
    assert part(case, ready, (Failure(11, "CONTEXT", "X"),)) == ("K", "CL")
