"""The simulated analyzers: whoever received a tube sees it measured a little later, through the agent's real lines.

    python -m cloud.demo.analyzers --data DIR [--every SECONDS]

Which tubes stand in the rack is looked up in the database, as a person would carry them; everything else goes the way of
a real analyzer: `jianlian-agent simulate` speaks the link layer into the agent's port or serial line.

An analyzer that falls silent: its name in a line of DIR/analyzers/silent (`rm-bc1`); it goes on where it stopped once the line is gone.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.config import load
from cloud.db.session import Actor, Database
from cloud.demo import messages, qc
from cloud.demo.analyzer_data import INSTRUMENTS, Instrument
from cloud.demo.history import StandingClock
from cloud.demo.messages import Tube
from cloud.demo.processes import clean_environment
from cloud.demo.state import State
from cloud.modules.platform.models import Tenant

RACK = Actor("demo-rack")
MOST_AT_ONCE = 3  # tubes an analyzer takes in one round
SIMULATE_SECONDS = 60
CHINA = ZoneInfo("Asia/Shanghai")
WAITING = text("""
SELECT s.barcode, p.sex, array_agg(i.code ORDER BY i.print_order) AS items
FROM test t
JOIN specimen s ON s.tenant_id = t.tenant_id AND s.id = t.specimen_id
JOIN patient p ON p.tenant_id = s.tenant_id AND p.id = s.patient_id
JOIN test_item i ON i.tenant_id = t.tenant_id AND i.id = t.item_id
WHERE s.received_at > now() - interval '12 hours' AND t.current_id IS NULL
GROUP BY s.barcode, p.sex, s.received_at ORDER BY s.received_at
""")


class Rack:
    """What one hospital's analyzers have measured already; kept in a file, so that a restart measures nothing twice."""

    def __init__(self, state: State, hospital: str) -> None:
        self.state, self.hospital = state, hospital
        self.path = state.folder / "analyzers" / f"{hospital}.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.done: set[str] = set(json.loads(self.path.read_text())) if self.path.exists() else set()
        self.ports = json.loads((state.folder / "ports.json").read_text())

    def is_silent(self, row: Instrument) -> bool:
        """Whether a visitor lets it say nothing, to see what the laboratory sees then."""
        try:
            return f"{self.hospital}-{row.key}" in (self.path.parent / "silent").read_text().split()
        except FileNotFoundError:
            return False

    def line(self, row: Instrument) -> list[str]:
        """Where `jianlian-agent simulate` finds the agent."""
        if row.transport == "serial":
            return ["--serial", str(self.state.serial(self.hospital, row.key)[1])]
        return ["--tcp", f"127.0.0.1:{self.ports[f'{self.hospital}-{row.key}']}"]

    def measure(self, row: Instrument, tube: Tube) -> None:
        """Measure one tube and send its results."""
        key = f"{row.key}/{tube.barcode}"
        values = messages.measure(row, tube, random.Random(f"{self.hospital}{key}"))
        if key in self.done or not values:
            return
        message = messages.message(row, tube, values, datetime.now(CHINA), len(self.done) + 1)
        if self.send(row, key, message):
            print(f"{key}: {len(values)} results sent", flush=True)
            self.done.add(key)
            self.path.write_text(json.dumps(sorted(self.done)))

    def control(self, row: Instrument) -> None:
        """Measure the analyzer's control material, level by level."""
        for level in qc.levels_of(row):
            self.send(row, f"{row.key}/{qc.material(row.key, level)}", qc.control(row, level, datetime.now(CHINA), level))

    def send(self, row: Instrument, key: str, message: bytes) -> bool:
        """Say it on the analyzer's line; False when the agent does not take it, or the analyzer is silent."""
        if self.is_silent(row):
            return False
        with tempfile.NamedTemporaryFile(suffix=".txt") as file:
            file.write(message)
            file.flush()
            command = [sys.executable, "-m", "agent", "simulate", file.name, *self.line(row)]
            try:
                ended = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, timeout=SIMULATE_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{key}: the agent does not take it", flush=True)
                return False
        if ended.returncode != 0:
            print(f"{key}: {ended.stdout}{ended.stderr}", flush=True)
        return ended.returncode == 0


def waiting(db: Database, tenant_id: int) -> list[Tube]:
    """Tubes that the laboratory received today and that still lack results; the tubes of the past were measured by others."""
    with db.tenant(tenant_id, RACK) as uow:
        return [Tube(row.barcode, row.sex, row.items) for row in uow.s.execute(WAITING)]


def round_of(rack: Rack, tubes: Sequence[Tube], stop: threading.Event) -> None:
    """Each analyzer measures a few tubes."""
    for row in INSTRUMENTS[rack.hospital]:
        own = {channel.item for channel in row.channels} if row.section else set()
        todo = [tube for tube in tubes if own & set(tube.items) and f"{row.key}/{tube.barcode}" not in rack.done]
        for tube in todo[:MOST_AT_ONCE]:
            if stop.is_set():
                return
            rack.measure(row, tube)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cloud.demo.analyzers", description="simulated analyzers")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=float, default=4.0)
    args = parser.parse_args(argv)
    state = State(args.data)
    settings = load(str(state.settings_file))
    db = Database(settings.database_url, secret=settings.secret, pool_size=2)
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    with db.registry() as s:
        ids = {row.code: row.id for row in s.execute(select(Tenant)).scalars()}
    racks = {code: Rack(state, code) for code in INSTRUMENTS}
    then = StandingClock(datetime.now(CHINA))
    old = Database(db.engine.url.render_as_string(hide_password=False), secret=settings.secret, pool_size=1, clock=then)
    days = [qc.past(old, ids[c], c, then.set, datetime.now(CHINA)) for c in INSTRUMENTS if qc.seed(db, ids[c], datetime.now(CHINA))]
    while not stop.wait(args.every):
        for code, rack in racks.items():
            round_of(rack, waiting(db, ids[code]), stop)
            for row in qc.due(db, ids[code], code, datetime.now(CHINA)):
                rack.control(row)
        for one in days:
            next(one, None)  # a day of the past a round: the present comes first
    old.dispose()
    db.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
