"""Calculated and judged items on real results: when they run, what they use, when they run again, what they say when they cannot."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import models, service
from cloud.modules.bench.rules import TestState
from cloud.modules.catalog import models as md
from cloud.modules.catalog import rule_models
from cloud.modules.catalog.formulas import EGFR, STARTING, Starting
from tests.cloud.bench.world import World, build
from tests.support.database import TestDatabase
from tests.support.lab import Lab, make

MMOL, G, UMOL = "mmol/L", "g/L", "umol/L"
# code, unit, decimals, low, high, critical low, critical high, mandatory
ITEMS = (
    *((code, MMOL, 2, None, None, None, None, True) for code in ("TC", "HDL", "TG", "LDL", "CA", "CA_CORR")),
    *((code, G, 1, None, None, None, None, True) for code in ("TP", "ALB", "GLO")),
    *((code, MMOL, 0, None, None, None, None, True) for code in ("NA", "CL", "HCO3")),
    ("AG", MMOL, 0, "8", "16", None, "30", True),
    ("A/G", "", 1, None, None, None, None, True),
    ("TBIL", UMOL, 1, None, None, None, None, True),
    ("DBIL", UMOL, 1, None, None, None, None, True),
    ("IBIL", UMOL, 1, None, None, None, None, True),
    ("CREA", UMOL, 0, None, None, None, None, True),
    ("EGFR", "mL/min", 0, None, None, None, None, True),
    ("UTP", G, 2, None, None, None, None, True),
    ("UV24", "L", 2, None, None, None, None, True),
    ("UTP24", "g/24h", 2, None, None, None, None, True),
    ("HBSAG", "", 2, None, None, None, None, True),
)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab: Lab = make(fresh_db)
    made = build(lab, items=ITEMS)
    with lab.uow() as uow:
        for each in STARTING:
            formula(uow, made, each)
        formula(uow, made, EGFR["2009"])
        branches = [
            {"when": "x < 0.90", "text": "阴性", "flag": ""},
            {"when": "x < 1.10", "text": "灰区(复检)", "flag": "A"},
            {"text": "阳性", "flag": "A"},
        ]
        uow.s.add(rule_models.JudgeFormula(item_id=made.items["HBSAG"], branches=branches))
    yield made
    lab.db.dispose()


def formula(uow: UnitOfWork, world: World, each: Starting) -> None:
    row = rule_models.CalcFormula(item_id=world.items[each.code], name=each.name, expression=each.expression, units=dict(each.units))
    uow.s.add(row)


def shown(uow: UnitOfWork, world: World, tube: int, code: str) -> str | None:
    version = current(uow, world, tube, code)
    return None if version is None else version.reported_text


def row_of(uow: UnitOfWork, world: World, tube: int, code: str) -> models.Test:
    query = select(models.Test).where(models.Test.specimen_id == tube, models.Test.item_id == world.items[code])
    return uow.s.scalars(query.execution_options(populate_existing=True)).one()


def current(uow: UnitOfWork, world: World, tube: int, code: str) -> models.ResultVersion | None:
    test = row_of(uow, world, tube, code)
    return None if test.current_id is None else uow.s.get(models.ResultVersion, (uow.tenant_id, test.current_id))


def after(world: World, values: dict[str, str], code: str, **patient: Any) -> str | None:
    with world.lab.uow() as uow:
        tube = world.tube(uow, world.patient(uow, **patient) if patient else None)
        world.send(uow, tube, values)
    with world.lab.uow() as uow:
        return shown(uow, world, tube, code)


def test_ac_md_4_starting_formulas(world: World) -> None:
    lipids = {"TC": "5.20", "HDL": "1.30"}
    assert after(world, {**lipids, "TG": "1.76"}, "LDL") == "3.10"
    assert after(world, {**lipids, "TG": "4.6"}, "LDL") == "无法计算（TG≥4.5）"
    assert after(world, {"TP": "72.0", "ALB": "44.5"}, "GLO") == "27.5"
    assert after(world, {"TP": "72.0", "ALB": "44.5"}, "A/G") == "1.6"
    assert after(world, {"NA": "140", "CL": "102", "HCO3": "24"}, "AG") == "14"
    assert after(world, {"CA": "2.10", "ALB": "28"}, "CA_CORR") == "2.34"
    assert after(world, {"TBIL": "20.15", "DBIL": "4.1"}, "IBIL") == "16.1"  # 16.05 half up, not 20.2 − 4.1
    assert after(world, {"UTP": "0.35", "UV24": "1.8"}, "UTP24") == "0.63"


def test_ac_md_3_egfr(world: World) -> None:
    for edition, sex, years, creatinine, expected in (
        ("2009", "M", 60, "106", "65"),
        ("2021", "M", 60, "106", "69"),
        ("2009", "F", 45, "62", "104"),
        ("2021", "F", 45, "62", "108"),
    ):
        with world.lab.uow() as uow:
            row = uow.s.scalars(select(rule_models.CalcFormula).where(rule_models.CalcFormula.item_id == world.items["EGFR"])).one()
            row.expression, row.name = EGFR[edition].expression, EGFR[edition].name
        born = datetime(2026 - years, 5, 4, tzinfo=UTC)
        assert after(world, {"CREA": creatinine}, "EGFR", sex=sex, birth=born) == expected


def test_egfr_names_its_edition_and_refuses_children_and_unknown_sex(world: World) -> None:
    child = after(world, {"CREA": "40"}, "EGFR", birth=datetime(2016, 1, 1, tzinfo=UTC))
    assert child == "无法计算（仅适用于 18 岁及以上）"
    assert after(world, {"CREA": "40"}, "EGFR", sex="U") == "无法计算（缺少 性别）"
    assert after(world, {"CREA": "40"}, "EGFR", birth=None) == "无法计算（缺少 年龄）"
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"CREA": "88.4"})
        version = current(uow, world, tube, "EGFR")
        assert version is not None and version.snapshot["formula"]["name"] == "eGFR（CKD-EPI 2009）"
        assert version.snapshot["formula"]["inputs"] == {"CREA": "88.4"} and version.source == "calc"


def test_a_formula_waits_for_its_inputs_and_runs_when_the_last_comes(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"TP": "72.0"})
        assert shown(uow, world, tube, "GLO") is None and row_of(uow, world, tube, "GLO").state == "expected"
    with world.lab.uow() as uow:
        world.send(uow, tube, {"ALB": "44.5"})
        assert shown(uow, world, tube, "GLO") == "27.5" and row_of(uow, world, tube, "GLO").state == "received"


def test_inputs_are_unrounded_and_mapped(world: World) -> None:
    """TP 72.05 prints 72.1, ALB 44.50: the formula sees 27.55 → 27.6, not 72.1 − 44.5 = 27.6 by luck; g/dL × 10 by the channel."""
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"TP": "7.2049"}, factor=Decimal(10))
        world.send(uow, tube, {"ALB": "44.46"})
        assert (shown(uow, world, tube, "TP"), shown(uow, world, tube, "ALB")) == ("72.0", "44.5")
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "27.6"  # 72.049 − 44.46 = 27.589; from the printed ones 27.5


def test_a_changed_input_calculates_again_and_keeps_the_old_version(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"TP": "72.0", "ALB": "44.5"})
    with world.lab.uow() as uow:
        albumin = row_of(uow, world, tube, "ALB")
        assert service.enter_result(uow, service.Entry(albumin.id, albumin.version, "40.0", reason="复查"))
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "32.0" and shown(uow, world, tube, "A/G") == "1.3"
        globulin = row_of(uow, world, tube, "GLO")
        versions = uow.s.scalars(select(models.ResultVersion).where(models.ResultVersion.test_id == globulin.id)).all()
        assert sorted((v.version_no, v.reported_text) for v in versions) == [(1, "27.5"), (2, "32.0")]
        # Nothing changed: nothing written.
        albumin = row_of(uow, world, tube, "ALB")
        assert not service.enter_result(uow, service.Entry(albumin.id, albumin.version, "40.0"))


def test_what_is_no_exact_number_is_said_and_held(world: World) -> None:
    for given, cause in (("<0.5", "项目ALB 只有界限，没有确切数值"), ("溶血", "项目ALB 不是数值"), ("-----", "缺少 项目ALB")):
        with world.lab.uow() as uow:
            tube = world.tube(uow)
            world.send(uow, tube, {"TP": "72.0", "ALB": given})
            version = current(uow, world, tube, "GLO")
            assert version is not None and version.reported_text == f"无法计算（{cause}）" and version.value is None
            assert [each["code"] for each in version.holds] == ["CALC"] and row_of(uow, world, tube, "GLO").state == "held"
        with world.lab.uow() as uow:  # corrected: calculated after all
            albumin = row_of(uow, world, tube, "ALB")
            service.enter_result(uow, service.Entry(albumin.id, albumin.version, "44.5", reason="复查"))
        with world.lab.uow() as uow:
            assert shown(uow, world, tube, "GLO") == "27.5" and row_of(uow, world, tube, "GLO").state == "received"


def test_no_result_of_an_input_is_a_cause_and_may_be_taken_back(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"TP": "72.0"})
        albumin = row_of(uow, world, tube, "ALB")
        service.set_no_result(uow, albumin.id, albumin.version, "标本量不足")
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "无法计算（缺少 项目ALB）"
        albumin = row_of(uow, world, tube, "ALB")
        service.enter_result(uow, service.Entry(albumin.id, albumin.version, "44.5"))
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "27.5"


def test_what_a_person_entered_for_a_calculated_item_stays(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        globulin = row_of(uow, world, tube, "GLO")
        service.enter_result(uow, service.Entry(globulin.id, globulin.version, "30.0"))
    with world.lab.uow() as uow:
        world.send(uow, tube, {"TP": "72.0", "ALB": "44.5"})
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "30.0"


def test_a_unit_changed_since_is_not_calculated_with(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.scalars(select(md.TestItem).where(md.TestItem.code == "TP")).one().unit = "g/dL"
    assert "单位 g/L 书写，项目现为 g/dL" in str(after(world, {"TP": "7.2", "ALB": "44.5"}, "GLO"))


def test_calculated_values_are_flagged_and_critical_like_any_other(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"NA": "140", "CL": "90", "HCO3": "15"})
        version = current(uow, world, tube, "AG")
        assert version is not None and (version.reported_text, version.flag, version.critical) == ("35", "H", True)


def test_judgement_at_its_edges(world: World) -> None:
    """HBsAg S/CO: <0.90 阴性; <1.10 灰区(复检); else 阳性, judged on the reported value."""
    for raw, said, flag in (
        ("0.89", "阴性(0.89)", ""),
        ("0.90", "灰区(复检)(0.90)", "A"),
        ("1.09", "灰区(复检)(1.09)", "A"),
        ("1.10", "阳性(1.10)", "A"),
        ("0.894", "阴性(0.89)", ""),
        ("0.895", "灰区(复检)(0.90)", "A"),
        ("<0.05", "阴性(<0.05)", ""),
        (">250", "阳性(>250)", "A"),
    ):
        with world.lab.uow() as uow:
            tube = world.tube(uow)
            world.send(uow, tube, {"HBSAG": raw})
            version = current(uow, world, tube, "HBSAG")
            assert version is not None and (version.reported_text, version.flag) == (said, flag) and version.snapshot["judge"]


def test_a_judgement_that_cannot_tell_holds(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"HBSAG": "<1.00"})
        version = current(uow, world, tube, "HBSAG")
        assert version is not None and version.reported_text == "<1.00" and "JUDGE" in [each["code"] for each in version.holds]


def test_an_amended_input_amends_what_was_calculated(world: World) -> None:
    with world.lab.uow() as uow:
        tube = world.tube(uow)
        world.send(uow, tube, {"TP": "72.0", "ALB": "44.5"})
        for test in uow.s.scalars(select(models.Test).where(models.Test.specimen_id == tube)):
            test.state = "released" if test.current_id else "cancelled"
    with world.lab.uow() as uow:
        work = service.lock_reported(uow, [tube])
        service.amend(work, {row_of(uow, world, tube, "TP").id: ("70.0", "录入错误")})
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "25.5" and row_of(uow, world, tube, "GLO").state == "amended"
        version = current(uow, world, tube, "GLO")
        assert version is not None and version.released_at is not None


def told(world: World, values: dict[str, str]) -> int:
    """A tube of a man whose report is out."""
    with world.lab.uow() as uow:
        tube = world.tube(uow, world.patient(uow, sex="M"))
        world.send(uow, tube, values)
        for test in uow.s.scalars(select(models.Test).where(models.Test.specimen_id == tube)):
            test.state = "released" if test.current_id else "cancelled"
    return tube


def corrected(world: World, tube: int) -> None:
    """It was a woman's."""
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE patient SET sex = 'F' FROM specimen s WHERE s.id = :s AND patient.id = s.patient_id"), {"s": tube})
        service.amend(service.lock_reported(uow, [tube]), {}, "HIS 更正")


