"""The register of critical values (危急值登记本) as a printable list: one line an event, complete from finding to handling."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from cloud.modules.critical import queries, rules
from cloud.modules.critical.queries import ZONE, Line
from cloud.reports.documents import Column, ListDocument

COLUMNS = (
    Column("发现时间", 3),
    Column("科室 患者", 4),
    Column("病历号 / 条码", 4),
    Column("项目 结果（界限）", 5),
    Column("复核", 4),
    Column("接收人 复述", 4),
    Column("接收", 2),
    Column("用时（分）", 3, "right"),
    Column("医生确认 / 处置", 5),
    Column("登记 / 备注", 4),
)


def register_document(lines: Sequence[Line], wanted: queries.Wanted, hospital: str, by: str, now: datetime) -> ListDocument:
    """The lines as they stand on the page."""
    return ListDocument(
        hospital=hospital,
        title="危急值登记本",
        subtitle=f"{wanted.first} 至 {wanted.last}" if wanted.first != wanted.last else f"{wanted.first}",
        columns=COLUMNS,
        rows=tuple(_row(line) for line in reversed(lines)),
        printed_at=now,
        printed_by=by,
        landscape=True,
        notes=(
            "用时：前为 2015 年版（自复核完成起），后为 2025 年版（自发现起），均至临床接收。“逾”：超过时限。",
            "危急值界限须经本实验室批准后方可使用。",
        ),
        signatures=("登记人", "组长审核"),
    )


def _row(line: Line) -> tuple[str, ...]:
    e = line.event
    checks = "、".join(f"{c.by_name} {_hm(c.at)}" for c in line.checks)
    told = f"{e.received_by or ''} 复述 {e.readback}" if e.readback else ""
    acts = "；".join(
        x
        for x in (
            f"{e.doctor_name} {_hm(e.doctor_ack_at)} 确认" if e.doctor_ack_at else "",
            f"{e.action_text}（{e.action_by} {_hm(e.action_at)}）" if e.action_text else "",
        )
        if x
    )
    failed = sum(a.outcome == rules.Result.MISMATCH for a in line.attempts)
    unanswered = sum(a.outcome == rules.Result.NO_ANSWER for a in line.attempts)
    notes = "；".join(
        x
        for x in (
            str(line.word),
            f"复述不一致 {failed} 次" if failed else "",
            f"无人接听 {unanswered} 次" if unanswered else "",
            f"升级至{rules.LEVEL_WORDS[e.escalation_level]}" if e.escalation_level else "",
            f"复查 {'、'.join(str(v) for v, _ in e.reruns)}" if e.reruns else "",
            f"未复查：{e.rerun_waived}" if e.rerun_waived else "",
            e.difficulty,
            e.reason or "",
            f"{line.stands}{'已告知更正' if line.corrected else ''}" if line.stands else "",
        )
        if x
    )
    return (
        e.found_at.astimezone(ZONE).strftime("%m-%d %H:%M:%S"),
        f"{e.place} {e.patient_name}".strip(),
        f"{e.patient_no} {e.barcode}".strip(),
        f"{e.item_name} {e.value_text} {e.unit}（{e.limit_text}）",
        checks,
        told,
        _hm(e.received_at),
        " / ".join(_minutes(i, e.minutes) for i in (line.intervals.y2015, line.intervals.y2025)) if e.received_at else "",
        acts,
        notes,
    )


def _hm(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(ZONE).strftime("%H:%M")


def _minutes(spent: timedelta | None, limit: int) -> str:
    return "—" if spent is None else f"{spent / timedelta(minutes=1):.1f}{'' if rules.timely(spent, limit) else '逾'}"


KPI_COLUMNS = (
    Column("范围", 3), Column("科室或日期", 4), Column("需通报", 2, "right"), Column("已通报", 2, "right"), Column("通报率 %", 2, "right"),
    Column("及时 2015", 2, "right"), Column("及时率 2015 %", 2, "right"), Column("及时 2025", 2, "right"),
    Column("及时率 2025 %", 2, "right"), Column("中位用时（分）", 2, "right"),
)  # fmt: skip


def stats_document(found: queries.Stats, wanted: queries.Wanted, hospital: str, by: str, now: datetime) -> ListDocument:
    """Both indicators by both editions: the whole, by class, by department, by day."""
    groups = (("全部", [found.whole]), ("科室类别", found.classes), ("科室", found.depts), ("每日", found.days))
    return ListDocument(
        hospital=hospital,
        title="危急值通报率与及时率",
        subtitle=f"{wanted.first} 至 {wanted.last}",
        columns=KPI_COLUMNS,
        rows=tuple(_kpi(word, k) for word, several in groups for k in several),
        printed_at=now,
        printed_by=by,
        landscape=True,
        notes=(
            "及时率：2015 年版自复核完成起，2025 年版自发现起至临床获得；同一标本复查计一次，非危急值和并入前次通知的不计。",
            f"复述不一致 {found.failed_events} 项（{found.failed_readbacks} 次），"
            f"非危急值 {found.false_alarms}，并入前次通知 {found.merged}。",
        ),
    )


def _kpi(word: str, k: queries.Kpi) -> tuple[str, ...]:
    shown = (k.needing, k.told, k.told_rate, k.timely2015, k.rate2015, k.timely2025, k.rate2025, k.median2025)
    return word, str(k.key if word == "每日" else k.name), *("—" if v is None else str(v) for v in shown)
