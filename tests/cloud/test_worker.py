"""The worker steps back behind those whom somebody waits for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cloud import worker

SCRIPT = """
import os
from cloud import worker
worker.step_back()
print(os.nice(0), worker.AUTOGROUP.read_text().split()[-1] if worker.AUTOGROUP.exists() else "none")
"""


@pytest.mark.parametrize("own", [True, False])
def test_the_worker_steps_back_also_beside_other_sessions_but_never_lowers_one_that_is_not_its_own(own: bool) -> None:
    before = worker.AUTOGROUP.read_text().split()[-1] if worker.AUTOGROUP.exists() else "none"
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, start_new_session=own)
    nice, group = done.stdout.split()
    assert int(nice) == worker.NICE
    assert group == (before if not own or before == "none" else str(worker.NICE))
