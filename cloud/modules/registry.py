"""Every module of the hosted LIS, in menu order. A module not listed here does not exist."""

from __future__ import annotations

from cloud.modules import catalog, platform, portal
from cloud.web.module import Module

MODULES: tuple[Module, ...] = (platform.MODULE, catalog.MODULE, portal.MODULE)
