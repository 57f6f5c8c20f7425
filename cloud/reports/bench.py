"""How fast one process makes reports, and what memory that takes: the figures ``./dev bench`` prints. Invented data only."""

from __future__ import annotations

import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cloud.reports.documents import ReportDocument, ReportRow
from cloud.reports.renderer import Renderer
from common.ids import accession_number, report_number

ROWS = 25
THREADS = 2
_ITEMS = ("白细胞计数", "红细胞计数", "血红蛋白", "血小板计数", "中性粒细胞百分数", "淋巴细胞绝对值", "平均红细胞血红蛋白浓度")
_SURNAMES, _GIVEN = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨", "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平"


def measure(count: int = 200, warm_up: int = 20) -> dict[str, float]:
    """Make ``count`` different A5 reports of 25 results in a kept renderer, two side by side as the worker does.

    Returns ``pdf_per_s`` (wall clock), ``ms_p50`` and ``ms_p95`` of one, ``cpu_ms`` a report, ``kilobytes`` a report and ``rss_mb``, the
    resident memory of this process at the end.
    """
    renderer = Renderer(compilers=THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(renderer.report, map(_document, range(warm_up))))
        documents = [_document(number) for number in range(warm_up, warm_up + count)]

        def make(document: ReportDocument) -> tuple[float, int]:
            start = time.perf_counter()
            size = len(renderer.report(document))
            return time.perf_counter() - start, size

        cpu, start = time.process_time(), time.perf_counter()
        made = list(pool.map(make, documents))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - start
    ordered, size = sorted(seconds for seconds, _ in made), sum(size for _, size in made)
    return {
        "pdf_per_s": round(count / wall, 1),
        "ms_p50": round(ordered[count // 2] * 1000, 1),
        "ms_p95": round(ordered[int(count * 0.95)] * 1000, 1),
        "cpu_ms": round(cpu / count * 1000, 1),
        "kilobytes": round(size / count / 1000, 1),
        "rss_mb": round(_resident() / 1e6, 1),
    }


def _document(number: int) -> ReportDocument:
    """A report unlike its neighbours: another patient, another number, other results."""
    day = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
    name = _SURNAMES[number % 16] + _GIVEN[number % 20] + _GIVEN[number // 20 % 20]
    rows = tuple(_row(index, number) for index in range(ROWS))
    made = ReportDocument(
        hospital="示例市第一人民医院",
        lab="临床血液",
        title="血细胞分析检验报告单",
        report_no=report_number(1, day.date(), number + 1),
        patient_name=name,
        sex="男" if number % 2 else "女",
        age=f"{20 + number % 60}岁",
        patient_no=f"MZ{20261122000 + number}",
        specimen_type="静脉血",
        barcode=accession_number(1, day.date(), number + 1),
        rows=rows,
        tester="李明",
        verifier="王芳",
        reported_at=day.replace(hour=2, minute=number % 60),
        collected_at=day,
        received_at=day.replace(minute=55),
        department="呼吸内科门诊",
        doctor="赵敏",
    )
    return replace(made, sample_no=str(1000 + number))


def _row(index: int, number: int) -> ReportRow:
    value = (index * 37 + number * 13) % 997
    return ReportRow(
        name=_ITEMS[index % len(_ITEMS)],
        result=f"{value / 10:.1f}",
        mark=("", "", "", "↑", "↓")[value % 5],
        unit=("10^9/L", "g/L", "%", "fL")[index % 4],
        interval="35.0–75.0",
    )


def _resident() -> int:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * resource.getpagesize()
