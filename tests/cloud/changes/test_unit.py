"""An item's unit: kept while anything counts in it (M02)."""

from __future__ import annotations

from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models as md
from cloud.modules.catalog import rule_models
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import service
from tests.cloud.bench.world import World
from tests.cloud.changes.test_bad_input import ITEM
from tests.cloud.changes.test_bad_input import world as world


def test_an_item_that_is_counted_in_keeps_its_unit(world: World) -> None:
    """Every number of its limits, formulas and rules is of that unit; the way to another is another item."""
    with world.lab.uow() as uow:
        row = rule_models.ReflexRule(
            code="RU", name="高钾复查", expression='"K" > 6', item_id=world.items["NA"], action="repeat", message=""
        )
        calc = rule_models.CalcFormula(item_id=world.items["EXTRA"], name="钾加一", expression='"K" + 1', units={"K": "mmol/L"})
        uow.s.add_all([row, calc])
        uow.s.flush()
        catalog.changed(uow)
        made = [(rule_models.ReflexRule, row.id), (rule_models.CalcFormula, calc.id)]
    try:
        with world.lab.uow() as uow:
            kind = catalog.KINDS["item"]
            values = catalog.present(uow, kind, world.items["K"])
            assert values is not None
            [(_, said)] = service.check(uow, "item", [(world.items["K"], values | {"unit": "mg/dL"})])
            told = str(said)
            for word in ("从 mmol/L 改为 mg/dL", "参考区间 1 行", "危急值 1 行", "仪器通道 1 个", "公式“钾加一”", "规则“高钾复查”", "另建"):
                assert word in told, (word, told)
            assert service.check(uow, "item", [(world.items["K"], values | {"unit": "mmol/L", "name": "血钾"})]) == []
            assert service.check(uow, "item", [(world.items["EXTRA"], values_of(uow, "EXTRA", world) | {"unit": "g/L"})]) != []
        form = ITEM | {"code": "K", "name": "项目K", "unit": "mg/dL", "reason": "换单位"}
        answer = world.lab.client("leader").post(f"/md/edit/item/{world.items['K']}", form)
        assert answer.status_code == 422 and "单位不能从" in answer.text and 'value="mg/dL"' in answer.text
    finally:
        with world.lab.uow() as uow:
            for table, number in made:
                uow.s.delete(uow.s.get_one(table, (uow.tenant_id, number)))
            catalog.changed(uow)


def test_a_unit_nobody_counts_in_yet_may_be_corrected(world: World) -> None:
    with world.lab.uow() as uow:
        item = md.TestItem(code="FRESH", name="新", abbr="F", section_id=world.section, unit="g/L", decimals=1, active=False)
        uow.s.add(item)
        uow.s.flush()
        catalog.changed(uow)
        values = catalog.present(uow, catalog.KINDS["item"], item.id)
        assert values is not None and service.check(uow, "item", [(item.id, values | {"unit": "mg/L"})]) == []
        uow.s.delete(item)
        catalog.changed(uow)


def values_of(uow: UnitOfWork, code: str, world: World) -> dict[str, Any]:
    found = catalog.present(uow, catalog.KINDS["item"], world.items[code])
    assert found is not None
    return found
