"""What expressions that are true ask for besides holding (M08, Rule.action): a comment on the report, a rerun of their items, an item
that is added. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from cloud.modules.autoverify.case import Action, Case
from cloud.modules.autoverify.decision import Ready, environment


@dataclass(frozen=True, slots=True)
class Told:
    """An expression that is true: its code, its action, its words, and the items it names in the report's order (none: the first)."""

    code: str
    action: Action
    text: str
    items: tuple[str, ...]
    add: str = ""


def acted(case: Case, ready: Ready) -> list[Told]:
    """All that act on this report. What cannot be judged says nothing here; where it holds, ``decide`` says why."""
    if not ready.acting:
        return []
    items = {item.code: item for item in case.items if item.present}
    env = environment(case, items)
    out = []
    for rule, program in ready.acting:
        if program.references <= items.keys() and program.evaluate(env) is True:
            named = tuple(code for code in items if code in program.references) or tuple(items)[:1]
            out.append(Told(rule.code, Action(rule.action), rule.message, named, rule.add))
    return out


__all__ = ["Told", "acted"]
