"""The faces everything is printed with, which characters they draw, and how wide a text is in them.

Only reads font files. Debian's ``fonts-noto-cjk`` is what the product asks for; a page is never set in another face in silence, because
a missing face or glyph would be replaced without a word (a box where a name should be). Errors are UserErrors that name what to do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import uharfbuzz as hb

from cloud.reports.text import SMALL_SIGNS
from common.errors import UserError
from common.say import say

SANS = "Noto Sans CJK SC"

# Only one family, for memory: each face a page uses keeps its 20 MB file in the worker.
_FILES = {False: "NotoSansCJK-Regular.ttc", True: "NotoSansCJK-Bold.ttc"}
_PLACES = (
    "/usr/share/fonts/opentype/noto",
    "/usr/share/fonts/noto-cjk",
    "/usr/share/fonts/noto",
    "/usr/share/fonts/google-noto-cjk",
    "/usr/share/fonts/google-noto-sans-cjk-fonts",
    "/usr/local/share/fonts",
)
# Drawn by nobody: joiners and selectors say how neighbours are drawn.
_UNDRAWN = {0x200C, 0x200D, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}

_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True)
class FontSet:
    """The two files of one folder. Coverage is what both draw, so that a character may be set in either weight."""

    folder: Path

    @cached_property
    def _faces(self) -> dict[bool, hb.Face]:
        return {bold: _face(self.folder / name) for bold, name in _FILES.items()}

    @cached_property
    def _coverage(self) -> set[int]:
        return set(self._faces[False].unicodes) & set(self._faces[True].unicodes)

    @cached_property
    def _sequences(self) -> set[tuple[int, int]]:
        face = self._faces[False]
        return {(base, selector) for selector in face.variation_selectors for base in face.variation_unicodes(selector)}

    @cached_property
    def _widths(self) -> dict[bool, dict[str, float]]:
        return {False: {}, True: {}}

    @cached_property
    def _drawn(self) -> set[str]:
        return {chr(code) for code in self._coverage} | {"\n"}

    @cached_property
    def _fonts(self) -> dict[bool, hb.Font]:
        return {bold: hb.Font(self._faces[bold]) for bold in (False, True)}

    def missing(self, texts: Iterable[str]) -> list[str]:
        """The characters of the texts that would not be drawn, each once, in order of appearance."""
        together = "".join(texts)
        if self._drawn.issuperset(together):
            return []
        unknown = [char for char in dict.fromkeys(together) if char not in self._drawn]
        return [char for char in unknown if ord(char) not in _UNDRAWN and not SMALL_SIGNS.match(char)]

    def missing_variants(self, texts: Iterable[str]) -> list[str]:
        """Characters followed by a selector that asks for a shape the face does not have (IVS of rare names)."""
        found: dict[str, None] = {}
        for text in (text for text in texts if _SELECTOR.search(text)):
            for base, selector in zip(text, text[1:], strict=False):
                if _SELECTOR.match(selector) and (ord(base), ord(selector)) not in self._sequences:
                    found[base + selector] = None
        return list(found)

    def require(self, texts: Iterable[str]) -> None:
        """Stop the print when a character cannot be drawn, naming it (spec C10). Raises UserError."""
        listed = list(texts)
        missing = self.missing(listed) + self.missing_variants(listed)
        if missing:
            named = "、".join(f"“{char}”（{' '.join(f'U+{ord(part):04X}' for part in char)}）" for char in missing)
            raise UserError(
                "glyph_missing",
                say(
                    "字体 {font} 中没有字符 {named}，为避免打印成空框已停止打印。请改用字体已有的字，或请信息科安装含该字的字体后重试。",
                    font=SANS,
                    named=named,
                ),
                characters=missing,
            )

    def width(self, text: str, bold: bool = False) -> float:
        """The width of a text in em; kerning is left out, so it is a close estimate and not a measure."""
        known = self._widths[bold]
        try:
            return sum([known[char] for char in text])
        except KeyError:
            known.update({char: self._advance(char, bold) for char in text})
            return sum([known[char] for char in text])

    def _advance(self, char: str, bold: bool) -> float:
        font = self._fonts[bold]
        glyph = font.get_nominal_glyph(ord(char))
        return float(font.get_glyph_h_advance(glyph)) / self._faces[bold].upem if glyph else 1.0


def find_fonts(places: Iterable[str | os.PathLike[str]] = ()) -> FontSet:
    """The first folder that holds both files: the given places first, then those of the usual systems. Raises UserError."""
    for place in [*places, *_PLACES]:
        folder = Path(place)
        if all((folder / name).is_file() for name in _FILES.values()):
            return FontSet(folder)
    raise UserError(
        "fonts_missing",
        "找不到打印用的中文字体。请安装 Debian 软件包 fonts-noto-cjk（apt-get install fonts-noto-cjk），然后重新启动打印服务。",
        files=sorted(_FILES.values()),
    )


@cache
def default_fonts() -> FontSet:
    """The fonts of this machine, looked for once."""
    return find_fonts()


def _face(path: Path) -> hb.Face:
    blob = hb.Blob.from_file_path(str(path))
    for index in range(hb.Face(blob).count):
        face = hb.Face(blob, index)
        if face.get_name(hb.OTNameIdPredefined.FONT_FAMILY) == SANS:
            return face
    raise UserError(
        "fonts_missing", say("字体文件 {file} 中没有 {font}，请重新安装软件包 fonts-noto-cjk。", file=path.name, font=SANS), file=path.name
    )
