"""What of a critical value stays shut (M01 R8): a sensitive item's name, value, limit, read-backs, until a role or a reason opens it.

Only the showing changes. Clocks, calls and states of such a value are everybody's whose work it is; to tell it, one must open it first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.critical.models import CriticalAttempt, CriticalEvent
from cloud.modules.platform import glass
from cloud.web.principal import Principal
from common.errors import UserError
from common.say import say

if TYPE_CHECKING:
    from cloud.modules.critical.queries import Line

HIDDEN = "＊＊＊"


class _Veiled:
    """A row with some of its words taken out; whatever is not named here is the row's own."""

    def __init__(self, row: CriticalEvent | CriticalAttempt, **shut: Any) -> None:
        self._row, self._shut = row, shut

    def __getattr__(self, name: str) -> Any:
        shut = self._shut
        return shut[name] if name in shut else getattr(self._row, name)


def is_sensitive(uow: UnitOfWork, event: CriticalEvent) -> bool:
    """Whether the master data mark the item as sensitive."""
    item = md.catalog(uow).items.get(event.item_id or 0)
    return item is not None and item.sensitive


def open_to(uow: UnitOfWork, who: Principal, lines: Iterable[Line]) -> list[Line]:
    """The lines as this person may see them."""
    found = list(lines)
    shut = glass.shut_patients(uow, who, [line.event.patient_id for line in found if is_sensitive(uow, line.event)])
    return [_veiled(line) if line.event.patient_id in shut and is_sensitive(uow, line.event) else line for line in found]


def require_open(line: Line) -> None:
    """A value is told, repeated or dismissed only by who may see it."""
    if line.shut:
        raise UserError("forbidden", say("这是敏感项目的危急值，请先说明原因并查看，再登记。"))


def _veiled(line: Line) -> Line:
    kept = line.event.readback and HIDDEN
    event = _Veiled(
        line.event, item_name=HIDDEN, value_text=HIDDEN, value=None, unit="", limit_text=HIDDEN, direction="", reruns=[], readback=kept
    )
    attempts = [cast(CriticalAttempt, _Veiled(a, readback=a.readback and HIDDEN, note="")) for a in line.attempts]
    stands = None if line.stands is None else say("结果已更正或召回。")
    return replace(line, event=cast(CriticalEvent, event), attempts=attempts, stands=stands, now="", shut=True)
