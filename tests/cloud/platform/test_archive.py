"""Old audit entries as files: the chain goes through them, a changed byte is told (M01 R9); the 等保 page measures (R11)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cloud.db.audit import GENESIS
from cloud.modules.platform import archive, mlps, service
from cloud.modules.platform.models import Alert, AuditArchive
from cloud.ports import s3
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Lab

NOW = datetime(2026, 5, 4, 2, 0, tzinfo=UTC)


@pytest.fixture
def lab(fresh_db: TestDatabase, tmp_path: Path) -> Iterator[Lab]:
    made = labs.make(fresh_db, labs.Clock(NOW), data_dir=str(tmp_path))
    yield made
    made.db.dispose()


def entries(lab: Lab, n: int) -> None:
    with lab.uow() as uow:
        for k in range(n):
            uow.audit("thing", k, "change", after={"n": k})


def night(lab: Lab) -> list[AuditArchive]:
    with lab.uow() as uow:
        archive.archive(uow)
    with lab.uow() as uow:
        return list(uow.s.query(AuditArchive).order_by(AuditArchive.first_seq))


def test_old_entries_go_into_files_whose_chain_is_whole(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK", 20)
    entries(lab, 30)
    assert night(lab) == [], "nothing is old yet"
    lab.clock.advance(days=181)
    entries(lab, 5)
    found = night(lab)
    assert len(found) >= 2 and found[0].first_seq == 1
    assert all(b.first_seq == a.last_seq + 1 and b.previous == a.last for a, b in zip(found, found[1:], strict=False))
    before = GENESIS
    with lab.uow() as uow:
        for row in found:
            good = archive.check(archive.content(uow, row), before)
            assert good == (row.last_seq - row.first_seq + 1, row.last), "without the database's help"
            before = row.last
    last = found[-1].last_seq
    assert [r.last_seq for r in night(lab)][-1] == last, "the young stay out, and a second night adds nothing"
    page = lab.client("auditadmin")
    assert "线上记录不删除" in page.get("/audit").text
    assert gzip.decompress(page.get(f"/audit/archive/{found[0].id}").data).count(b"\n") == found[0].last_seq
    assert page.get("/audit/archive/999").status_code == 404 and lab.client("secadmin").get("/audit/archive/1").status_code == 403


def test_a_changed_byte_or_a_missing_line_is_found_and_told(lab: Lab) -> None:
    entries(lab, 5)
    lab.clock.advance(days=181)
    row = night(lab)[0]
    with lab.uow() as uow:
        data = archive.content(uow, row)
    lines = gzip.decompress(data).decode().splitlines()
    for wrong in (lines[1:], [*lines[:-1], lines[-1].replace("thing", "thong")], [*lines[:2], *lines[3:]]):
        assert "链条断裂" in str(archive.check(gzip.compress("\n".join(wrong).encode()), GENESIS))
    assert "读不出来" in str(archive.check(b"no gzip", GENESIS))
    folder = Path(lab.settings.data_dir)
    stored = next(p for p in folder.rglob("*.jsonl.gz"))
    stored.chmod(0o600)
    stored.write_bytes(b"broken")
    lab.clock.advance(days=1)
    assert night(lab)[0].problem
    with lab.uow() as uow:
        assert uow.s.query(Alert).filter_by(kind="platform.archive", cleared_at=None).count() == 1
    assert s3.current_store() is not None


def test_the_nightly_verification_leaves_its_evidence(lab: Lab) -> None:
    with lab.uow() as uow:
        assert any(c.mark is mlps.Mark.WANTING and "还没有校验过" in c.found for c in mlps.controls(uow, lab.settings))
        service.verify_chain(uow)
    with lab.uow() as uow:
        assert any(c.mark is mlps.Mark.MET and "完整" in c.found for c in mlps.controls(uow, lab.settings))


def test_evidence_is_linked_for_whom_it_opens(lab: Lab) -> None:
    """A director reads the page, and has no business in the accounts it speaks of."""
    links = {
        role: set(re.findall(r'<td class="nowrap"><a href="?([^"#>]+)', lab.client(role).get("/mlps").text))
        for role in ("secadmin", "director")
    }
    assert "/admin/users" in links["secadmin"] - links["director"] and "/admin/breaks" in links["director"] - links["secadmin"]
    for role, urls in links.items():
        assert {url: lab.client(role).get(url).status_code for url in urls} == dict.fromkeys(urls, 200)


def test_the_yearly_assessment_is_told_sixty_days_before(lab: Lab) -> None:
    who = lab.client("secadmin")
    assert "还没有登记" in who.get("/mlps").text and "✕ 需处理" in who.get("/mlps").text
    assert lab.client("tester").get("/mlps").status_code == 403
    form = {"done_on": "2026-05-01", "level": "3", "assessor": "测评机构（虚构）", "result": "基本符合"}
    for change, words in (
        ({"done_on": "2026-05-05"}, "在将来"),
        ({"done_on": "昨天"}, "2026-05-04 的样子"),
        ({"level": "9"}, "等级请填"),
        ({"assessor": " "}, "测评机构和结论"),
    ):
        answer = who.post("/mlps", form | change, htmx=True)
        assert answer.status_code == 422 and words in answer.text
    assert who.post("/mlps", form).status_code == 303
    assert "2027-05-01" in who.get("/mlps").text
    for day, told in ((datetime(2027, 3, 1, tzinfo=UTC), 0), (datetime(2027, 3, 3, tzinfo=UTC), 1)):
        lab.clock.set(day + timedelta(hours=2))
        with lab.uow() as uow:
            mlps.due(uow)
            assert uow.s.query(Alert).filter_by(kind="platform.mlps", cleared_at=None).count() == told
