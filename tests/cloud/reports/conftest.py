"""One renderer for all print tests: making it reads 40 MB of fonts."""

from __future__ import annotations

import pytest

from cloud.reports.renderer import Renderer


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    """The renderer of this session."""
    return Renderer()
