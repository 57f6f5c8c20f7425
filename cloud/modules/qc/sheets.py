"""What the pages of quality control list, on paper or in a workbook: today's board and what lies unplaced, plans, lots, targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from cloud.modules.catalog.queries import HOSPITAL_ZONE, Catalog
from cloud.modules.qc import moving, patients, qualitative, rules, targets
from cloud.modules.qc.intake import Unplaced
from cloud.modules.qc.models import QcMaterial, QcPlan, QcTarget
from cloud.modules.qc.queries import Measured, Tile
from cloud.modules.qc.registers import Stamp
from cloud.modules.qc.rules import Method, last_day
from cloud.reports.documents import Column, ListDocument
from common.values import significant

MOST = 2000


def today(known: Catalog, found: Mapping[int, Sequence[Tile]], narrowed: str, stamp: Stamp) -> ListDocument:
    """The board as it is narrowed: each plan's newest run, what broke, whether its results may be released and until when."""
    rows = [
        (
            known.analyzers[analyzer].name,
            t.item.name,
            f"{t.sign} {t.word}" + (f"，缺 {' '.join(f'L{n}' for n in t.missing)}" if t.missing else ""),
            t.rules,
            "　".join(f"L{level} {said}{'' if z is None else f'（{z:+.1f}）'}" for level, said, z in t.points),
            _at(t.at),
            f"{'' if t.gate.open else '✕ '}{t.gate.word}",
            _at(t.gate.until) if t.gate.open else str(t.gate.reason),
        )
        for analyzer, tiles in found.items()
        for t in tiles
    ]
    head = (
        ("仪器", 3),
        ("项目", 3),
        ("最近质控", 3),
        ("规则", 3),
        ("各水平测定值（z）", 7),
        ("时间", 3),
        ("发布", 3),
        ("有效至 / 原因", 4),
    )
    return _list("今日质控", head, rows, stamp, narrowed)


def unplaced(known: Catalog, found: Iterable[Unplaced], stamp: Stamp) -> ListDocument:
    """Control results of today that belong to no plan, each with the reason."""
    rows = [
        (
            known.analyzers[u.seen.analyzer_id].name if u.seen.analyzer_id else "—",
            u.seen.material or "—",
            u.seen.code or "—",
            u.seen.text or "—",
            _at(u.seen.received_at),
            str(u.why),
        )
        for u in found
    ]
    head = (("仪器", 3), ("质控品", 3), ("代码", 2), ("测定值", 2), ("接收", 3), ("原因", 6))
    return _list("未归入计划的质控结果", head, rows, stamp)


def plans(known: Catalog, found: Iterable[QcPlan], stamp: Stamp) -> ListDocument:
    """Every plan with what it judges by."""
    rows = [
        (
            known.analyzers[p.analyzer_id].name,
            known.items[p.item_id].name,
            str(rules.METHOD_WORDS[Method(p.method)]),
            " ".join(f"L{n}" for n in p.levels),
            str(p.window_hours),
            " ".join(p.rules),
            " ".join(p.warnings),
            _number(p.tea_percent),
            _number(p.bias_percent),
            _number(p.cv_standard),
            p.source,
            "启用" if p.active else "停用",
        )
        for p in found
    ]
    left = (("仪器", 3), ("项目", 3), ("方法", 3), ("水平", 2), ("时长（h）", 2), ("规则", 5), ("只警告", 2))
    right = (("TEa%", 2), ("偏倚%", 2), ("CV%", 2), ("依据", 3), ("状态", 2))
    return _list("质控计划", (*left, *right), rows, stamp, notes=("TEa、CV 目标与规则为占位示例，须经本实验室批准后使用。",))


def materials(found: Iterable[QcMaterial], ends: Mapping[int, datetime], stamp: Stamp) -> ListDocument:
    """The lots in use, and which of them are over."""
    rows = []
    for m in found:
        over = "已过期" if m.expires_at and m.expires_at <= stamp.now else ""
        if m.id in ends and ends[m.id] <= stamp.now:
            over = over or "已超开瓶稳定期"
        stock = "" if m.stock is None else str(m.stock)
        rows.append(
            (
                m.code,
                m.name,
                f"L{m.level}",
                m.lot,
                m.maker,
                _day(last_day(m.expires_at)),
                _day(m.opened_at),
                _day(ends.get(m.id)),
                stock,
                over,
            )
        )
    left = (("编号", 2), ("名称", 4), ("水平", 2), ("批号", 3), ("厂家", 3))
    right = (("有效期至", 3), ("开瓶", 3), ("开瓶有效至", 3), ("库存（次）", 2), ("说明", 3))
    return _list("质控品", (*left, *right), rows, stamp)


