"""Raw messages of what is taken out of use go into files before they are cleared (M27 R7), and come back as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent import decode_cli
from agent.__main__ import main as agent_main
from cloud.modules.edge import archiving, instruments, keeping, rules
from cloud.modules.edge.models import MappingVersion
from cloud.ports import s3
from common import raw_archive
from common.errors import PeerError
from common.instruments.layout import describe
from tests.cloud.edge.world import Edge, astm

NOW = datetime(2026, 5, 4, tzinfo=UTC)
OLD = NOW - timedelta(minutes=1)


@pytest.mark.parametrize(
    ("sizes", "n"),
    [
        ([], 0),
        ([(10, OLD)], 1),
        ([(10, OLD + timedelta(seconds=1))], 0),
        ([(10, OLD), (10, NOW), (10, OLD)], 1),
        ([(rules.ARCHIVE_BYTES, OLD), (1, OLD)], 1),
        ([(rules.ARCHIVE_BYTES - 1, OLD), (1, OLD)], 2),
        ([(rules.ARCHIVE_BYTES * 2, OLD)], 1),
        ([(1, OLD)] * rules.ARCHIVE_MESSAGES, rules.ARCHIVE_MESSAGES),
        ([(1, OLD)] * (rules.ARCHIVE_MESSAGES + 1), rules.ARCHIVE_MESSAGES),
    ],
)
def test_how_many_messages_a_file_takes(sizes: list[tuple[int, datetime]], n: int) -> None:
    assert rules.archive_share(sizes, NOW) == n


@pytest.fixture
def store(edge: Edge, tmp_path: Path) -> s3.FileStore:
    edge.lab.settings = replace(edge.lab.settings, files="local", data_dir=str(tmp_path))
    s3.configure(edge.lab.settings)
    return s3.current_store()


def minute(edge: Edge) -> None:
    """The minute's job."""
    edge.lab.clock.advance(seconds=61)
    with edge.lab.uow() as uow:
        archiving.work(uow)


