"""Who approves a set, when it takes over, and how it goes out of use (M08 States, C8, C12)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import service
from cloud.modules.autoverify.case import Policy, from_json
from cloud.modules.autoverify.models import RuleSet
from cloud.modules.catalog import models as md
from common.errors import UserError
from tests.cloud.autoverify.floor import Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


def shown(floor: Floor, by: str = "leader", validated_by: str = "leader") -> int:
    lab = floor.world.lab
    with lab.db.tenant(lab.a, floor.actor(by)) as uow:
        old = uow.s.get_one(RuleSet, (uow.tenant_id, floor.rule_set))
        made = service.create_set(uow, floor.world.section, "第二版", from_json(Policy, old.policy)).id
    with lab.db.tenant(lab.a, floor.actor(validated_by)) as uow:
        service.validate(uow, made, least=0)
    return made


def approved(floor: Floor) -> int:
    lab, made = floor.world.lab, shown(floor)
    with lab.db.tenant(lab.a, floor.actor("quality")) as uow:
        service.approve(uow, made)
    return made


def states(floor: Floor) -> dict[int, str]:
    with floor.world.lab.uow() as uow:
        return {r.id: r.state for r in uow.s.execute(text("SELECT id, state FROM av_rule_set"))}


def test_nobody_approves_what_they_made_changed_or_validated(floor: Floor) -> None:
    lab, made = floor.world.lab, shown(floor, validated_by="infogroup")
    for role in ("leader", "infogroup"):
        with lab.db.tenant(lab.a, floor.actor(role)) as uow, pytest.raises(UserError, match="编制、修改或验证过"):
            service.approve(uow, made)
    with lab.db.tenant(lab.a, floor.actor("senior")) as uow:  # a hand in it, later taken back to draft and shown again
        row = uow.s.get_one(RuleSet, (uow.tenant_id, made))
        service.edit_policy(uow, made, row.version, from_json(Policy, row.policy))
    with lab.db.tenant(lab.a, floor.actor("leader")) as uow:
        service.validate(uow, made, least=0)
    with lab.db.tenant(lab.a, floor.actor("senior")) as uow, pytest.raises(UserError, match="编制、修改或验证过"):
        service.approve(uow, made)
    with lab.db.tenant(lab.a, floor.actor("quality")) as uow:
        service.approve(uow, made)


def test_the_information_group_approves_too(floor: Floor) -> None:
    made = shown(floor)
    page = floor.world.lab.client("infogroup")
    assert f"/av/rules/{made}/approve" in page.get(f"/av/rules?section=CHEM&set={made}").text
    assert page.post(f"/av/rules/{made}/approve").status_code == 303
    assert states(floor)[made] == "approved"


def test_a_scheduled_set_takes_over_at_its_moment(floor: Floor) -> None:
    lab, made = floor.world.lab, approved(floor)
    leader = lab.client("leader")
    url = f"/av/rules/{made}/state"
    for at in ("", "gestern", "2026-05-04T09:30", "2027-05-04T09:30"):  # not said, no time, now, a year ahead
        assert leader.post(url, {"to": "schedule", "at": at}).status_code == 422
    assert leader.post(url, {"to": "schedule", "at": "2026-05-04T12:00"}).status_code == 303
    assert "定于" in leader.get(f"/av/rules?section=CHEM&set={made}").text
    with lab.uow() as uow:
        service.take_over(uow)
    assert states(floor) == {floor.rule_set: "active", made: "approved"}
    lab.clock.advance(hours=2, minutes=30)
    with lab.uow() as uow:
        service.take_over(uow)
    assert states(floor) == {floor.rule_set: "retired", made: "active"}
    leader = lab.client("leader")
    assert "第二版" in (page := leader.get(f"/av/rules?section=CHEM&set={made}").text) and "定于" not in page
    assert leader.post(url, {"to": "schedule", "at": "2026-05-05T12:00"}).status_code == 409


def test_a_schedule_is_cancelled_and_what_must_be_validated_again_stays_out(floor: Floor) -> None:
    lab, made = floor.world.lab, approved(floor)
    leader = lab.client("leader")
    url = f"/av/rules/{made}/state"
    assert leader.post(url, {"to": "schedule", "at": "2026-05-04T12:00"}).status_code == 303
    assert leader.post(url, {"to": "unschedule"}).status_code == 303
    lab.clock.advance(hours=3)
    with lab.uow() as uow:
        service.take_over(uow)
    assert states(floor)[made] == "approved"
    assert lab.client("leader").post(url, {"to": "schedule", "at": "2026-05-04T18:00"}).status_code == 303
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE av_range SET high = high - 1"))
        md.raise_version(uow.s)
    lab.clock.advance(hours=6)
    for _ in range(2):
        with lab.uow() as uow:
            service.take_over(uow)
    assert states(floor) == {floor.rule_set: "active", made: "approved"}
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'autoverify.schedule'")).scalar() == 1
        assert uow.s.execute(text("SELECT activate_at FROM av_rule_set WHERE id = :i"), {"i": made}).scalar() is None


def test_a_draft_nobody_wants_is_retired_on_the_page(floor: Floor) -> None:
    made, leader = shown(floor), floor.world.lab.client("leader")
    page = leader.get(f"/av/rules?section=CHEM&set={made}").text
    assert 'value="retire"' in page
    assert leader.post(f"/av/rules/{made}/state", {"to": "retire", "reason": " "}).status_code == 422
    assert leader.post(f"/av/rules/{made}/state", {"to": "retire", "reason": "写重了"}).status_code == 303
    assert states(floor)[made] == "retired"
    assert 'value="retire"' not in leader.get(f"/av/rules?section=CHEM&set={made}").text


def test_from_a_reason_to_the_rule_and_the_tube_on_the_test_page_and_back(floor: Floor) -> None:
    lab, leader = floor.world.lab, floor.world.lab.client("leader")
    tube = floor.tube({"K": "6.8", "NA": "140"})
    floor.decide()
    with lab.uow() as uow:
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
    told = leader.fragment(f"/av/reasons/{tube}").text
    assert f"/av/rules?section=CHEM&amp;set={floor.rule_set}" in told and f"/av/test?set={floor.rule_set}&amp;code={barcode}" in told
    tried = leader.get(f"/av/test?set={floor.rule_set}&code={barcode}").text
    assert f'value="{barcode}"' in tried
    made = leader.post("/av/test", {"set": floor.rule_set, "code": barcode}).text
    assert f"/av/rules?set={floor.rule_set}&amp;section=CHEM" in made


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "NaN", "amr_low": "1", "amr_high": "9"},
        {"run_at": "2026-05-04T01:30:00"},  # no zone beside one that has
        {"alarms": 5},
        {"deltas": [{"kind": "odd"}], "value": "4", "priors": [{"at": "2026-05-04T01:00:00+00:00", "text": "1", "value": "1"}]},
    ],
)
def test_a_case_no_engine_can_read_is_answered_in_words_and_never_kept(floor: Floor, wrong: dict[str, object]) -> None:
    leader = floor.world.lab.client("leader")
    item = {"code": "K", "name": "钾", "text": "4", "run_at": "2026-05-04T01:20:00+00:00", **wrong}
    case = {"specimen_id": 1, "at": "2026-05-04T01:30:00+00:00", "collected_at": "2026-05-04T01:00:00+00:00", "items": [item]}
    given = {"set": floor.rule_set, "case": json.dumps(case)}
    assert leader.post("/av/test", given).status_code in (200, 422)
    if leader.post("/av/test", given).status_code == 422:
        assert leader.post("/av/test/keep", {**given, "name": "坏", "reason": "QC"}).status_code == 422
    with floor.world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM av_case WHERE name = '坏'")).scalar() == 0


def test_a_schedule_is_no_further_ahead_than_it_may_be(floor: Floor) -> None:
    made = approved(floor)
    with floor.world.lab.uow() as uow:
        for ahead in (timedelta(0), service.AHEAD):
            with pytest.raises(UserError, match="90 天之内"):
                service.schedule(uow, made, uow.now + ahead)
        for ahead in (timedelta(seconds=1), service.AHEAD - timedelta(seconds=1)):
            service.schedule(uow, made, uow.now + ahead)
