"""Identity codes of the laboratory: what is printed as a bar code, and what a scan of it is.

Every code of ours has the accession form of spec M05, site(1) + YYDDD(5) + sequence(5) + Luhn(1); tubes carry the bare twelve digits,
everything else a letter before them, so that a scan in the wrong field tells by itself what was scanned. Pure: no clock, no store.
A sequence is handed out by its owner and never twice; a number beyond its range is an error here, not a wrap-around.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

MAX_SEQUENCE = 99_999
TICKET_CLASSES = "EPAN"  # 急 优先 预约 普通 (M04)

_ACCESSION = re.compile(r"[0-9]{12}")
_TICKET_NUMBER_MAX = 9_999
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
# Scanners may put the AIM symbology identifier ("]C0", "]d2") before the data when somebody has configured them so.
_AIM = re.compile(r"^\][A-Za-z][0-9A-Za-z]")
_INVISIBLE = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF])


class CodeKind(StrEnum):
    """What a scanned code names."""

    TUBE = "tube"
    TICKET = "ticket"
    CARD = "card"
    REPORT = "report"
    BAG = "bag"
    BADGE = "badge"
    UNKNOWN = "unknown"


class CodeProblem(StrEnum):
    """Why a code of a recognised kind must be refused all the same."""

    CHECK_DIGIT = "check_digit"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Accession:
    """The parts of one accession number; ``year`` is the two-digit year printed on it."""

    site: int
    year: int
    day: int
    sequence: int


@dataclass(frozen=True, slots=True)
class PrefixRule:
    """A hospital's own codes: HIS-issued or pre-printed bar codes, patient cards (M05: accepted by prefix rule).

    ``length`` 0 means any length; ``luhn`` asks for a Luhn digit at the end. Rules are tried in the order given, before our own forms.
    """

    prefix: str
    kind: CodeKind
    length: int = 0
    luhn: bool = False

    def matches(self, code: str) -> bool:
        """Whether the prefix and the length fit; the check digit is judged afterwards, to be named when it is wrong."""
        return bool(self.prefix) and code.startswith(self.prefix.upper()) and self.length in (0, len(code))


@dataclass(frozen=True, slots=True)
class Scan:
    """One scan, normalised and recognised; ``problem`` is None for a code that may be looked up."""

    code: str
    kind: CodeKind
    problem: CodeProblem | None = None

    @property
    def ok(self) -> bool:
        """Whether the code is of a known kind and sound."""
        return self.kind is not CodeKind.UNKNOWN and self.problem is None


_LETTERS = {CodeKind.REPORT: "R", CodeKind.BAG: "B", CodeKind.BADGE: "U", CodeKind.CARD: "P"}
_KINDS = {letter: kind for kind, letter in _LETTERS.items()}


def luhn_digit(digits: str) -> int:
    """The Luhn check digit (ISO/IEC 7812-1 annex B) that belongs after ``digits``."""
    if not digits or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"digits expected, got {digits!r}")
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return -total % 10


def luhn_valid(digits: str) -> bool:
    """Whether the last digit is the Luhn digit of those before it."""
    return len(digits) > 1 and digits.isascii() and digits.isdigit() and luhn_digit(digits[:-1]) == int(digits[-1])


def accession_number(site: int, day: date, sequence: int) -> str:
    """The twelve digits of a tube (M05, AC-SP-1). Raises ValueError for a number outside its field: never reuse one, never wrap."""
    if not 0 <= site <= 9:
        raise ValueError(f"site {site} is not one digit")
    if not 1 <= sequence <= MAX_SEQUENCE:
        raise ValueError(f"sequence {sequence} is not in 1..{MAX_SEQUENCE}")
    body = f"{site}{day:%y%j}{sequence:05d}"
    return f"{body}{luhn_digit(body)}"


def parse_accession(code: str) -> Accession | None:
    """The parts of a twelve-digit code, or None when its form, its day or its check digit is wrong."""
    if not _ACCESSION.fullmatch(code) or not luhn_valid(code) or not _day_exists(code[1:6]):
        return None
    return Accession(int(code[0]), int(code[1:3]), int(code[3:6]), int(code[6:11]))


def report_number(site: int, day: date, sequence: int) -> str:
    """The unique number printed on each page of a report (M09 R3)."""
    return _LETTERS[CodeKind.REPORT] + accession_number(site, day, sequence)


def bag_code(site: int, day: date, sequence: int) -> str:
    """The code of a transport bag (打包条码, M05)."""
    return _LETTERS[CodeKind.BAG] + accession_number(site, day, sequence)


def badge_code(site: int, day: date, sequence: int) -> str:
    """The code on a staff badge; it only names the person, a PIN proves it."""
    return _LETTERS[CodeKind.BADGE] + accession_number(site, day, sequence)


def patient_card(site: int, day: date, sequence: int) -> str:
    """A patient card of our own, for a hospital whose HIS issues none; others come in by PrefixRule."""
    return _LETTERS[CodeKind.CARD] + accession_number(site, day, sequence)


def ticket_number(klass: str, number: int) -> str:
    """The short number a patient hears and sees, like N001 (M04 R13)."""
    if klass not in TICKET_CLASSES or len(klass) != 1:
        raise ValueError(f"ticket class {klass!r} is not one of {TICKET_CLASSES}")
    if not 1 <= number <= _TICKET_NUMBER_MAX:
        raise ValueError(f"ticket number {number} is not in 1..{_TICKET_NUMBER_MAX}")
    return f"{klass}{number:03d}"


def ticket_code(site: int, day: date, klass: str, number: int) -> str:
    """The code printed on a queue ticket, like Q126326N0042 and a check digit: unique over days, so yesterday's ticket is known as such."""
    ticket_number(klass, number)
    if not 0 <= site <= 9:
        raise ValueError(f"site {site} is not one digit")
    body = f"{site}{day:%y%j}{klass}{number:04d}"
    return f"Q{body}{_ticket_check(body)}"


