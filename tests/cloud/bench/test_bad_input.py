"""M07 *Bad input*, a test a line of the specification: the bench answers in words with what to do; nothing is saved by it, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from cloud.modules.bench import queries, service
from cloud.modules.bench.queries import TestLine
from cloud.modules.catalog.models import RefInterval, TestItem
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, World, build
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

RUN = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@dataclass
class Seat:
    """A tester at the bench with one tube; what was typed is posted as the page posts it."""

    world: World
    tube: int
    client: labs.Client

    def line(self, code: str) -> TestLine:
        with self.world.lab.uow() as uow:
            return next(t for t in queries.tests_of(uow, [self.tube])[self.tube] if t.item.code == code)

    def type(self, code: str, value: str, version: int | None = None, **more: str) -> TestResponse:
        test = self.line(code)
        form = {"version": test.version if version is None else version, "value": value, **more}
        return self.client.post(f"/bench/test/{test.id}/enter", form, htmx=True)

    def value(self, code: str) -> str | None:
        current = self.line(code).current
        return None if current is None else current.reported_text


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield build(lab)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.fixture
def seat(world: World) -> Seat:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
    return Seat(world, tube, world.lab.client("tester"))


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("4.l", "项目K“4.l”里的“l”不是数字，请改正后再保存。"),
        ("abc", "项目K“abc”里的“a”不是数字，请改正后再保存。"),
        ("1,5", "项目K“1,5”用了逗号，小数点请用“.”，例如 1.5。"),
        ("", "项目K没有填写，请输入结果；确实没有结果时请选“无结果”并写明原因。"),
    ],
)
def test_m07_bad_input_letters_in_numeric(seat: Seat, typed: str, words: str) -> None:
    """letters in numeric; R6: a comma for the decimal point"""
    answer = seat.type("K", typed)
    assert answer.status_code == 422 and words in answer.text
    assert answer.headers["HX-Retarget"] == "#notice", "what was typed stays in its field"
    assert seat.value("K") is None


@pytest.mark.parametrize("typed", ["90 mg/dL", "41%", "4.1mmol/dL", "4.1 umol/L"])
def test_m07_bad_input_wrong_unit(seat: Seat, typed: str) -> None:
    """wrong unit, typed behind the number: refused, never converted in silence"""
    answer = seat.type("K", typed)
    assert answer.status_code == 422 and f"项目K的单位是 mmol/L，您填写的是“{typed}”。请换算成 mmol/L，只填数字；没有保存。" in answer.text
    assert seat.value("K") is None


@pytest.mark.parametrize(("code", "typed", "kept"), [("K", "4.1 mmol/L", "4.1"), ("K", "4.1mmol/L", "4.1"), ("CREA", "80 µmol/L", "80")])
def test_the_items_own_unit_behind_a_number_is_the_number(seat: Seat, code: str, typed: str, kept: str) -> None:
    seat.type(code, typed, again=typed)
    assert seat.value(code) == kept


def test_m07_bad_input_value_1000_times_off(seat: Seat) -> None:
    """value 1000× off (same digits, unit slip hint): asked, with what was typed; saved only when it is said to be right"""
    world = seat.world
    with world.lab.uow() as uow:
        patient = uow.s.execute(text("SELECT patient_id FROM specimen WHERE id = :t"), {"t": seat.tube}).scalar_one()
        tube = world.tube(uow, patient)
        world.send(uow, tube, NORMAL, RUN)
        service.review(uow, tube)
        service.release(service.lock_reported(uow, [tube]), [tube])
    asked = seat.type("CREA", "0.08")
    assert asked.status_code == 200 and "与参考值 80 相差约 1000 倍，请核对单位和小数点；确认无误请再保存一次。" in asked.text
    assert 'value="0.08"' in asked.text and seat.value("CREA") is None
    seat.type("CREA", "0.08", sure="1")
    assert seat.value("CREA") == "0"


def test_m07_bad_input_result_for_cancelled_item_is_409(seat: Seat) -> None:
    """result for cancelled item → 409, typed or sent"""
    world = seat.world
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE test /* by hand */ SET state = 'cancelled' WHERE specimen_id = :t"), {"t": seat.tube})
    answer = seat.type("K", "4.1")
    assert answer.status_code == 409 and "项目K" in answer.text and "已取消" in answer.text
    with world.lab.uow() as uow:
        [sent] = world.send(uow, seat.tube, {"K": "4.1"}, RUN)
        assert sent.outcome == service.Outcome.REFUSED, "it goes to the tray of results without a tube, and nowhere else"
    assert seat.value("K") is None


def test_m07_bad_input_two_users_entering_one_sample_is_409(seat: Seat) -> None:
    """two users entering one sample → 409, with the other's value and the own one"""
    other = Seat(seat.world, seat.tube, seat.world.lab.client("verifier"))
    shown = seat.line("NA").version
    assert other.type("NA", "141", shown, again="141").status_code == 200
    answer = seat.type("NA", "139", shown, again="139")
    assert answer.status_code == 409
    assert "您打开之后，项目NA 已由他人或仪器改为 141。您输入的 139 没有保存，请核对后再保存。" in answer.text
    assert answer.headers["HX-Retarget"] == "#notice" and seat.value("NA") == "141"


@pytest.mark.parametrize(
    ("sent", "low", "high", "told"), [("<0.5", "0.5", "5", "↓"), (">100", None, "40", "↑"), ("<5", "2", "8", "? 需人工判断")]
)
def test_ac_md_6_a_limit_has_its_arrow_or_is_for_a_person(seat: Seat, sent: str, low: str | None, high: str | None, told: str) -> None:
    """ "<0.5" with RI 0.5–5 → L; ">100" with RI <40 → H; "<5" with RI 2–8 → no arrow, 需人工判断"""
    world = seat.world
    with world.lab.uow() as uow:
        row = uow.s.query(RefInterval).filter_by(item_id=world.items["GLU"]).one()
        row.low, row.high = (None if each is None else Decimal(each) for each in (low, high))
    with world.lab.uow() as uow:
        world.send(uow, seat.tube, {"GLU": sent}, RUN)
    page = seat.client.fragment(f"/bench/{world.section_code}/tube/{seat.tube}").text
    line = page.split(f'id="r{seat.line("GLU").id}"')[1].split("</tbody>")[0]
    assert told in line and sent.replace("<", "&lt;").replace(">", "&gt;") in line
    assert [arrow for arrow in "↑↓" if f"{arrow}</b>" in line] == ([told] if told in "↑↓" else [])


def test_m07_a_qualitative_value_not_in_its_list(seat: Seat) -> None:
    """R6: enum from list only"""
    with seat.world.lab.uow() as uow:
        item = uow.s.get_one(TestItem, (uow.tenant_id, seat.world.items["EXTRA"]))
        item.result_type, item.choices = "enum", ["阴性", "阳性"]
    refused = seat.type("EXTRA", "阳")
    assert "项目EXTRA只能从列表中选择：阴性、阳性。“阳”没有保存。" in refused.text and seat.value("EXTRA") is None
    with pytest.raises(UserError, match="只能从列表中选择"), seat.world.lab.uow() as uow:
        service.check_entry(uow, seat.world.items["EXTRA"], "+")
