"""M08 *Bad input*, a test a line of the specification, on the page of the rules: refused in words with what to do, the set as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal as D

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from cloud.modules.autoverify import identity_form
from cloud.modules.autoverify.case import Element, Pattern
from cloud.modules.catalog import models as md
from common.errors import UserError
from tests.cloud.autoverify.floor import Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer


@dataclass
class Draft:
    """A leader's draft."""

    floor: Floor
    id: int
    leader: labs.Client

    def edit(self, **form: str) -> TestResponse:
        return self.leader.post(f"/av/rules/{self.id}/policy", {"version": self.row()[0], **form}, htmx=True)

    def row(self) -> tuple[int, str, str]:
        with self.floor.world.lab.uow() as uow:
            found = uow.s.execute(text("SELECT version, state, policy FROM av_rule_set WHERE id = :i"), {"i": self.id}).one()
            return found.version, found.state, json.dumps(found.policy, sort_keys=True)

    def page(self) -> str:
        return self.leader.get(f"/av/rules?section={self.floor.world.section_code}&set={self.id}").text

    def retire(self, code: str, active: bool = False) -> None:
        with self.floor.world.lab.uow() as uow:
            uow.s.get_one(md.TestItem, (uow.tenant_id, self.floor.world.items[code])).active = active


@pytest.fixture(scope="module")
def floor(pg: TestServer, schema_template: TestDatabase) -> Iterator[Floor]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield open_floor(lab, active=False)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.fixture
def draft(floor: Floor) -> Draft:
    leader = floor.world.lab.client("leader")
    made = leader.post("/av/rules", {"section": floor.world.section, "name": "试"})
    return Draft(floor, int(made.headers["Location"].rpartition("=")[2]), leader)


def test_m08_bad_input_rule_referencing_retired_item_cannot_validate(draft: Draft) -> None:
    """rule referencing retired item → cannot validate: a range, a rule; the page names it and lets it be deleted, one after the other"""
    assert draft.edit(what="range", item="NA", low="130", high="150").status_code == 204
    assert draft.edit(what="context", code="NAK", source='"NA" > 3 且 "K" > 4', message="钠钾").status_code == 204
    draft.retire("NA")
    try:
        before = draft.row()
        for path in ("validate", "policy"):
            form = {"version": str(before[0]), "what": "range", "item": "NA", "low": "131", "high": "150"}
            refused = draft.leader.post(f"/av/rules/{draft.id}/{path}", form, htmx=True)
            assert refused.status_code == 422 and "规则引用了不存在或已停用的项目 NA，请删除该规则或恢复项目。" in refused.text, path
        assert draft.row() == before
        page = draft.page()
        assert "规则引用了已停用或不存在的项目" in page and "删除该规则或恢复项目之前，这一版不能验证，也不放行任何报告。" in page
        assert 'value="NAK"' in page and 'value="NA"' in page, "each can be deleted"
        assert draft.edit(what="drop", name="NA").status_code == 204
        refused = draft.leader.post(f"/av/rules/{draft.id}/validate", htmx=True)
        assert refused.status_code == 422 and "污染类型或混淆权重引用了已停用的项目 NA" in refused.text
        assert draft.edit(what="drop", name="CONTAM_DRIP").status_code == 204
        refused = draft.leader.post(f"/av/rules/{draft.id}/validate", htmx=True)
        assert refused.status_code == 409 and "不能验证。规则引用了已停用或不存在的项目" in refused.text and "NA" in refused.text
        assert draft.edit(what="drop", name="NAK").status_code == 204
        assert "不能验证，也不放行" not in draft.page()
    finally:
        draft.retire("NA", active=True)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ("0.5", "5", "项目K 自动审核界限 0.5 超出测量范围（界限 1），请改到范围以内。"),
        ("3", "10.1", "项目K 自动审核界限 10.1 超出测量范围（界限 10），请改到范围以内。"),
    ],
)
def test_m08_bad_input_limit_outside_amr(draft: Draft, low: str, high: str, words: str) -> None:
    """limit outside AMR"""
    refuse(draft, low, high, words)


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        ("2.7", "5", "项目K 自动审核界限 2.7 越过危急值界限 2.8，不能保存。"),
        ("2.8", "6.3", "项目K 自动审核界限 6.3 越过危急值界限 6.2，不能保存。"),
        ("5", "4", "项目K 自动审核范围下限 5 不小于上限 4。"),
        *((w, "4", f"“{w}”不是数值，请用小数点，例如 2.8。") for w in ("三", "1_0", "1e999", "3,5", "=3 4", "NaN")),
    ],
)
def test_m08_bad_input_av_range_crossing_critical_limit_is_refused(draft: Draft, low: str, high: str, words: str) -> None:
    """AV range crossing critical limit → refuse"""
    refuse(draft, low, high, words)