def interval(uow: UnitOfWork, world: World, code: str, low: str, high: str, sex: str) -> None:
    uow.s.add(md.RefInterval(item_id=world.items[code], low=Decimal(low), high=Decimal(high), sex=sex))


def test_what_is_calculated_is_judged_again_for_the_corrected_patient(world: World) -> None:
    """The value stays equal, its interval and its arrow do not; a formula goes on owning it."""
    with world.lab.uow() as uow:
        for sex, low, high in (("M", "20", "30"), ("F", "10", "25")):
            interval(uow, world, "GLO", low, high, sex)
    tube = told(world, {"TP": "72.0", "ALB": "44.5"})
    corrected(world, tube)
    with world.lab.uow() as uow:
        version = current(uow, world, tube, "GLO")
        assert version is not None and (version.reported_text, version.ref_text, version.flag) == ("27.5", "10–25", "H")
        assert version.source == "calc" and version.reason == "HIS 更正" and version.released_at is not None
        ratio = current(uow, world, tube, "A/G")
        assert ratio is not None and ratio.version_no == 1, "judged alike: no version for nothing"
        service.amend(service.lock_reported(uow, [tube]), {row_of(uow, world, tube, "TP").id: ("70.0", "录入错误")})
        assert shown(uow, world, tube, "GLO") == "25.5"


