"""`jianlian demo`: the whole product on this machine, each part a real process, until Ctrl-C.

Progress goes to stderr; stdout gets a table of addresses and people, or with `--json` one JSON object, once all is ready.
"""

import contextlib
import fcntl
import http.client
import os
import signal
import ssl
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import IO

from cloud.config import Settings
from cloud.demo import agents, announce, people_data, warm
from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.demo.processes import Child, StartFailed, Supervisor, port_free, port_open
from cloud.demo.state import State, default_folder
from cloud.embedded.postgres import APP, EmbeddedPostgres, PostgresFailed
from cloud.ports.pki import HOSTS, Pki
from common.errors import JianlianError

WATCH_SECONDS = 0.5


class Stopped(BaseException):
    """Somebody asked the demo to end."""


class Demo:
    """One run. `up` returns when everything is ready."""

    def __init__(self, state: State, port: int) -> None:
        self.state = state
        self.began = time.monotonic()
        self.supervisor = Supervisor(state.folder, self.say)
        self.postgres = EmbeddedPostgres(state.folder / "postgres")
        self.pki = Pki(state.folder / "pki", (*HOSTS, *(hospital.host for hospital in people_data.HOSPITALS)))
        if not port_free(port):
            raise StartFailed(
                f"端口 {port} 已被占用：请停止占用者，或用 --port 换一个。 / Port {port} is in use: choose another with --port."
            )
        self.ports = state.ports(port)
        self.settings: Settings | None = None
        self.tenants: dict[str, int] = {}

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:5.1f} s] {text}", file=sys.stderr, flush=True)

    def up(self) -> None:
        """Start everything in the order in which it depends on each other."""
        self.supervisor.kill_left_over()
        warm.begin(self.supervisor.environment())
        self.say("密钥与证书 keys and certificates")
        self.pki.ensure(datetime.now(UTC))
        self.settings = self.state.write_settings(self.ports, self.pki, self.postgres.owner_url, self.postgres.app_url)
        self.say("消息代理 MQTT broker")
        broker = self._broker()
        new = not self.postgres.exists
        self.say("数据库 PostgreSQL")
        self.postgres.start()
        # Beside a database that is being made they load and wait for its schema; to one that is there they come after its migration,
        # which takes every table for itself.
        early = self._hosted() if new else None
        self.say("数据库结构 schema")
        [self.tenants] = warm.side_by_side("cloud.demo.seed:schema", [(self.settings,)])
        self.supervisor.wait_for(broker, lambda: port_open(self.ports["mqtt"]))
        web, mllp = early or self._hosted()
        # Filled while they load, and a hospital that is being filled is like any new one to them.
        self.say("医院与目录 hospitals and catalog")
        codes = self._fill()
        self._edge(web, codes)
        self.supervisor.wait_for(mllp, lambda: port_open(self.ports["mllp"]) and port_open(self.ports["mllp-tls"]))
        self._outside()

    def _broker(self) -> Child:
        return self.supervisor.python("broker", "cloud.embedded.broker", "--pki", str(self.pki.folder), "--port", str(self.ports["mqtt"]))

    def _hosted(self) -> tuple[Child, Child]:
        """The processes of the hosted side; those that are waited for later."""
        self.say("网页、接收、后台、接口 web, intake, worker, interfaces")
        web, mllp = self._cloud("web", "serve"), self._cloud("mllp", "mllp")
        self._cloud("intake", "intake")
        self._cloud("worker", "worker")
        return web, mllp

    def _fill(self) -> dict[str, str]:
        """The hospitals, side by side; each one's code for its agent."""
        self.state.accounts()  # made by one
        each = [(self.settings, self.state, self.ports, code, tenant_id) for code, tenant_id in self.tenants.items()]
        return dict(zip(self.tenants, warm.side_by_side("cloud.demo.seed:hospital", each), strict=True))

    def _edge(self, web: Child, codes: dict[str, str]) -> None:
        """The serial lines and the agents; who is not enrolled yet needs the web for it."""
        lines = [
            str(end)
            for t, rows in INSTRUMENTS.items()
            for row in rows
            if row.transport == "serial"
            for end in self.state.serial(t, row.key)
        ]
        cables = self.supervisor.python("serial", "cloud.demo.nullmodem", *lines)
        self.supervisor.wait_for(cables, lambda: all(os.path.exists(line) for line in lines))
        early = not any(codes.values())
        if early:
            self._agents(codes)
        self.supervisor.wait_for(web, lambda: answers(self.ports["web"]))
        if not early:
            self._agents(codes)

    def _outside(self) -> None:
        """What else a hospital has: an information system, analyzers, staff."""
        self.say("模拟 HIS 与仪器 simulated HIS and analyzers")
        self._his()
        agents.wait_ready(self.supervisor, self.ports)
        self._bustle()

    def _agents(self, codes: dict[str, str]) -> None:
        self.say("采集端 edge agents")
        agents.start(self.supervisor, self.state, codes)

    def _his(self) -> None:
        """Each hospital's information system: orders in, reports out."""
        for hospital in people_data.HOSPITALS:
            secure = hospital.code == "rm"
            lab = self.ports["mllp-tls" if secure else "mllp"]
            ca = ["--ca", str(self.pki.ca_file)] if secure else []
            listen = ["--listen", str(self.ports[f"his-{hospital.code}"]), "--lab", f"localhost:{lab}"]
            folder = str(self.state.folder / "his" / hospital.code)
            self.supervisor.python(f"his-{hospital.code}", "cloud.demo.his", "--hospital", hospital.code, *listen, *ca, "--data", folder)

    def _bustle(self) -> None:
        """Analyzers that measure what the lab received, and staff who work."""
        self.supervisor.python("analyzers", "cloud.demo.analyzers", "--data", str(self.state.folder))
        self.supervisor.python("staff", "cloud.demo.staff", "--data", str(self.state.folder))

    def _cloud(self, name: str, verb: str) -> Child:
        given = ("--config", str(self.state.settings_file), verb)
        command = (sys.executable, "-m", "cloud.cli", *given)
        return self.supervisor.forked(name, lambda log, environment: warm.command(str(log), environment, *given), *command)

    def watch(self) -> None:
        """Keep everything running until somebody asks to stop."""
        while True:
            time.sleep(WATCH_SECONDS)
            self.supervisor.watch()
            if self.postgres.process is not None and self.postgres.process.poll() is not None:
                self.say("PostgreSQL ended; starting it again")
                self.postgres.start()

    def down(self) -> None:
        """Stop everything, the database last."""
        self.say("正在停止 stopping")
        self.supervisor.stop()
        self.postgres.stop()
        self.say("已停止 stopped")


