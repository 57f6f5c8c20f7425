"""What a demo keeps between its starts: ports, people's secrets, settings. All in one folder, readable by its owner only."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cloud.config import Settings
from cloud.demo import people_data
from cloud.demo.analyzer_data import INSTRUMENTS
from cloud.demo.processes import port_free
from cloud.modules.platform.rules import STANDARD_ROLES
from cloud.modules.platform.secrets import new_seed
from cloud.ports.ca import write_secret
from cloud.ports.pki import CLOUD_NAME, Pki

SECOND_FACTOR = {code for code, _name, second in STANDARD_ROLES if second}
SYMBOLS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKMNPQRSTUVWXYZ23456789"  # nothing that a reader takes for something else


@dataclass(frozen=True)
class Account:
    """A person's way in. `totp` is the seed of the second factor, "" where the role needs none."""

    tenant: str
    username: str
    name: str
    role: str
    password: str
    pin: str
    badge: str
    totp: str


def default_folder() -> Path:
    """`jianlian/demo` in the user's data folder."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "jianlian" / "demo"


class State:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def accounts(self) -> list[Account]:
        """Everyone of the staff; secrets are made at the first call and kept."""
        path = self.folder / "users.json"
        if not path.exists():
            made = [_account(tenant, person) for tenant, staff in people_data.STAFF.items() for person in staff]
            write_secret(path, json.dumps([asdict(account) for account in made], ensure_ascii=False, indent=1).encode())
        return [Account(**row) for row in json.loads(path.read_text(encoding="utf-8"))]

    def secret(self) -> str:
        """The key that seals secrets in the database: 32 random bytes in hex."""
        path = self.folder / "secret"
        if not path.exists():
            write_secret(path, secrets.token_hex(32).encode())
        return path.read_text()

    def ports(self, first: int) -> dict[str, int]:
        """A port for each name, the web's is the one that was asked for; kept while they stay free."""
        path = self.folder / "ports.json"
        try:
            kept: dict[str, int] = json.loads(path.read_text())
        except (OSError, ValueError):
            kept = {}
        if kept.get("web") != first:
            kept = {}
        wanted = {name: kept.get(name, near(first) + offset) for offset, name in enumerate(port_names())} | {"web": first}
        stays = {port for name, port in wanted.items() if name == "web" or port_free(port)}
        ports: dict[str, int] = {}
        for name, port in wanted.items():
            ports[name] = port if port in stays else _free(port, stays | set(ports.values()))
        path.write_text(json.dumps(ports, indent=1))
        return ports

    def serial(self, tenant: str, key: str) -> tuple[Path, Path]:
        """The two ends of a serial line: the agent's and the analyzer's."""
        folder = self.folder / "serial"
        return folder / f"{tenant}-{key}-agent", folder / f"{tenant}-{key}"

    def agent_folder(self, tenant: str) -> Path:
        return self.folder / "agents" / tenant

    def write_settings(self, ports: dict[str, int], pki: Pki, owner_url: str, app_url: str) -> Settings:
        """The settings file of every process of the hosted side."""
        web, cloud, mqtt = pki.pair("web"), pki.pair(CLOUD_NAME), pki.pair("mqtt")
        settings = Settings(
            database_url=app_url,
            owner_url=owner_url,
            secret=self.secret(),
            data_dir=str(self.folder / "data"),
            base_url=f"https://localhost:{ports['web']}",
            bind=f"127.0.0.1:{ports['web']}",
            tls_cert=str(web.certificate),
            tls_key=str(web.key),
            ca_cert=str(pki.ca_file),
            ca_key=str(pki.ca_key),
            cloud_key=str(pki.signing_key),
            mqtt_host="localhost",
            mqtt_port=ports["mqtt"],
            mqtt_ca=str(pki.ca_file),
            mqtt_cert=str(cloud.certificate),
            mqtt_key=str(cloud.key),
            mllp_port=ports["mllp"],
            mllp_tls_port=ports["mllp-tls"],
            demo=True,
            schema_wait_s=60,
        )
        assert mqtt.certificate.exists()
        write_secret(self.settings_file, _toml(asdict(settings)).encode())
        return settings

    @property
    def settings_file(self) -> Path:
        return self.folder / "jianlian.toml"


def port_names() -> list[str]:
    """Everything that needs a port, the web first."""
    names = [
        "web",
        "mqtt",
        "mllp",
        "mllp-tls",
        *(f"his-{h.code}" for h in people_data.HOSPITALS),
        *(f"kiosk-{h.code}" for h in people_data.HOSPITALS),
    ]
    return names + [f"{t}-{i.key}" for t, rows in INSTRUMENTS.items() for i in rows if i.transport != "serial"]


def near(first: int) -> int:
    """Where the other ports begin: at the web's, unless the system draws the ports of outgoing connections from there.

    A listener on such a port is refused now and then, because some connection of ours has just been given it.
    """
    low, high = drawn_ports()
    return first if first + len(port_names()) < low or first > high else 12_000 + first % 16_000


def drawn_ports() -> tuple[int, int]:
    """The range for outgoing connections; Linux's usual one where it cannot be read."""
    try:
        low, high = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    except (OSError, ValueError):
        return 32_768, 60_999
    return int(low), int(high)


def _free(wanted: int, taken: set[int]) -> int:
    for port in range(wanted, 65_536):
        if port not in taken and port_free(port):
            return port
    raise RuntimeError(f"no free port from {wanted} on")


def _account(tenant: str, person: people_data.Person) -> Account:
    needs = bool(SECOND_FACTOR & set(person.roles))
    return Account(
        tenant=tenant,
        username=person.number,
        name=person.name,
        role=person.roles[0],
        password=_password(),
        pin=f"{secrets.randbelow(1_000_000):06d}",
        badge=f"B{tenant.upper()}{person.number.upper()}",
        totp=new_seed() if needs else "",
    )


def _password() -> str:
    """Sixteen characters that pass the policy and can be read aloud."""
    while True:
        text = "".join(secrets.choice(SYMBOLS) for _ in range(15)) + "-"
        if any(c.islower() for c in text) and any(c.isupper() for c in text) and any(c.isdigit() for c in text):
            return text


def _toml(values: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
