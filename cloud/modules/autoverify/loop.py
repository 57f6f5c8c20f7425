"""The worker's turn for one hospital: what is due is decided in batches; a simulation gets one slice in between."""

from __future__ import annotations

from cloud.db.session import Actor, Database
from cloud.modules.autoverify import deciding, simulation
from cloud.modules.platform.signing import current_desk

ENGINE = Actor("autoverify")


def work(db: Database, tenant_id: int) -> int:
    """Decide all that is due, each batch in its own transaction; the number of tubes. Notices wake the worker for the rest."""
    done = 0
    while True:
        with db.tenant(tenant_id, ENGINE) as uow:
            n = deciding.decide_due(uow, current_desk())
            # An idle round costs one transaction, whatever it finds nothing of.
            if n < deciding.BATCH:
                simulation.step(uow)
        done += n
        if n < deciding.BATCH:
            return done
