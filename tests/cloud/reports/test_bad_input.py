"""M09 *Bad input*, a test a line of the specification: each is refused in words, and nothing that was told or typed is lost by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from cloud.modules.platform import signing
from cloud.modules.reports import queries, service
from common.errors import UserError
from tests.cloud.bench.world import NORMAL, build
from tests.cloud.reports.test_release import DESK, RUN, Room
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

Bad = Callable[[Room], object]


@pytest.fixture(scope="module")
def room(pg: TestServer, schema_template: TestDatabase) -> Iterator[Room]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield Room(build(lab))
    lab.db.dispose()
    pg.drop(made.name)


def empty_mandatory(room: Room) -> None:
    with room.world.lab.uow() as uow:
        tube = room.world.tube(uow)
        room.world.send(uow, tube, {"K": "4.1", "NA": "140", "CREA": "80"}, RUN)
        service.review(uow, tube, None, room.person(uow, "tester"))


def amend(room: Room, reason: str, why: str, value: str) -> None:
    with room.world.lab.uow() as uow:
        no = room.told(uow, NORMAL)
    try:
        with room.world.lab.uow() as uow:
            told = queries.released(uow, no)
            assert told is not None
            asked = service.AmendRequest(told.report_id, 1, {room.world.items["GLU"]: value}, reason, why)
            service.amend(uow, asked, room.person(uow, "senior"), DESK)
    finally:
        with room.world.lab.uow() as uow:
            told = queries.released(uow, no)
            assert told is not None and told.version_no == 1 and "5.00" in {line["value"] for line in told.lines}


LINES: tuple[tuple[str, Bad, str], ...] = (
    ("release with empty mandatory item → refuse naming it", empty_mandatory, "缺少必报项目：项目GLU"),
    ("amendment without reason: class", lambda r: amend(r, "", "复查", "5.5"), "请选择修改原因类别"),
    ("amendment without reason: words", lambda r: amend(r, "result", " ", "5.5"), "请写明修改原因"),
    ('same values → "no change" refused', lambda r: amend(r, "result", "复查", "5.00"), "内容没有变化，无需修改。"),
    ("nothing of the patient was corrected", lambda r: amend(r, "patient", "出生日期错误", "5.00"), "请先在 HIS 更正"),
)


@pytest.mark.parametrize(("line", "bad", "words"), LINES, ids=[line[0] for line in LINES])
def test_m09_bad_input(room: Room, line: str, bad: Bad, words: str) -> None:
    with pytest.raises(UserError, match=words):
        bad(room)


def test_m09_bad_input_ca_service_down_queues_signing_and_releases_as_internal_signature(room: Room) -> None:
    """CA service down → queue signing, release as 内部签名 with later CA countersign [C]."""
    with room.world.lab.uow() as uow:
        no = room.told(uow, NORMAL)
        told = queries.released(uow, no)
        assert told is not None and told.sheet["signature_note"] == "内部签名" and queries.signature_holds(uow, told.report_id, 1)
        [signed] = signing.of(uow, "report", told.report_id)
        assert signed.ca_state in ("", "none", "pending"), "what the CA adds comes later and takes nothing away"
        assert uow.now - told.released_at < timedelta(minutes=10)
        assert uow.s.execute(text("SELECT count(*) FROM report WHERE no = :n AND state = 'released'"), {"n": no}).scalar_one() == 1
