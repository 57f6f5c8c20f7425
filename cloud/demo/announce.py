"""What a visitor needs to know: addresses, lines to play an analyzer on, people and their secrets."""

import json
import sys
import time
from collections.abc import Mapping
from typing import Any

import pyotp

from cloud.demo import people_data
from cloud.demo.analyzer_data import INSTRUMENTS, Instrument
from cloud.demo.catalog_data import HIS_CODES
from cloud.demo.state import Account, State
from cloud.ports.pki import Pki


def facts(state: State, ports: Mapping[str, int], pki: Pki, database: str) -> dict[str, Any]:
    """The one JSON object of `--json`."""
    return {
        "web": f"https://localhost:{ports['web']}",
        "kiosk": f"http://127.0.0.1:{ports['kiosk-' + people_data.HOSPITALS[0].code]}",
        "kiosks": {h.code: f"http://127.0.0.1:{ports[f'kiosk-{h.code}']}" for h in people_data.HOSPITALS},
        "mllp": {"plain": f"127.0.0.1:{ports['mllp']}", "tls": f"localhost:{ports['mllp-tls']}", "ca": str(pki.ca_file)},
        "mqtt": f"localhost:{ports['mqtt']}",
        "ca": str(pki.ca_file),
        "database": database,
        "data": str(state.folder),
        "tenants": [tenant(hospital, ports) for hospital in people_data.HOSPITALS],
        "agents": [
            {
                "tenant": hospital.code,
                "name": f"{hospital.name} 检验科采集端",
                "id": people_data.AGENT_IDS[hospital.code],
                "data": str(state.agent_folder(hospital.code)),
                "instruments": [instrument(state, hospital.code, row, ports) for row in INSTRUMENTS[hospital.code]],
            }
            for hospital in people_data.HOSPITALS
        ],
        "users": [user(account) for account in state.accounts()],
    }


def tenant(hospital: people_data.Hospital, ports: Mapping[str, int]) -> dict[str, Any]:
    """One hospital: its address, how its HIS signs (MSH-3, MSH-4), what may be ordered, whose cards exist."""
    return {
        "code": hospital.code,
        "name": hospital.name,
        "url": f"https://{hospital.host}:{ports['web']}",
        "his": {"application": hospital.source, "facility": hospital.code, "orders": HIS_CODES[hospital.code]},
        "patients": [{"number": p.number, "name": p.name, "card": p.card} for p in people_data.PATIENTS[hospital.code]],
    }


def instrument(state: State, hospital: str, row: Instrument, ports: Mapping[str, int]) -> dict[str, Any]:
    """One line. `mode` is the agent's part: it listens (a serial line counts as such), or it dials the address."""
    if row.transport == "serial":
        address = str(state.serial(hospital, row.key)[1])
    else:
        address = f"127.0.0.1:{ports[f'{hospital}-{row.key}']}"
    return {
        "key": row.key,
        "name": row.name,
        "protocol": row.protocol,
        "transport": "serial" if row.transport == "serial" else "tcp",
        "mode": "dial" if row.transport == "tcp-dial" else "listen",
        "address": address,
        "idle": row.section is None,
    }


def user(account: Account) -> dict[str, Any]:
    """One person; `totp` is the seed of the second factor, null where the role has none."""
    return {
        "tenant": account.tenant,
        "username": account.username,
        "password": account.password,
        "pin": account.pin,
        "role": account.role,
        "name": account.name,
        "badge": account.badge,
        "totp": account.totp or None,
    }


def show(state: State, ports: Mapping[str, int], pki: Pki, database: str, as_json: bool) -> None:
    """Print to stdout."""
    found = facts(state, ports, pki, database)
    if as_json:
        print(json.dumps(found, ensure_ascii=False), flush=True)
        return
    print(table(found), flush=True)


def table(found: Mapping[str, Any]) -> str:
    """For a person at a terminal."""
    lines = ["", "检联 Jianlian 演示 / demo（人物、医院均为虚构 / all invented）", ""]
    lines += [f"  网页 web      {found['web']}   （CA: {found['ca']}）"]
    lines += [f"                {t['url']}   {t['name']}  登录代码 code: {t['code']}" for t in found["tenants"]]
    lines += [f"  自助机 kiosk  {url}   {code}" for code, url in found["kiosks"].items()]
    lines += [f"  MLLP          {found['mllp']['plain']} 明文 plain · {found['mllp']['tls']} TLS", ""]
    for agent in found["agents"]:
        lines.append(f"  {agent['name']}")
        for row in agent["instruments"]:
            how = {"listen": "采集端等待 agent waits", "dial": "采集端拨出 agent dials"}[row["mode"]]
            idle = "（空闲 idle）" if row["idle"] else ""
            lines.append(f"    {row['key']:<12} {row['protocol']:<5} {row['transport']:<7} {how:<24} {row['address']}  {idle}")
    lines += ["", "  医院 用户名   密码              PIN     角色          姓名            动态口令（现在） TOTP now"]
    for row in found["users"]:
        code = pyotp.TOTP(row["totp"]).now() if row["totp"] else "-"
        lines.append(
            f"  {row['tenant']:<4} {row['username']:<8} {row['password']:<17} {row['pin']:<7} {row['role']:<13} {row['name']:<12} {code}"
        )
    lines += ["", "  动态口令随时间变化，另开终端：./dev demo --codes    TOTP codes change: run ./dev demo --codes in another terminal"]
    lines += ["  停止 stop: Ctrl-C", ""]
    return "\n".join(lines)


def codes(state: State) -> None:
    """Print everyone's present second-factor code, and how long it holds."""
    left = 30 - int(time.time()) % 30
    print(f"还有 {left} 秒有效 / valid for {left} s", file=sys.stderr)
    for account in state.accounts():
        if account.totp:
            print(f"{account.tenant} {account.username:<8} {account.role:<12} {pyotp.TOTP(account.totp).now()}")
