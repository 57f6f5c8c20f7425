"""Quality control on paper or in a workbook (M11 reports): the out-of-control register, the month's summaries, CV against its goal."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import text

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.platform import lists
from cloud.modules.qc import months, queries, rules
from cloud.modules.qc.models import QcMonth
from cloud.modules.qc.rules import Cause, Ooc
from cloud.modules.qc.targets import Stats
from cloud.reports.documents import Column, ListDocument
from common.values import significant


@dataclass(frozen=True, slots=True)
class Stamp:
    """For whom a document is made, by whom, when."""

    hospital: str
    by: str
    now: datetime


_WORK = text("""
SELECT o.rejected_at, p.analyzer_id, p.item_id, o.rules, o.state, o.cause_class, o.cause, o.action, o.retest_at, o.conclusion,
  c.name AS corrected, o.corrected_at, v.name AS verified, o.verified_at, f.name AS closed, o.closed_at,
  (SELECT count(*) FROM qc_impact i WHERE i.tenant_id = o.tenant_id AND i.ooc_id = o.id AND i.again IS NOT NULL) AS examined,
  (SELECT count(*) FROM qc_impact i WHERE i.tenant_id = o.tenant_id AND i.ooc_id = o.id AND i.exceeds) AS beyond
FROM qc_ooc o
JOIN qc_plan p ON p.tenant_id = o.tenant_id AND p.id = o.plan_id
JOIN analyzer a ON a.tenant_id = p.tenant_id AND a.id = p.analyzer_id
LEFT JOIN app_user c ON c.tenant_id = o.tenant_id AND c.id = o.corrected_by
LEFT JOIN app_user v ON v.tenant_id = o.tenant_id AND v.id = o.verified_by
LEFT JOIN app_user f ON f.tenant_id = o.tenant_id AND f.id = o.closed_by
WHERE o.tenant_id = :t AND o.rejected_at >= :start AND o.rejected_at < :end
  AND (:everywhere OR a.section_id = ANY(:own_sections))
ORDER BY o.rejected_at, o.id LIMIT :n
""")


def ooc_register(uow: UnitOfWork, month: date, stamp: Stamp) -> ListDocument:
    """失控登记 of a month: what was out, why, what was done, the retest, the patients measured again, who signed."""
    known = md.catalog(uow)
    start, end = months.bounds(month, md.HOSPITAL_ZONE)
    found = uow.s.execute(_WORK, {"t": uow.tenant_id, "start": start, "end": end, "n": lists.MOST, **places.of_sections(uow)}).all()
    rows = tuple(
        (
            _at(r.rejected_at),
            known.analyzers[r.analyzer_id].name,
            known.items[r.item_id].name,
            r.rules,
            f"{rules.CAUSE_WORDS[Cause(r.cause_class)]}：{r.cause}" if r.cause_class else "",
            r.action,
            _by(r.corrected, r.corrected_at),
            f"{_at(r.retest_at)} 在控 {_by(r.verified, r.verified_at)}" if r.retest_at else "",
            f"复检 {r.examined}，超限 {r.beyond}",
            f"{r.conclusion} {_by(r.closed, r.closed_at)}".strip() if r.closed_at else str(rules.OOC_WORDS[Ooc(r.state)]),
        )
        for r in found
    )
    left = (("失控时间", 3), ("仪器", 3), ("项目", 3), ("规则", 3), ("原因", 5), ("纠正措施", 5))
    right = (("处理人", 3), ("复测放行", 4), ("患者复检", 3), ("结论", 5))
    return ListDocument(
        hospital=stamp.hospital,
        title="室内质控失控登记",
        subtitle=f"{month:%Y-%m}　{len(rows)} 次",
        columns=tuple(Column(name, weight) for name, weight in (*left, *right)),
        rows=rows,
        printed_at=stamp.now,
        printed_by=stamp.by,
        landscape=True,
        notes=("复检：失控期间患者结果抽检个数及超过 ½TEa 的个数。",),
        signatures=("组长", "质量主管", "日期"),
    )


def month_summary(uow: UnitOfWork, month: date, stamp: Stamp) -> ListDocument:
    """月总结: all and counted values, cumulative CV, broken rules, the leader's comment and signature."""
    known = md.catalog(uow)
    plans = {p.id: p for p in queries.plans(uow, all_of_them=True)}
    lots = {m.id: m for m in queries.materials(uow, active=False)}
    rows = []
    for r in queries.summaries(uow, month):
        p = plans[r.plan_id]
        if not places.covers(uow, known.analyzers[p.analyzer_id].section_id):
            continue
        raw, kept, cumulative = (months.read(r.data.get(k)) for k in ("raw", "in", "cumulative"))
        named = (known.analyzers[p.analyzer_id].name, known.items[p.item_id].name, f"L{r.level}", lots[r.material_id].lot)
        rows.append((*named, *_stats(raw), *_stats(kept), *_stats(cumulative)[::3], _broken(r), _signed(r)))
    numbers = ("n", "均值", "SD", "CV%")
    left = (("仪器", 4), ("项目", 5), ("水平", 2), ("批号", 3))
    return ListDocument(
        hospital=stamp.hospital,
        title="室内质控月总结",
        subtitle=f"{month:%Y-%m}",
        columns=(
            *(Column(name, weight) for name, weight in left),
            *(Column(f"{whole}{n}", 3 if n == "均值" else 2, "right") for whole in ("全部 ", "计入 ") for n in numbers),
            Column("累积 n", 2, "right"),
            Column("累积 CV%", 2, "right"),
            Column("违反规则", 4),
            Column("意见与签名", 5),
        ),
        rows=tuple(rows),
        printed_at=stamp.now,
        printed_by=stamp.by,
        landscape=True,
        notes=("计入：失控点有记录的原因方可不计入统计。",),
        signatures=("组长", "质量主管", "日期"),
    )


