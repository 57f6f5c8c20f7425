"""The patch state of what this software runs on (M01 R11): versions in use, until when their makers mend them. Pure but for ``running``.

Which single flaws are mended is known to nobody inside a closed network: what can be said here is whether anybody mends them at all.
The dates are the makers' announced ones; a version that is not in the table counts as not mended, so that an unknown one is looked at.
"""

from __future__ import annotations

import platform
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text

from cloud.db.session import UnitOfWork

ENDS: Mapping[str, Mapping[str, date]] = {
    "PostgreSQL": {
        "15": date(2027, 11, 11),
        "16": date(2028, 11, 9),
        "17": date(2029, 11, 8),
        "18": date(2030, 11, 14),
    },
    "Python": {
        "3.11": date(2027, 10, 31),
        "3.12": date(2028, 10, 31),
        "3.13": date(2029, 10, 31),
        "3.14": date(2030, 10, 31),
    },
}


@dataclass(frozen=True, slots=True)
class Running:
    """Versions in use now, as the parts themselves say."""

    postgres: str
    python: str
    tls: str


def running(uow: UnitOfWork) -> Running:
    """What this process and its database run on."""
    server = str(uow.s.execute(text("SHOW server_version")).scalar_one()).split(" ")[0]
    return Running(server, platform.python_version(), ssl.OPENSSL_VERSION)


def mended_until(name: str, version: str) -> date | None:
    """Until when the maker mends this version; None where the table does not know it."""
    parts = version.split(".")
    return ENDS[name].get(parts[0] if name == "PostgreSQL" else ".".join(parts[:2]))


def mended(now: Running, today: date) -> bool:
    """Whether database and interpreter are still mended by their makers; the last day counts."""
    ends = mended_until("PostgreSQL", now.postgres), mended_until("Python", now.python)
    return all(end is not None and today <= end for end in ends)
