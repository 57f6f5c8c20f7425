"""Names as people search for them: pinyin without tones, and initials (拼音码). Pure.

The dictionary costs some 55 MB, so a process that never writes a patient's name (the intake, the worker) does not load it.
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def pinyin(name: str) -> str:
    """张三 → zhangsan; what has no pinyin stays as it is."""
    from pypinyin import lazy_pinyin

    return "".join(lazy_pinyin(name)).replace(" ", "").casefold()


@lru_cache(maxsize=4096)
def initials(name: str) -> str:
    """张三 → zs."""
    from pypinyin import Style, lazy_pinyin

    return "".join(lazy_pinyin(name, style=Style.FIRST_LETTER)).replace(" ", "").casefold()
