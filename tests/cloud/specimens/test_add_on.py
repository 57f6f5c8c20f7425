"""加做: a request measured from a tube that is here, or the reason why not."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cloud.modules.catalog import models as catalog
from cloud.modules.specimens import add_on
from cloud.modules.specimens.add_on_rules import MAY_ADD, add_on_problem
from cloud.modules.specimens.rules import State
from common.errors import UserError
from tests.cloud.specimens.test_service import DESK, act, collected, ordered, receive
from tests.support.hospital import MORNING, Hospital

D = Decimal


def test_ac_or_3_too_old_for_its_stability() -> None:
    assert add_on_problem(State.RECEIVED, D("9.0"), 8, D(3), D("0.5")) == "STABILITY 9h>8h"
    assert add_on_problem(State.RECEIVED, D("8.0"), 8, D(3), D("0.5")) is None
    # A minute too long is too long, and is said as that.
    assert add_on_problem(State.RECEIVED, D(28860) / 3600, 8, D(3), D("0.5")) == "STABILITY 8.1h>8h"


@pytest.mark.parametrize("state", list(State))
def test_only_a_tube_that_is_here_and_untold_may_serve_again(state: State) -> None:
    problem = add_on_problem(state, D(1), 8, D(3), D(1))
    assert (problem is None) is (state in MAY_ADD)


@pytest.mark.parametrize(
    ("hours", "stability", "left", "reason"),
    [
        (None, 8, "3", "采集时间"),
        (D(1), None, "3", "稳定时间"),
        (D(1), 8, "0.4", "VOLUME 0.4<0.5 ml"),
        (D(1), 8, "-0.2", "VOLUME 0<0.5 ml"),
        (D(1), 8, "0.5", None),
    ],
)
def test_what_is_not_known_holds(hours: Decimal | None, stability: int | None, left: str, reason: str | None) -> None:
    problem = add_on_problem(State.RECEIVED, hours, stability, D(left), D("0.5"))
    assert problem is None if reason is None else problem is not None and reason in problem


def stable(hospital: Hospital, hours: int) -> None:
    def run(uow: Any) -> None:
        for item in uow.s.query(catalog.TestItem):
            item.stability_h = hours

    act(hospital, run)


def test_a_waiting_request_is_measured_from_the_tube_that_is_here(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    more = ordered(hospital, "1003", "1001")
    found = act(hospital, lambda u: add_on.table(u, code), DESK)
    assert [o.problem for o in found.offers] == ["项目没有设置稳定时间", "需要另一种试管、标本或另一专业组"]
    stable(hospital, 8)
    with pytest.raises(UserError, match="另一种试管"):
        act(hospital, lambda u: add_on.add(u, found.tube.id, more.item_ids), DESK)
    assert act(hospital, lambda u: add_on.add(u, found.tube.id, more.item_ids[:1]), DESK) == 1
    rows = hospital.rows("SELECT status, specimen_id FROM order_item WHERE id = :i", i=more.item_ids[0])
    assert rows[0] == ("received", found.tube.id)
    assert act(hospital, lambda u: add_on.table(u, code), DESK).left_ml < found.left_ml
    with pytest.raises(UserError, match="已由他人"):
        act(hospital, lambda u: add_on.add(u, found.tube.id, more.item_ids[:1]), DESK)


def test_ac_or_3_through_the_verb_and_never_for_another_patient(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002")
    receive(hospital, code)
    own, other = ordered(hospital, "1003"), ordered(hospital, "1003", patient_no="P9", name="别人")
    stable(hospital, 8)
    tube = act(hospital, lambda u: add_on.table(u, code), DESK).tube
    with pytest.raises(UserError, match="不属于这位患者"):
        act(hospital, lambda u: add_on.add(u, tube.id, other.item_ids), DESK)
    hospital.clock.set(MORNING + timedelta(hours=9))
    with pytest.raises(UserError, match="STABILITY 9h>8h"):
        act(hospital, lambda u: add_on.add(u, tube.id, own.item_ids), DESK)
    with pytest.raises(UserError, match="没有这个条码"):
        act(hospital, lambda u: add_on.table(u, "126326999999"), DESK)
