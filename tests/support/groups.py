"""pytest plugin: the minutes that each group of tests took. A group is a top folder under `tests/`."""

from collections import defaultdict

import pytest

_seconds: dict[str, float] = defaultdict(float)
_counts: dict[str, int] = defaultdict(int)


def group_of(nodeid: str) -> str:
    """`tests/cloud/orders/test_x.py::test_y` is of the group `cloud`."""
    parts = nodeid.split("::", 1)[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" else "tests"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    group = group_of(report.nodeid)
    _seconds[group] += report.duration
    _counts[group] += report.when == "call"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Printed before pytest's own closing line, which stays the last."""
    if not _seconds:
        return
    terminalreporter.section("minutes per group")
    for group in sorted(_seconds):
        terminalreporter.write_line(f"{group:<16} {_seconds[group] / 60:6.2f} min  {_counts[group]:5d} tests")
