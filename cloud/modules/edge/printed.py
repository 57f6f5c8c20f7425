"""What the edge's pages list, on paper or in a workbook: connections, messages, results without a tube, codes without an item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cloud.modules.catalog.queries import AnalyzerRow
from cloud.modules.edge import problem_words, verdicts
from cloud.modules.edge.facts import AgentView
from cloud.modules.edge.received import STATE_WORDS
from cloud.modules.edge.rules import REASONS, RawState
from cloud.modules.edge.signals import whole_minutes
from cloud.reports.documents import Column, ListDocument
from cloud.web.span import ZONE

MOST = 5000
Stamp = tuple[str, str, datetime]
"""Hospital, who asked, when."""


def board(agents: Sequence[AgentView], stamp: Stamp) -> ListDocument:
    """Every connection with its light, its last 24 hours and the layer at fault."""
    rows = []
    for view in agents:
        for link in view.links:
            light, f, a, v = verdicts.light(link.facts, view.facts), link.facts, link.account, link.verdict
            fine = v.layer == verdicts.Layer.NONE
            silence = "—" if f.result_ago is None else str(whole_minutes(f.result_ago))
            usual = "—" if f.usual_gap is None else str(whole_minutes(f.usual_gap))
            rows.append(
                (
                    view.agent.name, link.connection.name, link.analyzer, str(light[1]), _at(link.connection.last_result_at),
                    f"{silence} / {usual}", str(a.last_hour), str(a.received), str(a.read), str(a.deferred), str(a.quarantined),
                    f"{f.checksum_errors} / {f.frames}" if f.frames else "—",
                    "" if fine else f"{verdicts.LAYER_WORDS[v.layer]}：{v.why % v.args if v.args else v.why}",
                )
            )  # fmt: skip
    left = (("采集端", 4), ("连接", 4), ("仪器", 4), ("状态", 3), ("最近结果", 3), ("静默 / 平常（分）", 3, "right"))
    hour = (("近 1 小时", 2, "right"), ("24 小时收到", 2, "right"), ("已解析", 2, "right"), ("排队", 2, "right"), ("待解析", 2, "right"))
    right = (*hour, ("校验错误 / 帧", 3, "right"), ("问题所在", 6))
    return _list("仪器状态", (*left, *right), rows, stamp)


def messages(found: Sequence[Any], narrowed: str, stamp: Stamp) -> ListDocument:
    """Messages as they are narrowed, without their text."""
    rows = [
        (
            f"{r.received_at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}",
            r.connection or "—",
            str(r.seq),
            STATE_WORDS[RawState(r.state)],
            _joined([problem_words.told(str(p), False) for p in r.problems]),
        )
        for r in found
    ]
    return _list("仪器报文", (("收到", 3), ("连接", 3), ("序号", 2), ("状态", 2), ("问题", 10)), rows, stamp, narrowed)


def orphans(found: Sequence[Any], stamp: Stamp) -> ListDocument:
    """Results that match no tube, or another patient's."""
    rows = [
        (
            _at(r.received_at), r.specimen_text or "（无标本号）", f"{r.patient_text or ''} {_name(r)}".strip(),
            r.connection or "—", str(r.n), _joined([REASONS.get(why, why) for why in (r.reasons or "").split(",")]), _joined(r.results),
        )
        for r in found
    ]  # fmt: skip
    head = (("收到", 3), ("标本号", 3), ("仪器说的患者", 3), ("连接", 3), ("结果数", 2, "right"), ("原因", 4), ("结果", 8))
    return _list("无主结果", head, rows, stamp)


def unmapped(found: Sequence[Any], analyzers: Mapping[int, AnalyzerRow], stamp: Stamp) -> ListDocument:
    """Codes that came and mean nothing yet."""
    rows = [
        (
            analyzers[r.analyzer_id].name if r.analyzer_id in analyzers else "—", r.code, str(r.n), _joined(r.samples), r.unit or "",
            _at(r.last_at),
        )
        for r in found
    ]  # fmt: skip
    return _list("未对照代码", (("仪器", 4), ("代码", 3), ("次数", 2, "right"), ("样例", 8), ("单位", 2), ("最近", 3)), rows, stamp)


def _list(title: str, head: Sequence[tuple[Any, ...]], rows: Sequence[tuple[str, ...]], stamp: Stamp, narrowed: str = "") -> ListDocument:
    hospital, by, now = stamp
    return ListDocument(hospital, title, tuple(Column(*each) for each in head), tuple(rows), now, by, narrowed, landscape=True)


def _name(row: Any) -> str:
    return (row.patient_name or "").replace("^", " ")


def _joined(texts: Sequence[Any]) -> str:
    return "；".join(str(text).strip() for text in texts)


def _at(at: datetime | None) -> str:
    return "" if at is None else f"{at.astimezone(ZONE):%Y-%m-%d %H:%M}"
