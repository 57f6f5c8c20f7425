"""Chinese read aloud without tones, as pypinyin does it and from its files, but without its 55 MB in every process that writes a name.

The library makes objects of 47 000 phrases and 42 000 characters. Its two JSON files are sorted, so here they stay where they are, mapped,
and are searched. Readings are equal, character by character, to those of ``pypinyin.lazy_pinyin`` (``tests/cloud/test_pinyin.py``).
"""

from __future__ import annotations

import json
import mmap
import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path

_PHRASE = re.compile(rb'^"([^"]+)": \[\n(?=\[)', re.MULTILINE)
_CHARACTER = re.compile(rb'^"([0-9]+)": "([^",]+)', re.MULTILINE)
_CLOSED = b"\n]\n]"
_LONGEST = 16
"""Characters; the longest phrase has ten."""


class Sorted:
    """A JSON object of one key a line, in ascending order of ``order``, on disk."""

    def __init__(self, file: Path, line: re.Pattern[bytes]) -> None:
        with file.open("rb") as f:
            self._data = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        self._line = line

    def at_or_after(self, wanted: bytes) -> re.Match[bytes] | None:
        """The first entry whose key is not before ``wanted``; keys compare by length first where they are numbers, else as bytes."""
        low, high = 0, len(self._data)
        while low < high:
            middle = (low + high) // 2
            found = self._line.search(self._data, middle)
            if found is None or found.start() >= high or not _before(found[1], wanted):
                high = middle
            else:
                low = found.end()
        return self._line.search(self._data, low)

    def rest(self, found: re.Match[bytes]) -> bytes:
        """What stands behind an entry's opening bracket, the closing one included."""
        return self._data[found.end() : self._data.find(_CLOSED, found.end()) + len(_CLOSED)]


def _before(key: bytes, wanted: bytes) -> bool:
    return (len(key), key) < (len(wanted), wanted) if wanted.isdigit() else key < wanted


@cache
def _files() -> tuple[Sorted, Sorted]:
    spec = find_spec("pypinyin")
    assert spec is not None and spec.origin is not None, "pypinyin is installed with us"
    folder = Path(spec.origin).parent
    return Sorted(folder / "phrases_dict.json", _PHRASE), Sorted(folder / "pinyin_dict.json", _CHARACTER)


def syllables(text: str) -> list[str]:
    """张三 → ["zhang", "san"]; what has no reading stays as it is, each run of it as one piece."""
    out: list[str] = []
    for run, read in _runs(text):
        out += _read(run) if read else [run]
    return out


def first_letters(text: str) -> list[str]:
    """张三 → ["z", "s"]; what has no reading stays as it is."""
    return [part for run, read in _runs(text) for part in ([each[0] for each in _read(run)] if read else [run])]


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces that have readings or have not."""
    start = 0
    for at in range(1, len(text) + 1):
        known = _character(text[start]) is not None
        if at == len(text) or (_character(text[at]) is not None) != known:
            yield text[start:at], known
            start = at


def _read(run: str) -> Iterator[str]:
    """Phrase by phrase from the left, always the longest; where what is left only begins a phrase, character by character."""
    while run:
        length, syllables = _phrase(run)
        if syllables:
            yield from syllables
            run = run[length:]
            continue
        alone = run if _begins(run) else run[0]
        yield from (_character(c) or c for c in alone)
        run = run[len(alone) :]


def _phrase(run: str) -> tuple[int, list[str]]:
    phrases = _files()[0]
    for length in range(min(len(run), _LONGEST), 1, -1):
        found = phrases.at_or_after(run[:length].encode())
        if found is not None and found[1].decode() == run[:length]:
            return length, [_plain(each[0]) for each in json.loads(b"[" + phrases.rest(found))]
    return 0, []


def _begins(run: str) -> bool:
    found = _files()[0].at_or_after(run.encode())
    return found is not None and found[1].decode().startswith(run)


@lru_cache(maxsize=4096)
def _character(c: str) -> str | None:
    code = str(ord(c)).encode()
    found = _files()[1].at_or_after(code)
    return _plain(found[2].decode()) if found is not None and found[1] == code else None


def _plain(syllable: str) -> str:
    """lǜ → lv: tones off, ü as it is typed."""
    letters = unicodedata.normalize("NFD", syllable)
    return "".join(c for c in letters.replace("u\u0308", "v").replace("e\u0302", "ê") if not unicodedata.combining(c))
