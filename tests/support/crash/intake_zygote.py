"""Starts intake processes fast: everything is imported once, each start is a fork. `python -m tests.support.crash.intake_zygote`

Line protocol on stdin/stdout: ``go [POINT N]`` → the child's process id. With a point the child kills itself (SIGKILL) the N-th time it
gets there. ``--mutant NAME`` plants a bug that the checker must catch. Settings come from JIANLIAN_* as for the real command.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sqlalchemy import event

from cloud.config import load
from cloud.db.session import Database
from cloud.modules.edge import batch, store
from cloud.modules.edge.intake import Loop, run_intake
from cloud.ports.mqtt import Mqtt
from cloud.web import log

POINTS = ("received", "verified", "begun", "stored", "placed", "before_commit", "after_commit", "receipted", "before_puback",
          "after_puback")  # fmt: skip


class Trap:
    """Kills this very process at the N-th passing of one point."""

    def __init__(self, point: str, n: int) -> None:
        self.point, self.left = point, n

    def at(self, point: str) -> None:
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str, before: Callable[[], None] | None = None, after: Callable[[], None] | None = None) -> None:
    """Wrap a function or method."""
    real = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            before()
        result = real(*args, **kwargs)
        if after:
            after()
        return result

    setattr(owner, name, wrapped)


def set_trap(db: Database, trap: Trap) -> None:
    """Put the trap's points into the code paths, from receive to PUBACK."""
    around(Loop, "_admit", before=lambda: trap.at("received"), after=lambda: trap.at("verified"))
    around(store, "existing", before=lambda: trap.at("begun"))
    around(store, "insert_raw", after=lambda: trap.at("stored"))
    around(batch, "place", after=lambda: trap.at("placed"))
    around(Loop, "_receipt", before=lambda: trap.at("after_commit"), after=lambda: trap.at("receipted"))
    around(Mqtt, "acknowledge", before=lambda: trap.at("before_puback"), after=lambda: trap.at("after_puback"))
    event.listen(db._maker, "before_commit", lambda session: trap.at("before_commit"))


# --- planted bugs ----------------------------------------------------------------------------------------------------


def receipt_before_commit() -> None:
    """Receipts leave while the transaction is still open."""
    real = batch.Intake._take

    def early(self: Any, tenant_id: int, admitted: Any, poison: str | None = None) -> Any:
        loop = LOOPS[-1]
        loop._receipt({a.reg.agent_id: a.reg for a in admitted}, [batch.Receipted(*batch._key(a), a.header.sha256) for a in admitted])
        return real(self, tenant_id, admitted, poison)

    batch.Intake._take = early  # type: ignore[method-assign]


def forget_transport_key() -> None:
    """A message that comes again is stored again."""
    store.existing = lambda cur, tenant, keys: {}  # type: ignore[assignment]
    real = store.insert_raw

    def insert(cur: Any, tenant: int, rows: Any) -> None:
        cur.execute("SAVEPOINT here")
        real(cur, tenant, rows)
        for row in [r for r in rows if r.id == 0]:
            row.stream += "+"
            insert(cur, tenant, [row])

    store.insert_raw = insert


def forget_content_key() -> None:
    """An instrument's own resend counts as a new measurement."""
    from cloud.modules.edge import rules

    rules.content_key = lambda *a: os.urandom(16).hex()  # type: ignore[assignment]


def receipt_the_next() -> None:
    """Receipts name one number too many."""
    real = batch.receipt_body

    def body(stream: str, items: Any) -> bytes:
        last = items[-1]
        return real(stream, [*items, batch.Receipted(last.agent_id, stream, last.seq + 1, "0" * 64)])

    batch.receipt_body = body


def drop_when_it_fails() -> None:
    """A message that cannot be placed is receipted without being stored."""
    real = batch.Intake._take
    seen = [0]

    def dropping(self: Any, tenant_id: int, admitted: Any, poison: str | None = None) -> Any:
        seen[0] += 1
        taken = real(self, tenant_id, admitted[:-1] if seen[0] % 3 == 0 else admitted, poison)
        done = [batch.Receipted(*batch._key(a), a.header.sha256) for a in admitted]
        return batch.Taken(done, taken.refused, taken.placed)

    batch.Intake._take = dropping  # type: ignore[method-assign]


def results_outside_the_transaction() -> None:
    """The raw message is committed first and the results afterwards: a kill between leaves a receipted message without results."""
    real = vars(batch)["place"]

    def later(uow: Any, cur: Any, heard: Any, zone: Any) -> Any:
        cur.execute("COMMIT")
        cur.execute("BEGIN")
        cur.execute("SELECT set_config('app.tenant', %s, true)", (str(uow.tenant_id),))
        return real(uow, cur, heard, zone)

    vars(batch)["place"] = later


MUTANTS = {
    "receipt-before-commit": receipt_before_commit,
    "no-transport-key": forget_transport_key,
    "no-content-key": forget_content_key,
    "receipt-off-by-one": receipt_the_next,
    "drop-and-receipt": drop_when_it_fails,
    "two-transactions": results_outside_the_transaction,
}
LOOPS: list[Loop] = []


def child(command: list[str], mutant: str | None) -> None:
    """One intake process."""
    settings = load(None)
    log.setup("WARNING")
    db = Database(settings.database_url, secret=settings.secret)
    around_init = Loop.__init__

    def remember(self: Loop, *args: Any, **kwargs: Any) -> None:
        around_init(self, *args, **kwargs)
        LOOPS.append(self)

    Loop.__init__ = remember  # type: ignore[method-assign]
    if mutant:
        MUTANTS[mutant]()
    if len(command) == 3:
        set_trap(db, Trap(command[1], int(command[2])))
    run_intake(settings, db)


def main() -> int:
    """Fork on demand until stdin ends; the last child goes with us."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    mutant = parser.parse_args().mutant
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    pid = 0
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            try:
                child(line.split(), mutant)
            finally:
                os._exit(0)
        print(pid, flush=True)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return 0


if __name__ == "__main__":
    sys.exit(main())
