"""Bytes of messages are kept 90 days or longer, what was read from them for ever (M06 R11); an agent goes after its queue (M27 R7)."""

from __future__ import annotations

import json

import pytest

from cloud.modules.catalog.models import SavedSetting
from cloud.modules.edge import keeping, service
from cloud.modules.edge.rules import KEEP_DAYS, keep_days, waiting
from common.errors import UserError
from tests.cloud.edge.world import Edge, astm


@pytest.mark.parametrize(("setting", "days"), [(None, 90), (30, 90), (90, 90), (91, 91), (3650, 3650), ("400", 90), (-1, 90)])
def test_never_fewer_days_than_specified(setting: object, days: int) -> None:
    assert keep_days(setting) == days


@pytest.mark.parametrize(("status", "n"), [({}, 0), ({"pending": 0}, 0), ({"pending": 3}, 3), ({"pending": -1}, 0), ({"pending": "3"}, 0)])
def test_how_many_an_agent_still_holds(status: dict[str, object], n: int) -> None:
    assert waiting(status) == n


def sizes(edge: Edge) -> list[int]:
    """Bytes of each message, in order."""
    return [n for (n,) in edge.rows("SELECT length(body) FROM raw_message ORDER BY seq")]


def clear(edge: Edge) -> int:
    with edge.lab.uow() as uow:
        return keeping.clear(uow)


def test_the_bytes_go_after_90_days_and_what_was_read_stays(edge: Edge) -> None:
    tube = edge.tube()
    known = edge.agent.raw(astm(tube, {"K": "4.1"}))
    edge.take(
        known,
        edge.agent.raw(astm("NOBODY", {"K": "4.2"})),
        edge.agent.raw(b"\xff nothing of ours"),
        edge.agent.raw(astm(edge.tube(), {"?": "1"})),
    )
    before, fates, now = sizes(edge), edge.fates(), edge.current(tube)
    edge.lab.clock.advance(days=KEEP_DAYS, seconds=-60)
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.3"})))
    assert clear(edge) == 0
    edge.lab.clock.advance(seconds=120)
    assert clear(edge) == 1
    # the orphan, the unread one and the unmapped one are still somebody's work; the last one is young
    assert sizes(edge)[:4] == [0, *before[1:]] and min(sizes(edge)[1:]) > 0
    assert edge.fates()[: len(fates)] == fates and edge.current(tube) == now
    assert clear(edge) == 0
    [(body,)] = edge.rows("SELECT body FROM audit_log WHERE entity = 'raw_message' AND action = 'clear'")
    after = json.loads(body)["after"]
    assert (after["count"], after["first"] == after["last"], after["days"]) == (1, True, 90)
    # sent once more it is still known for the same message
    edge.wire.sent.clear()
    edge.take(known)
    assert len(edge.receipts()) == 1 and len(sizes(edge)) == 5 and sizes(edge)[0] == 0


def test_the_bytes_of_an_orphan_go_once_it_has_its_tube(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm("NOBODY", {"K": "4.2"})))
    edge.lab.clock.advance(days=200)
    assert clear(edge) == 0
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    with edge.lab.uow() as uow:
        service.discard(uow, raw, "NOBODY", "试机")
    assert clear(edge) == 1


def test_a_hospital_may_keep_them_longer(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        uow.s.add(SavedSetting(key="edge", value={"raw_days": 400}))
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    edge.lab.clock.advance(days=399)
    assert clear(edge) == 0
    edge.lab.clock.advance(days=2)
    assert clear(edge) == 1


def test_what_was_cleared_is_said_and_not_read_again(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"K": "4.1"})))
    edge.lab.clock.advance(days=91)
    assert clear(edge) == 1
    [(raw, sha)] = edge.rows("SELECT id, sha256 FROM raw_message")
    with edge.lab.uow() as uow, pytest.raises(UserError, match="保存期"):
        service.reinterpret(uow, raw, "再读一次")
    page = edge.lab.client("leader").get(f"/edge/raw/{raw}").text
    assert "已过保存期" in page and sha in page and "4.1" in page and "reinterpret" not in page
    link = edge.rows("SELECT id FROM connection")[0][0]
    assert f'name="raw" value="{raw}"' not in edge.lab.client("leader").get(f"/edge/replay?connection={link}").text


def test_an_agent_that_still_holds_messages_is_not_revoked_by_mistake(edge: Edge) -> None:
    edge.take(edge.agent.say("status", {"pending": 7, "version": "1"}))
    admin = edge.lab.client("sysadmin")
    assert "放弃未上传的报文（7 条）" in admin.get(f"/edge/agents/{edge.agent.id}").text
    answer = admin.post(f"/edge/agents/{edge.agent.id}/revoke", {"reason": "退役"})
    assert "7 条报文没有上传" in answer.text
    assert edge.rows("SELECT state FROM agent") == [("enrolled",)]
    admin.post(f"/edge/agents/{edge.agent.id}/revoke", {"reason": "电脑被水泡坏", "lose": "on"})
    assert edge.rows("SELECT state FROM agent") == [("revoked",)]
    [(body,)] = edge.rows("SELECT body FROM audit_log WHERE entity = 'agent' AND action = 'revoke'")
    assert json.loads(body)["before"]["lost"] == 7
