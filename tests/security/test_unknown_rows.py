"""Every address that is posted to, with rows that nobody has: refused in words, whatever page would show its form.

The fields are read from the code behind the address, so that a form no page shows today is tried too.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from tests.security.odd_forms import nothing_kept
from tests.security.test_odd_forms import scene
from tests.security.test_routes import ENDS_SESSION, STREAMS
from tests.support.database import TestDatabase
from tests.support.lab import Client, Lab, make

ROLES = ("infogroup", "leader", "sysadmin", "nurse", "receiver", "quality")
ROW = re.compile(r"(?:[a-z]+_)*(?:id|ids|item|analyzer|section|lot|user|tube|specimen|patient|order_set|level|rule|kind|state|scope)")
FIELD = re.compile(r"[a-z][a-z0-9_]{1,24}")
NOBODY = "987654321"


def fields(view: Callable[..., Any], deeper: bool = True) -> set[str]:
    """Words in a view, and in the functions of its own file that it calls, which may name a field."""
    view = inspect.unwrap(view)
    tree = ast.parse(textwrap.dedent(inspect.getsource(view)))
    found = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str) and FIELD.fullmatch(n.value)}
    for call in ast.walk(tree) if deeper else ():
        used = view.__globals__.get(call.func.id) if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) else None
        if inspect.isfunction(used) and used.__module__ == view.__module__:
            found |= fields(used, False)
    return found


def wrong(lab: Lab, clients: Sequence[Client]) -> tuple[list[str], int]:
    """What failed, and how many requests were sent."""
    found, sent = [], 0
    for rule in sorted(lab.app.url_map.iter_rules(), key=lambda r: r.rule):
        if "POST" not in (rule.methods or ()) or rule.endpoint in ENDS_SESSION | STREAMS or rule.endpoint == "static":
            continue
        names = sorted(fields(lab.app.view_functions[rule.endpoint]))[:20]
        for row in [None, *(n for n in names if ROW.fullmatch(n))]:
            values = {n: NOBODY if n == row or (row is None and ROW.fullmatch(n)) else "1" for n in names}
            built = rule.build({a: "K" if c.__class__.__name__ == "UnicodeConverter" else 1 for a, c in rule._converters.items()})
            assert built is not None
            for client in clients:
                sent += 1
                status = client.post(built[1], values).status_code
                if status >= 500:
                    found.append(f"{rule.rule} {row}={NOBODY} → {status}")
                if status != 403:
                    break
    return found, sent


def test_rows_that_nobody_has_are_refused_in_words(fresh_db: TestDatabase) -> None:
    lab = make(fresh_db)
    scene(lab)
    clients = [lab.client(role) for role in ROLES]
    for client in clients:
        lab.sign(client)
    with nothing_kept():
        found, sent = wrong(lab, clients)
    lab.db.dispose()
    assert found == [] and sent > 500
