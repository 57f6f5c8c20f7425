"""Odd input for every route: ids and parameters nobody types.

python -m tests.security.odd     each name alone with each value (minutes)
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from urllib.parse import quote

from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from tests.security.test_routes import ENDS_SESSION, rules
from tests.support.lab import Client, Lab, all_permissions

VALUES = (
    "", "-1", "0", "9" * 30, "²", "１２", "\x00", "a\x00b", "\ud7ff\U0001f9ea", "2026-13-45", "0001-01-01", "9999-12-31", "0001-01",
    "9999-12", "10000-01", "nan", "-Infinity", "1e999", "'\"\\%_;--", "1-9" + "9" * 30, "1,2,²," + "9" * 30, "\r\nX: y", "x" * 3000,
)  # fmt: skip
"""Too large, not digits though they look so, no text for PostgreSQL, no date, dates whose neighbours do not exist, no number."""
IDS = ("0", "9" * 19, "9" * 30)
WORDS = ("²", "%00", "a%00b", "..%2f", "9" * 30, "-", quote("\U0001f9ea㛃"), "x" * 3000)
READS = re.compile(r"""(?:args|form|values|\bf|\ba)(?:\.get|\.getlist|\.get_or)?[(\[]\s*["']([\w-]+)["']""")


def names(lab: Lab, rule: Rule) -> list[str]:
    """The parameters a route may read: those its own code names, then those of its file."""
    view = inspect.unwrap(lab.app.view_functions[rule.endpoint])
    own = READS.findall(inspect.getsource(view))
    module = inspect.getmodule(view)
    shared = (
        []
        if module is None
        else [
            n
            for name, f in inspect.getmembers(module, inspect.isfunction)
            if name.startswith("_")
            for n in READS.findall(inspect.getsource(f))
        ]
    )
    return list(dict.fromkeys([*own, *shared]))


def addresses(rule: Rule) -> list[str]:
    """The route with odd ids in place of its arguments, and plain ones for what is asked with parameters."""
    if not rule.arguments:
        return [rule.rule]
    kinds = re.findall(r"<(?:([^:<>]+):)?[^<>]+>", rule.rule)
    odd = max((IDS if kind == "int" else WORDS for kind in kinds), key=len)
    made = []
    for value in ("1", *odd):
        address = rule.rule
        for kind in kinds:
            address = re.sub(r"<[^<>]+>", value if kind != "int" or value.isdecimal() else "1", address, count=1)
        made.append(address)
    return made


def asked(lab: Lab, *, whole: bool) -> Iterator[tuple[str, str, TestResponse]]:
    """(route, what was asked, answer). ``whole``: every route, each name alone with each value; else reads, with some at once."""
    declared, grants = lab.app.extensions["permissions"], all_permissions()
    clients: dict[str, Client] = {}
    for number, rule in enumerate(rules(lab)):
        permission = declared[rule.endpoint]
        if rule.endpoint in ENDS_SESSION or not (whole or "GET" in (rule.methods or ())):
            continue
        role = grants[permission][0] if not permission.startswith("*") else "infogroup"
        client = clients.setdefault(role, lab.client(role, workstation=""))
        read = "GET" in (rule.methods or ())
        first, *odd = addresses(rule)

        def ask(address: str, fields: dict[str, str], client: Client = client, read: bool = read) -> TestResponse:
            return client.get(address, query_string=fields) if read else client.post(address, fields)

        for address in odd:
            yield rule.rule, address, ask(address, {})
        known = names(lab, rule)
        for value in (VALUES if whole else VALUES[number % 3 :: 3]) if known else ():
            for fields in [{n: value} for n in known] if whole else [dict.fromkeys(known, value)]:
                yield rule.rule, str(fields)[:200], ask(first, fields)


def failed(lab: Lab, *, whole: bool = False) -> list[str]:
    """What answered 500 or more."""
    return sorted({f"{rule} {what} → {answer.status_code}" for rule, what, answer in asked(lab, whole=whole) if answer.status_code >= 500})


def main() -> int:
    """All of it."""
    from tests.support import database
    from tests.support.lab import make

    with database.server() as server:
        made = server.create()
        database.build_schema(made)
        lab = make(made)
        found = failed(lab, whole=True)
        lab.db.dispose()
    print("\n".join(found), f"\n{len(found)} requests failed")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
