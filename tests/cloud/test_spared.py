"""A library is kept out of a process while another is imported, and is there again afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cloud.spared import without


def test_what_is_not_loaded_cannot_be_imported_meanwhile_and_can_afterwards() -> None:
    sys.modules.pop("colorsys", None)
    with pytest.raises(ImportError), without("colorsys"):
        __import__("colorsys")
    assert __import__("colorsys").rgb_to_hls(0, 0, 0)


def test_what_is_loaded_stays() -> None:
    import json

    with without("json"):
        assert __import__("json") is json
    assert sys.modules["json"] is json


def test_the_worker_prints_without_the_libraries_it_does_not_need() -> None:
    asked = "import cloud.worker, cloud.reports.drawings as d, sys; print(d.code128_svg('A1')[:4], {'rich', 'PIL'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split() == ["<svg", "set()"]
