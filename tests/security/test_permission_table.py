"""permissions.md, row by row: each role tries what each cell allows or does not; what is not the cell's is refused (P)."""

from __future__ import annotations

import pytest

from tests.support.lab import Lab

COLUMNS = ["tester", "verifier", "leader", "quality", "director", "infogroup", "clinician", "recordroom", "engineer", "supervision"]
BENCH = "tester verifier leader"
LAB = f"{BENCH} quality director infogroup"
# Row of the table, what of it, the address that does it, and whom the row's cells let do it.
TABLE = (
    ("receive/reject specimen", "W", "POST /sp/receive", BENCH),
    ("receive/reject specimen", "W", "POST /sp/reject", BENCH),
    ("receive/reject specimen", "A", "POST /sp/tubes/1/conditional", "leader"),
    ("receive/reject specimen", "R", "GET /sp/find", LAB),
    ("enter result", "W", "POST /bench/test/1/enter", BENCH),
    ("verify / release", "W", "POST /review/X/release", "verifier leader"),
    ("enter / verify / release", "R", "GET /bench", LAB),
    ("amend released report", "W", "POST /reports/R1/amend", "leader"),
    ("recall released report", "W/A", "POST /reports/R1/recall", "leader director"),
    ("amend / recall", "R", "GET /reports", LAB),
    ("QC entry", "W", "POST /qc/entry", BENCH),
    ("OOC close", "A", "POST /qc/ooc/1/close", "leader"),
    ("target change", "W", "POST /qc/targets", "leader"),
    ("target change", "A", "POST /qc/targets/1/approve", "quality"),
    ("QC", "R", "GET /qc/today", LAB),
    ("master data", "A", "POST /md/changes/1/approve/group", "infogroup"),
    ("master data", "A of the section", "POST /md/changes/1/approve/section", "leader"),
    ("AV rules", "A(AV)", "POST /md/changes/1/approve/av", "quality"),
    ("AV rules", "A", "POST /av/rules/1/approve", "quality infogroup"),
    ("AV rules", "W", "POST /av/rules", "leader"),
    ("master data", "R", "GET /md/items", f"{LAB} engineer"),
    ("roster", "publish", "POST /sch/duty", "leader director"),
    ("roster", "R", "GET /sch/duty", LAB),
    ("view patient results", "own patients", "GET /clinic", "clinician"),
    ("release consent", "A", "POST /edge/releases/1/consent", "infogroup"),
    ("tickets", "open", "POST /desk", LAB),
    ("tickets", "work, read", "GET /desk", f"{LAB} engineer supervision"),
    ("identifiable export", "A", "POST /admin/exports/1", "quality director infogroup"),
)
SENIOR = {"POST /sp/tubes/1/conditional", "POST /reports/R1/amend"}
"""What the table lets a senior verifier do besides a verifier."""


@pytest.mark.parametrize("role", [*COLUMNS, "senior"])
def test_each_cell_is_what_its_role_may(lab: Lab, role: str) -> None:
    client, wrong = lab.client(role), []
    for row, what, asked, may in TABLE:
        method, address = asked.split(" ")
        answer = client.get(address) if method == "GET" else client.post(address)
        refused = answer.status_code == 403 and "没有这项操作的权限" in answer.text
        allowed = ("verifier" if role == "senior" else role) in may.split() or (role == "senior" and asked in SENIOR)
        if refused == allowed or answer.status_code >= 500:
            wrong.append(f"{row} ({what}): {asked} → {answer.status_code}")
    assert wrong == []
