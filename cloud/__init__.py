"""The hosted LIS: tenants, people, rules, pages. It never knows a serial port."""

from cloud.spared import without

with without("rich"):  # structlog's coloured console, 7 MB a process: ours write JSON
    import structlog  # noqa: F401
