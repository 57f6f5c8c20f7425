"""When an instrument says it measured."""

from __future__ import annotations

import functools
import re
from datetime import datetime, tzinfo

_TIME = re.compile(r"(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)[T ]*(\d\d):?(\d\d)(?::?(\d\d))?(?:\.\d+)?([+-]\d{4})?")


@functools.lru_cache(maxsize=512)  # a run's results carry one time
def run_time(time_text: str | None, zone: tzinfo) -> datetime | None:
    """An instrument's time text (YYYYMMDDhhmm[ss] with or without separators, HL7 offset) as an instant; None when it is none.

    Instruments send local wall time without a zone; ``zone`` is the laboratory's.
    """
    match = _TIME.fullmatch((time_text or "").strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, offset = match.groups()
    try:
        local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=zone)
        return datetime.strptime(f"{local:%Y%m%d%H%M%S}{offset}", "%Y%m%d%H%M%S%z") if offset else local
    except ValueError:
        return None
