"""Reads bases.toml and cases.txt: a profile with changes becomes a Case, a line becomes what must come out."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path
from typing import Any

from cloud.modules.autoverify.case import Case, Delta, Element, Expression, Hil, Identity, Item, Pattern, Person, Policy, Prior, Range
from cloud.modules.autoverify.decision import Ready, prepare

HERE = Path(__file__).parent
BASES: dict[str, Any] = tomllib.loads((HERE / "bases.toml").read_text(encoding="utf-8"))
COLLECTED = datetime(2026, 11, 22, 0, 0, tzinfo=UTC)
RUN = COLLECTED + timedelta(minutes=90)
NOW = COLLECTED + timedelta(hours=2)
UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


@dataclass(frozen=True)
class Line:
    """A case of the file. ``expect`` is empty for one that must be released."""

    name: str
    base: str
    changes: tuple[str, ...]
    expect: tuple[str, ...]
    clean: bool


def lines() -> list[Line]:
    """All cases: ``name | base | changes | release or reasons``; ``release?``: may leave, but is no plain clean case."""
    out = []
    for row in (HERE / "cases.txt").read_text(encoding="utf-8").splitlines():
        if not row.strip() or row.startswith("#"):
            continue
        name, base, changes, expect = (part.strip() for part in row.split("|"))
        parts = tuple(part.strip() for part in changes.split(";") if part.strip())
        released = expect in ("release", "release?")
        reasons = () if released else tuple(sorted(part.strip() for part in expect.split(";")))
        out.append(Line(name, base, parts, reasons, expect == "release"))
    return out


def policy() -> Policy:
    """The set's policy."""
    raw = BASES["policy"]
    return Policy(
        logic=tuple(Expression(*each) for each in raw["logic"]),
        context=tuple(Expression(*each) for each in raw["context"]),
        patterns=tuple(
            Pattern(p["code"], tuple(_element(e) for e in p["elements"]), tuple(p["required"]), p["least"]) for p in raw["patterns"]
        ),
        identity=Identity(_decimals(raw["weights"]), _decimals(raw["fixed"]), raw["only"]),
        stability_h=raw["stability_h"],
    )


def ready_for(changes: tuple[str, ...]) -> Ready:
    """The set's policy compiled, with the case's own ``set.`` changes: stability, manual, range, delta."""
    return _ready(tuple(c for c in changes if c.startswith("set.")))


@cache
def _ready(changes: tuple[str, ...]) -> Ready:
    made = policy()
    for change in changes:
        what, _, value = change.removeprefix("set.").partition("=")
        item, _, rest = value.partition(" ")
        if what == "stability":
            made = replace(made, stability_h=None)
        elif what in ("analyzers", "items", "depts"):
            made = replace(made, reach=replace(made.reach, **{what: tuple(value.split())}))
        elif what == "manual":
            made = replace(made, manual=True)
        elif what == "range":
            made = replace(made, ranges={item: Range(*_limits(rest))})
        else:
            made = replace(made, deltas={item: (_delta(rest),)})
    return prepare(made, codes())


def codes() -> dict[str, bool]:
    """Item code → numeric, of all profiles."""
    found: dict[str, bool] = {}
    for name, base in BASES.items():
        if name != "policy":
            found |= {code: "value" in raw for code, raw in base["items"].items()}
    return found


def build(base: str, changes: tuple[str, ...] = ()) -> Case:
    """The profile's report with the changes made."""
    raw = BASES[base]
    items = {code: _item(code, spec) for code, spec in raw["items"].items()}
    case = Case(
        specimen_id=1,
        at=NOW,
        items=(),
        patient_no="P000001",
        patient_name="虚构甲",
        sex=raw["sex"],
        age_years=Decimal(raw["age"]),
        dept="内科",
        visit="outpatient",
        specimen_type=raw["specimen"],
        collected_at=COLLECTED,
        received_at=COLLECTED + timedelta(minutes=30),
        indices={"H": Decimal(0), "I": Decimal(1), "L": Decimal(2)},
        authoriser=Person(7, "授权人", True),
        operator=Person(8, "检验者", True),
    )
    for change in changes:
        key, _, value = change.partition("=")
        if key.startswith("set."):
            continue
        code, _, what = key.partition(".")
        if code in items:
            items[code] = _changed(items[code], what, value, raw["items"][code])
        else:
            case = _case(case, key, value)
    return replace(case, items=tuple(items.values()))


def _item(code: str, raw: dict[str, Any]) -> Item:
    low, high = _limits(raw.get("critical"))
    amr_low, amr_high = _limits(raw.get("amr"))
    made = Item(
        code=code,
        name=code,
        numeric="value" in raw,
        analyzer="AU1",
        run_at=RUN,
        critical_low=low,
        critical_high=high,
        amr_low=amr_low,
        amr_high=amr_high,
        crr_high=_number(raw.get("crr")),
        calibration="ok",
        reagent="ok",
        lot="R1",
        qc="ok",
        moving="ok",
        stability_h=raw.get("stability"),
        range=Range(*_limits(raw["av"])) if "av" in raw else None,
        deltas=tuple(_delta(each) for each in raw.get("delta", ())),
        hil=tuple(Hil(each.split()[0], Decimal(each.split()[1])) for each in [raw["hil"]] if each) if "hil" in raw else (),
    )
    made = _valued(made, raw.get("value") or raw["text"], raw)
    return _changed(made, "prev", raw["prev"], raw) if "prev" in raw else made