def run(data: str | None = None, port: int = 8443, as_json: bool = False) -> int:
    """Run until Ctrl-C or SIGTERM. Exit code 0, or 1 with one line when it cannot start."""
    state = State(Path(data) if data else default_folder())
    with only_one(state.folder) as alone:
        if not alone:
            print(f"演示已在运行（{state.folder}）。 / A demo with this folder is running already.", file=sys.stderr)
            return 1
        for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(sign, _stop)
        demo = None
        try:
            demo = Demo(state, port)
            demo.up()
            demo.say("就绪 ready")
            announce.show(demo.state, demo.ports, demo.pki, demo.postgres.conninfo(APP), as_json)
            demo.watch()
        except Stopped:
            return 0
        except (StartFailed, PostgresFailed, JianlianError, RuntimeError) as error:
            print(f"启动失败 / start failed: {error}", file=sys.stderr)
            return 1
        finally:
            for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(sign, signal.SIG_IGN)  # a second Ctrl-C must not leave processes behind
            if demo is not None:
                demo.down()
    return 0


def _stop(_sign: int, _frame: FrameType | None) -> None:
    raise Stopped


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[bool]:
    """Whether this is the only launcher with that folder; the lock ends with the process, however it ends."""
    lock: IO[str] = (folder / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        lock.close()


def answers(port: int) -> bool:
    """Whether the web answers a request over TLS. Nothing is trusted, read or sent here, so no authority is loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    line = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, context=context)
    try:
        line.request("GET", "/healthz")
        return line.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        line.close()
