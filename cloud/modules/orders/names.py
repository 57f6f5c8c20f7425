"""Names as people search for them: pinyin without tones, and initials (拼音码). Pure."""

from __future__ import annotations

from functools import lru_cache

from pypinyin import Style, lazy_pinyin


@lru_cache(maxsize=4096)
def pinyin(name: str) -> str:
    """张三 → zhangsan; what has no pinyin stays as it is."""
    return "".join(lazy_pinyin(name)).replace(" ", "").casefold()


@lru_cache(maxsize=4096)
def initials(name: str) -> str:
    """张三 → zs."""
    return "".join(lazy_pinyin(name, style=Style.FIRST_LETTER)).replace(" ", "").casefold()
