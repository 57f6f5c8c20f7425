"""What happens when somebody wants a number: the cloud's answer, else a number of the leased block, on disk before it is printed.

Called from the page's threads; the journal belongs to the event loop's thread and is only reached through ``Shelf``.
"""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from agent import log
from agent.english import ENGLISH
from agent.kiosk import printer, tickets
from agent.kiosk.cloud import Away, Told
from agent.kiosk.tickets import Book, Paper
from common.english import in_language
from common.say import say

KEEP_PAPERS = 50
_log = log.get("kiosk")

OK, FORBIDDEN = 200, 403
NO_CARD = say("请扫卡，或输入卡号。")
NOT_NOW = say("现在不能取号，请到导诊台。")
NO_NUMBERS = say("网络中断，本机的离线号已经发完。请到导诊台人工取号。")
NOT_KEPT = say("号码没有保存成功，请到导诊台人工取号。")
NOT_PRINTED = say("小票没有打印出来，号码有效，请记住号码，并告诉导诊人员检查打印机。")


class Asked(Protocol):
    """The cloud, as far as a kiosk asks it (agent.kiosk.cloud.Cloud)."""

    def ask(self, body: Mapping[str, Any], /) -> Told:
        """Ask once. Raises Away."""


class Shelf(Protocol):
    """Where the book and its tickets are kept."""

    def book(self) -> str | None:
        """The kept book."""

    def keep(self, book: str, ticket: Mapping[str, Any] | None) -> bool:
        """Put the book, and a ticket for the cloud, on disk in one commit; False when it failed. Waits for the disk."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The kiosk's part of the agent's configuration."""

    name: str
    hall: str
    printer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the page shows: a ticket, or a sentence that says what to do."""

    paper: Paper | None = None
    key: str = ""
    repeated: bool = False
    printed: bool = False
    message: str = ""
    english: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a card says before anything is asked: a refusal, or whose it is and whether there is a number already."""

    message: str = ""
    english: str = ""
    name: str = ""
    has_number: bool = False


def _both(sentence: str) -> tuple[str, str]:
    """A sentence of ours in Chinese and in English."""
    return str(sentence), in_language(sentence, "en", ENGLISH)


def _refusal(told: Told) -> tuple[str, str]:
    """What the cloud would have the patient told; its Chinese alone where an older cloud has no English."""
    message = str(told.body.get("message") or "")
    return (message, str(told.body.get("english") or message)) if message else _both(NOT_NOW)


def _stop(message: str, english: str) -> Outcome:
    """No ticket."""
    return Outcome(message=message, english=english)


