"""Fixtures of this folder."""

from tests.support.hospital import hospital, shared_db

__all__ = ["hospital", "shared_db"]
