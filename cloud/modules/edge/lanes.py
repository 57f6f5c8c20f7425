"""Batches side by side: while PostgreSQL writes for one lane, Python reads for the other. What one agent said of one stream never parts.

Two lanes are to the database what two intake processes are: each its own transaction, tubes locked in a fixed order, a deadlock tried
again as a whole. Nothing is receipted here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from cloud.modules.edge.batch import Taken
from cloud.modules.edge.door import Admitted

LANES = 2
WORTH = 16
"""Messages of one hospital that are worth two transactions: under little load one COMMIT is quicker than two."""


class Lanes:
    """``take(tenant_id, messages)`` stores one share in one transaction; shares of one call run at once."""

    def __init__(self, take: Callable[[int, Sequence[Admitted]], Taken], lanes: int = LANES) -> None:
        self._take = take
        self._lanes = lanes
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")

    def take(self, admitted: Sequence[Admitted]) -> Iterator[tuple[Sequence[Admitted], Taken | Exception]]:
        """Each share with what became of it, or with why nothing did; all have ended when the first is given."""
        shares = [
            (tenant_id, part)
            for tenant_id, mine in by_tenant(admitted).items()
            for part in apart(mine, self._lanes if len(mine) >= WORTH else 1)
        ]
        if len(shares) == 1:
            [(tenant_id, part)] = shares
            yield part, _outcome(lambda: self._take(tenant_id, part))
            return
        running: list[Future[Taken]] = [self._pool.submit(self._take, *share) for share in shares]
        done = [_outcome(future.result) for future in running]
        yield from zip((part for _, part in shares), done, strict=True)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def by_tenant(admitted: Sequence[Admitted]) -> dict[int, list[Admitted]]:
    """Each hospital's messages, in their order."""
    out: dict[int, list[Admitted]] = {}
    for one in admitted:
        out.setdefault(one.reg.tenant_id, []).append(one)
    return out


def apart(admitted: Sequence[Admitted], lanes: int) -> list[list[Admitted]]:
    """At most ``lanes`` shares of about one size; an agent's stream lies whole in one of them, in its order (RELIABILITY R4)."""
    streams: dict[tuple[int, str], list[Admitted]] = {}
    for one in admitted:
        streams.setdefault((one.reg.agent_id, one.header.stream), []).append(one)
    shares: list[list[Admitted]] = [[] for _ in range(lanes)]
    for stream in sorted(streams.values(), key=len, reverse=True):
        min(shares, key=len).extend(stream)
    return [share for share in shares if share]


def _outcome(work: Callable[[], Taken]) -> Taken | Exception:
    try:
        return work()
    except Exception as exc:
        return exc
