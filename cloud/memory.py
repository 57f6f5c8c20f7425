"""How a process of ours keeps its memory: few arenas, and what its start needed goes back. glibc only; elsewhere nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


def few_arenas() -> None:
    """Two arenas instead of eight a core: our threads mostly wait, and each arena keeps what its busiest moment took."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(_ARENA_MAX, 2)


def settle() -> None:
    """What importing needed and nobody needs any more goes back to the system; what stays is never walked by the collector again, so that
    forked workers go on sharing it."""
    gc.collect()
    gc.freeze()
    give_back()


def give_back() -> None:
    """What is free inside our arenas goes back to the system: after a busy moment a tenth of the worker's memory."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def seldom_collect() -> None:
    """For a process that makes and drops many thousand objects a batch: they go by their counts; the collector only walks over them."""
    gc.set_threshold(100_000, 20, 50)
