"""What of autoverification is another section's stays theirs: stops, sample, runs, reasons; and what stands of sensitive values."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import service
from cloud.modules.autoverify.rules import Scope, end_problem, may_end
from cloud.modules.autoverify.sets import starting_policy
from cloud.modules.catalog.models import Section, raise_version
from tests.cloud.autoverify.floor import Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    made = open_floor(lab)
    with lab.uow() as uow:
        uow.s.add(Section(code="HEM", name="血液组"))
    yield made
    lab.db.dispose()


def elsewhere(floor: Floor, role: str) -> labs.Client:
    """A person of this role who works in haematology only."""
    with floor.world.lab.uow() as uow:
        given = {"u": floor.world.lab.users[(uow.tenant_id, role)]}
        uow.s.execute(text("UPDATE app_user SET sections = '{HEM}' WHERE id = :u"), given)
    return floor.world.lab.client(role)


@pytest.mark.parametrize("scope", [Scope.SECTION, Scope.ANALYZER, Scope.ITEM])
def test_another_sections_stop_is_neither_made_nor_ended(floor: Floor, scope: Scope) -> None:
    lab, world = floor.world.lab, floor.world
    target = {Scope.SECTION: world.section, Scope.ANALYZER: world.analyzer, Scope.ITEM: world.items["K"]}[scope]
    with lab.uow() as uow:
        own, whole = service.stop(uow, scope, target, "换水").id, service.stop(uow, Scope.TENANT, None, "停电").id
    away = elsewhere(floor, "verifier")
    page = away.get("/av/switch").text
    assert f"/av/switch/{own}/end" not in page and f"/av/switch/{whole}/end" not in page and f'value="{scope.value}:{target}"' not in page
    assert "其他专业组的停用，请该组人员解除。" in page and "全院停用由停用者本人或负责全部专业组的人员解除。" in page
    assert away.post("/av/switch", {"what": f"{scope.value}:{target}", "reason": "x"}).status_code == 404
    assert away.post(f"/av/switch/{own}/end", {"reason": "好了"}).status_code == 404
    assert away.post(f"/av/switch/{whole}/end", {"reason": "来电"}).status_code == 403
    here = lab.client("senior")
    assert f'value="{scope.value}:{target}"' in here.get("/av/switch").text
    assert here.post(f"/av/switch/{own}/end", {"reason": "水质合格"}).status_code == 303
    assert f"/av/switch/{whole}/end" in here.get("/av/switch").text
    assert here.post(f"/av/switch/{whole}/end", {"reason": "来电"}).status_code == 303


def test_a_stop_of_the_whole_hospital_is_ended_by_its_maker_or_who_may_stop_it_all(floor: Floor) -> None:
    lab = floor.world.lab
    away = elsewhere(floor, "verifier")
    # Stopping is the safe direction and open to everybody with the right; who pressed it by mistake takes it back.
    assert away.post("/av/switch", {"what": "tenant:", "reason": "误按"}).status_code == 303
    with lab.uow() as uow:
        own = uow.s.execute(text("SELECT max(id) FROM av_suspension")).scalar_one()
    assert f"/av/switch/{own}/end" in away.get("/av/switch").text
    assert away.post(f"/av/switch/{own}/end", {"reason": "误按"}).status_code == 303
    with lab.uow() as uow:
        whole, part = service.stop(uow, Scope.TENANT, None, "停电").id, service.stop(uow, Scope.SECTION, floor.world.section, "换水").id
        uow.s.execute(text("DELETE FROM role_permission WHERE permission = 'autoverify:stop'"))
    senior = lab.client("senior")
    for stop in (whole, part):
        assert f"/av/switch/{stop}/end" not in senior.get("/av/switch").text
        refused = senior.post(f"/av/switch/{stop}/end", {"reason": "来电"})
        assert refused.status_code == 403 and "停用自动审核的权限" in refused.text
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM av_suspension WHERE ended_at IS NULL")).scalar() == 2


@pytest.mark.parametrize(
    ("whole", "there", "everywhere", "made", "may"),
    [
        (True, True, False, False, False),
        (True, True, True, False, True),
        (True, True, False, True, True),
        (False, True, False, False, True),
        (False, False, False, True, False),
    ],
)
def test_who_may_end_a_stop(whole: bool, there: bool, everywhere: bool, made: bool, may: bool) -> None:
    assert may_end(whole, there, everywhere, made) is may


@pytest.mark.parametrize(
    ("audits", "stops", "whole", "allowed", "said"),
    [
        (False, True, True, True, "请审核者、组长或质量主管解除"),
        (False, False, False, False, "请审核者、组长或质量主管解除"),
        (True, False, False, True, "停用自动审核的权限"),
        (True, True, True, False, "停用者本人"),
        (True, True, False, False, "该组人员"),
        (True, True, True, True, None),
        (True, True, False, True, None),
    ],
)
def test_why_a_stop_cannot_be_ended_is_said(audits: bool, stops: bool, whole: bool, allowed: bool, said: str | None) -> None:
    problem = end_problem(audits, stops, whole, allowed)
    assert problem is None if said is None else said in str(problem)


def test_another_sections_sample_run_and_certificates_are_absent(floor: Floor) -> None:
    lab = floor.world.lab
    tube = floor.tube()
    floor.decide()
    with lab.uow() as uow:
        decision = uow.s.execute(text("UPDATE av_decision SET audit = true WHERE NOT shadow RETURNING id")).scalars().first()
        run = uow.s.execute(
            text("""INSERT INTO av_simulation (tenant_id, rule_set_id, version, total, at) VALUES (:t, :r, 1, 5, now()) RETURNING id"""),
            {"t": uow.tenant_id, "r": floor.rule_set},
        ).scalar_one()
    away = elsewhere(floor, "leader")
    assert away.post(f"/av/audit/{decision}", {"agrees": "1"}).status_code == 404
    assert away.post(f"/av/simulate/{run}/cancel").status_code == 404 == away.post("/av/simulate/99999/cancel").status_code
    assert away.fragment(f"/av/reasons/{tube}").status_code == 404 == away.fragment("/av/reasons/99999").status_code
    assert "V1" not in away.get("/av/validation").text and away.get("/av/validation/1").status_code == 404
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM av_decision WHERE audited_at IS NOT NULL")).scalar() == 0
        assert uow.s.execute(text("SELECT state FROM av_simulation")).scalars().all() == ["queued"]
        uow.s.execute(text("UPDATE app_user SET sections = '{}'"))
    here = lab.client("leader")
    answered = here.post(f"/av/audit/{decision}", {"agrees": "1", "days": "7"})
    assert answered.status_code == 303 and answered.headers["Location"] == "/av/board?days=7", "back to the days it was asked for"
    assert here.post(f"/av/simulate/{run}/cancel").status_code == 303
    assert here.fragment(f"/av/reasons/{tube}").status_code == 200 and "V1" in here.get("/av/validation").text


def test_a_sensitive_value_stands_in_no_reason_for_whom_it_is_shut(floor: Floor) -> None:
    lab = floor.world.lab
    tube = floor.tube({"K": "6.8", "NA": "156"})
    floor.decide()
    with lab.uow() as uow:
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
        uow.s.execute(text("UPDATE test_item SET sensitive = true WHERE code = 'K'"))
        raise_version(uow.s)
        made = service.create_set(uow, floor.world.section, "试", starting_policy()).id
        sampled = "UPDATE av_decision SET audit = true WHERE specimen_id = :i AND NOT shadow RETURNING id"
        service.answer_audit(uow, uow.s.execute(text(sampled), {"i": tube}).scalar_one(), False, "钾 6.8 应当复查")
        alert = uow.s.execute(text("SELECT fields::text FROM alert WHERE kind = 'autoverify.audit'")).scalar_one()
        assert barcode in alert and "6.8" not in alert and "原因见自动审核看板" in alert
    shut, opened = lab.client("infogroup"), lab.client("leader")
    for client, sees in ((shut, False), (opened, True)):
        reasons, listed = client.fragment(f"/av/reasons/{tube}").text, client.get("/av/decisions?outcome=held").text
        assert ("6.8" in reasons) is sees and ("6.8" in listed) is sees and barcode in listed
        assert ("不能查看" in reasons) is not sees and ("不能查看" in listed) is not sees
        board = client.get("/av/board").text
        assert ("钾 6.8 应当复查" in board) is sees and ("原因不显示" in board) is not sees
        by_item = client.get("/av/decisions?item=K").text
        assert (barcode in by_item) is sees and ("另有 1 份" in by_item) is not sees
        assert client.post("/av/test", {"set": made, "code": barcode}).status_code == (200 if sees else 403)
