"""Settings of the hosted side: one TOML file or JIANLIAN_* variables; an unknown key stops the start."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from common.errors import LocalError


@dataclass(frozen=True)
class Settings:
    """Everything a process of the cloud needs to know. ``secret`` is 32+ random bytes in hex; no default exists."""

    database_url: str
    secret: str
    owner_url: str = ""
    app_role: str = "jianlian_app"
    data_dir: str = "./data"
    base_url: str = "https://localhost:8443"
    bind: str = "127.0.0.1:8443"
    web_workers: int = 2
    web_threads: int = 48
    tls_cert: str = ""
    tls_key: str = ""
    client_ca: str = ""
    """PEM file of the authorities whose client certificates people log in with; the TLS front shows them (M01 R2)."""
    client_crl: str = ""
    """Their revocation lists, PEM or DER, replaced by the hospital's own timer; without it no list is asked (M01 R2)."""
    front_key: str = ""
    """What the TLS front says to be believed about a client certificate; 32+ random characters."""
    ca_cert: str = ""
    ca_key: str = ""
    cloud_key: str = ""
    ca_sign_url: str = ""
    ca_sign_pem: str = ""
    mqtt_host: str = "localhost"
    mqtt_port: int = 8883
    mqtt_ca: str = ""
    mqtt_cert: str = ""
    mqtt_key: str = ""
    mqtt_public_host: str = ""
    mllp_bind: str = "127.0.0.1"
    mllp_port: int = 0
    mllp_tls_port: int = 0
    files: str = "local"
    s3_endpoint: str = ""
    s3_bucket: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_region: str = "us-east-1"
    timezone: str = "Asia/Shanghai"
    schema_wait_s: int = 0
    """How long a process waits at its start for the database and its migration; 0 where those come first."""
    demo: bool = False
    metrics_token: str = ""
    log_level: str = "INFO"

    @property
    def files_dir(self) -> Path:
        """Where the local file store keeps reports."""
        return Path(self.data_dir) / "files"


def load(path: str | None = None) -> Settings:
    """Read settings from ``path`` (or $JIANLIAN_CONFIG), then the environment. Raises LocalError naming a wrong key."""
    path = path or os.environ.get("JIANLIAN_CONFIG")
    values: dict[str, Any] = {}
    if path:
        try:
            values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, tomllib.TOMLDecodeError) as exc:
            raise LocalError("config_unreadable", f"配置文件 {path} 读不出来：{exc}") from exc
    known = {f.name: f for f in fields(Settings)}
    for name, value in os.environ.items():
        key = name.removeprefix("JIANLIAN_").lower()
        if name.startswith("JIANLIAN_") and key in known:
            values[key] = value
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise LocalError("config_unknown", f"配置中有不认识的键：{'、'.join(unknown)}", keys=unknown)
    missing = [k for k in ("database_url", "secret") if not values.get(k)]
    if missing:
        raise LocalError("config_missing", f"配置缺少：{'、'.join(missing)}", keys=missing)
    return Settings(**{k: _typed(known[k].type, v) for k, v in values.items()})


def _typed(kind: Any, value: Any) -> Any:
    if kind == "int":
        return int(value)
    if kind == "bool":
        return value if isinstance(value, bool) else str(value).lower() in ("1", "true", "yes")
    return str(value)
