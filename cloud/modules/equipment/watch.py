"""Calendar job, 08:00: calibrations that hold no longer or soon will not, one alert an analyzer."""

from __future__ import annotations

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import queries
from cloud.modules.equipment.rules import Perm, lapsing
from cloud.modules.platform import alerts
from cloud.modules.platform.alerts import Alert, Level

KIND = "equipment.calibration"


def look(uow: UnitOfWork) -> None:
    """Raise what is so today, clear what no longer is."""
    known = md.catalog(uow).analyzers
    found = list[Alert]()
    for analyzer, calibrations in queries.calibrations(uow, [a.id for a in known.values() if a.active]).items():
        over, soon, first = lapsing(calibrations, uow.now)
        name: dict[str, object] = {"analyzer": known[analyzer].name}
        if over:
            words, level, fields = "%(analyzer)s 有 %(n)s 项校准已过期或未通过", Level.WARNING, {**name, "n": over}
        elif first is not None:
            days = (first - uow.now).days + 1
            words, level, fields = "%(analyzer)s 有 %(n)s 项校准将在 %(days)s 天内到期", Level.NOTICE, {**name, "n": soon, "days": days}
        else:
            continue
        found.append(Alert(KIND, f"analyzer:{analyzer}", level, words, "/eq/due", Perm.READ, fields))
    alerts.sync(uow, KIND, found)
