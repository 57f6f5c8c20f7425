"""Forms and sheets of master data made from the descriptions of its kinds: texts to values and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import service
from cloud.web import sheet
from common.errors import UserError
from common.say import say, word
from common.values import number as number_of

Rows = list[tuple[int | None, dict[str, Any] | None]]


def text_of(each: catalog.Field, value: Any) -> str:
    """A value as it is typed into a form or a sheet."""
    if value is None:
        return ""
    if each.name == "tea":
        return "\n".join(_step(step) for step in value.get("steps", ()))
    if each.name == "branches":
        return "\n".join(f"{b.get('when') or '*'} => {b['text']}{' | ' + b['flag'] if b.get('flag') else ''}" for b in value)
    if each.name == "units":
        return "\n".join(f"{code}: {unit}" for code, unit in value.items())
    if each.type == "list":
        return ",".join(map(str, value))
    if each.type == "bool":
        return "是" if value else "否"
    if each.type == "choice":
        return dict(each.choices).get(value, str(value))
    return str(value)


def _step(step: Mapping[str, Any]) -> str:
    size = str(step["abs"]) if "abs" in step else f"{step['pct']}%"
    return f"≤{step['to']}: {size}" if "to" in step else size


def values_of(kind: catalog.Kind, given: Mapping[str, Any], known: md.Catalog) -> tuple[dict[str, Any], list[catalog.Wrong]]:
    """Typed texts as plain values; what cannot be read is named by its field."""
    texts: dict[str, Any] = dict(given)
    wrong: list[catalog.Wrong] = []
    for each in kind.fields:
        if each.type == "json" and isinstance(texts.get(each.name), str):
            try:
                texts[each.name] = _structured(each.name, texts[each.name])
            except ValueError as error:
                wrong.append(
                    catalog.Wrong(
                        each.label, say("{label}写不对：{error}", label=word(each.label), error=error.args[0] if error.args else error)
                    )
                )
                texts[each.name] = None
    values, more = catalog.parse(kind, texts, known)
    if kind.code == "item" and values.get("dilutions"):
        values["dilutions"] = [str(each) for each in values["dilutions"]]
    return values, wrong + more


def _structured(name: str, text: str) -> Any:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if name == "tea":
        return {"steps": [_read_step(line) for line in lines]} if lines else {}
    if name == "branches":
        return [_read_branch(line) for line in lines]
    if name == "units":
        pairs = [line.replace("：", ":").rpartition(":") for line in lines]
        return {code.strip(): unit.strip() for code, _, unit in pairs}
    return json.loads(text or "{}")


def _read_step(line: str) -> dict[str, str]:
    plain = line.replace("：", ":").replace("％", "%").replace("<=", "≤").replace(" ", "")
    limit, _, size = plain.rpartition(":")
    step = {"pct": _number(size[:-1])} if size.endswith("%") else {"abs": _number(size)}
    return {"to": _number(limit.lstrip("≤")), **step} if limit else step


def _number(text: str) -> str:
    found = number_of(text)
    if found is None:
        raise ValueError(say("“{text}”不是数值。", text=text))
    return f"{found:f}"


BRANCH = "每个分支一行：条件 => 文字 | 提示，默认分支的条件写 *。"


def _read_branch(line: str) -> dict[str, str]:
    condition, arrow, rest = line.rpartition("=>")
    if not arrow:
        raise ValueError(BRANCH)
    text, _, flag = rest.partition("|")
    branch = {"text": text.strip(), "flag": flag.strip()}
    return branch if condition.strip() in ("*", "其他") else {"when": condition.strip(), **branch}


# --- Excel ---------------------------------------------------------------------------------------------------------


ROW = "行号"
"""The column that names the row a line changes; empty for a new one."""


def template(uow: UnitOfWork, kind: catalog.Kind, filled: bool = False) -> bytes:
    """The sheet to fill in: a head, then nothing or (``filled``) the rows there are; what a column may hold stands on the second sheet."""
    notes = [f"{kind.title}：一行一条，第一行的列名不要改；必填列以 * 结尾。整份文件要么全部导入，要么一行也不导入。"]
    notes.append(f"{ROW}：修改已有的一行时填写它的行号（在“现有数据”里已填好）；新增请留空。没有改动的行不会进入变更，删去的列保持原值。")
    for each in kind.fields:
        options = "，只能是：" + "、".join(label for _, label in each.choices) if each.choices else ""
        notes.append(f"{each.label}{'（必填）' if each.required else ''}{options}{'，' + each.hint if each.hint else ''}")
    lines = [[number, *(text_of(f, row.get(f.name)) for f in kind.fields)] for number, row in catalog.rows(uow, kind)] if filled else []
    return sheet.write(kind.title, [ROW, *(_head(each) for each in kind.fields)], lines, notes)


def export(kind: catalog.Kind, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows of a kind as a sheet of the same form as the template."""
    return sheet.write(kind.title, [_head(f) for f in kind.fields], ([text_of(f, row.get(f.name)) for f in kind.fields] for row in rows))


