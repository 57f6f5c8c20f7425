"""The error tree of the product.

Who is to blame decides the class: ``LocalError`` (our bug), ``PeerError`` (the other side of a
link sent something we cannot use), ``UserError`` (a person can do something about it; the message
is a Chinese sentence that says what).
"""

from __future__ import annotations


class JianlianError(Exception):
    """Base: ``code`` is a stable short word for programs, ``message`` for people, ``fields`` data."""

    def __init__(self, code: str, message: str = "", **fields: object) -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message or code
        self.fields = fields

    def __str__(self) -> str:
        return self.message


class LocalError(JianlianError):
    """Our own fault: a rule of this program was broken."""


class PeerError(JianlianError):
    """The other side's fault: an instrument, a hospital system, a broker."""


class UserError(JianlianError):
    """Shown to a person, who can do what the message says."""