def cv_goals(uow: UnitOfWork, stamp: Stamp) -> ListDocument:
    """CV against its goal by the last three months, with sigma and what it asks for."""
    known = md.catalog(uow)
    rows = tuple(
        (
            known.analyzers[r.plan.analyzer_id].name,
            known.items[r.plan.item_id].name,
            f"L{r.level}",
            str(r.n),
            significant(r.mean, 4),
            f"{r.cv:.2f}",
            _two(r.goal),
            "" if r.goal is None else "未达标" if r.misses_goal else "达标",
            _two(r.tea),
            _two(r.plan.bias_percent),
            _two(r.sigma),
            _two(r.qgi),
            f"{r.fault} {r.rules}".strip(),
        )
        for r in queries.sigma_rows(uow)
    )
    figures = ("n", "均值", "CV%", "CV 目标%")
    head = [Column("仪器", 4), Column("项目", 4), Column("水平", 2), *(Column(w, 2, "right") for w in figures), Column("结论", 2)]
    head += [*(Column(w, 2, "right") for w in ("TEa%", "偏倚%", "σ", "QGI")), Column("建议", 6)]
    return ListDocument(
        hospital=stamp.hospital,
        title="室内质控变异系数与西格玛",
        subtitle="最近三个月在控数据",
        columns=tuple(head),
        rows=rows,
        printed_at=stamp.now,
        printed_by=stamp.by,
        landscape=True,
        notes=("TEa、偏倚与 CV 目标为占位示例，须经本实验室批准后方可使用。",),
        signatures=("组长", "质量主管"),
    )


def _stats(found: Stats | None) -> tuple[str, str, str, str]:
    if found is None:
        return "0", "", "", ""
    return str(found.n), significant(found.mean, 4), "—" if found.sd is None else significant(found.sd, 3), _two(found.cv)


def _broken(row: QcMonth) -> str:
    return "、".join(f"{rule}×{n}" for rule, n in row.data.get("broken", {}).items())


def _signed(row: QcMonth) -> str:
    return "待签名" if row.signed_at is None else f"{row.comment} {_by(row.signed_name, row.signed_at)}".strip()


def _by(name: str | None, at: datetime | None) -> str:
    return "" if at is None else f"{name or ''} {_at(at)}".strip()


def _two(value: Decimal | None) -> str:
    return "—" if value is None else f"{value:.2f}"


def _at(at: datetime) -> str:
    return f"{at.astimezone(md.HOSPITAL_ZONE):%m-%d %H:%M}"
