"""Whether a tube that is here may serve another request (M03 R6). Pure; hours since collection, volumes in ml."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

from cloud.modules.specimens.rules import STATE_WORDS, State
from common.say import say, word

MAY_ADD = frozenset((State.RECEIVED, State.CENTRIFUGED, State.ALIQUOTED, State.CONDITIONAL, State.ON_ANALYZER))
"""States in which nothing was told yet of the tube; afterwards a new tube is drawn."""


def add_on_problem(state: State, hours: Decimal | None, stability_h: int | None, left_ml: Decimal, need_ml: Decimal) -> str | None:
    """The first reason against it, with its figures (AC-OR-3), or None. What is not known holds."""
    if state not in MAY_ADD:
        return say("标本{state}", state=word(STATE_WORDS[state]))
    if hours is None:
        return "没有采集时间"
    if stability_h is None:
        return "项目没有设置稳定时间"
    if hours > stability_h:
        # Rounded up: what is over by a minute must not read as "8h>8h".
        return f"STABILITY {hours.quantize(Decimal('0.1'), ROUND_CEILING).normalize():f}h>{stability_h}h"
    if left_ml < need_ml:
        return f"VOLUME {max(left_ml, Decimal(0)):f}<{need_ml:f} ml"
    return None