def refuse(draft: Draft, low: str, high: str, words: str) -> None:
    before = draft.row()
    refused = draft.edit(what="range", item="K", low=low, high=high)
    assert refused.status_code == 422 and words in refused.text and draft.row() == before
    assert refused.headers["HX-Retarget"] == "#notice", "what was typed stays in its fields"


def test_m08_bad_input_a_range_crosses_the_critical_limit_of_any_department_or_age(draft: Draft) -> None:
    """the limit of newborns counts too: a set's range holds for every patient"""
    world = draft.floor.world
    assert draft.edit(what="range", item="K", low="2.8", high="6.0").status_code == 204
    with world.lab.uow() as uow:
        row = md.CriticalLimit(item_id=world.items["K"], high=5, age_low=0, age_high=28, age_unit="day")  # type: ignore[arg-type]
        uow.s.add(row)
        uow.s.flush()
        made = row.id
    refuse(draft, "2.8", "5.5", "项目K 自动审核界限 5.5 越过危急值界限 5，不能保存。")
    with world.lab.uow() as uow:
        uow.s.delete(uow.s.get_one(md.CriticalLimit, (uow.tenant_id, made)))


def test_m08_bad_input_a_range_without_limits_is_refused(draft: Draft) -> None:
    """It would hold every report of the item, and look like an empty field."""
    refused = draft.edit(what="range", item="K", low="", high=" ")
    assert refused.status_code == 422 and "请填写 项目K 放行范围的下限或上限" in refused.text
    assert draft.edit(what="range", item="K", low="3", high="").status_code == 204


def test_m08_a_condition_that_cannot_be_read_is_named_by_its_place(draft: Draft) -> None:
    before = draft.row()
    refused = draft.edit(what="context", code="BAD", source='"K" >', message="x")
    assert refused.status_code == 422 and "公式有误" in refused.text and "没有写完" in refused.text and draft.row() == before


# --- mix-up weights and contaminations as a person writes them -----------------------------------------------------------

KNOWN = {"K", "CA", "MCV"}
EDTA = Pattern(
    "CONTAM_EDTA", (Element("K", True, D("5.5"), D(20)), Element("CA", False, None, D(15)), Element("MCV", True, D(100))), ("K",), 2
)


def test_weights_and_patterns_are_read_as_they_are_written() -> None:
    assert identity_form.weights("MCV 1\n\n K  0.5 ", KNOWN) == {"MCV": D(1), "K": D("0.5")}
    assert identity_form.weight_lines({"MCV": D(1), "K": D("0.5")}) == "MCV 1\nK 0.5"
    assert identity_form.pattern("contam_edta", identity_form.sign_lines(EDTA), "K", "2", KNOWN) == EDTA
    assert identity_form.pattern("CONTAM_EDTA", "K＞5.5 20%；CA < - 15 %；MCV>100", "K", "2", KNOWN) == EDTA


@pytest.mark.parametrize(
    ("code", "elements", "required", "least", "word"),
    [
        ("1X", "K > 5", "", "1", "字母开头"),
        ("XX", "K 5", "", "1", "看不懂"),
        ("XX", "K > -", "", "1", "看不懂"),
        ("XX", "NA > 5", "", "1", "没有在用的项目 NA"),
        ("XX", "K > 5", "CA", "1", "不在上面"),
        ("XX", "K > 5", "", "2", "1 到 1"),
        ("XX", "K > 5", "", "x", "1 到 1"),
    ],
)
def test_what_cannot_be_a_contamination_is_named(code: str, elements: str, required: str, least: str, word: str) -> None:
    with pytest.raises(UserError, match=word):
        identity_form.pattern(code, elements, required, least, KNOWN)


@pytest.mark.parametrize("text", ["MCV", "MCV -1", "MCV x", "NA 1"])
def test_what_cannot_be_a_weight_is_named(text: str) -> None:
    with pytest.raises(UserError):
        identity_form.weights(text, KNOWN)
