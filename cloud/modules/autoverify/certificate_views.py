"""One certificate of validation (R5), on the screen and on paper with its signatures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import request
from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.autoverify import queries
from cloud.modules.autoverify.coverage import SPOKEN
from cloud.modules.autoverify.models import RuleSet, Validation
from cloud.modules.autoverify.rules import WORDS, Confusion, Perm, State
from cloud.modules.autoverify.variants import PART
from cloud.modules.autoverify.words import CATEGORIES
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.reports.documents import Column, ListDocument
from cloud.web.faults import NotFound
from cloud.web.page import page, redirect_to
from cloud.web.view import Views, principal
from common.say import Said, say

NONE = say("（本规则集没有此类规则）")
CERTIFICATES = Views("autoverify_certificates", __name__)
_APPROVED = text("SELECT name FROM app_user WHERE tenant_id = :t AND id = :id")


@CERTIFICATES.get("/av/validation/<int:validation_id>", Perm.READ)
def certificate(uow: UnitOfWork, validation_id: int) -> Any:
    """One certificate."""
    record, row = _found(uow, validation_id)
    context: dict[str, Any] = {"record": record, "row": row, "section": md.catalog(uow).sections[row.section_id], "told": told}
    context |= {"found": Confusion(**record.confusion), "words": {s.value: w for s, w in WORDS.items()}, "approver": _approver(uow, row)}
    return page("autoverify/certificate.html", categories=CATEGORIES, absent=absent(record.results), no_such=NONE, **context)


@CERTIFICATES.post("/av/validation/<int:validation_id>/export", Perm.READ, reads=True)
def export(uow: UnitOfWork, validation_id: int) -> Any:
    """The certificate for the file, or its cases in a workbook."""
    record, row = _found(uow, validation_id)
    made = document(uow, record, row)
    return redirect_to(lists.ask(uow, made, request.form.get("kind", ""), f"/av/validation/{validation_id}"))


def _found(uow: UnitOfWork, validation_id: int) -> tuple[Validation, RuleSet]:
    found = queries.validation(uow, validation_id)
    if found is None or found[1].section_id not in {s.id for s in md.own_sections(uow, principal().sections)}:
        raise NotFound("该验证记录")
    record, row = found
    return record, row


def _approver(uow: UnitOfWork, row: RuleSet) -> str:
    return str(uow.s.execute(_APPROVED, {"t": uow.tenant_id, "id": row.approved_by}).scalar() or "")


def told(reasons: Sequence[str]) -> list[str | Said]:
    """What must come out, or came out: the reasons; what may leave before the rest in words; nothing held is a release."""
    out: list[str | Said] = []
    for each in reasons:
        mark, *items = each.split()
        out.append(each if mark != PART else say("可先发 {items}", items=tuple(items)) if items else say("不得部分先发"))
    return out or [say("放行")]


def absent(results: Sequence[Sequence[Any]]) -> set[int]:
    """The categories whose rules are a set's own and of which it has none: each such rule has its cases, so no case speaks of one. A
    certificate must not read as if they had been tried."""
    spoken = {reason.split()[0] for _, due, _ in results for reason in due}
    return {n for n, code in SPOKEN.items() if code not in spoken}


def document(uow: UnitOfWork, record: Validation, row: RuleSet) -> ListDocument:
    """The certificate on paper."""
    found, local, gone = Confusion(**record.confusion), md.HOSPITAL_ZONE, absent(record.results)
    until = "—" if row.valid_until is None else f"{row.valid_until.astimezone(local):%Y-%m-%d}"
    history = f"{found.total} 份报告：一致发布 {found.both_release}，假拦截 {found.false_hold}（{found.false_hold_rate}%），"
    history += f"假发布 {found.false_release}，一致拦截 {found.both_hold}，放行率 {record.pass_rate}%"
    approver, section = _approver(uow, row), md.catalog(uow).sections[row.section_id].name
    return ListDocument(
        hospital=principal().tenant_name,
        title=f"自动审核验证记录 V{record.id}",
        subtitle=f"{section}　规则集 {row.number} {row.name}（{WORDS[State(row.state)]}）　有效至 {until}",
        columns=(Column("用例", 3), Column("预期", 5), Column("实际", 4)),
        rows=tuple((name, "；".join(map(str, told(due))), "；".join(map(str, told(came)))) for name, due, came in record.results),
        printed_at=uow.now,
        printed_by=principal().name,
        notes=(
            f"验证用例 {record.cases}，与预期不符 {record.wrong}。历史模拟 {history}。",
            "覆盖类别：" + "，".join(f"{n} {zh}{NONE if n in gone else ''}" for n, (zh, _) in enumerate(CATEGORIES) if n),
            f"所验内容指纹 {record.fingerprint}　规则指纹 {record.policy_sha256}",
            "依据 WS/T 616—2018 与 ISO 15189:2022 7.4.1.5（未核对原文）。所列内容变更后本记录失效。",
        ),
        signatures=(f"验证人 {record.signer} {record.at.astimezone(local):%Y-%m-%d %H:%M}", f"批准人 {approver}"),
    )


__all__ = ["CERTIFICATES", "told"]
