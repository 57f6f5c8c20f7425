"""The worker's turn for one hospital: what is due is decided in batches; a simulation gets one slice in between."""

from __future__ import annotations

import structlog
from sqlalchemy.exc import DBAPIError

from cloud.db.session import Actor, Database
from cloud.modules.autoverify import deciding, simulation
from cloud.modules.platform.signing import current_desk

ENGINE = Actor("autoverify")
log = structlog.get_logger("autoverify")


def work(db: Database, tenant_id: int) -> int:
    """Decide all that is due, each batch in its own transaction; the number of tubes. Notices wake the worker for the rest."""
    done = 0
    while True:
        try:
            with db.tenant(tenant_id, ENGINE) as uow:
                n = deciding.decide_due(uow, current_desk())
                # An idle round costs one transaction, whatever it finds nothing of.
                if n < deciding.BATCH:
                    simulation.step(uow)
        except Exception as error:
            if lost(error):
                raise
            log.error("batch", tenant=tenant_id, error=f"{type(error).__name__}: {error}"[:300])
            n = _singly(db, tenant_id)
        done += n
        if n < deciding.BATCH:
            return done


def lost(error: Exception) -> bool:
    """Whether the database is away: then nothing is wrong with a tube, and the worker comes again."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _singly(db: Database, tenant_id: int) -> int:
    """One tube a transaction, so that one nobody can decide bars neither its neighbours nor the next hospital."""
    with db.tenant(tenant_id, ENGINE) as uow:
        ids = deciding.due(uow)
    for specimen_id in ids:
        try:
            with db.tenant(tenant_id, ENGINE) as uow:
                deciding.decide_one(uow, current_desk(), specimen_id)
        except Exception as error:
            if lost(error):
                raise
            log.error("tube", tenant=tenant_id, specimen=specimen_id, error=f"{type(error).__name__}: {error}"[:300])
            with db.tenant(tenant_id, ENGINE) as uow:
                deciding.give_up(uow, specimen_id, error)
    return len(ids)
