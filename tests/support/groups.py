"""pytest plugin: the minutes that each group of tests took, and the figures tests tell. A group is a top folder under `tests/`.

A test tells a figure with pytest's own ``record_property("figure", text)``: so it is printed whichever process ran the test.
"""

from collections import defaultdict

import pytest

# Files that mostly wait for processes to start and be killed go first: left to the end, one core would wait for them alone.
LONG = (
    "tests/cloud/edge/test_crash.py",
    "tests/flows/test_day.py",
    "tests/flows/test_path.py",
    "tests/security/test_routes.py",
    "tests/demo/test_demo.py",
    "tests/agent/test_crash.py",
    "tests/agent/test_bugs.py",
    "tests/agent/test_uplink.py",
    "tests/cloud/interfaces/test_process.py",
    "tests/cloud/autoverify/test_mutants.py",
    "tests/security/test_odd.py",
)

_seconds: dict[str, float] = defaultdict(float)
_counts: dict[str, int] = defaultdict(int)
_figures: list[str] = []


def group_of(nodeid: str) -> str:
    """`tests/cloud/orders/test_x.py::test_y` is of the group `cloud`."""
    parts = nodeid.split("::", 1)[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" else "tests"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long files first, the others as they were."""
    first = {path: place for place, path in enumerate(LONG)}
    items.sort(key=lambda item: first.get(item.nodeid.split("::", 1)[0], len(LONG)))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    group = group_of(report.nodeid)
    _seconds[group] += report.duration
    _counts[group] += report.when == "call"
    if report.when == "call":
        _figures.extend(str(text) for name, text in report.user_properties if name == "figure")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Printed before pytest's own closing line, which stays the last."""
    if not _seconds:
        return
    if _figures:
        terminalreporter.section("figures")
        for line in _figures:
            terminalreporter.write_line(line)
    terminalreporter.section("minutes per group")
    for group in sorted(_seconds):
        terminalreporter.write_line(f"{group:<16} {_seconds[group] / 60:6.2f} min  {_counts[group]:5d} tests")
