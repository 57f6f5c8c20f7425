"""What kind of life an agent leads (tests/support/crash/life.py): some bugs only show where sessions are long or disks are worn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Chances are for one step or one session."""

    cut: float = 0.012  # the power goes
    spoil: float = 0.5  # that cut destroys the file's head, too
    connect: float = 0.02  # the broker is there (again)
    comments: float = 0.3  # a session has a comment
    comment: int = 300  # of so many characters: above 240 it goes in intermediate frames
    wear: bool = False  # such a cut also destroys the newest message, where the cloud has it: only its number can be lost


ORDINARY = Plan()
LONG = Plan(cut=0.04, spoil=0.0, comments=0.9, comment=2_000)
WORN = Plan(cut=0.02, spoil=1.0, connect=0.2, wear=True)
PLANS = {"ordinary": ORDINARY, "long sessions": LONG, "worn disk": WORN}

__all__ = ["LONG", "ORDINARY", "PLANS", "WORN", "Plan"]
