"""No object, action or state that the code base audits is without its word in both languages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from cloud.modules.autoverify import rules as autoverify
from cloud.modules.catalog.kind_table import KINDS
from cloud.modules.changes import rules as changes
from cloud.modules.critical import rules as critical
from cloud.modules.edge import mapping
from cloud.modules.edge import rules as edge
from cloud.modules.interfaces import rules as interfaces
from cloud.modules.orders import rules as orders
from cloud.modules.personnel import rules as personnel
from cloud.modules.platform import audit_words as words
from cloud.modules.platform import rules as platform
from cloud.modules.qc import rules as qc
from cloud.modules.quality import rules as quality
from cloud.modules.queue import rules as queue
from cloud.modules.reagents import rules as reagents
from cloud.modules.reports import rules as reports
from cloud.modules.servicedesk import rules as servicedesk
from cloud.modules.specimens import bag_rules, storage_rules
from cloud.modules.specimens import rules as specimens

CLOUD = Path(__file__).parents[3] / "cloud"
STATES: dict[str, tuple[type[StrEnum], ...]] = {
    "access_grant": (platform.GrantState,),
    "agent": (edge.AgentState,),
    "authorization": (personnel.State,),
    "av_rule_set": (autoverify.State,),
    "bag": (bag_rules.BagState,),
    "catalog_change": (changes.State,),
    "critical": (critical.State, critical.Due),
    "delivery": (interfaces.State,),
    "discard_batch": (storage_rules.BatchState,),
    "edge_mapping": (mapping.State,),
    "nonconformity": (quality.State,),
    "order_item": (orders.ItemStatus,),
    "patient_merge": (orders.MergeState,),
    "qc_ooc": (qc.Ooc,),
    "qc_run": (qc.RunState,),
    "queue_ticket": (queue.Ticket,),
    "queue_window": (queue.Window,),
    "raw_message": (edge.RawState,),
    "reagent_lot": (reagents.LotState,),
    "report": (reports.State,),
    "specimen": (specimens.State,),
    "tenant": (platform.TenantState,),
    "ticket": (servicedesk.State,),
    "user": (platform.UserState,),
}
"""Objects whose state is an action or stands in before and after."""

SPOKEN = {
    ("kind.table.__tablename__", "'change' if after is not None else 'retire'"): (),
    ("'specimen'", "f'bench:{action}'"): ("bench:",),
    ("'catalog_change'", "f'approve:{side}'"): ("approve:section", "approve:av", "approve:group"),
    ("'agent'", "str(body['do'])"): ("tail", "capture", "resend", "orders"),
    ("'refund_request'", "row.state"): ("waiting", "accepted", "refused"),
    ("'list'", "row.approval"): ("asked", "approved", "refused"),
}
"""Actions made of something else than a state, and what they can be; the bench's are read from its own calls below."""
MOVES = ("to.value", "to", "str(to)", "what.value", "after.state.value")


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Every ``….audit(entity, id, action, …)`` with where it stands."""
    for path in sorted(CLOUD.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "audit" and len(node.args) >= 3:
                yield f"{path.relative_to(CLOUD)}:{node.lineno}", node


def literals(node: ast.expr) -> list[str] | None:
    """The texts an expression can be, None when it cannot be told."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        both = literals(node.body), literals(node.orelse)
        return None if both[0] is None or both[1] is None else [*both[0], *both[1]]
    return None


def test_every_object_and_action_has_its_word() -> None:
    missing, found = [], 0
    for where, call in calls():
        found += 1
        entity, action = literals(call.args[0]), literals(call.args[2])
        if entity is not None:
            missing += [f"{where}: object {e}" for e in entity if e not in words.OBJECTS]
        if action is not None:
            missing += [f"{where}: action {a}" for a in action if a not in words.ACTIONS]
            continue
        shape = (ast.unparse(call.args[0]), ast.unparse(call.args[2]))
        if shape in SPOKEN:
            missing += [f"{where}: action {a}" for a in SPOKEN[shape] if not a.endswith(":") and a not in words.ACTIONS]
            continue
        assert shape[1] in MOVES and entity is not None, f"{where}: say in this test what {shape[1]} can be"
        assert all(e in STATES for e in entity), f"{where}: say in STATES what {entity} can become"
    assert not missing, "\n".join(missing)
    assert found > 200  # the search itself works


def test_every_action_of_the_bench_has_its_word() -> None:
    made = set()
    for path in sorted((CLOUD / "modules" / "bench").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "save":
                made |= {f"bench:{text}" for text in literals(node.args[1]) or ()}
    assert len(made) > 8
    assert made <= set(words.ACTIONS)


def test_every_state_has_its_word() -> None:
    states = [(entity, str(state)) for entity, kinds in STATES.items() for kind in kinds for state in kind]
    assert not [f"{e} {s}" for e, s in states if f"{e}.{s}" not in words.ACTIONS and s not in words.ACTIONS]


def test_every_kind_of_the_catalog_has_its_word() -> None:
    assert {kind.table.__tablename__ for kind in KINDS.values()} <= set(words.OBJECTS)


def test_no_word_is_empty_or_of_the_wrong_language() -> None:
    for table in (words.OBJECTS, words.ACTIONS, words.COLUMNS):
        assert [code for code, (_, english) in table.items() if not english or not english.isascii()] == []
        assert [code for code, (chinese, _) in table.items() if not chinese] == []


def test_before_and_after_are_laid_side_by_side_in_words() -> None:
    body = {
        "entity": "order_item",
        "before": {"status": "collected", "note": None},
        "after": {"status": "rejected", "items": ["K", "Na"], "ok": True},
    }
    assert words.changes(body, english=False) == [
        ("状态", "采集", "拒收待重采"),
        ("项目", "", "K、Na"),
        ("ok", "", "是"),
    ]
    assert words.changes(body, english=True)[0] == ("status", "collected", "rejected, to be recollected")
    assert words.changes({"entity": "specimen", "before": None, "after": "A01"}, english=True) == [("value", "", "A01")]
    assert words.changes({"entity": "specimen"}, english=True) == []


def test_a_state_of_another_object_keeps_that_objects_word() -> None:
    assert words.action_word("queue_ticket", "recall", english=False) == "重呼"
    assert words.action_word("report", "recall", english=False) == "召回"
    assert words.action_word("report", "something new", english=False) == "something new"


def test_what_stayed_is_no_change() -> None:
    body = {"entity": "qc_run", "before": {"state": "waiting", "level": 1}, "after": {"state": "waiting", "level": 2}}
    assert [(was, now) for _, was, now in words.changes(body, english=False)] == [("1", "2")]
