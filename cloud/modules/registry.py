"""Every module of the hosted LIS, in menu order. A module not listed here does not exist."""

from __future__ import annotations

import cloud.modules.tables  # noqa: F401  # who may call any module needs every table: foreign keys lead from one to another
from cloud.modules import (
    autoverify,
    bench,
    catalog,
    changes,
    critical,
    edge,
    equipment,
    handover,
    interfaces,
    orders,
    personnel,
    platform,
    portal,
    qc,
    quality,
    queue,
    reagents,
    reports,
    scheduling,
    servicedesk,
    specimens,
)
from cloud.web.module import Module

MODULES: tuple[Module, ...] = (
    platform.MODULE,
    catalog.MODULE,
    changes.MODULE,
    orders.MODULE,
    queue.MODULE,
    specimens.MODULE,
    bench.MODULE,
    handover.MODULE,
    edge.MODULE,
    reports.MODULE,
    autoverify.MODULE,
    critical.MODULE,
    qc.MODULE,
    reagents.MODULE,
    equipment.MODULE,
    personnel.MODULE,
    scheduling.MODULE,
    quality.MODULE,
    servicedesk.MODULE,
    portal.MODULE,
    interfaces.MODULE,
)
