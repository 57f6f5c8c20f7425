"""The decode command as seen from outside."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
RUN = [sys.executable, "-m", "agent.decode_cli"]


def test_one_json_document_a_file_and_zero_even_with_problems() -> None:
    files = [str(CAPTURES / "sysmex_xn.bin"), str(CAPTURES / "generic_cut.bin")]
    done = subprocess.run([*RUN, *files], capture_output=True, check=False)
    first, second = (json.loads(line) for line in done.stdout.decode("utf-8").splitlines())
    assert done.returncode == 0
    assert list(first) == ["protocol", "driver", "messages", "problems"]
    assert list(first["messages"][0]) == ["kind", "specimens", "query"]
    assert list(first["messages"][0]["specimens"][0]) == ["specimen_id", "patient_id", "results"]
    assert list(first["messages"][0]["specimens"][0]["results"][0]) == [
        "code",
        "value",
        "unit",
        "flags",
        "status",
        "time",
        "qc",
    ]
    assert second["problems"]


def test_an_unreadable_file_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    done = subprocess.run([*RUN, str(tmp_path / "absent"), str(CAPTURES / "cbs_400.bin")], capture_output=True, check=False)
    assert done.returncode == 1
    assert "absent" in done.stderr.decode("utf-8")
    assert json.loads(done.stdout)["driver"] == "cbs_400"


def test_the_driver_can_be_named() -> None:
    done = subprocess.run([*RUN, "--driver", "sysmex_xn", str(CAPTURES / "generic_cut.bin")], capture_output=True, check=True)
    assert json.loads(done.stdout)["driver"] == "sysmex_xn"


def test_it_starts_without_the_parts_it_does_not_need() -> None:
    code = "import sys, agent.decode_cli; print([m for m in ('flask', 'paho', 'serial', 'apsw', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_a_site_file_lies_over_the_reading(tmp_path: Path) -> None:
    capture, site = tmp_path / "x.bin", tmp_path / "site.json"
    capture.write_bytes(b"H|\\^&|||Acme\rP|1\rO|1|7^B77||^^^G\rR|1|^^^G|5.1\rL|1|N\r")
    site.write_text('{"specimen": [["O", 3, 2]], "codes": {"G": "GLU"}}', "utf-8")
    done = subprocess.run([*RUN, str(capture), "--site", str(site)], capture_output=True, check=True)
    (specimen,) = json.loads(done.stdout)["messages"][0]["specimens"]
    assert (specimen["specimen_id"], specimen["results"][0]["code"]) == ("B77", "GLU")
    site.write_text('{"colour": 1}', "utf-8")
    wrong = subprocess.run([*RUN, str(capture), "--site", str(site)], capture_output=True, check=False)
    assert wrong.returncode == 1
    assert "colour" in wrong.stderr.decode()
