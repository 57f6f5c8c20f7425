"""Ward staff for the demo: labels, collects and brings the tubes of in-patients and emergencies; out-patients come to the kiosk.

    python -m cloud.demo.staff --data DIR [--every SECONDS]

So the bench has work while a visitor looks around. Review and release are left to people. At the very first start it also
writes the past (history.py), which takes some seconds and nobody waits for.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select, text

import cloud.modules.tables  # noqa: F401  (a flush follows foreign keys to tables of modules nobody here imports)
from cloud.config import load
from cloud.db.session import Database
from cloud.demo import history, people_data, walk
from cloud.demo.state import State
from cloud.modules.platform.models import Tenant
from common.errors import JianlianError

PATIENTS = text("""
SELECT DISTINCT o.patient_id FROM lab_order o
JOIN order_item i ON i.tenant_id = o.tenant_id AND i.order_id = o.id
JOIN visit v ON v.tenant_id = o.tenant_id AND v.id = o.visit_id
WHERE o.source = :source AND i.status IN ('requested', 'confirmed') AND v.kind IN ('inpatient', 'emergency') LIMIT 2
""")
OPEN = text("""
SELECT s.id, s.state FROM specimen s JOIN visit v ON v.tenant_id = s.tenant_id AND v.id = s.visit_id
WHERE s.state IN ('labelled', 'collected') AND v.kind IN ('inpatient', 'emergency') ORDER BY s.id LIMIT 10
""")


def step(where: walk.Ward, source: str) -> None:
    """One round: what is collected goes to the laboratory, what is labelled is collected, what is ordered is labelled."""
    with where.db.tenant(where.tenant_id) as uow:
        found = uow.s.execute(OPEN).all()
        patients = [row.patient_id for row in uow.s.execute(PATIENTS, {"source": source})]
    walk.receive(where, [row.id for row in found if row.state == "collected"])
    walk.collect(where, [row.id for row in found if row.state == "labelled"])
    for patient_id in patients:
        made = walk.label(where, patient_id)
        print(f"labelled {len(made)} tubes of patient {patient_id}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m cloud.demo.staff", description="ward staff of the demo")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--every", type=float, default=6.0)
    args = parser.parse_args(argv)
    state = State(args.data)
    settings = load(str(state.settings_file))
    db = Database(settings.database_url, secret=settings.secret, pool_size=2)
    stop = threading.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: stop.set())
    with db.registry() as s:
        ids = {row.code: row.id for row in s.execute(select(Tenant)).scalars()}
    wards = {hospital.source: walk.ward(db, ids[hospital.code]) for hospital in people_data.HOSPITALS}
    tenants = {hospital.code: ids[hospital.code] for hospital in people_data.HOSPITALS}
    try:
        print(f"{history.write(settings, state, tenants, datetime.now(UTC))} reports of the past", flush=True)
    except JianlianError as error:
        print(f"the past stays incomplete: {error}", flush=True)
    while not stop.wait(args.every):
        for source, where in wards.items():
            try:
                step(where, source)
            except JianlianError as error:
                print(f"{source}: {error}", flush=True)
    db.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
