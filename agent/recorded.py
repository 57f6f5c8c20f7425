"""A file of recorded bytes as `decode` and `replay` take it: bytes as they came, or an archive of messages (common/raw_archive)."""

from __future__ import annotations

from dataclasses import dataclass

from common import raw_archive
from common.instruments.site import Site, site_from_json


@dataclass(frozen=True, slots=True)
class Recorded:
    """One piece to read; of an archive each message, with what it was read by when it was archived (``site``: marked columns and such)."""

    name: str
    body: bytes
    driver: str | None = None
    encoding: str | None = None
    site: Site | None = None


def pieces(data: bytes) -> list[Recorded]:
    """What a file holds; messages whose bytes were cleared before it was made are left out. Raises PeerError for a damaged archive."""
    if not raw_archive.is_archive(data):
        return [Recorded("", data)]
    return [_piece(one.facts, one.body) for one in raw_archive.unpack(data) if one.body is not None]


def _piece(facts: dict[str, object], body: bytes) -> Recorded:
    driver, encoding, site = facts.get("driver"), facts.get("encoding"), facts.get("site")
    name = f"#{facts.get('seq')} {facts.get('conn', '')} {facts.get('received_at', '')}"
    here = site_from_json(site) if isinstance(site, dict) else None
    return Recorded(name, body, driver if isinstance(driver, str) else None, encoding if isinstance(encoding, str) else None, here)
