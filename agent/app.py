"""The running agent: journal, lines, worklist and uplink put together, and the once-a-second work.

Everything runs in one event loop; only paho and, on Windows, serial readers have threads. Parts are made by overridable
methods, so that the crash harness can plant its bugs from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import ssl
import threading
import traceback
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent import disk, launch, log, orders, renewal, sealing, status
from agent.broadcast import Broadcasts
from agent.channels.astm import AstmChannel
from agent.channels.base import Line, OpenChannel, iso, now_ms
from agent.channels.hl7 import Hl7Channel
from agent.channels.oneway import OneWayChannel
from agent.channels.sentences import DAMAGED, POWER
from agent.committer import Committer
from agent.config import Config, ConfigError, Connection, DataDir, parse_config
from agent.host_query import HostQueries
from agent.journal import Journal
from agent.lock import DataLock
from agent.rows import Outgoing, Unfinished
from agent.salvage import damaged_files, mark_suspect, open_journal
from agent.told import Told
from agent.transport.file_drop import FileDrop
from agent.transport.hid import HidReader
from agent.transport.poller import Poller
from agent.transport.serial_port import SerialLine
from agent.transport.table import Table
from agent.transport.tcp import TcpDial, TcpListen
from agent.update import Updater
from agent.uplink import Keys, Uplink, tls_context
from agent.worklist import Worklist
from common import crypto
from common.envelope import Envelope, EnvelopeError

STATUS_SECONDS = 10
STANDALONE_SECONDS = 3.0  # an agent without a cloud has shown that it works after so long
CLEAN_SECONDS = 600
_RESTART_LINE = 5.0
_log = log.get("app")

CHANNELS: dict[str, OpenChannel] = {"astm": AstmChannel, "hl7": Hl7Channel}


class Agent:
    """One agent. `run()` returns True when it should be started anew (its journal was damaged)."""

    def __init__(self, data: DataDir) -> None:
        self.data = data
        self.boot = str(uuid.uuid4())
        self.config = Config()
        self.lines: dict[str, Line] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.uplink: Uplink | None = None
        self.transports: dict[str, Any] = {}
        self._stop = asyncio.Event()
        self._again = False
        self.exit_code = 0
        self._began = 0.0
        self._space = disk.space(data.root)
        self._config_error = ""
        self._sealing = False
        self._renewal_error = ""
        self._background: asyncio.Task[bool] | None = None
        self._kiosk: Any = None  # agent.kiosk.server.Kiosk, imported only where one is set up

    async def run(self) -> bool:
        """Work until told to stop."""
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(_stray_error)
        self._began = self.loop.time()
        with DataLock(self.data.lock):
            self.poller = Poller.make(self.loop)
            self.journal = self.open_journal()
            self.worklist = Worklist(self.journal)
            self.queries = HostQueries(self.worklist, self.loop)
            self.broadcasts = Broadcasts(self.worklist, Told(self.journal))
            self.updater = Updater(self.data, status.VERSION, self._fetch_bundle, self._restart_updated)
            try:
                self.start()
                await self._every_second()
            finally:
                await self._close()
        return self._again

    def _fetch_bundle(self, version: str) -> bytes:
        identity = self.data.identity()
        if identity is None:
            raise renewal.RenewalFailed("update.identity", "本机尚未登记")
        return renewal.ask(self.data, identity, "bundle", {"version": version}, boot=self.boot, path="/edge/bundle")

    def _restart_updated(self) -> None:
        """End with the exit code that tells `launch` to look which version is to run now. May be called from a thread."""
        self.exit_code = launch.RESTART
        self.loop.call_soon_threadsafe(self.stop)

    @property
    def healthy(self) -> bool:
        """True when a version on trial has shown that it works: the journal takes, no line has an inner fault, the cloud answers."""
        if self.journal.damaged or self.journal.last_error or any(task.done() for task in self._tasks.values()):
            return False
        return self.uplink.connected if self.uplink is not None else not self._config_error and self._age > STANDALONE_SECONDS

    @property
    def _age(self) -> float:
        return self.loop.time() - self._began

    def stop(self) -> None:
        """End `run()` soon."""
        self._stop.set()

    # --- parts, overridable

    def open_journal(self) -> Journal:
        """The journal, recovered; flushed by a Committer."""
        journal = open_journal(self.data.journal, self.unfinished, now_ms())
        journal.schedule = Committer(journal, self.loop, self.poller).schedule
        self._sealing = sealing.needed(journal)
        return journal

    def unfinished(self, found: Unfinished) -> Outgoing:
        """The message made of a session that a crash cut."""
        protocols = {conn.key: conn for conn in self.config.connections}
        conn = protocols.get(found.conn)
        problems = [POWER] + ([DAMAGED.format(n=found.damaged)] if found.damaged else [])
        astm = bool(found.frames) and found.frames[0][:1] == b"\x02" and (conn is None or conn.protocol == "astm")
        meta = {
            "protocol": conn.protocol if conn else None,
            "driver": conn.driver if conn else None,
            "encoding": conn.encoding if conn else None,
            "complete": False,
            "started": iso(found.started),
            "ended": iso(found.ended),
            "urgent": False,
            "frames": len(found.frames),
            "problems": problems,
            "peer": "",
        }
        return Outgoing(found.conn, (b"\x05" if astm else b"") + b"".join(found.frames), found.ended, meta)

    def make_transport(self, line: Line) -> Any:
        """What carries a line's bytes; its `run()` works until cancelled."""
        channel = CHANNELS.get(line.conn.protocol, OneWayChannel)
        kind = line.conn.transport.type
        if kind == "tcp-listen":
            return TcpListen(line, channel)
        if kind == "tcp-dial":
            return TcpDial(line, channel)
        if kind == "serial":
            return SerialLine(line, channel)
        return {"file": FileDrop, "odbc": Table, "hid": HidReader}[kind](line)

    def make_uplink(self) -> Uplink | None:
        """The way to the cloud, or None before enrolment."""
        identity = self.data.identity()
        if identity is None:
            _log.warning("not enrolled: messages are kept here")
            return None
        keys = Keys(
            crypto.load_private(self.data.file("key.pem").read_bytes()),
            crypto.load_public(self.data.file("cloud.pem").read_bytes()),
        )
        names = [str(self.data.file(name)) for name in ("ca.pem", "certificate.pem", "key.pem")]
        context = tls_context(*names)
        if not self.clock_plausible():
            _log.error("the clock cannot be right: dates of certificates are not looked at")
            renewal.forgive_dates(context)
        return Uplink(self.journal, identity, keys, self.boot, self.on_down, context)

    def clock_plausible(self) -> bool:
        """False when our clock cannot be right (F15)."""
        told = self.journal.get("cloud_at")
        try:
            last = datetime.fromisoformat(told) if told else None
        except ValueError:
            last = None
        return renewal.plausible(datetime.now(UTC), last)

    async def renew(self) -> bool:
        """Fetch the next certificate when it is time, and go on with it. True when there is a new one."""
        identity = self.data.identity()
        plausible = self.clock_plausible()
        if identity is None or not plausible or not renewal.due(self.data.file("certificate.pem").read_bytes(), datetime.now(UTC)):
            return False
        try:
            await asyncio.to_thread(renewal.renew, self.data, identity, self.boot)
        except (renewal.RenewalFailed, crypto.CryptoError, OSError) as error:
            self._renewal_error = str(error)
            _log.warning("certificate not renewed yet", error=type(error).__name__)
            return False
        self._renewal_error = ""
        _log.info("certificate renewed")
        if self.uplink is not None:
            await asyncio.to_thread(self.uplink.stop)
        self._start_uplink()
        return True

    # --- start and stop

    def start(self) -> None:
        """Bring up the lines and the uplink."""
        try:
            self.apply(self.data.config())
        except ConfigError as error:
            self._config_error = error.message
            _log.error("configuration refused", code=error.code)
        self._start_uplink()
        _log.info("started", boot=self.boot, stream=self.journal.stream, pending=self.journal.pending_count)

    def _start_uplink(self) -> None:
        try:
            self.uplink = self.make_uplink()
        except (OSError, ssl.SSLError, crypto.CryptoError, ConfigError) as error:
            self._config_error = f"无法连接云端：{error}"
            _log.error("uplink cannot start", error=type(error).__name__)
        if self.uplink is not None:
            self.queries.asker = self.uplink
            self.journal.on_message = self.uplink.wake
            self.uplink.on_connect = self.send_status
            self.uplink.start()

    async def _close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for _ in range(3):
            await asyncio.sleep(0)  # closing links hand in what they had begun
        if self.uplink is not None:
            self.uplink.stop()
        if self._kiosk is not None:
            await asyncio.to_thread(self._kiosk.stop)
        if self.poller is not None:
            self.poller.close()
        with contextlib.suppress(Exception):
            self.journal.close()
        with contextlib.suppress(OSError):  # Windows: somebody reads it
            self.data.status.unlink(missing_ok=True)

    def apply(self, config: Config) -> None:
        """Start what is new, stop what is gone, restart what changed; a line that did not change is not touched."""
        wanted = {conn.key: conn for conn in config.connections if conn.enabled}
        for key in [key for key, line in self.lines.items() if wanted.get(key) != line.conn]:
            self._tasks.pop(key).cancel()
            del self.lines[key]
            self.transports.pop(key, None)
        self.config = config
        for key, conn in wanted.items():
            if key not in self.lines:
                self._start_line(conn)
        self._apply_kiosk(config.kiosk)

    def _apply_kiosk(self, wanted: Mapping[str, Any] | None) -> None:
        """Start, stop or restart the kiosk's page; its trouble never touches a line."""
        if self._kiosk is not None and self._kiosk.config != wanted:
            self._kiosk.stop()
            self._kiosk = None
        if wanted is None or self._kiosk is not None:
            return
        try:
            from agent.kiosk.server import Kiosk

            self._kiosk = Kiosk(wanted, self.data, self.journal, self.loop, self.boot)
        except (ImportError, OSError, ValueError) as error:
            self._config_error = f"自助机页面没有启动：{error}"
            _log.error("kiosk cannot start", error=type(error).__name__)

    def _start_line(self, conn: Connection) -> None:
        line = Line(conn, self.journal, self.queries, self.loop, self.boot, poller=self.poller)
        self.lines[conn.key] = line
        self._tasks[conn.key] = self.loop.create_task(self._serve(line), name=f"line {conn.key}")

    async def _serve(self, line: Line) -> None:
        """Run a line's transport; our own bugs in one line must not end it, nor touch another."""
        while True:
            try:
                transport = self.transports[line.conn.key] = self.make_transport(line)
                await transport.run()
            except Exception as error:
                line.health.state = "fault"
                line.trouble(f"内部错误：{type(error).__name__}")
                _log.exception("line failed", conn=line.conn.key)
                await asyncio.sleep(_RESTART_LINE)

    # --- every second

    async def _every_second(self) -> None:
        count = 0
        while not self._stop.is_set():
            try:
                self.tick(count)
            except Exception:
                _log.exception("tick failed")
            count += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), 1.0)

    def tick(self, count: int) -> None:
        """The once-a-second work."""
        self._watch_disk()
        self.journal.flush()
        if self._sealing:
            self._sealing = not sealing.step(self.journal)
        if self.journal.damaged:
            _log.error("the journal is damaged: starting anew")
            mark_suspect(self.data.journal)
            self._again = True
            self.stop()
        if self.uplink is not None:
            self.uplink.tick()
        try:
            status.write_file(self.data, self.heartbeat(told=False))
        except OSError as error:  # the disk is full, or Windows has the file open: the cloud must hear of it all the same
            _log.error("status file not written", errno=error.errno)
        if count % STATUS_SECONDS == 0:
            self.send_status()
        orders.second(self)
        for line in self.lines.values():
            self.broadcasts.second(line)
        self.updater.second(self._age, healthy=self.healthy)
        if count % CLEAN_SECONDS == 0:
            self._background = self.loop.create_task(self.renew())
            self.worklist.drop_old(now_ms())
            self.broadcasts.drop_old()
            self.journal.drop_old(now_ms())

    def send_status(self) -> None:
        """The heartbeat: when connected, and every ten seconds."""
        if self.uplink is not None:
            self.uplink.publish_now("status", self.heartbeat())

    def _watch_disk(self) -> None:
        self._space = disk.space(self.data.root)
        if self._space.stop != self.journal.refusing:
            self.journal.refusing = self._space.stop
            _log.error("disk full: refusing" if self._space.stop else "disk has room again: accepting", free=self._space.free)

    def heartbeat(self, *, told: bool = True) -> dict[str, Any]:
        """What the cloud and this PC see of us; `told`: with the refused orders themselves, which are no matter of a readable file."""
        uplink = self.uplink
        extra: dict[str, Any] = {
            "boot": self.boot,
            "at": iso(now_ms()),
            "standalone": uplink is None,
            "cloud": {
                "connected": uplink is not None and uplink.connected,
                "since": iso(uplink.since) if uplink is not None else None,
                "error": uplink.last_error if uplink is not None else "",
                "skew_ms": uplink.skew_ms if uplink is not None else None,
                "road": uplink.road if uplink is not None else "",
                "last_receipt": iso(uplink.last_receipt) if uplink is not None and uplink.last_receipt else None,
            },
            "answered_offline": self.queries.answered_offline,
            "worklist": len(self.worklist),
            "damaged_files": [path.name for path in damaged_files(self.data.journal)],
            "journal_error": self.journal.last_error,
            "config_error": self._config_error,
            "renewal_error": self._renewal_error,
            "update": {"state": self.updater.state, "trial": self.updater.on_trial, "failed": self.updater.slots.failed()},
            "clock_plausible": self.clock_plausible(),
        }
        said = status.heartbeat(self.journal, self.lines.values(), self.config.version, self._space, extra)
        for row, line in zip(said["connections"] if told else (), self.lines.values(), strict=False):
            row["refusals"] = line.refusals
        return said

    # --- what comes down (its signature is verified)

    def on_down(self, kind: str, found: Envelope) -> None:
        """A message from the cloud."""
        try:
            if kind == "worklist":
                self._worklist(found)
            elif kind == "config":
                self._config(found)
            elif kind == "command":
                orders.obey(self, found.json())
            elif kind == "time":
                self.journal.put("cloud_at", found.header.at)
            else:
                _log.info("nothing to do for this kind", kind=kind)
        except (EnvelopeError, ConfigError, KeyError, TypeError, ValueError) as error:
            _log.error("a message of the cloud cannot be used", kind=kind, error=type(error).__name__)

    def _worklist(self, found: Envelope) -> None:
        body = found.json()
        sent_at = ms(found.header.at)
        kept = self.worklist.accept(str(body["conn"]), body["tubes"], sent_at, now_ms())
        tubes = [tube for tube in body["tubes"] if isinstance(tube, dict)]
        names = {str(tube.get(name)).upper() for tube in tubes for name in ("barcode", "sample_no") if tube.get(name)}
        self.queries.worklist_came(str(body["conn"]), names)
        _log.info("worklist", conn=body["conn"], tubes=kept)

    def _config(self, found: Envelope) -> None:
        """Apply a configuration, unless one signed later is in force: an old one may be replayed."""
        config = parse_config(found.json())
        signed_at = str(ms(found.header.at))
        if int(signed_at) <= int(self.journal.get("config_at") or 0) or self.data.file("local.json").exists():
            return
        self.data.save_config(config.raw)
        self.journal.put("config_at", signed_at)
        self.apply(config)
        self._config_error = ""
        _log.info("configuration applied", version=config.version)


