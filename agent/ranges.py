"""Sets of sequence numbers kept as ranges. Pure; used for what is pending, which may be 600 000 numbers in a few ranges."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class Ranges:
    """A set of integers stored as disjoint, ordered, closed ranges."""

    __slots__ = ("_ends", "_starts", "count")

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.count = 0
        for number in numbers:
            self.add(number)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def __bool__(self) -> bool:
        return bool(self._starts)

    @property
    def first(self) -> int | None:
        """The smallest member."""
        return self._starts[0] if self._starts else None

    @property
    def last(self) -> int | None:
        """The largest member."""
        return self._ends[-1] if self._ends else None

    def add(self, number: int) -> None:
        """Put a number in; cheap at the end, where new ones come."""
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, number) - 1
        if at >= 0 and number <= ends[at]:
            return
        self.count += 1
        left = at >= 0 and ends[at] == number - 1
        right = at + 1 < len(starts) and starts[at + 1] == number + 1
        if left and right:
            ends[at] = ends[at + 1]
            del starts[at + 1], ends[at + 1]
        elif left:
            ends[at] = number
        elif right:
            starts[at + 1] = number
        else:
            starts.insert(at + 1, number)
            ends.insert(at + 1, number)

    def remove(self, number: int) -> None:
        """Take a number out, if it is in."""
        starts, ends = self._starts, self._ends
        at = bisect_right(starts, number) - 1
        if at < 0 or number > ends[at]:
            return
        self.count -= 1
        start, end = starts[at], ends[at]
        if start == end:
            del starts[at], ends[at]
        elif number == start:
            starts[at] = number + 1
        elif number == end:
            ends[at] = number - 1
        else:
            ends[at] = number - 1
            starts.insert(at + 1, number + 1)
            ends.insert(at + 1, end)

    def pairs(self, limit: int | None = None) -> list[list[int]]:
        """The ranges as [first, last]. With a limit the last one may cover more than the set: never less."""
        found = [[start, end] for start, end in zip(self._starts, self._ends, strict=True)]
        if limit is not None and len(found) > limit:
            found = [*found[: limit - 1], [found[limit - 1][0], found[-1][1]]]
        return found
