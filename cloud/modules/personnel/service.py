"""Verbs of personnel: grant, suspend, resume, revoke an authorisation; refuse what nobody authorised."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.personnel import queries
from cloud.modules.personnel.models import Authorization
from cloud.modules.personnel.rules import FUNCTION_WORDS, WORDS, Function, State, may_move, trimmed
from cloud.modules.platform import queries as people
from common.errors import UserError
from common.say import say, word


@dataclass(frozen=True, slots=True)
class NewGrant:
    """What the director signs. No section: all; no order set: all items."""

    user_id: int
    function: Function
    section_id: int | None
    order_set_id: int | None
    first: date
    until: date
    competency_until: date
    licence_until: date


def grant(uow: UnitOfWork, new: NewGrant) -> Authorization:
    """Authorise a person; the last day is trimmed to competency and licence (AC-HR-1: compare ``until`` with what was asked)."""
    catalog = md.catalog(uow)
    if new.section_id is not None and new.section_id not in catalog.sections:
        raise UserError("not_found", "该专业组不存在。")
    if new.order_set_id is not None and new.order_set_id not in catalog.order_sets:
        raise UserError("not_found", "该项目组（医嘱组合）不存在。")
    if not people.exists(uow, new.user_id):
        raise UserError("not_found", "该人员不存在，请从列表中选择。")
    if uow.actor.user_id == new.user_id:
        raise UserError("conflict", "不能给自己授权，请由他人办理。")
    until = trimmed(new.until, new.competency_until, new.licence_until)
    if until < new.first:
        raise UserError(
            "invalid", say("能力评估或上岗证在 {until} 到期，早于开始日期 {first}，请先续期。", until=until, first=new.first), field="first"
        )
    row = Authorization(
        user_id=new.user_id,
        function=new.function.value,
        section_id=new.section_id,
        order_set_id=new.order_set_id,
        first=new.first,
        until=until,
        competency_until=new.competency_until,
        licence_until=new.licence_until,
        granted_by=uow.actor.user_id,
        granted_at=uow.now,
    )
    uow.s.add(row)
    uow.s.flush()
    after = {"user": new.user_id, "function": new.function.value, "section": new.section_id, "group": new.order_set_id, "until": str(until)}
    uow.audit("authorization", row.id, "grant", after=after)
    return row


def move(uow: UnitOfWork, grant_id: int, to: State, reason: str) -> None:
    """Suspend, resume or revoke, with the reason; rights follow with the next click."""
    row = uow.s.execute(select(Authorization).where(Authorization.id == grant_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise UserError("not_found", "该授权不存在，请刷新后重试。")
    state = State(row.state)
    if not may_move(state, to):
        raise UserError("conflict", say("该授权目前为“{state}”，不能改为“{to}”。", state=word(WORDS[state]), to=word(WORDS[to])))
    if not reason.strip():
        raise UserError("invalid", "请写明原因。", field="reason")
    if uow.actor.user_id == row.user_id:
        raise UserError("conflict", "不能更改自己的授权，请由他人办理。")
    row.state, row.reason = to.value, reason.strip()[:200]
    uow.audit("authorization", grant_id, to.value, before={"state": state.value}, after={"state": to.value}, reason=reason.strip())


def require(uow: UnitOfWork, user_id: int, function: Function, wanted: Sequence[tuple[str, int, Collection[int]]]) -> None:
    """Refuse (403) unless this person is authorised for the items of each (name, section, items), naming what lacks (M01 R4)."""
    catalog = md.catalog(uow)
    lacking = queries.missing(uow, user_id, function, [(section, items) for _, section, items in wanted], uow.now)
    for (name, section, _), items in zip(wanted, lacking, strict=True):
        if items:
            shown = [*(catalog.items[i].name for i in sorted(items)[:5]), *(["…"] if len(items) > 5 else [])]
            raise UserError(
                "forbidden",
                say(
                    "{name}：您没有{section}“{shown}”的有效{function}授权，请联系科主任办理后再试。",
                    name=name,
                    section=catalog.sections[section].name,
                    shown=shown,
                    function=word(FUNCTION_WORDS[function]),
                ),
            )


__all__ = ["Function", "NewGrant", "State", "grant", "move", "require"]
