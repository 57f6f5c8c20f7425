"""Registration by hand (体检, 外院, downtime): the same door as a HIS order, so all its rules hold. One form, one order (C6)."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as catalog
from cloud.modules.orders import merge, patients, place, rules
from cloud.modules.orders.messages import (
    LAST_WEEK,
    Action,
    Charge,
    ItemData,
    OrderData,
    OrderMessage,
    PatientData,
    PatientId,
    Priority,
    Registration,
    Sex,
    VisitData,
    VisitType,
    drugs_said,
    gestation_said,
    yes_said,
)
from cloud.modules.orders.stored import stored
from cloud.web.faults import Conflict, Invalid
from common.say import say, word

_KEY = re.compile(r"[0-9a-f]{32}")


def register(uow: UnitOfWork, form: Registration) -> place.Placed:
    """Place the order. Raises Invalid naming the field, Conflict when it contradicts what is stored."""
    if not _KEY.fullmatch(form.key):
        raise Invalid("页面已过期，请重新打开登记页。")
    message = _message(uow, form)
    there = stored(uow, message, place.MANUAL)
    alone = not (form.other_person or there.person) and _nobody_like(uow, message.patient)
    _all_fit(uow, message)
    charge = Charge.PAID if form.paid else Charge.UNPAID
    try:
        return place.place_order(uow, message, place.MANUAL, default_charge=charge, alone=alone, fresh=there.nothing)
    except place.OrderRefused as refused:
        raise Conflict(say("{text}。请核对患者号与姓名、性别、出生日期。", text=word(refused.problems[0].text))) from refused


def _all_fit(uow: UnitOfWork, message: OrderMessage) -> None:
    """Whoever registers can still ask: a request that contradicts sex or age is named at once instead of held."""
    who, known = message.patient, catalog.catalog(uow).order_sets_by_code
    age = catalog.subject_age(patients.instant(who.birth, who.birth_at), None, uow.now)
    if age is not None and age.years >= rules.MAX_AGE_YEARS:
        raise Invalid(say("年龄超过 {n} 岁，请核对出生日期。", n=rules.MAX_AGE_YEARS), "birth")
    for each in message.items:
        wanted = known[each.code or ""]
        unknown = (who.sex.value not in rules.SEX_WORDS) or age is None
        why = rules.fit_problem(who.sex.value, None if age is None else age.years, wanted.sex, wanted.age_low, wanted.age_high)
        if why is not None and not unknown:
            raise Invalid(say("“{item}”不能登记：{why}。请核对患者信息或换项目。", item=wanted.name, why=why), "order_sets")
        if rules.consent_problem(wanted.consent, message.orders[0].consent) is not None:
            raise Invalid(say("“{item}”须患者知情同意：签署后请勾选“已签知情同意”。", item=wanted.name), "consent")


def _nobody_like(uow: UnitOfWork, who: PatientData) -> bool:
    """A new record beside one of the same name and birthday is how one person's results get lost: it is asked before, not mended later.

    Not asked of another person on purpose, or of a number that is known. True; raises Conflict naming who is like this person.
    """
    found = merge.like(uow, who.name, who.sex.value, patients.instant(who.birth, None))
    if found:
        who_they_are = [f"{p.name} {p.patient_no}" for p in found]
        text = say("已有同名、同出生日期的患者：{who}。是同一人请填写该患者号；确为另一人请勾选“确为另一人”后再登记。", who=who_they_are)
        raise Conflict(text, field="patient_no")
    return True


def _message(uow: UnitOfWork, form: Registration) -> OrderMessage:
    if not form.name.strip():
        raise Invalid("请填写姓名。", "name")
    known = catalog.catalog(uow).order_sets_by_code
    codes = [c for c in dict.fromkeys(form.order_sets) if c in known and known[c].active]
    if not codes:
        raise Invalid("请至少选择一个项目。", "order_sets")
    short = form.key[:10].upper()
    number = form.patient_no.strip() or f"M{short}"
    who = PatientData(
        (PatientId("patient_no", number),), form.name.strip(), Sex(_one(form.sex, Sex, "sex")), day(form.birth, uow.now), None,
        form.phone.strip() or None,
    )  # fmt: skip
    visit = VisitData(VisitType(_one(form.kind, VisitType, "kind")), f"M{short}", dept=form.dept.strip() or None)
    items = tuple(ItemData(f"M{short}-{code}", Action.NEW, code, known[code].name) for code in codes)
    order = OrderData(
        f"M{short}", Priority(_one(form.priority, Priority, "priority")), items, form.doctor.strip() or None, None,
        form.dept.strip() or None, None, uow.now, None, form.note.strip() or None,
        drugs_said(form.drugs), _gest_from(form, uow.now), yes_said(form.fasting), form.consent or None,
    )  # fmt: skip
    return OrderMessage(form.key, who, visit, (order,), (), uow.now)


def _gest_from(form: Registration, now: datetime) -> date | None:
    """The day the pregnancy counts from. Raises Invalid for a week nobody can be in, or of somebody who is no woman."""
    if not form.gest.strip():
        return None
    days = gestation_said(form.gest)
    if days is None:
        raise Invalid(say("孕周请写成 24 或 24+3（1 到 {last} 周）。", last=LAST_WEEK), "gest")
    if form.sex != Sex.FEMALE:
        raise Invalid(say("填写了孕周，但患者性别不是女，请核对。"), "gest")
    return now.astimezone(catalog.HOSPITAL_ZONE).date() - timedelta(days=days)


def _one(value: str, kind: type[Sex] | type[VisitType] | type[Priority], field: str) -> str:
    if value not in {m.value for m in kind}:
        raise Invalid("请从列表中选择。", field)
    return value


def day(text: str, now: datetime) -> date | None:
    if not text.strip():
        return None
    try:
        found = date.fromisoformat(text.strip())
    except ValueError as error:
        raise Invalid("出生日期请写成 1990-03-07。", "birth") from error
    if found > now.date():
        raise Invalid("出生日期不能在将来。", "birth")
    return found
