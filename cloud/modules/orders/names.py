"""Names as people search for them: pinyin without tones, and initials (拼音码)."""

from __future__ import annotations

from functools import lru_cache

from cloud.pinyin import first_letters, syllables


@lru_cache(maxsize=4096)
def pinyin(name: str) -> str:
    """张三 → zhangsan; what has no pinyin stays as it is."""
    return "".join(syllables(name)).replace(" ", "").casefold()


@lru_cache(maxsize=4096)
def initials(name: str) -> str:
    """张三 → zs."""
    return "".join(first_letters(name)).replace(" ", "").casefold()
