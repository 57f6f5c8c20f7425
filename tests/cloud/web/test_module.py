"""What modules declare by name is there and has the right shape, and a process loads only what it runs."""

import inspect
import json
import subprocess
import sys

import pytest

from cloud import jobs, worker
from cloud.modules.registry import MODULES
from cloud.web.module import Module
from cloud.web.view import Views


def test_pages_handlers_and_jobs_declared_by_name_are_there() -> None:
    for module in MODULES:
        assert module.views and all(isinstance(module.load(name), Views) for name in module.views)
    for handlers in worker.all_handlers().values():
        for handler in handlers:
            inspect.signature(handler).bind("uow", {})
    for job in jobs.all_jobs().values():
        inspect.signature(job.run).bind("uow")


def test_a_name_that_is_not_there_is_refused() -> None:
    for name in ("views:PAGES", "screens:VIEWS"):
        with pytest.raises((AttributeError, ImportError)):
            Module("qc", "").load(name)


def test_the_intake_loads_no_page_and_nothing_pages_stand_on() -> None:
    code = "import sys, json, cloud.modules.tables, cloud.modules.edge.intake; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=120).stdout)
    pages = [name for name in loaded if name.startswith("cloud.modules.") and "views" in name.rpartition(".")[2]]
    assert pages + [name for name in ("flask", "jinja2", "openpyxl", "typst", "procrastinate") if name in loaded] == []