def _stray_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error nobody caught, without its text, which may quote data."""
    error = context.get("exception")
    frames = traceback.extract_tb(error.__traceback__)[-6:] if error is not None else []
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    _log.error("uncaught", exception=type(error).__name__, where=where)


def ms(at: str) -> int:
    """An ISO time as milliseconds. Raises ValueError."""
    return int(datetime.fromisoformat(at).timestamp() * 1000)


async def run_agent(agent: Agent) -> bool:
    """Run with the signals a service manager sends."""
    loop = asyncio.get_running_loop()
    for name in ("SIGTERM", "SIGINT"):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in a loop
            loop.add_signal_handler(getattr(signal, name), agent.stop)
    return await agent.run()


def run(root: Path, make: type[Agent] = Agent) -> int:
    """Run the agent of a data folder; starts anew after a damaged journal was set aside. Returns the exit code."""
    data = DataDir(root)
    data.create()

    agents: list[Agent] = []

    told = threading.Event()

    def end() -> None:
        """From a thread, perhaps before there is a loop: what it misses here, `once` or the agent's next second sees."""
        told.set()
        for agent in agents:
            try:
                agent.loop.call_soon_threadsafe(agent.stop)
            except (AttributeError, RuntimeError):
                agent.stop()

    launch.stop_with_stdin(end)

    async def once() -> bool:
        agents[:] = [make(data)]
        if told.is_set():
            agents[0].stop()
        return await run_agent(agents[0])

    while asyncio.run(once()) and not told.is_set():
        continue
    return agents[0].exit_code