def test_a_judgement_for_the_corrected_patient_rounds_nothing_that_formulas_read(world: World) -> None:
    with world.lab.uow() as uow:
        for sex, low in (("M", "60"), ("F", "65")):
            interval(uow, world, "TP", low, "85", sex)
    tube = told(world, {"TP": "72.04", "ALB": "44.48"})
    corrected(world, tube)
    with world.lab.uow() as uow:
        version = current(uow, world, tube, "TP")
        assert version is not None and (version.reported_text, version.ref_text, version.version_no) == ("72.0", "65–85", 2)
        assert shown(uow, world, tube, "GLO") == "27.6", "72.04 - 44.48, not 72.0 - 44.5"


def test_a_positive_stays_positive_for_the_corrected_patient(world: World) -> None:
    """A judgement is one of the number: read again from its own words it would lose its flag."""
    with world.lab.uow() as uow:
        for sex, high in (("M", "0.9"), ("F", "1.0")):
            interval(uow, world, "HBSAG", "0", high, sex)
    tube = told(world, {"HBSAG": "5.25"})
    corrected(world, tube)
    with world.lab.uow() as uow:
        version = current(uow, world, tube, "HBSAG")
        assert version is not None and (version.reported_text, version.flag, version.ref_text) == ("阳性(5.25)", "A", "0–1.0")


def test_an_amended_input_of_a_recalled_report_amends_what_was_calculated(world: World) -> None:
    tube = told(world, {"TP": "72.0", "ALB": "44.5"})
    with world.lab.uow() as uow:
        service.retell(service.lock_reported(uow, [tube]), TestState.RECALLED)
    with world.lab.uow() as uow:
        service.amend(service.lock_reported(uow, [tube]), {row_of(uow, world, tube, "TP").id: ("70.0", "录入错误")})
    with world.lab.uow() as uow:
        assert shown(uow, world, tube, "GLO") == "25.5" and row_of(uow, world, tube, "GLO").state == "amended"
