"""The embedded server: roles as production has them, and back after any kind of stop."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from cloud.embedded import unprivileged
from cloud.embedded.postgres import APP, DATABASE, OWNER, SUPERUSER, EmbeddedPostgres
from tests.support.database import TestDatabase


def test_committed_rows_survive_kill_and_a_forgotten_server(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path).start()
    try:
        with psycopg.connect(server.conninfo(OWNER)) as owner:
            owner.execute("CREATE SCHEMA kept CREATE TABLE numbers (n int)")
            owner.execute("INSERT INTO kept.numbers VALUES (1)")
        server.kill()
        server.start()
        again = EmbeddedPostgres(tmp_path).start()  # the starter was killed: its server still runs
        try:
            with psycopg.connect(again.conninfo(OWNER)) as owner:
                assert owner.execute("SELECT n FROM kept.numbers").fetchall() == [(1,)]
                assert owner.execute("SHOW fsync").fetchone() == ("on",)
                assert owner.execute("SHOW synchronous_commit").fetchone() == ("on",)
                assert owner.execute("SHOW max_connections").fetchone() == ("200",)
        finally:
            again.stop()
        assert server.process is not None
        assert server.process.wait(5) == 0
    finally:
        server.stop()


def test_roles_have_no_power_beyond_their_own(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        with psycopg.connect(server.conninfo(SUPERUSER, "postgres")) as admin:
            rows = admin.execute(
                "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = ANY(%s)",
                ([OWNER, APP],),
            ).fetchall()
            owner = admin.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        assert sorted(rows) == [(APP, False, False, False, False, True), (OWNER, False, False, False, False, True)]
        assert owner == (OWNER,)
        with psycopg.connect(server.conninfo(APP)) as app, pytest.raises(errors.InsufficientPrivilege):
            app.execute("CREATE TABLE public.mine (n int)")


def test_a_deep_folder_still_gets_a_socket(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    with EmbeddedPostgres(deep, durable=False) as server:
        assert not server.socket_dir.is_relative_to(deep)
        with psycopg.connect(server.conninfo(APP)) as app:
            assert app.execute("SELECT 1").fetchone() == (1,)


def test_others_on_the_machine_cannot_reach_the_socket(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path, durable=False) as server:
        assert server.socket_dir.stat().st_mode & 0o077 == 0
        with psycopg.connect(server.conninfo(SUPERUSER, "postgres")) as admin:
            assert admin.execute("SHOW listen_addresses").fetchone() == ("",)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """As where the kernel gives no user namespaces: everything unreachable for `nobody` goes to this folder."""
    if os.geteuid() != 0:
        pytest.skip("only root has to become someone else")
    with tempfile.TemporaryDirectory(prefix="jl-shared-") as name:
        os.chmod(name, 0o755)
        monkeypatch.setenv("JIANLIAN_PG_AS_NOBODY", "1")
        monkeypatch.setattr(unprivileged, "SHARED_PLACE", Path(name))
        unprivileged.prefix.cache_clear()
        yield Path(name)
    unprivileged.prefix.cache_clear()


def test_root_without_user_namespaces_runs_as_nobody(nobody: Path) -> None:
    with EmbeddedPostgres(nobody / "data", durable=False) as server:
        assert (server.cluster / "PG_VERSION").stat().st_uid == 65534


def test_nobody_cannot_reach_roots_home_so_both_move(nobody: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "_reachable", lambda path: path.is_relative_to(nobody))
    for _start in range(2):
        with EmbeddedPostgres(tmp_path, durable=False) as server:
            assert server.cluster.is_relative_to(nobody)
            assert server.runner.programs.is_relative_to(nobody)
            with psycopg.connect(server.conninfo(APP)) as app:
                assert app.execute("SELECT 1").fetchone() == (1,)


def test_fresh_databases_do_not_meet(fresh_db: TestDatabase, empty_db: TestDatabase) -> None:
    with psycopg.connect(fresh_db.owner_conninfo) as one, psycopg.connect(empty_db.owner_conninfo) as other:
        one.execute("CREATE SCHEMA only_here")
        one.commit()
        assert other.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'only_here'").fetchone() == (0,)
