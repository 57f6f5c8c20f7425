"""Structured logs as JSON lines on standard error. No patient data: callers name connections, counts and codes only."""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog


def setup(level: str = "INFO") -> None:
    """Configure once, at start."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def get(name: str) -> Any:
    """A logger."""
    return structlog.get_logger(part=name)
