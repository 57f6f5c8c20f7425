"""What a module declares about itself: permissions with their default roles, menu, views, event handlers.

Pages, handlers and jobs are declared by name, ``"file:name"`` inside the module's folder, and loaded by the process that runs them
(``Module.load``): the web loads pages, the worker handlers and jobs, and who only calls a module's service pays for neither.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Any, Protocol

from cloud.web.principal import Principal
from common.say import Said

Handler = Callable[[Any, dict[str, Any]], None]
"""Event handler ``(uow, payload)``; runs in the worker, in one transaction with marking the event done."""


@dataclass(frozen=True)
class Job:
    """A calendar job (spec, automation calendar): ``run(uow)`` once a tenant; ``when`` is '10s', '1m', '15m' or local 'HH:MM'."""

    name: str
    when: str
    run: str
    cleans: bool = False
    """It only takes away: it goes on in a hospital whose edition lacks the module."""


@dataclass(frozen=True)
class MenuItem:
    """An entry of the left menu, shown to whoever holds the permission."""

    label: str
    url: str
    permission: str
    group: str
    order: int = 0


@dataclass(frozen=True)
class Front:
    """What comes in front of every page of whoever holds the permission: a fragment asked for at once and on a live channel."""

    permission: str
    url: str
    channel: str
    css: Sequence[str] = ()
    js: Sequence[str] = ()


@dataclass(frozen=True)
class OpenTask:
    """Something that is one person's to finish: in words (``fields`` fill ``%(name)s``), and where it stands."""

    words: str
    url: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Colleague:
    """A person as the tables of modules know one."""

    id: int
    employee_no: str
    name: str


class Leaving(Protocol):
    """What a module's ``leaving`` file has: a leaver's open tasks, and how another person takes them over (M01, bad input)."""

    def open_of(self, uow: Any, leaver: Colleague) -> Sequence[OpenTask]:
        """What is still theirs."""

    def hand_over(self, uow: Any, leaver: Colleague, to: Colleague) -> None:
        """All of it becomes the other's; UserError in words where that cannot be."""


@dataclass(frozen=True)
class Waiting:
    """So many of something wait for the reader: in words, the list of exactly these, of which section, and how urgent ('bad', 'warn')."""

    words: Said
    n: int
    url: str
    place: str = ""
    light: str = "warn"


class FindTicket(Protocol):
    """Finds a ticket of the service desk that is being worked on (M01 R7)."""

    def __call__(self, uow: Any, number: int) -> str | None:
        """Its title; None where it does not exist or is closed."""


class Start(Protocol):
    """What a module puts on the start page of whoever holds a permission; in one or two statements, as everybody passes there."""

    def __call__(self, uow: Any, who: Principal) -> Iterable[Waiting]:
        """What waits; nothing where a number is 0 is left out by the page."""


@dataclass(frozen=True)
class Module:
    """A module of the specification."""

    name: str
    title: str
    views: Sequence[str] = ()
    depends: Sequence[str] = ()
    permissions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Permission → codes of the standard roles that hold it in a new hospital."""
    menu: Sequence[MenuItem] = ()
    handlers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Event topic → handlers."""
    jobs: Sequence[Job] = ()
    front: Sequence[Front] = ()
    starts: Mapping[str, str] = field(default_factory=dict)
    """Permission → what waits for whoever holds it (a ``Start``)."""
    leaving: str = ""
    """Name of the file with what somebody who leaves must hand over."""
    tickets: str = ""
    """What finds a ticket that changes may be made for (a ``FindTicket``)."""

    def load(self, name: str) -> Any:
        """What ``"file:name"`` declares. ImportError or AttributeError where it isn't there."""
        return resolve_name(f"cloud.modules.{self.name}.{name}")


def leavings(modules: Sequence[Module]) -> tuple[Leaving, ...]:
    """Of all modules what a leaver hands over."""
    return tuple(m.load(m.leaving) for m in modules if m.leaving)


def ticket_finder(modules: Sequence[Module]) -> FindTicket:
    """What finds tickets; StopIteration where no module keeps any."""
    finder: FindTicket = next(m.load(m.tickets) for m in modules if m.tickets)
    return finder


def starts(modules: Sequence[Module]) -> tuple[tuple[str, str, Start], ...]:
    """Of all modules what may wait for somebody: by title and permission."""
    return tuple((m.title, permission, m.load(name)) for m in modules for permission, name in m.starts.items())
