"""What differs at one analyzer from its model, as a person types it: rows of the mapping's version, no copy of a driver. Pure.

Positions are written ``O.3.1`` (record, field, component; HL7 ``OBR.3.1``), pairs ``sent=model`` one a line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from common.errors import UserError
from common.instruments.site import site_from_json
from common.say import say

_POSITION = re.compile(r"([A-Z][A-Z0-9]{0,2})[.-](\d{1,2})(?:[.-](\d{1,2}))?")
POSITIONS = {"specimen": "标本号位置", "patient": "患者号位置"}
PAIRS = {"codes": "代码改名", "units": "缺省单位", "decimals": "隐含小数位"}


def shown(site: Mapping[str, Any] | None) -> dict[str, str]:
    """The row as the form's texts."""
    row = site or {}
    out = {name: ", ".join(f"{r}.{n}.{c}" for r, n, c in row.get(name) or ()) for name in POSITIONS}
    out |= {name: "\n".join(f"{k}={v}" for k, v in (row.get(name) or {}).items()) for name in PAIRS}
    prefix = row.get("qc_prefix") or ()
    out["qc_prefix"] = prefix if isinstance(prefix, str) else ", ".join(prefix)
    out["code"] = "" if row.get("code") is None else str(row["code"])
    return out


def typed(form: Mapping[str, str], before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The row the form says; what it does not show (layout, answers) stays. None when nothing differs. UserError names the field."""
    row: dict[str, Any] = {k: v for k, v in (before or {}).items() if k not in (*POSITIONS, *PAIRS, "qc_prefix", "code")}
    for name, word in POSITIONS.items():
        row[name] = [_position(part, word, name) for part in _parts(form.get(name, ""))]
    for name, word in PAIRS.items():
        row[name] = _pairs(form.get(name, ""), word, name)
    row["qc_prefix"] = _parts(form.get("qc_prefix", ""))
    code = form.get("code", "").strip()
    row["code"] = int(code) if code.isdecimal() else code or None
    row = {k: v for k, v in row.items() if v not in (None, [], {}, "")}
    if row:
        site_from_json(row)
    return row or None


def _parts(text: str) -> list[str]:
    return [p.strip() for p in re.split(r"[,，;；\s]+", text) if p.strip()]


def _position(text: str, word: str, field: str) -> list[Any]:
    found = _POSITION.fullmatch(text.upper())
    if found is None:
        raise UserError("invalid", say("{what}“{text}”请写成 记录.字段.组件，例如 O.3.1 或 OBR.3.1。", what=word, text=text), field=field)
    record, number, component = found.groups()
    return [record, int(number), int(component or 0)]


def _pairs(text: str, word: str, field: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        left, sign, right = line.partition("=")
        if not sign or not left.strip() or not right.strip() or (field == "decimals" and not right.strip().isdecimal()):
            raise UserError("invalid", say("{what}“{line}”请每行写一个 代码=值。", what=word, line=line.strip()), field=field)
        out[left.strip()] = int(right) if field == "decimals" else right.strip()
    return out
