"""Every state machine of the product, watched by the database itself: a step that the machine's table does not have is refused.

So each test that touches such a row, and each way in (page, message, job, raw SQL), is a test of the tables in ``rules.py`` (spec S,
transitions). A statement by which a test makes what it needs says so: ``/* by hand */``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import product
from typing import Any

import psycopg
from psycopg import sql

from cloud.modules.autoverify import rules as autoverify
from cloud.modules.bench import rules as bench
from cloud.modules.changes import rules as changes
from cloud.modules.critical import rules as critical
from cloud.modules.edge import mapping
from cloud.modules.edge import rules as edge
from cloud.modules.handover import rules as handover
from cloud.modules.interfaces import rules as interfaces
from cloud.modules.orders import rules as orders
from cloud.modules.personnel import rules as personnel
from cloud.modules.platform import rules as platform
from cloud.modules.qc import rules as qc
from cloud.modules.quality import rules as quality
from cloud.modules.queue import rules as queue
from cloud.modules.reagents import rules as reagents
from cloud.modules.reports import rules as reports
from cloud.modules.servicedesk import rules as servicedesk
from cloud.modules.specimens import bag_rules, storage_rules
from cloud.modules.specimens import rules as specimens

C, Item, P = critical.State, orders.ItemStatus, reports.State
R, S, T = qc.RunState, specimens.State, bench.TestState

Table = Mapping[Any, Collection[Any]]
MACHINES: Mapping[tuple[str, str], Table] = {
    ("agent", "state"): edge.AGENT_MOVES,
    ("app_user", "status"): platform.USER_MOVES,
    ("authorization_grant", "state"): personnel.TRANSITIONS,
    ("catalog_change", "state"): changes.TRANSITIONS,
    ("confirmation", "state"): bench.CONFIRMING_MOVES,
    ("critical_event", "state"): critical.TRANSITIONS,
    ("delivery", "state"): interfaces.TRANSITIONS,
    ("discard_batch", "state"): storage_rules.BATCH_TRANSITIONS,
    ("handover_note", "state"): handover.TRANSITIONS,
    ("edge_mapping", "state"): mapping.MOVES,
    ("follow_up", "state"): bench.FOLLOW_MOVES,
    ("nonconformity", "state"): quality.TRANSITIONS,
    ("order_item", "status"): orders.TRANSITIONS,
    ("patient_merge", "state"): orders.MERGE_MOVES,
    ("qc_ooc", "state"): qc.OOC_TRANSITIONS,
    ("qc_run", "state"): qc.RUN_TRANSITIONS,
    ("queue_ticket", "state"): queue.TICKET_TRANSITIONS,
    ("queue_window", "state"): queue.WINDOW_TRANSITIONS,
    ("reagent_lot", "state"): reagents.TRANSITIONS,
    ("refund_request", "state"): orders.REFUND_MOVES,
    ("report", "state"): reports.TRANSITIONS,
    ("av_rule_set", "state"): autoverify.TRANSITIONS,
    ("ticket", "state"): servicedesk.TRANSITIONS,
    ("specimen", "state"): specimens.TRANSITIONS,
    ("specimen_bag", "state"): bag_rules.BAG_TRANSITIONS,
    ("test", "state"): bench.TRANSITIONS,
}
# One transaction may take several steps, each by its table and with its own entry, and save the row once.
WALKS: Mapping[tuple[str, str], Collection[tuple[Any, Any]]] = {
    # A tube in hand, or a request added to one: charged, labelled, collected and received in one form.
    ("order_item", "status"): {(Item.REQUESTED, Item.RECEIVED), (Item.CONFIRMED, Item.COLLECTED), (Item.CONFIRMED, Item.RECEIVED)},
    # Values and review in one post; what the rules cleared is reviewed and released.
    # A reviewed one whose request ends is sent back and cancelled.
    ("test", "state"): {(T.REVIEWED, T.CANCELLED), (T.EXPECTED, T.REVIEWED), (T.EXPECTED, T.RELEASED), (T.RECEIVED, T.RELEASED)},
    # The part that was told becomes the whole.
    ("report", "state"): {(P.PRELIMINARY, P.RELEASED)},
    # All that a tube went through between, when its results or its report come at once.
    ("specimen", "state"): {*product(specimens.IN_LAB, (S.TESTED, S.RELEASED)), (S.TESTED, S.RELEASED)},
    # Somebody nobody could reach answers after all: told on the next step up.
    ("critical_event", "state"): {(C.UNREACHABLE, C.RECEIVED)},
    # A late control run: what was measured after it is judged anew.
    ("qc_run", "state"): {(state, qc.judged_again(state, *found)) for state, *found in product(R, (False, True), (False, True))},
}
_WATCH = sql.SQL("""
CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_query() NOT LIKE '%/* by hand */%' AND NOT (OLD.{column} || '>' || NEW.{column}) = ANY ({allowed}) THEN
    RAISE EXCEPTION 'no such step: % % -> %', TG_TABLE_NAME, OLD.{column}, NEW.{column};
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW
  WHEN (OLD.{column} IS DISTINCT FROM NEW.{column}) EXECUTE FUNCTION {name}();
""")


def watch(conninfo: str) -> None:
    """Put a watch on every machine of the database that ``conninfo`` (its owner's) names."""
    with psycopg.connect(conninfo, autocommit=True) as owner:
        for (table, column), steps in MACHINES.items():
            pairs = [*((before, after) for before, to in steps.items() for after in to), *WALKS.get((table, column), ())]
            allowed = [f"{before.value}>{after.value}" for before, after in pairs]
            name = sql.Identifier(f"watch_{table}")
            owner.execute(
                _WATCH.format(
                    name=name,
                    column=sql.Identifier(column),
                    table=sql.Identifier(table),
                    allowed=sql.Literal(allowed),
                )
            )
