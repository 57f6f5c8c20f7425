"""Prometheus figures of a web process; no patient data in any label."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

REGISTRY = CollectorRegistry()
REQUESTS = Counter("jianlian_requests_total", "Requests answered", ["endpoint", "status"], registry=REGISTRY)
SECONDS = Histogram(
    "jianlian_request_seconds", "Server time", ["endpoint"], registry=REGISTRY, buckets=(0.01, 0.025, 0.05, 0.1, 0.3, 1, 3, 10)
)


def observe(endpoint: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    REQUESTS.labels(endpoint, str(status)).inc()
    SECONDS.labels(endpoint).observe(seconds)


def text() -> bytes:
    """The exposition format."""
    return generate_latest(REGISTRY)
