"""The demo's edge agents: enrolled through the real door, with a code, then run as processes of their own."""

import subprocess
import sys
import time
from collections.abc import Mapping

from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.demo.people_data import HOSPITALS
from cloud.demo.processes import StartFailed, Supervisor, clean_environment, port_open
from cloud.demo.state import State

READY_SECONDS = 60.0
ENROL_SECONDS = 60.0
MARKER = "demo-enrolled"


def start(supervisor: Supervisor, state: State, codes: Mapping[str, str]) -> None:
    """Enrol the agents that are not yet, with their hospital's code, all at once, and run them."""
    running = {}
    for hospital in HOSPITALS:
        folder = state.agent_folder(hospital.code)
        if not enrolled(state, hospital.code):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            command = [sys.executable, "-m", "agent", "enrol", "--data", str(folder), codes[hospital.code]]
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


def enrolled(state: State, hospital: str) -> bool:
    """Whether a hospital's agent was enrolled at an earlier start; it need not wait for the web."""
    return (state.agent_folder(hospital) / MARKER).exists()


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
