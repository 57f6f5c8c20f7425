"""A process that is started beside its database and the migration loads meanwhile, and begins when the schema is there."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

VERSIONS = Path(__file__).parent / "migrations" / "versions"
_LOOK_S = 0.2


def schema(database_url: str, seconds: float) -> bool:
    """Wait until the database has this release's schema, ``seconds`` at the most; without it the caller fails as it would have at once."""
    dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    newest = max(file.name[:4] for file in VERSIONS.glob("[0-9]*.py"))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (_version(dsn) or "") >= newest:
            return True
        time.sleep(_LOOK_S)
    return False


def _version(dsn: str) -> str | None:
    try:
        with psycopg.connect(dsn, connect_timeout=2) as conn:
            found = conn.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.Error:
        return None
    return None if found is None else str(found[0])
