"""The import rules of the house that need a look into the code. Each returns sentences; none means kept.

What follows from package to package alone is in pyproject.toml for import-linter.
"""

import ast
from collections.abc import Iterator, Sequence

from tests.support.sources import Source, imports, is_under

# What would let the outside world, the clock, chance or a framework into code that must be a function of its arguments.
IMPURE = (
    *("asyncio", "boto3", "ctypes", "fcntl", "flask", "http", "io", "logging", "multiprocessing", "os", "paho", "pathlib", "procrastinate"),
    *("psycopg", "random", "requests", "secrets", "select", "selectors", "serial", "shutil", "signal", "socket", "sqlalchemy", "sqlite3"),
    *("ssl", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "apsw", "werkzeug", "jinja2"),
)
PURE_EXCEPTIONS = {"io": ("io.StringIO", "io.BytesIO"), "urllib": ("urllib.parse",)}  # pure parts of impure modules
CLOCK_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "perf_counter", "monotonic"}
ONLY_IN = {
    "serial": ("agent/transport/serial_port.py",),
    "paho": ("agent/uplink.py", "cloud/ports/mqtt.py"),
    "boto3": ("cloud/ports/s3.py",),
}
# What other modules may use of a module. messages: the shapes its verbs take; alerts, groups, lists, signing: the platform's, for all.
FROM_OUTSIDE = {"service", "queries", "messages", "alerts", "glass", "groups", "lists", "places", "signing"}


def is_pure(source: Source) -> bool:
    return source.path.startswith(("common/", "cloud/expression/")) or source.path.endswith("rules.py")


def impure(source: Source) -> Iterator[str]:
    """I/O, clock, chance, log or a framework in `common` or a `rules.py`."""
    if not is_pure(source):
        return
    for name, line in imports(source):
        root = name.split(".")[0]
        if root in IMPURE and not any(is_under(name, part) for part in PURE_EXCEPTIONS.get(root, ())):
            yield f"{source.path}:{line} imports {name}"
        if (
            source.path.endswith("/rules.py")
            and is_under(name, "cloud")
            and not name.startswith(("cloud.modules.", "cloud.expression"))
            or is_under(name, "agent")
        ):
            yield f"{source.path}:{line} imports {name}"
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Name) and called.id in ("open", "print", "input"):
                yield f"{source.path}:{node.lineno} calls {called.id}"
            if isinstance(called, ast.Attribute) and called.attr in CLOCK_CALLS:
                yield f"{source.path}:{node.lineno} asks the clock or chance: {ast.unparse(called)}"


def layers(source: Source) -> Iterator[str]:
    """`service.py` knows no page, `views.py` no database, and each outside world has its one door."""
    banned = {"service.py": ("flask", "jinja2", "htmx_flask"), "queries.py": ("flask", "htmx_flask"), "views.py": ("sqlalchemy", "psycopg")}
    name = source.path.rpartition("/")[2]
    for imported, line in imports(source):
        if source.path.startswith("cloud/modules/") and any(is_under(imported, bad) for bad in banned.get(name, ())):
            yield f"{source.path}:{line} imports {imported}"
        for package, doors in ONLY_IN.items():
            if is_under(imported, package) and source.path not in doors:
                yield f"{source.path}:{line} imports {imported}; only {' and '.join(doors)} may"


def module_of(path_or_name: str) -> str | None:
    """`cloud/modules/orders/service.py` and `cloud.modules.orders.service` belong to `orders`."""
    parts = path_or_name.replace("/", ".").split(".")
    in_a_module = parts[:2] == ["cloud", "modules"] and len(parts) > (4 if path_or_name.endswith(".py") else 3)
    return parts[2] if in_a_module else None


def declared(sources: Sequence[Source]) -> dict[str, set[str]]:
    """What each module's `MODULE = Module(depends=…)` says."""
    found: dict[str, set[str]] = {}
    for source in sources:
        parts = source.path.split("/")
        if source.path.startswith("cloud/modules/") and len(parts) == 4 and parts[3] in ("__init__.py", "module.py"):
            found.setdefault(parts[2], set())
            for node in ast.walk(source.tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Module":
                    for keyword in node.keywords:
                        if keyword.arg == "depends":
                            found[parts[2]] |= set(ast.literal_eval(keyword.value))
    return found


def between_modules(sources: Sequence[Source]) -> Iterator[str]:
    """Modules use each other through `service` and `queries`, as declared; `models` and the rest stay private."""
    depends = declared(sources)
    for source in sources:
        own = module_of(source.path)
        if own is None:
            continue
        for name, line in imports(source):
            parts = name.split(".")
            if parts[:2] != ["cloud", "modules"] or len(parts) < 3 or parts[2] == own or parts[2] not in depends:
                continue
            part = parts[3] if len(parts) > 3 else "(the package)"
            if part not in FROM_OUTSIDE:
                yield f"{source.path}:{line} reaches into {parts[2]}.{part}"
            if parts[2] not in depends.get(own, set()):
                yield f"{source.path}:{line} uses {parts[2]}, which {own} does not declare"


def cycles(depends: dict[str, set[str]]) -> list[str]:
    """Modules that depend on themselves through others."""
    found = []
    for start in sorted(depends):
        seen: set[str] = set()
        todo = list(depends[start])
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(depends.get(name, ()))
        if start in seen:
            found.append(start)
    return found
