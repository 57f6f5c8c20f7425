"""`jianlian doctor`: what is wrong with an installation, in sentences that say what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine

from cloud import cli, doctor
from cloud.config import Settings
from cloud.db import migrate
from cloud.embedded.postgres import APP
from cloud.modules.tables import METADATA
from tests.cloud.edge.world import Edge
from tests.support.brokers import free_port
from tests.support.database import TestDatabase


@pytest.fixture
def settings(edge: Edge, tmp_path: Path) -> Settings:
    """An installation whose database, files and certificates are in order, and whose broker is away."""
    with psycopg.connect(edge.bench.lab.settings.owner_url.replace("+psycopg", "")) as owner:
        owner.execute("CREATE TABLE alembic_version (version_num text)")
        owner.execute("GRANT SELECT ON alembic_version TO jianlian_app")
        owner.execute("INSERT INTO alembic_version VALUES (%s)", (migrate.newest(),))
    web = edge.pki.pair("web").certificate
    here = {"data_dir": str(tmp_path), "tls_cert": str(web), "mqtt_cert": str(web)}
    return replace(edge.lab.settings, **here, mqtt_host="127.0.0.1", mqtt_port=free_port())


def found(settings: Settings) -> dict[str, doctor.Finding]:
    return {f.part: f for f in doctor.check(settings)}


def test_everything_named_is_looked_at_and_what_is_wrong_says_what_to_do(edge: Edge, settings: Settings) -> None:
    told = found(settings)
    named = "配置 时钟 网页证书 根证书 消息代理客户端证书 磁盘 消息代理 数据库 数据库角色 数据库结构 文件库"
    assert set(named.split()) <= set(told)
    assert told["消息代理"].exit_code == 2 and all(f.advice for f in told.values() if f.state != doctor.OK)
    assert [told[p].state for p in ("配置", "数据库", "数据库角色", "数据库结构", "时钟", "文件库", "网页证书")] == [doctor.OK] * 7


def test_an_agent_that_is_silent_and_one_that_is_heard(edge: Edge, settings: Settings) -> None:
    with edge.lab.uow() as uow:
        name = uow.s.connection().exec_driver_sql("SELECT name FROM tenant WHERE id = 1").scalar()
    part = f"仪器（{name}）"
    assert "从未连上" in found(settings)[part].seen and found(settings)[part].exit_code == 1
    links = [{"conn": "au1", "state": "idle", "links": 1, "last_error": "", "last_byte": None}]
    edge.take(edge.agent.say("status", {"pending": 0, "connections": links}, at=datetime.now(UTC).isoformat()))
    assert found(settings)[part].seen == "1 个采集端、1 条连接，没有发现故障"


def test_tables_of_another_release_are_named(settings: Settings) -> None:
    with psycopg.connect(settings.owner_url.replace("+psycopg", "")) as owner:
        owner.execute("UPDATE alembic_version SET version_num = '0001'")
    told = found(settings)["数据库结构"]
    assert told.exit_code == 2 and "0001" in told.seen and str(migrate.newest()) in told.seen and "jianlian migrate" in told.advice


def test_a_migration_lets_the_application_see_its_release(empty_db: TestDatabase) -> None:
    migrate.upgrade(empty_db.owner_url, METADATA, APP)
    with create_engine(empty_db.app_url).connect() as conn:
        assert doctor._schema(conn)[0] == doctor.OK
    with psycopg.connect(empty_db.owner_conninfo) as owner:
        owner.execute(f"REVOKE ALL ON alembic_version FROM {APP}")
    with create_engine(empty_db.app_url).connect() as conn:
        assert doctor._schema(conn) == (doctor.BAD, "比本版本旧")


def test_the_command_prints_and_ends_with_the_worst(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.config.load", lambda _path: replace(settings, database_url=settings.database_url + "_gone"))
    assert cli.main(["doctor", "--json", "--lang", "zh"]) == 2
    rows = {row["part"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["数据库"]["state"] == "bad" and rows["仪器"]["state"] == "warn"
    assert cli.main(["doctor", "--lang", "zh"]) == 2
    assert "✕ 数据库: 连不上" in capsys.readouterr().out


def test_a_command_without_its_database_says_so_in_one_line(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    away = replace(settings, database_url=nowhere, owner_url=nowhere)
    monkeypatch.setattr("cloud.config.load", lambda _path: away)
    for command in (["tenant", "list"], ["audit", "verify"], ["migrate"]):
        assert cli.main(command) == 2, command
        assert capsys.readouterr().err.startswith("错误：数据库连不上（")


def test_everything_is_said_in_english_too(edge: Edge, settings: Settings) -> None:
    with edge.lab.uow() as uow:
        uow.s.connection().exec_driver_sql("UPDATE agent SET last_seen_at = now() - interval '1 hour'")
    told = [f.in_language("en") for f in doctor.check(settings)]
    offline = next(f for f in told if "minutes" in f.seen)
    assert offline.part.startswith("Instruments (") and "offline" in offline.seen and "jianlian-agent doctor" in offline.advice
    hospital = {c for f in told for c in f.part + f.seen + f.advice if "\u4e00" <= c <= "\u9fff"} - set("一号采集端甲乙医院（虚构）")
    assert not hospital, [f.line() for f in told]