LOT_SIGNS = "-_/^* "
"""What stands between a control's code and its lot in one barcode."""


def names_of_control(code: str, lot: str) -> set[str]:
    """What a scan of a control may say: its code, or code and lot in one (``QC1-L240501``)."""
    return {normalise_scan(code), *(normalise_scan(f"{code.strip()}{sign}{lot.strip()}") for sign in LOT_SIGNS)}


@functools.lru_cache(maxsize=2048)  # a message names its tube once a result
def normalise_scan(text: str) -> str:
    """What was meant by a scan: full-width to half-width, upper case, no blanks around, nothing invisible (spec C10)."""
    visible = text.translate(_INVISIBLE).translate(_FULL_WIDTH).strip()
    return _AIM.sub("", visible).strip().upper()


def recognise(text: str, rules: Iterable[PrefixRule] = ()) -> Scan:
    """Say what kind of code a scan is. The hospital's own rules come first, then our own forms; the rest is UNKNOWN."""
    code = normalise_scan(text)
    for rule in rules:
        if rule.matches(code):
            sound = not rule.luhn or luhn_valid("".join(filter(_is_digit, code)))
            return Scan(code, rule.kind, None if sound else CodeProblem.CHECK_DIGIT)
    if _ACCESSION.fullmatch(code):
        return Scan(code, CodeKind.TUBE, _accession_problem(code))
    if re.fullmatch(r"[RBUP][0-9]{12}", code):
        return Scan(code, _KINDS[code[0]], _accession_problem(code[1:]))
    if re.fullmatch(rf"Q[0-9]{{6}}[{TICKET_CLASSES}][0-9]{{5}}", code):
        return Scan(code, CodeKind.TICKET, _ticket_problem(code))
    if re.fullmatch(r"[0-9]{17}[0-9X]", code) and _id_card_valid(code):
        return Scan(code, CodeKind.CARD)
    return Scan(code, CodeKind.UNKNOWN)


def _accession_problem(code: str) -> CodeProblem | None:
    if not luhn_valid(code):
        return CodeProblem.CHECK_DIGIT
    return None if _day_exists(code[1:6]) else CodeProblem.DATE


def _ticket_problem(code: str) -> CodeProblem | None:
    if int(code[-1]) != _ticket_check(code[1:-1]):
        return CodeProblem.CHECK_DIGIT
    return None if _day_exists(code[2:7]) else CodeProblem.DATE


def _ticket_check(body: str) -> int:
    # The class letter counts as its two-digit place in the alphabet (A=10), as ISO 7812 relatives such as the ISIN do.
    return luhn_digit("".join(char if _is_digit(char) else str(ord(char) - 55) for char in body))


def _day_exists(yyddd: str) -> bool:
    # Two-digit years name 2000–2099, where a year is leap exactly when it divides by four.
    return 1 <= int(yyddd[2:]) <= (366 if int(yyddd[:2]) % 4 == 0 else 365)


def _id_card_valid(code: str) -> bool:
    # Check character of the resident identity number, GB 11643 (ISO 7064 MOD 11-2).
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(char) * weight for char, weight in zip(code, weights, strict=False))
    return "10X98765432"[total % 11] == code[-1]


def _is_digit(char: str) -> bool:
    return char in "0123456789"