def _valued(item: Item, text: str, raw: dict[str, Any]) -> Item:
    """Value, printed text, flag and critical mark, as a laboratory would have them."""
    sign = text[0] if text[0] in "<>" else ""
    if not re.fullmatch(r"[<>]?[0-9.]+", text) or not item.numeric:
        wrong = not item.numeric and raw.get("expected") not in ("*", text)
        return replace(item, text=text, value=None, reported=None, comparator="", flag="A" if wrong else "", critical="")
    value = Decimal(text.lstrip("<>"))
    reported = value if sign else value.quantize(Decimal(1).scaleb(-raw["decimals"]), ROUND_HALF_UP)
    low, high = _limits(raw["ri"])
    flag = "L" if low is not None and reported < low else "H" if high is not None and reported > high else ""
    crit = ""
    if item.critical_low is not None and reported < item.critical_low:
        crit = "low"
    if item.critical_high is not None and reported > item.critical_high:
        crit = "high"
    return replace(item, text=f"{sign}{reported}", value=value, reported=reported, comparator=sign, flag=flag, critical=crit)


def _changed(item: Item, what: str, value: str, raw: dict[str, Any]) -> Item:
    if what == "":
        if value == "-":
            return replace(item, present=False, text="", value=None, reported=None, flag="", critical="")
        return _valued(item, value, raw)
    if what == "prev":
        return replace(item, priors=tuple(_prior(each, item) for each in value.split(",") if each))
    if what == "run":
        return replace(item, run_at=None if value == "-" else COLLECTED + _span(value))
    if what in ("ri", "range", "amr", "stability"):
        empty: dict[str, Any] = {"ri": {"interval": False}, "range": {"range": None}, "amr": {"amr_low": None, "amr_high": None}}
        return replace(item, **empty.get(what, {"stability_h": None if value == "-" else int(value or 0)}))
    if what == "av":
        return replace(item, range=Range(*_limits(value)))
    if what in ("holds", "pending", "alarms"):
        return replace(item, **{what: tuple(value.split(","))})
    if what == "mandatory":
        return replace(item, mandatory=value == "yes")
    if what == "dilution":
        return replace(item, dilution=Decimal(value))
    names = {"cal": "calibration"}
    return replace(item, **{names.get(what, what): "" if value == "-" else value})


def _prior(text: str, item: Item) -> Prior:
    """``4.2@3d`` or ``4.2@3d/other`` (by another method)."""
    said, _, rest = text.strip().partition("@")
    age, _, method = rest.partition("/")
    sign = said[0] if said[0] in "<>" else ""
    number = Decimal(said.lstrip("<>")) if re.fullmatch(r"[<>]?[0-9.]+", said) else None
    assert item.run_at is not None
    return Prior(item.run_at - _span(age), said, number, sign, method)


def _case(case: Case, key: str, value: str) -> Case:
    if key.startswith("hil."):
        rest = {k: v for k, v in case.indices.items() if k != key[4:]}
        return replace(case, indices=rest | ({} if value == "-" else {key[4:]: Decimal(value)}))
    if key == "at":  # the decision comes after late runs
        return replace(case, at=COLLECTED + timedelta(hours=60))
    if key == "age":
        return replace(case, age_years=None if value == "-" else Decimal(value))
    if key in ("auth", "operator"):
        name = "authoriser" if key == "auth" else "operator"
        return replace(case, **{name: None if value == "-" else Person(9, value, False)})
    if key in ("issue", "fault", "stop"):
        name = {"issue": "specimen_issues", "fault": "faults", "stop": "stops"}[key]
        return replace(case, **{name: (*getattr(case, name), value)})
    if key == "collected":
        return replace(case, collected_at=None if value == "-" else COLLECTED + _span(value))
    if key == "fed":
        return replace(case, fed=value == "1")
    if key == "order":
        return replace(case, ordered=False)
    names = {"patient": "patient_no", "name": "patient_name", "state": "specimen_state", "dx": "diagnosis", "drug": "drugs"}
    field = names.get(key, key)
    assert field in Case.__dataclass_fields__, f"unknown change {key}={value}"
    return replace(case, **{field: "" if value == "-" else value})


def _delta(text: str) -> Delta:
    """``absolute 1.0 /7d``, ``percent +100 /7d`` (only rises), ``rate 5 d /7d``, ``rcv 2.0 4.5 /90d``, ``… hold``."""
    words = text.split()
    hold = "hold" if words[-1] == "hold" else "pass"
    window = int(_span(next(w for w in words if w.startswith("/"))[1:]).total_seconds() // 3600)
    if words[0] == "rcv":
        return Delta("rcv", cva=Decimal(words[1]), cvi=Decimal(words[2]), window_h=window, not_evaluable=hold)
    up = Decimal(words[1])
    down = None if words[1].startswith("+") else up
    per = words[2] if words[0] in ("rate", "percent_rate") else "d"
    return Delta(words[0], up, down, per, window_h=window, not_evaluable=hold)


def _element(text: str) -> Element:
    item, way, limit, change = text.split()
    return Element(item, way == "up", Decimal(limit), Decimal(change))


def _span(text: str) -> timedelta:
    total = timedelta()
    for number, unit in re.findall(r"([0-9.]+)([dhms])", text):
        total += float(number) * UNITS[unit]
    return -total if text.startswith("-") else total


def _limits(text: str | None) -> tuple[Decimal | None, Decimal | None]:
    low, _, high = (text or "-").partition("-")
    return _number(low), _number(high)


def _number(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None


def _decimals(raw: dict[str, str]) -> dict[str, Decimal]:
    return {k: Decimal(v) for k, v in raw.items()}