class Desk:
    """One kiosk."""

    def __init__(self, settings: Settings, shelf: Shelf, cloud: Asked | None, now: Callable[[], datetime] | None = None) -> None:
        self.settings, self._shelf, self._cloud = settings, shelf, cloud
        self._now = now or (lambda: datetime.now(UTC))
        self._lock = threading.Lock()
        self._book = tickets.from_json(shelf.book())
        self._papers: OrderedDict[str, Paper] = OrderedDict()
        self.online = False

    @property
    def book(self) -> Book:
        """The numbers at hand."""
        return self._book

    def recognise(self, code: str) -> Seen:
        """Somebody's card, before the questions: whom the cloud does not know or has nothing for is told so at once. Gives no number."""
        if not code.strip():
            return Seen(*_both(NO_CARD))
        if self._given_before(code) is not None:
            return Seen(has_number=True)
        told = self._ask({"do": "recognise", "code": code, "hall": self.settings.hall})
        # Only a sentence meant for the patient stops here; whatever else is wrong shows when the number is asked for.
        if told is None or told.status == FORBIDDEN:
            return Seen()
        if told.status != OK:
            return Seen(*_refusal(told))
        return Seen(name=str(told.body.get("name") or ""), has_number=bool(told.body.get("has_number")))

    def _ask(self, question: Mapping[str, Any]) -> Told | None:
        """The cloud's answer, or None while it is away."""
        if self._cloud is None:
            return None
        try:
            told = self._cloud.ask(question)
        except Away as error:
            self.online = False
            _log.warning("cloud away", error=str(error)[:120])
            return None
        self.online = True
        return told

    def check_in(self, code: str, answers: Mapping[str, Any], english: bool = False) -> Outcome:
        """Somebody's card or number; ``english`` adds English lines to the ticket."""
        if not code.strip():
            return _stop(*_both(NO_CARD))
        earlier = self._given_before(code)
        if earlier is not None:
            paper = tickets.offline_paper(self._book, earlier, self.settings.hall)
            return self._printed(replace(paper, english=english), earlier.key, repeated=True)
        key = str(uuid.uuid4())
        told = self._ask({"do": "checkin", "code": code, "hall": self.settings.hall, "ticket_key": key, "answers": dict(answers)})
        if told is None:
            return self._offline(code, key, answers, english)
        if told.status != OK:
            return _stop(*_refusal(told))
        return self._printed(replace(self._paper(told.body), english=english), key, repeated=bool(told.body.get("repeated")))

    def _given_before(self, code: str) -> tickets.Given | None:
        """A number this kiosk gave to this card today by itself: it is still on its way to the cloud, or there already."""
        today = self._now().astimezone(tickets.CHINA).date().isoformat()
        return self._book.given.get(today, {}).get(tickets.who(code))

    def _offline(self, code: str, key: str, answers: Mapping[str, Any], english: bool) -> Outcome:
        with self._lock:
            book, given, repeated = tickets.take(self._book, code, key, self._now())
            if given is None:
                return _stop(*_both(NO_NUMBERS))
            if not repeated:
                ticket = tickets.payload(given, self.settings.name, self.settings.hall, code, answers)
                if not self._shelf.keep(book.to_json(), ticket):
                    # Whether it reached the disk after all nobody knows: the number is never given to another.
                    self._book = replace(book, given=self._book.given)
                    return _stop(*_both(NOT_KEPT))
                self._book = book
        return self._printed(replace(tickets.offline_paper(book, given, self.settings.hall), english=english), given.key, repeated)

    def _paper(self, body: Mapping[str, Any]) -> Paper:
        eta = body.get("eta")
        return Paper(
            hospital=self._book.hospital,
            number=str(body["no"]),
            code=str(body["code"]),
            at=self._now(),
            class_name=str(body["class_name"]),
            service=str(body["service"]),
            name=str(body["name"]),
            hall=self.settings.hall,
            ahead=int(body["ahead"]),
            eta=(int(eta[0]), int(eta[1])) if eta else None,
        )

    def _printed(self, paper: Paper, key: str, repeated: bool) -> Outcome:
        self._papers[key] = paper
        while len(self._papers) > KEEP_PAPERS:
            self._papers.popitem(last=False)
        try:
            printed, problem = printer.send(printer.escpos(paper), self.settings.printer), ("", "")
        except printer.PrintFailed as error:
            _log.error("ticket not printed", error=str(error)[:120])
            printed, problem = False, _both(NOT_PRINTED)
        return Outcome(paper, key, repeated, printed, *problem)

    def paper(self, key: str) -> Paper | None:
        """A ticket of the last few, for its PDF."""
        return self._papers.get(key)

    def renew(self) -> None:
        """Once a minute: is the cloud there, and are there numbers enough for today and tomorrow?"""
        if self._cloud is None:
            return
        today = self._now().astimezone(tickets.CHINA).date()
        have = {day: [first for first, _ in blocks] for day, blocks in self._book.days.items()}
        short = bool(have.get(today.isoformat())) and self._book.left(today) < tickets.FEW
        try:
            told = self._cloud.ask({"do": "lease", "hall": self.settings.hall, "have": have, "more": short})
        except Away:
            self.online = False
            return
        self.online = told.status == 200
        if told.status != 200:
            _log.error("lease refused", status=told.status)
            return
        with self._lock:
            book = tickets.leased(self._book, told.body, today)
            if book != self._book and self._shelf.keep(book.to_json(), None):
                self._book = book
