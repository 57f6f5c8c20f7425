"""Two lanes of one intake: no stream is parted, what failed is not receipted, what another lane stored is not held up by it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.modules.edge import batch, lanes, store
from cloud.modules.edge.door import Admitted
from cloud.modules.edge.registry import Registration
from common import envelope
from tests.cloud.edge.world import Edge, astm


def _said(agent: int, stream: str, seq: int) -> Admitted:
    reg = Registration(1, "a", agent, f"agent{agent}", "enrolled", "1", None, 0)
    fields: dict[str, Any] = {"tenant": "a", "agent": f"agent{agent}", "kind": "raw", "at": "", "boot": "b", "stream": stream, "seq": seq}
    return Admitted(reg, "raw", envelope.Envelope(envelope.Header(**fields), b"", b"", b""))


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("xyz")), max_size=40), st.integers(1, 4))
def test_a_stream_lies_whole_and_in_order_in_one_share(senders: list[tuple[int, str]], n: int) -> None:
    messages = [_said(agent, stream, seq) for seq, (agent, stream) in enumerate(senders, 1)]
    shares = lanes.apart(messages, n)
    assert sorted(id(m) for share in shares for m in share) == sorted(map(id, messages))
    assert len(shares) <= n
    assert all(shares)
    for key in set(senders):
        holding = [s for s in shares if any((m.reg.agent_id, m.header.stream) == key for m in s)]
        [share] = holding
        assert [m for m in share if (m.reg.agent_id, m.header.stream) == key] == [
            m for m in messages if (m.reg.agent_id, m.header.stream) == key
        ]


def _traffic(edge: Edge, streams: Sequence[str], n: int) -> list[Any]:
    bodies = [astm(edge.tube(), {"GLU": f"{5 + k / 100:.2f}"}) for k in range(n)]
    return [edge.agent.raw(body, stream=streams[k % len(streams)]) for k, body in enumerate(bodies)]


def test_two_streams_are_stored_at_once_and_each_receipted(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [str(uuid.uuid4()), str(uuid.uuid4())]
    together = threading.Barrier(2, timeout=60)
    real = store.insert_raw

    def meet(cur: Any, tenant: int, rows: Any) -> None:
        together.wait()  # both transactions are open here, or neither goes on
        real(cur, tenant, rows)

    monkeypatch.setattr(store, "insert_raw", meet)
    messages = _traffic(edge, streams, lanes.WORTH)
    edge.take(*messages)
    assert {stream for stream, _ in edge.receipts()} == set(streams)
    assert len(edge.receipts()) == lanes.WORTH == len(edge.wire.acked)
    assert edge.rows("SELECT count(*) FROM result_version") == [(lanes.WORTH,)]


def test_a_few_messages_are_one_transaction(edge: Edge) -> None:
    before = edge.rows("SELECT count(DISTINCT received_at) FROM raw_message")[0][0]
    edge.take(*_traffic(edge, ["a" * 8, "b" * 8], 4))
    assert edge.rows("SELECT count(DISTINCT xmin::text) FROM raw_message")[0][0] == before + 1


def test_a_deadlock_in_one_lane_is_tried_again_as_a_whole(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    streams = [str(uuid.uuid4()), str(uuid.uuid4())]
    messages = _traffic(edge, streams, lanes.WORTH)
    real, failed = vars(batch)["place"], []

    def once(uow: Any, cur: Any, heard: Any, zone: Any) -> Any:
        if heard[0].stream == streams[0] and not failed:
            failed.append(edge.receipts())
            raise psycopg.errors.DeadlockDetected("deadlock detected")
        return real(uow, cur, heard, zone)

    monkeypatch.setattr("cloud.modules.edge.batch.place", once)
    edge.take(*messages)
    assert failed == [{}]
    assert edge.loop.counts["database_away"] == 1
    assert len(edge.receipts()) == lanes.WORTH
    assert edge.rows("SELECT count(*), count(DISTINCT (stream_uuid, seq)) FROM raw_message") == [(lanes.WORTH, lanes.WORTH)]
    assert edge.rows("SELECT count(*) FROM result_version") == [(lanes.WORTH,)]
