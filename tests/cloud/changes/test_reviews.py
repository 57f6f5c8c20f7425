"""The yearly review of reference intervals and critical limits: what is due, who may say that it holds, what a placeholder still needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from cloud.modules.changes import reviews, watch
from cloud.modules.changes.models import CatalogChange
from cloud.modules.changes.rules import REVIEWED_EVERY, limits_due
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.support.database import TestDatabase
from tests.support.lab import make

NOW = datetime(2026, 5, 4, tzinfo=UTC)


@pytest.fixture
def world(fresh_db: TestDatabase) -> Iterator[World]:
    lab = make(fresh_db)
    built = build(lab)
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE ref_interval SET placeholder = false"))
        uow.s.execute(text("UPDATE critical_limit SET placeholder = false"))
    yield built
    lab.db.dispose()


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (None, True),
        (NOW - REVIEWED_EVERY, True),
        (NOW - REVIEWED_EVERY + timedelta(microseconds=1), False),
        (NOW, False),
    ],
)
def test_due_is_what_nobody_looked_at_for_a_year(last: datetime | None, due: bool) -> None:
    assert limits_due(last, NOW) is due


def keys(world: World, *, due: bool = True) -> list[str]:
    codes = {number: code for code, number in world.items.items()}
    with world.lab.uow() as uow:
        return sorted(f"{codes[r.item.id]}:{r.kind}" for r in reviews.listed(uow, due=due))


def test_a_review_and_an_approved_change_each_hold_for_a_year(world: World) -> None:
    every = ["CREA:critical", "CREA:ri", "EXTRA:ri", "GLU:critical", "GLU:ri", "K:critical", "K:ri", "NA:critical", "NA:ri"]
    assert keys(world) == every
    with world.lab.uow() as uow:
        assert reviews.review(uow, [f"{world.items['K']}:ri", f"{world.items['NA']}:critical"], " 查阅文献 ", ()) == 2
        made = {
            "kind": "ri", "title": "x", "reason": "本室验证", "items": ["GLU"], "rows": [], "requested_name": "甲", "requested_at": uow.now,
        }  # fmt: skip
        approved = {"section_name": "乙", "section_at": uow.now, "group_name": "丙", "group_at": uow.now, "activated_at": uow.now}
        uow.s.add(CatalogChange(**made, **approved, state="active"))
        # In an emergency, before the two approvals, nothing counts as looked at.
        uow.s.add(CatalogChange(**made | {"items": ["CREA"]}, state="active", activated_at=uow.now, emergency=True))
    assert keys(world) == [k for k in every if k not in ("K:ri", "NA:critical", "GLU:ri")] and keys(world, due=False) == every
    with world.lab.uow() as uow:
        seen = {r.key: r for r in reviews.listed(uow, due=False)}
        assert (seen[f"{world.items['K']}:ri"].note, seen[f"{world.items['GLU']}:ri"].by) == ("查阅文献", "乙")
        uow.now += REVIEWED_EVERY
        assert len(reviews.listed(uow)) == len(every)
        watch.look(uow)
    assert "生化组：9 项参考区间或危急值界限满一年未复核" in world.lab.client("leader").get("/alerts").text


def test_another_sections_a_placeholder_nothing_and_no_ground_are_refused_and_nothing_is_written(world: World) -> None:
    with world.lab.uow() as uow:
        uow.s.execute(text("UPDATE critical_limit SET placeholder = true WHERE item_id = :i"), {"i": world.items["K"]})
    given = [f"{world.items['NA']}:ri", f"{world.items['K']}:critical"]
    for chosen, note, sections, said in (
        ([], "查", (), "至少勾选一项"),
        (given[:1], " ", (), "复核依据"),
        (given[:1], "查", ("HEMA",), "项目NA 不属于您负责的专业组"),
        (given, "查", (world.section_code,), "项目K 还是占位值"),
    ):
        with world.lab.uow() as uow, pytest.raises(UserError, match=said):
            reviews.review(uow, chosen, note, sections)
    with world.lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM limit_review")).scalar_one() == 0


def test_the_leader_reviews_on_the_page_and_the_tester_only_reads(world: World) -> None:
    leader, tester = world.lab.client("leader"), world.lab.client("tester")
    shown = tester.get("/md/review").text
    assert "从未复核" in shown and "勾选的界限仍适用" not in shown
    row = {"row": f"{world.items['K']}:ri", "note": "查阅文献"}
    assert tester.post("/md/review", row).status_code == 403
    assert "复核依据" in leader.post("/md/review", row | {"note": ""}).text
    assert leader.post("/md/review", row).status_code == 303
    assert f"{world.items['K']}:ri" not in leader.get("/md/review").text and "查阅文献" in leader.get("/md/review?show=all").text
    assert leader.get("/md/review?section=NONE").status_code == 200
    with world.lab.uow() as uow:
        (made,) = uow.s.scalars(text("SELECT body FROM audit_log WHERE body LIKE '%limits_reviewed%'")).all()
        assert "查阅文献" in made
        document = reviews.document(uow, reviews.listed(uow, due=False), "甲医院", "某人")
        assert len(document.rows) == 9 and ("K", "项目K", "生化组", "参考区间", "1") in {r[:5] for r in document.rows}
    assert tester.post("/md/review/export", {"kind": "xlsx"}).status_code == 303