def _head(each: catalog.Field) -> str:
    return f"{each.label}*" if each.required else each.label


@dataclass(frozen=True, slots=True)
class Sheet:
    """What an uploaded sheet would do: rows to write, errors as (line of the sheet, sentence), how many lines are as they were."""

    rows: Rows
    wrong: list[tuple[int, str]]
    same: int = 0
    total: int = 0

    @property
    def new(self) -> int:
        """How many rows are added."""
        return sum(target is None for target, _ in self.rows)


def read_sheet(uow: UnitOfWork, kind: catalog.Kind, data: bytes) -> Sheet:
    """The rows of an uploaded sheet and everything wrong with them; nothing is written."""
    lines = sheet.read(data)
    if not lines:
        raise UserError("invalid", "文件是空的，请用下载的模板填写。", field="file")
    by_head = {_head(each): each for each in kind.fields} | {each.label: each for each in kind.fields}
    head = [by_head.get(word) for word in lines[0]]
    unknown = [word for word, each in zip(lines[0], head, strict=True) if each is None and word and word != ROW]
    if unknown or not any(head):
        raise UserError(
            "invalid",
            say("第一行有不认识的列：{unknown}。请用{kind}的模板。", unknown=tuple(unknown) or say("（空）"), kind=word(kind.title)),
            field="file",
        )
    at = lines[0].index(ROW) if ROW in lines[0] else None
    present, seen = dict(catalog.rows(uow, kind)) if at is not None else {}, set[int]()
    known, wrong, readable, lines_of = md.catalog(uow), list[tuple[int, str]](), Rows(), list[int]()
    same = total = 0
    for number, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        total += 1
        given = {each.name: line[i] for i, each in enumerate(head) if each is not None and i < len(line)}
        typed = line[at].strip() if at is not None and at < len(line) else ""
        target = int(typed) if typed.isascii() and typed.isdecimal() and len(typed) < 18 else None
        if typed and (target not in present or target in seen):
            twice, none = (
                say("行号 {row} 在本表中出现两次。", row=typed),
                say("{kind}没有第 {row} 行；新增请把行号留空。", kind=word(kind.title), row=typed),
            )
            wrong.append((number, twice if target in seen else none))
            continue
        was = {} if target is None else present[target]
        if target is not None:
            seen.add(target)
            if all(said.strip() == text_of(f, was.get(f.name)).strip() for f in kind.fields if (said := given.get(f.name)) is not None):
                same += 1  # as it is, whatever a new row would have to say more
                continue
        values, problems = values_of(kind, {f.name: text_of(f, was.get(f.name)) for f in kind.fields if was} | given, known)
        values |= {f.name: was[f.name] for f in kind.fields if was and f.name not in given}
        wrong += [(number, each.message) for each in problems]
        if target is not None and not problems and values == was:
            same += 1
        elif not problems:
            readable.append((target, values))
            lines_of.append(number)
    wrong += [(lines_of[n - 1], message) for n, message in service.check(uow, kind.code, readable)]
    return Sheet(readable, sorted(wrong), same, total)


def import_sheet(uow: UnitOfWork, kind: catalog.Kind, data: bytes, reason: str) -> int:
    """All rows of a sheet as one change, or nothing at all and every error by line."""
    found = read_sheet(uow, kind, data)
    if found.wrong:
        raise UserError("invalid", say("没有导入任何一行：{n} 处错误。", n=len(found.wrong)), problems=found.wrong)
    return service.propose(uow, kind.code, found.rows, reason)
