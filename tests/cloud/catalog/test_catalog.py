"""The snapshot of the catalog on PostgreSQL, its renewal, its edits and its pages."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, select, update

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import models, queries, service
from cloud.modules.platform.identity import SessionIdentity
from common.errors import LocalError, UserError
from tests.cloud.catalog.seed import seed
from tests.support.database import TestDatabase
from tests.support.lab import Lab, make


@pytest.fixture
def lab(fresh_db: TestDatabase) -> Iterator[Lab]:
    made = make(fresh_db)
    for tenant in (made.a, made.b):
        with made.uow(tenant) as uow:
            seed(uow)
    yield made
    made.db.dispose()


def statements(lab: Lab) -> list[str]:
    seen: list[str] = []
    event.listen(lab.db.engine, "before_cursor_execute", lambda _c, _cur, sql, *_: seen.append(sql))
    return seen


def item(uow: UnitOfWork, code: str) -> models.TestItem:
    return uow.s.scalars(select(models.TestItem).where(models.TestItem.code == code)).one()


def test_snapshot_finds_everything_by_its_key(lab: Lab) -> None:
    with lab.uow() as uow:
        known = queries.catalog(uow)
        potassium = known.items_by_code["K"]
        analyzer = known.analyzers_by_code["CHEM1"]
        assert potassium.decimals == 1
        assert known.items[potassium.id] is potassium
        channel = known.channel(analyzer.id, "K+")
        assert channel is not None and channel.item_id == potassium.id and channel.factor == 1
        assert known.channel(analyzer.id, "K") is None
        assert known.item_channels[(analyzer.id, potassium.id)] == ("K+",)
        ordered = known.order_set_of("HIS", "1001")
        assert ordered is not None and [each.code for each in known.items_of(ordered.id)] == ["WBC", "HGB"]
        assert known.order_set_of("HIS", "nowhere") is None
        found = known.interval(potassium.id, queries.Subject())
        assert isinstance(found, queries.Interval) and found.shown == "3.5–5.3"
        limit = known.critical_limit(potassium.id)
        assert limit is not None and limit.low == Decimal("2.8")
        assert known.setting("queue", "k", 3) == 3
        assert [each.code for each in known.search_items("xhd")] == ["HGB"]


def test_a_second_transaction_reads_one_small_row(lab: Lab) -> None:
    with lab.uow() as uow:
        first = queries.catalog(uow)
    seen = statements(lab)
    with lab.uow() as uow:
        assert queries.catalog(uow) is first
        assert queries.catalog(uow) is first
    assert len([sql for sql in seen if "catalog_version" in sql]) == 1
    assert not [sql for sql in seen if "test_item" in sql]


def test_a_request_asks_for_the_number_along_with_its_session(lab: Lab) -> None:
    person = lab.client("tester")

    def request(uow: UnitOfWork) -> None:
        assert SessionIdentity().authenticate(uow, person.token, "") is not None

    with lab.uow() as uow:
        before = queries.catalog(uow)
    with lab.uow() as uow:
        request(uow)
        seen = statements(lab)
        assert queries.catalog(uow) is before and seen == []
    with lab.uow() as uow:
        item(uow, "K").decimals = 2
    with lab.uow() as uow:
        request(uow)
        assert queries.catalog(uow).items_by_code["K"].decimals == 2
        item(uow, "K").decimals = 3
        uow.s.flush()
        assert queries.catalog(uow).items_by_code["K"].decimals == 3


def test_hospitals_never_share_a_copy(lab: Lab) -> None:
    with lab.uow(lab.a) as a, lab.uow(lab.b) as b:
        ids_a, ids_b = set(queries.catalog(a).items), set(queries.catalog(b).items)
    assert ids_a and ids_b and not ids_a & ids_b


def test_a_change_is_seen_by_the_next_transaction(lab: Lab) -> None:
    with lab.uow() as uow:
        before = queries.catalog(uow)
        item(uow, "K").decimals = 2
        uow.s.flush()
        assert queries.catalog(uow).items_by_code["K"].decimals == 2
    with lab.uow() as uow:
        after = queries.catalog(uow)
    assert (before.items_by_code["K"].decimals, after.items_by_code["K"].decimals) == (1, 2)


@pytest.mark.parametrize("table", ["order_set_item", "setting"])
def test_a_change_committed_between_two_tables_is_read_whole(lab: Lab, table: str) -> None:
    """Each table is its own question: an item made after the items were read, and before what names it, once ended in a 500."""
    with lab.uow() as uow:
        queries.catalog(uow)
        item(uow, "K").decimals = 2
    todo = [True]

    def another_commits(_connection: Any, _cursor: Any, sql: str, *_: Any) -> None:
        if f"FROM {table}" in sql and todo:
            todo.clear()
            with lab.uow() as other:
                known = queries.catalog(other)
                new = models.TestItem(
                    **{c.name: getattr(item(other, "K"), c.name) for c in models.TestItem.__table__.columns if c.name != "id"}
                )
                new.code, new.name = "NEW", "新项目"
                other.s.add(new)
                other.s.flush()
                other.s.add(models.OrderSetItem(order_set_id=next(iter(known.order_sets)), item_id=new.id))

    event.listen(lab.db.engine, "before_cursor_execute", another_commits)
    with lab.uow() as uow:
        known = queries.catalog(uow)
        new = known.items_by_code["NEW"]
        assert not todo and new.id in {each for members in known.set_items.values() for each in members}
        assert known.number == uow.s.scalars(select(models.CatalogVersion.number)).one()


def test_a_catalog_that_names_what_is_not_there_is_said_and_not_read_for_ever(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def torn(*_: object) -> object:
        raise KeyError(7)

    monkeypatch.setattr(queries, "_set_items", torn)
    with lab.uow() as uow:
        item(uow, "K").decimals = 2
    with lab.uow() as uow, pytest.raises(LocalError, match="catalog"):
        queries.catalog(uow)


def test_a_rolled_back_change_is_seen_by_nobody(lab: Lab) -> None:
    with pytest.raises(RuntimeError), lab.uow() as uow:
        item(uow, "K").decimals = 4
        uow.s.flush()
        assert queries.catalog(uow).items_by_code["K"].decimals == 4
        raise RuntimeError
    with lab.uow() as uow:
        item(uow, "NA").decimals = 3  # takes the number the lost transaction had used
        uow.s.flush()
    with lab.uow() as uow:
        known = queries.catalog(uow).items_by_code
    assert (known["K"].decimals, known["NA"].decimals) == (1, 3)


def test_a_bulk_statement_is_announced_by_hand(lab: Lab) -> None:
    with lab.uow() as uow:
        queries.catalog(uow)
        uow.s.execute(update(models.TestItem).values(decimals=5))
        service.changed(uow)
    with lab.uow() as uow:
        assert {each.decimals for each in queries.catalog(uow).items.values()} == {5}


def test_an_overlapping_interval_names_the_other_row(lab: Lab) -> None:
    with lab.uow() as uow:
        known = queries.catalog(uow)
        potassium = known.items_by_code["K"].id
        other = known.intervals[potassium][0].id
        with pytest.raises(UserError) as caught:
            service.add_interval(uow, item_id=potassium, low=Decimal("3.0"), high=Decimal("5.0"))
        assert f"第 {other} 行" in caught.value.message and "3.5–5.3" in caught.value.message
        service.add_interval(uow, item_id=potassium, sex="F", low=Decimal("3.0"), high=Decimal("5.0"))
    with lab.uow() as uow:
        known = queries.catalog(uow)
        found = [known.interval(potassium, queries.Subject(sex=each)) for each in ("F", "M")]
        assert [getattr(each, "low", None) for each in found] == [Decimal("3.0"), Decimal("3.5")]


def test_low_not_under_high_is_refused(lab: Lab) -> None:
    with lab.uow() as uow:
        potassium = queries.catalog(uow).items_by_code["K"].id
        with pytest.raises(UserError, match="不小于上限"):
            service.add_interval(uow, item_id=potassium, sex="F", low=Decimal(5), high=Decimal(5))


def test_mapping_a_his_code_once_and_again(lab: Lab) -> None:
    with lab.uow() as uow:
        first = service.map_his_code(uow, "HIS", "X9", "LYTES", "急诊电解质")
        again = service.map_his_code(uow, "HIS", "X9", "LYTES")
        assert first is again
    with lab.uow() as uow:
        found = queries.catalog(uow).order_set_of("HIS", "X9")
        assert found is not None and found.code == "LYTES"
        with pytest.raises(UserError, match="没有编码为“NO”"):
            service.map_his_code(uow, "HIS", "X9", "NO")


@pytest.mark.parametrize(
    "path", ["/md/items", "/md/items/K", "/md/items/HGB", "/md/ordersets", "/md/items?q=xhd", "/md/items?section=CHEM"]
)
def test_pages_open(lab: Lab, path: str) -> None:
    answer = lab.client("tester").get(path)
    assert answer.status_code == 200
    assert "占位值" in answer.text or "items/K" not in path


def test_search_shows_only_what_was_asked(lab: Lab) -> None:
    text = lab.client("tester").fragment("/md/items?q=xhd").text
    assert "HGB" in text and ">K<" not in text and "<html" not in text


def test_an_item_of_nobody_is_absent(lab: Lab) -> None:
    assert lab.client("tester").get("/md/items/NOPE").status_code == 404


def test_only_the_information_group_maps_codes(lab: Lab) -> None:
    form: dict[str, Any] = {"source": "HIS", "his_code": "Y1", "order_set": "CBC"}
    assert lab.client("tester").post("/md/ordersets/codes", form).status_code == 403
    assert lab.client("infogroup").post("/md/ordersets/codes", form).status_code == 303
    assert "HIS:Y1" in lab.client("tester").get("/md/ordersets").text
