"""The demo's edge agents: enrolled through the real door, with a code, then run as processes of their own."""

import subprocess
import sys
import time
from collections.abc import Mapping

from sqlalchemy import select

from cloud.config import Settings
from cloud.db.session import Actor, Database
from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.demo.people_data import AGENT_IDS, HOSPITALS, Hospital
from cloud.demo.processes import StartFailed, Supervisor, clean_environment, port_open
from cloud.demo.state import State
from cloud.modules.edge import service as edge
from cloud.modules.edge.models import Agent

SEEDER = Actor("demo")
READY_SECONDS = 60.0
ENROL_SECONDS = 60.0
MARKER = "demo-enrolled"


def start(supervisor: Supervisor, state: State, settings: Settings, tenants: Mapping[str, int]) -> None:
    """Enrol the agents that are not yet, all at once, and run them."""
    running = {}
    for hospital in HOSPITALS:
        folder = state.agent_folder(hospital.code)
        if not (folder / MARKER).exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            code = enrolment_code(settings, hospital, tenants[hospital.code])
            command = [sys.executable, "-m", "agent", "enrol", "--data", str(folder), code]
            running[hospital.code] = subprocess.Popen(
                command, env=clean_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
    for hospital in HOSPITALS:
        folder = state.agent_folder(hospital.code)
        if hospital.code in running:
            words, _ = running[hospital.code].communicate(timeout=ENROL_SECONDS)
            if running[hospital.code].returncode != 0:
                raise StartFailed(f"agent of {hospital.code} was not enrolled:\n{words}")
            (folder / MARKER).touch()
        supervisor.python(f"agent-{hospital.code}", "agent", "run", "--data", str(folder))


def enrolled(state: State) -> bool:
    """Whether every agent was enrolled at an earlier start; then none has to wait for the web."""
    return all((state.agent_folder(hospital.code) / MARKER).exists() for hospital in HOSPITALS)


def enrolment_code(settings: Settings, hospital: Hospital, tenant_id: int) -> str:
    """A fresh code, as an administrator gets it from the agents' page."""
    db = Database(settings.database_url, secret=settings.secret)
    try:
        with db.tenant(tenant_id, SEEDER) as uow:
            agent = uow.s.execute(select(Agent).where(Agent.uuid == AGENT_IDS[hospital.code])).scalar_one()
            return edge.enrolment_code(uow, agent.id, settings)
    finally:
        db.dispose()


def wait_ready(supervisor: Supervisor, ports: Mapping[str, int]) -> None:
    """Wait until each agent listens on its lines, and its kiosk answers."""
    for hospital in HOSPITALS:
        wanted = [ports[f"{hospital.code}-{row.key}"] for row in INSTRUMENTS[hospital.code] if row.transport == "tcp-listen"]
        wanted.append(ports[f"kiosk-{hospital.code}"])
        child = next(child for child in supervisor.children if child.name == f"agent-{hospital.code}")
        end = time.monotonic() + READY_SECONDS
        while closed := [port for port in wanted if not port_open(port)]:
            if child.process.poll() is not None or time.monotonic() > end:
                raise StartFailed(f"{child.name} does not listen on {closed}:\n{child.last_words()}")
            time.sleep(0.1)
