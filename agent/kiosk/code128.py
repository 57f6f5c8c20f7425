"""Code 128 (ISO/IEC 15417) as modules, for tickets drawn without a printer's own bar code command. Code sets B and C only."""

from __future__ import annotations

# Bar and space widths of the values 0–105, then stop; the table of the standard.
_TABLE = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 113222 123122 123221 "
    "223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 212123 212321 232121 111323 131123 131321 "
    "112313 132113 132311 211313 231113 231311 112133 112331 132131 113123 113321 133121 313121 211331 231131 213113 213311 213131 "
    "311123 311321 331121 312113 312311 332111 314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114 "
    "122411 142112 142211 241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 "
    "214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 211232 2331112"
)
_WIDTHS = tuple(_TABLE.split())
_START_B, _START_C, _TO_C, _TO_B, _STOP = 104, 105, 99, 100, 106


def modules(text: str) -> list[bool]:
    """Dark and light modules of a text of printable ASCII, without quiet zones. Raises ValueError for anything else."""
    if not text or not all(" " <= char <= "~" for char in text):
        raise ValueError(f"not printable ASCII: {text!r}")
    values = _values(text)
    check = (values[0] + sum(place * value for place, value in enumerate(values[1:], start=1))) % 103
    out: list[bool] = []
    for value in (*values, check, _STOP):
        for place, width in enumerate(_WIDTHS[value]):
            out += [place % 2 == 0] * int(width)
    return out


def _values(text: str) -> list[int]:
    values: list[int] = []
    in_c, at = False, 0
    while at < len(text):
        run = _digits(text, at)
        # Pairs of digits take one sign in set C; changing over pays from four digits on.
        if not in_c and run >= 4:
            if run % 2:
                values += [_START_B] if not values else []
                values.append(ord(text[at]) - 32)
                at += 1
            values.append(_TO_C if values else _START_C)
            in_c = True
        elif in_c and run < 2:
            values.append(_TO_B)
            in_c = False
        elif in_c:
            values.append(int(text[at : at + 2]))
            at += 2
        else:
            values += [_START_B] if not values else []
            values.append(ord(text[at]) - 32)
            at += 1
    return values


def _digits(text: str, at: int) -> int:
    end = at
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return end - at
