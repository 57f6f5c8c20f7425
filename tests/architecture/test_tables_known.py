"""A process that writes knows every table: a foreign key to a table nobody imported fails at the first flush, not at the start."""

import subprocess
import sys

import pytest

WRITERS = ("cloud.demo.staff", "cloud.demo.launcher")
CHECK = """
import {module}
from cloud.db.base import Base
for table in Base.metadata.tables.values():
    for key in table.foreign_keys:
        key.column
"""


@pytest.mark.parametrize("module", WRITERS)
def test_every_foreign_key_finds_its_table(module: str) -> None:
    done = subprocess.run([sys.executable, "-c", CHECK.format(module=module)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