def retire(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        instruments.retire(uow, edge.bench.analyzer, "报废")


def files(edge: Edge, store: s3.FileStore) -> list[raw_archive.Kept]:
    """All archived messages, of every file."""
    parts = edge.rows("SELECT key, sha256 FROM edge_archive_part ORDER BY archive_id, number")
    own = s3.files_of(store, edge.lab.a)
    return [one for key, sha in parts for one in raw_archive.unpack(own.get(key, sha))]


def state(edge: Edge) -> list[tuple[object, ...]]:
    return [tuple(r) for r in edge.rows("SELECT messages, total, done_at IS NOT NULL, problem FROM edge_archive ORDER BY id")]


def test_a_retired_analyzers_messages_are_filed_and_read_again(
    edge: Edge, store: s3.FileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = [astm(edge.tube(), {"K": f"4.{n}"}) for n in range(3)] + [b"\xff\x00 nothing of ours"]
    edge.take(*(edge.agent.raw(body) for body in bodies), edge.agent.raw(astm("X", {"K": "9"}), conn="other"))
    retire(edge)
    assert state(edge) == [(0, 4, False, "")]
    minute(edge)
    minute(edge)
    assert state(edge) == [(4, 4, True, "")]
    kept = files(edge, store)
    assert [one.body for one in kept] == bodies
    sent = edge.rows("SELECT seq, sha256, stream_uuid, conn_key FROM raw_message WHERE conn_key = 'au1' ORDER BY seq")
    assert [(k.facts["seq"], k.facts["sha256"], k.facts["stream"], k.facts["conn"]) for k in kept] == [tuple(r) for r in sent]
    [(audit,)] = edge.rows("SELECT body::jsonb -> 'after' FROM audit_log WHERE entity = 'edge_archive' AND action = 'archive'")
    [(key, sha)] = edge.rows("SELECT key, sha256 FROM edge_archive_part")
    assert audit == {"messages": 4, "files": {key: sha}, "cleared_before": 0}
    # the page, the download with its reason, and our own reader
    senior = edge.lab.client("senior")
    [(archive,)] = edge.rows("SELECT id FROM edge_archive")
    assert "生化仪一号" in senior.get("/edge/archives").text and sha in senior.get(f"/edge/archives/{archive}").text
    assert edge.lab.client("tester").get("/edge/archives").status_code == 403
    assert senior.post(f"/edge/archives/{archive}/1", {"reason": " "}).status_code == 422
    assert senior.post(f"/edge/archives/{archive}/2", {"reason": "查一份旧结果"}).status_code == 404
    assert edge.lab.client("senior", edge.lab.b).post(f"/edge/archives/{archive}/1", {"reason": "查"}).status_code == 404
    answer = senior.post(f"/edge/archives/{archive}/1", {"reason": "查一份旧结果"})
    file = tmp_path / "raw.zip"
    file.write_bytes(answer.data)
    assert edge.rows("SELECT body::jsonb ->> 'reason' FROM audit_log WHERE action = 'download'") == [("查一份旧结果",)]
    capsys.readouterr()
    assert decode_cli.main([str(file)]) == 0
    read = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    values = [[r["value"] for m in one["messages"] for s in m["specimens"] for r in s["results"]] for one in read]
    assert values == [["4.0"], ["4.1"], ["4.2"], []]
    agent_main(["replay", str(file), "--text"])
    assert "4.2" in capsys.readouterr().out


def test_marked_columns_go_with_the_bytes(edge: Edge, store: s3.FileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A format that nobody described is read again by what a person marked on it."""
    marks = [{"role": "specimen", "line": 0, "start": 0, "end": 12}, {"role": "value", "line": 0, "start": 13, "end": 19, "code": "K"}]
    site = {"layout": describe("line", marks)}
    with edge.lab.uow() as uow:
        uow.s.add(
            MappingVersion(analyzer_id=edge.bench.analyzer, number=1, state="active", site=site, author="甲", author_id=1, created_at=NOW)
        )
    edge.take(edge.agent.raw(b"%-12s %6s\r\n" % (b"S1", b"4.1")))
    retire(edge)
    minute(edge)
    [(key, sha)] = edge.rows("SELECT key, sha256 FROM edge_archive_part")
    file = tmp_path / "raw.zip"
    file.write_bytes(s3.files_of(store, edge.lab.a).get(key, sha))
    capsys.readouterr()
    assert decode_cli.main([str(file)]) == 0
    [specimen] = json.loads(capsys.readouterr().out)["messages"][0]["specimens"]
    assert specimen["specimen_id"] == "S1" and [(r["code"], r["value"]) for r in specimen["results"]] == [("K", "4.1")]


def test_bytes_are_not_cleared_before_they_are_in_a_file(edge: Edge, store: s3.FileStore) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    retire(edge)
    edge.lab.clock.advance(days=91)
    with edge.lab.uow() as uow:
        assert keeping.clear(uow) == 0
    minute(edge)
    with edge.lab.uow() as uow:
        assert keeping.clear(uow) == 1
    assert len(files(edge, store)) == 1


def test_a_message_cleared_before_keeps_its_line(edge: Edge, store: s3.FileStore) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    edge.lab.clock.advance(days=91)
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.2"})))
    with edge.lab.uow() as uow:
        assert keeping.clear(uow) == 1
    retire(edge)
    minute(edge)
    first, second = files(edge, store)
    assert first.body is None and first.facts["cleared_at"] and len(first.facts["sha256"]) == 64 and second.body is not None


def test_what_comes_after_the_end_is_added(edge: Edge, store: s3.FileStore) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    retire(edge)
    for _ in range(3):
        minute(edge)
    assert state(edge) == [(1, 1, True, "")]
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.2"})))  # the agent still held it
    minute(edge)
    minute(edge)
    assert state(edge) == [(2, 2, True, "")] and len(files(edge, store)) == 2
    minute(edge)
    assert edge.rows("SELECT count(*) FROM edge_archive_part") == [(2,)]


def test_a_kill_or_a_store_that_is_away_costs_one_file_and_is_told(
    edge: Edge, store: s3.FileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "ARCHIVE_MESSAGES", 2)
    monkeypatch.setattr(rules, "ARCHIVE_MESSAGES", 2)
    monkeypatch.setattr(archiving, "PARTS_A_RUN", 1)
    edge.take(*(edge.agent.raw(astm(edge.tube(), {"K": f"4.{n}"})) for n in range(5)))
    retire(edge)
    minute(edge)
    assert state(edge) == [(2, 5, False, "")]
    real = s3.LocalStore.put

    def away(self: s3.LocalStore, key: str, data: bytes) -> str:
        raise PeerError("files_unreachable", "文件库（S3）没有正常应答")

    monkeypatch.setattr(s3.LocalStore, "put", away)
    minute(edge)
    assert state(edge) == [(2, 5, False, "文件库（S3）没有正常应答")]
    assert edge.rows("SELECT fields ->> 'name' FROM alert WHERE kind = 'edge.archive' AND cleared_at IS NULL") == [("生化仪一号",)]

    class Killed(BaseException):
        """As SIGKILL between the file and the COMMIT."""

    def killed(self: s3.LocalStore, key: str, data: bytes) -> str:
        real(self, key, data)
        raise Killed

    monkeypatch.setattr(s3.LocalStore, "put", killed)
    edge.lab.clock.advance(seconds=61)
    with pytest.raises(Killed), edge.lab.uow() as uow:
        archiving.work(uow)
    assert state(edge)[0][0] == 2
    monkeypatch.setattr(s3.LocalStore, "put", real)
    for _ in range(4):
        minute(edge)
    assert state(edge) == [(5, 5, True, "")] and [one.facts["seq"] for one in files(edge, store)] == [1, 2, 3, 4, 5]
    assert edge.rows("SELECT count(*) FROM alert WHERE kind = 'edge.archive' AND cleared_at IS NULL") == [(0,)]


def test_a_revoked_agent_is_filed_whole_and_a_second_time_only_what_is_new(edge: Edge, store: s3.FileStore) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})), edge.agent.raw(astm("X", {"K": "9"}), conn="other"))
    admin = edge.lab.client("sysadmin")
    assert admin.post(f"/edge/agents/{edge.agent.id}/revoke", {"reason": "电脑报废"}).status_code == 303
    for _ in range(3):
        minute(edge)
    assert state(edge) == [(2, 2, True, "")] and [one.facts["conn"] for one in files(edge, store)] == ["au1", "other"]
    edge.rows("UPDATE agent /* by hand */ SET state = 'enrolled' RETURNING id")
    edge.loop.registry.reload()
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.3"})))
    assert edge.lab.client("sysadmin").post(f"/edge/agents/{edge.agent.id}/revoke", {"reason": "又报废"}).status_code == 303
    for _ in range(3):
        minute(edge)
    assert state(edge) == [(2, 2, True, ""), (1, 1, True, "")] and len(files(edge, store)) == 3
