"""Numbers a kiosk may give by itself, and what stands on a ticket. Pure: the book is a value, taking a number makes a new one.

A book holds the blocks leased from the cloud by day. A number is given once: the count only rises, whatever the clock does (M04).
Whoever asks again with the same card gets the same ticket; the card itself isn't kept, only a hash of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

from common import ids

CHINA = timezone(timedelta(hours=8))  # a fixed offset: Windows brings no time zone data, and China has had no summer time since 1991
FEW = 10


@dataclass(frozen=True, slots=True)
class Given:
    """A ticket given without the cloud."""

    key: str
    number: int
    at: str


@dataclass(frozen=True, slots=True)
class Book:
    """The blocks by day, how many of them are used, and what was given today by hash of the card."""

    hospital: str = ""
    site: int = 1
    days: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    used: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)

    def numbers(self, day: date) -> list[int]:
        """Every number leased for a day, in order."""
        return [n for first, last in self.days.get(day.isoformat(), ()) for n in range(first, last + 1)]

    def left(self, day: date) -> int:
        """How many numbers can still be given on a day."""
        return max(0, len(self.numbers(day)) - self.used.get(day.isoformat(), 0))

    def to_json(self) -> str:
        """As kept in the journal."""
        given = {day: {who: [g.key, g.number, g.at] for who, g in found.items()} for day, found in self.given.items()}
        plain = {"hospital": self.hospital, "site": self.site, "days": dict(self.days), "used": dict(self.used), "given": given}
        return json.dumps(plain, ensure_ascii=False, sort_keys=True)


def from_json(text: str | None) -> Book:
    """A kept book; an empty one when there is none."""
    if not text:
        return Book()
    raw: dict[str, Any] = json.loads(text)
    days = {day: tuple((int(a), int(b)) for a, b in blocks) for day, blocks in raw["days"].items()}
    given = {day: {who: Given(*values) for who, values in found.items()} for day, found in raw["given"].items()}
    return Book(str(raw["hospital"]), int(raw["site"]), days, {k: int(v) for k, v in raw["used"].items()}, given)


def leased(book: Book, answer: Mapping[str, Any], today: date) -> Book:
    """The book with what the cloud leased; days gone by are forgotten. A day's count of used numbers is never lowered.

    Blocks already in use keep their place at the front, so that a count goes on meaning the same numbers.
    """
    days: dict[str, tuple[tuple[int, int], ...]] = {}
    for day, blocks in answer["days"].items():
        old = tuple(book.days.get(day, ()))
        new = tuple((int(a), int(b)) for a, b in blocks)
        days[day] = (*old, *(each for each in new if each not in old))
    alive = {day for day in (*days, *book.days) if day >= today.isoformat()}
    kept = {day: days.get(day, tuple(book.days.get(day, ()))) for day in alive}
    return Book(
        str(answer["hospital"]),
        int(answer["site"]),
        kept,
        {day: n for day, n in book.used.items() if day in alive},
        {day: found for day, found in book.given.items() if day in alive},
    )


def who(card: str) -> str:
    """A card as the book remembers it."""
    return hashlib.sha256(f"jianlian-kiosk:{ids.normalise_scan(card)}".encode()).hexdigest()[:24]


def take(book: Book, card: str, key: str, at: datetime) -> tuple[Book, Given | None, bool]:
    """Give a number: (the new book, the ticket, whether it is a repeat). None when the day's blocks are spent: staff must help."""
    day = at.astimezone(CHINA).date()
    today = day.isoformat()
    found = book.given.get(today, {}).get(who(card))
    if found is not None:
        return book, found, True
    numbers, used = book.numbers(day), book.used.get(today, 0)
    if used >= len(numbers):
        return book, None, False
    given = Given(key, numbers[used], at.isoformat())
    todays = {**book.given.get(today, {}), who(card): given}
    return replace(book, used={**book.used, today: used + 1}, given={**book.given, today: todays}), given, False


@dataclass(frozen=True, slots=True)
class Paper:
    """What stands on a ticket; ``name`` is masked already, ``ahead`` is None when nobody can tell (offline)."""

    hospital: str
    number: str
    code: str
    at: datetime
    class_name: str = "普通"
    service: str = "采血"
    name: str = ""
    hall: str = ""
    ahead: int | None = None
    eta: tuple[int, int] | None = None
    offline: bool = False
    english: bool = False

    def lines(self) -> list[str]:
        """The small lines under the number: Chinese for the staff who read it too, then English for whom asked for it."""
        out = [f"{self.class_name}　{self.service}" + (f"　{self.name}" if self.name else "")]
        if self.ahead is not None:
            out.append(f"前面还有 {self.ahead} 人" + (f"，约 {self.eta[0]}–{self.eta[1]} 分钟" if self.eta else ""))
        if self.offline:
            out.append("【离线】网络中断时取号，号码有效")
        out.append("请留意叫号屏和语音，过号请重新签到")
        if self.english:
            out += self._in_english()
        return out

    def _in_english(self) -> list[str]:
        out = []
        if self.ahead is not None:
            out.append(f"{self.ahead} waiting before you" + (f", about {self.eta[0]}-{self.eta[1]} min" if self.eta else ""))
        if self.offline:
            out.append("[offline] This number is valid")
        return [*out, "Watch the hall screen for your number;", "check in again if you missed it"]

    @property
    def printed_at(self) -> str:
        """The time on the hospital's wall clock."""
        return self.at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def offline_paper(book: Book, given: Given, hall: str) -> Paper:
    """The ticket of a number given here."""
    at = datetime.fromisoformat(given.at)
    number = ids.ticket_number("N", given.number)
    code = ids.ticket_code(book.site, at.astimezone(CHINA).date(), "N", given.number)
    return Paper(book.hospital, number, code, at, hall=hall, offline=True)


def payload(given: Given, kiosk: str, hall: str, card: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """What goes to the cloud about it."""
    return {
        "ticket_key": given.key,
        "kiosk": kiosk,
        "hall": hall,
        "number": given.number,
        "checkin_at": given.at,
        "card": ids.normalise_scan(card)[:64],
        "service": "blood",
        "answers": dict(answers),
    }
