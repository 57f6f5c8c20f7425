"""Every kind of master data under change control, described once: its fields, its checks, its words.

Forms, Excel templates, imports, differences and validation are all made of these descriptions. Values travel as plain JSON: numbers as
text, references as the other row's code, so that a proposal can be read without the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from cloud.modules.catalog.queries import Catalog
from common.say import say, word
from common.values import number

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One column. ``type``: text, long, code, int, decimal, date, bool, choice, list, json, or one of ``REFERENCES``."""

    name: str
    label: str
    type: str = "text"
    required: bool = False
    choices: tuple[tuple[str, str], ...] = ()
    hint: str = ""
    default: Any = None


REFERENCES: Mapping[str, tuple[str, str, str]] = {
    # type → (attribute of the catalog, column of the table, word)
    "item": ("items", "item_id", "检验项目"),
    "section": ("sections", "section_id", "专业组"),
    "specimen": ("specimen_types", "specimen_type_id", "标本类型"),
    "container": ("containers", "container_id", "容器"),
    "analyzer": ("analyzers", "analyzer_id", "仪器"),
    "breakpoint_set": ("breakpoint_sets", "set_id", "折点版本"),
}

_INT = re.compile(r"-?\d{1,8}")  # of a size that the column holds
Check = Callable[[Catalog, int | None, Values, Sequence[Values]], list[str]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row: its table, fields and checks. ``key``: fields that name a row; ``group``: ``av`` is the technical lead's too."""

    code: str
    title: str
    table: type[Any]
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    check: Check
    group: str = "master"

    def field(self, name: str) -> Field | None:
        """A field by name."""
        return next((each for each in self.fields if each.name == name), None)


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing wrong with given values: the field (label for people) and what to do."""

    field: str
    message: str


def parse(kind: Kind, given: Mapping[str, Any], known: Catalog) -> tuple[dict[str, Any], list[Wrong]]:
    """Texts of a form or a sheet as plain values; every field that cannot be read is named."""
    values: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for each in kind.fields:
        raw = given.get(each.name)
        text = "" if raw is None else str(raw).strip()
        if not text:
            if each.required:
                wrong.append(Wrong(each.label, say("{label}没有填写。", label=word(each.label))))
            values[each.name] = each.default if each.default is not None or each.type not in ("text", "long", "code") else ""
            continue
        try:
            values[each.name] = _read(each, text, known, raw)
        except ValueError as error:
            wrong.append(Wrong(each.label, error.args[0]))
    return values, wrong


def _read(each: Field, text: str, known: Catalog, raw: Any) -> Any:
    if each.type in ("list", "json") and not isinstance(raw, str):
        return raw
    if each.type == "int":
        if not _INT.fullmatch(text):
            raise ValueError(say("{label}“{text}”不是整数。", label=word(each.label), text=text))
        return int(text)
    if each.type == "decimal":
        return _decimal(each, text)
    if each.type == "date":
        return _date(each, text)
    if each.type == "bool":
        return _bool(each, text)
    if each.type == "choice":
        return _choice(each, text)
    if each.type == "list":
        return [part.strip() for part in text.replace("，", ",").replace("、", ",").split(",") if part.strip()]
    if each.type in REFERENCES:
        attribute, _, what = REFERENCES[each.type]
        found = next((row for row in getattr(known, attribute).values() if text in (row.code, row.name)), None)
        if found is None:
            raise ValueError(say("没有编码为“{text}”的{what}。", text=text, what=word(what)))
        return found.code
    return text


def _decimal(each: Field, text: str) -> str:
    found = number(text)
    if found is None:
        raise ValueError(say("{label}“{text}”不是数值。", label=word(each.label), text=text))
    return f"{found:f}"


def _date(each: Field, text: str) -> str:
    try:
        return date.fromisoformat(text[:10].replace("/", "-")).isoformat()
    except ValueError:
        raise ValueError(say("{label}“{text}”不是日期，请写成 2026-01-31。", label=word(each.label), text=text)) from None


def _bool(each: Field, text: str) -> bool:
    if text.casefold() in ("1", "true", "是", "y", "yes", "on"):
        return True
    if text.casefold() in ("0", "false", "否", "n", "no"):
        return False
    raise ValueError(say("{label}“{text}”请写“是”或“否”。", label=word(each.label), text=text))


def _choice(each: Field, text: str) -> str:
    for value, label in each.choices:
        if text in (value, label):
            return value
    raise ValueError(
        say("{label}“{text}”只能是：{names}。", label=word(each.label), text=text, names=tuple(word(label) for _, label in each.choices))
    )


def problems(kind: Kind, known: Catalog, target: int | None, values: Values, batch: Sequence[Values] = ()) -> list[str]:
    """What is wrong with readable values, in sentences; ``batch``: other rows of the same proposal, ``target``: the row they replace."""
    return kind.check(known, target, values, batch)


_BY_ITEM = {"ri": "intervals", "critical": "criticals", "av_range": "av_ranges", "hil": "hil_limits"}


def without(known: Catalog, kind: str, ids: Collection[int]) -> Catalog:
    """The catalog without rows that change in the same proposal: a row is looked at beside what they become, not what they were."""
    attribute = _BY_ITEM.get(kind)
    if attribute is None or not ids:
        return known
    rows = {item: tuple(r for r in found if r.id not in ids) for item, found in getattr(known, attribute).items()}
    changed: dict[str, Any] = {attribute: rows}
    return replace(known, **changed)


def columns(kind: Kind, values: Values, known: Catalog) -> dict[str, Any]:
    """The plain values as columns of the table (references as ids, numbers as Decimal)."""
    out: dict[str, Any] = {}
    for each in kind.fields:
        if each.name not in values or each.name in ("members",):
            continue
        value = values[each.name]
        if each.type in REFERENCES:
            attribute, _, _ = REFERENCES[each.type]
            found = None if not value else next(row for row in getattr(known, attribute).values() if row.code == value)
            out[_column(each)] = None if found is None else found.id
        elif each.type == "decimal":
            out[each.name] = None if value in (None, "") else Decimal(str(value))
        elif each.type == "date":
            out[each.name] = None if not value else date.fromisoformat(str(value))
        elif value is None and each.default is not None:
            out[each.name] = each.default
        else:
            out[each.name] = value
    return out


def _column(each: Field) -> str:
    return each.name if each.name.endswith("_id") else REFERENCES[each.type][1]


def plain(kind: Kind, row: Any, known: Catalog) -> dict[str, Any]:
    """A row of the table as plain values: what ``columns`` takes back."""
    out: dict[str, Any] = {}
    for each in kind.fields:
        if each.name == "members":
            out["members"] = [item.code for item in known.items_of(row.id)]
            continue
        if each.type in REFERENCES:
            attribute, _, _ = REFERENCES[each.type]
            number = getattr(row, _column(each))
            out[each.name] = None if number is None else getattr(known, attribute)[number].code
        else:
            value = getattr(row, each.name)
            out[each.name] = f"{value:f}" if isinstance(value, Decimal) else value.isoformat() if isinstance(value, date) else value
    return out


def shown(each: Field, value: Any, known: Catalog) -> str:
    """A plain value in words, for differences and lists."""
    if value is None or value == "" or value == [] or value == {}:
        return "—"
    if each.type == "bool":
        return "是" if value else "否"
    if each.type == "choice":
        return dict(each.choices).get(value, str(value))
    if each.type in REFERENCES:
        attribute, _, _ = REFERENCES[each.type]
        found = next((row for row in getattr(known, attribute).values() if row.code == value), None)
        return str(value) if found is None else f"{found.name}（{value}）" if found.name != value else str(value)
    if each.name == "branches":
        return "；".join(f"{b.get('when') or '其他'} → {b.get('text', '')}{' ' + b['flag'] if b.get('flag') else ''}" for b in value)
    if each.name == "tea":
        return "；".join(_step(s) for s in value.get("steps", ()))
    if isinstance(value, dict):
        return "，".join(f"{k} {v}" for k, v in value.items())
    return "、".join(map(str, value)) if isinstance(value, list) else str(value)


def _step(step: Mapping[str, Any]) -> str:
    size = str(step["abs"]) if "abs" in step else f"{step['pct']} %"
    return f"≤{step['to']}：{size}" if "to" in step else size


def name_of(kind: Kind, values: Values, known: Catalog) -> str:
    """How people call a row: its key fields in words, ages as one says them."""
    named = [key for key in kind.key if key not in ("age_low", "age_high")]
    parts = [shown(each, values.get(each.name), known) for key in named if (each := kind.field(key)) is not None]
    parts.append(_ages(kind, values))
    return " ".join(part for part in parts if part not in ("", "—")) or kind.title


def _ages(kind: Kind, values: Values) -> str:
    """18–<60岁, ≥18岁, <60岁, as the rows are described; nothing where all ages are meant."""
    field, low, high = kind.field("age_unit"), values.get("age_low"), values.get("age_high")
    if field is None or low is None and high is None:
        return ""
    unit = dict(field.choices).get(values.get("age_unit") or field.default, "")
    if high is None:
        return f"≥{low}{unit}"
    return f"{low}–<{high}{unit}" if low else f"<{high}{unit}"
