"""Forms and sheets of master data made from the descriptions of its kinds: texts to values and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.catalog import service as catalog
from cloud.modules.changes import service
from cloud.web import sheet
from common.errors import UserError
from common.say import say, word

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
            except (ValueError, ArithmeticError) as error:
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
    step = {"pct": str(Decimal(size[:-1]))} if size.endswith("%") else {"abs": str(Decimal(size))}
    return {"to": str(Decimal(limit.lstrip("≤"))), **step} if limit else step


def _read_branch(line: str) -> dict[str, str]:
    condition, arrow, rest = line.rpartition("=>")
    if not arrow:
        raise ValueError("每个分支一行：条件 => 文字 | 提示，默认分支的条件写 *。")
    text, _, flag = rest.partition("|")
    branch = {"text": text.strip(), "flag": flag.strip()}
    return branch if condition.strip() in ("*", "其他") else {"when": condition.strip(), **branch}


# --- Excel ---------------------------------------------------------------------------------------------------------


def template(kind: catalog.Kind, known: md.Catalog) -> bytes:
    """The sheet to fill in: one head, no rows; what each column may hold stands on the second sheet."""
    notes = [f"{kind.title}：一行一条，第一行的列名不要改；必填列以 * 结尾。整份文件要么全部导入，要么一行也不导入。"]
    for each in kind.fields:
        options = "，只能是：" + "、".join(label for _, label in each.choices) if each.choices else ""
        notes.append(f"{each.label}{'（必填）' if each.required else ''}{options}{'，' + each.hint if each.hint else ''}")
    return sheet.write(kind.title, [_head(each) for each in kind.fields], [], notes)


def export(kind: catalog.Kind, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows of a kind as a sheet of the same form as the template."""
    return sheet.write(kind.title, [_head(f) for f in kind.fields], ([text_of(f, row.get(f.name)) for f in kind.fields] for row in rows))


def _head(each: catalog.Field) -> str:
    return f"{each.label}*" if each.required else each.label


def read_sheet(uow: UnitOfWork, kind: catalog.Kind, data: bytes) -> tuple[Rows, list[tuple[int, str]]]:
    """The rows of an uploaded sheet and everything wrong with them as (line of the sheet, sentence); nothing is written."""
    lines = sheet.read(data)
    if not lines:
        raise UserError("invalid", "文件是空的，请用下载的模板填写。", field="file")
    by_head = {_head(each): each for each in kind.fields} | {each.label: each for each in kind.fields}
    head = [by_head.get(word) for word in lines[0]]
    unknown = [word for word, each in zip(lines[0], head, strict=True) if each is None and word]
    if unknown or not any(head):
        raise UserError(
            "invalid",
            say("第一行有不认识的列：{unknown}。请用{kind}的模板。", unknown=tuple(unknown) or say("（空）"), kind=word(kind.title)),
            field="file",
        )
    known, wrong, rows, numbers = md.catalog(uow), [], [], []
    for number, line in enumerate(lines[1:], 2):
        if not any(line):
            continue
        given = {each.name: line[i] for i, each in enumerate(head) if each is not None and i < len(line)}
        values, problems = values_of(kind, given, known)
        wrong += [(number, each.message) for each in problems]
        rows.append((None, values))
        numbers.append((number, bool(problems)))
    readable: Rows = [row for row, (_, bad) in zip(rows, numbers, strict=True) if not bad]
    lines_of = [number for number, bad in numbers if not bad]
    wrong += [(lines_of[n - 1], message) for n, message in service.check(uow, kind.code, readable)]
    return list(rows), sorted(wrong)


def import_sheet(uow: UnitOfWork, kind: catalog.Kind, data: bytes, reason: str) -> int:
    """All rows of a sheet as one change, or nothing at all and every error by line."""
    rows, wrong = read_sheet(uow, kind, data)
    if wrong:
        raise UserError("invalid", say("没有导入任何一行：{n} 处错误。", n=len(wrong)), problems=wrong)
    return service.propose(uow, kind.code, rows, reason)