def target_list(name: str, found: Iterable[QcTarget], lots: Mapping[int, QcMaterial], stamp: Stamp) -> ListDocument:
    """A plan's targets: in force, proposed, ended."""
    rows = [
        (
            f"L{t.level}",
            lots[t.material_id].lot,
            _number(t.mean) or str(qualitative.SIGN_WORDS[qualitative.Sign(t.expected)] if t.expected else ""),
            _number(t.sd),
            f"{targets.BASIS_WORDS[targets.Basis(t.basis)]}{f' n={t.n}' if t.n else ''}",
            _state(t),
            t.reason,
        )
        for t in found
    ]
    head = (("水平", 1), ("批号", 3), ("均值 / 预期", 2), ("SD", 2), ("来源", 4), ("状态", 3), ("说明", 5))
    return _list("质控靶值", head, rows, stamp, name)


def measured(name: str, found: Iterable[Measured], lots: Mapping[int, QcMaterial], stamp: Stamp) -> ListDocument:
    """What the values of half a year would make, lot by lot, and why not yet."""
    rows = []
    for m in found:
        s, lot = m.stats, lots.get(m.material)
        cv = "—" if s.cv is None else f"{s.cv:.2f}"
        sd = "—" if s.sd is None else significant(s.sd, 4)
        rows.append((f"L{m.level}", "" if lot is None else lot.lot, str(s.n), significant(s.mean, 5), sd, cv, str(m.problem or "")))
    head = (("水平", 1), ("批号", 3), ("n", 1), ("均值", 2), ("SD", 2), ("CV%", 2), ("说明", 6))
    return _list("质控测定值统计（半年内）", head, rows, stamp, name)


def moving_lines(known: Catalog, found: Iterable[patients.Line], stamp: Stamp) -> ListDocument:
    """Each plan's patient-based control: its setting and where it stands."""
    rows = []
    for line in found:
        s = line.setting
        if s is None:
            continue
        last = line.last
        said = "停用" if not line.active else "还没有足够的患者结果" if last is None else "✕ 超出界限" if last.out else "✓ 界限内"
        width = f"λ={_number(s.weight)}" if s.kind is moving.Kind.EWMA else f"n={s.size}"
        cut = "" if s.trunc_low is None and s.trunc_high is None else f"{_number(s.trunc_low)}–{_number(s.trunc_high)}"
        newest = ("", "", "") if last is None else (significant(last.value, 4), str(last.n), _at(last.at))
        named = (known.analyzers[line.plan.analyzer_id].name, known.items[line.plan.item_id].name)
        rows.append((*named, str(moving.KIND_WORDS[s.kind]), width, cut, f"{_number(s.low)}–{_number(s.high)}", said, *newest))
    left = (("仪器", 3), ("项目", 3), ("方法", 3), ("窗口", 2), ("截断", 2), ("控制界限", 3))
    right = (("状态", 3), ("平滑值", 2), ("人数", 1), ("时间", 3))
    return _list("患者数据质控", (*left, *right), rows, stamp, notes=("界限为占位示例，须经本实验室批准后使用。",))


def moving_points(name: str, line: patients.Line, stamp: Stamp) -> ListDocument:
    """One plan's smoothed values, hour by hour, newest first."""
    low, high = ("", "") if line.setting is None else (_number(line.setting.low), _number(line.setting.high))
    rows = [(_at(p.at), str(p.n), significant(p.value, 5), low, high, "✕ 超出界限" if p.out else "") for p in reversed(line.points)]
    head = (("小时", 3), ("人数", 2), ("平滑值", 3), ("控制下限", 3), ("控制上限", 3), ("说明", 4))
    return _list("患者数据质控", head, rows, stamp, name)


def _list(
    title: str,
    head: Sequence[tuple[str, int]],
    rows: Sequence[tuple[str, ...]],
    stamp: Stamp,
    narrowed: str = "",
    notes: tuple[str, ...] = (),
) -> ListDocument:
    return ListDocument(
        hospital=stamp.hospital,
        title=title,
        subtitle=narrowed,
        columns=tuple(Column(name, weight) for name, weight in head),
        rows=tuple(rows),
        printed_at=stamp.now,
        printed_by=stamp.by,
        landscape=True,
        notes=notes,
    )


def _state(t: QcTarget) -> str:
    if t.ended_at is not None:
        return f"已停用 {_day(t.ended_at)}" if t.effective_at else "未批准"
    return f"使用中 {_day(t.effective_at)}" if t.effective_at else "待批准"


def _number(value: Decimal | None) -> str:
    return "" if value is None else f"{value:f}"


def _at(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(HOSPITAL_ZONE):%m-%d %H:%M}"


def _day(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(HOSPITAL_ZONE):%Y-%m-%d}"
