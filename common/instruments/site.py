"""How one analyzer of a laboratory differs from its model's driver, as a row and not as a copy of the driver.

A ``Site`` is JSON-able and lies over the driver that was named or recognised (or over none: a model nobody described).
Factors and items are the mapping's business (M02 channels); here is only what decides how bytes are read and queries are answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from common.errors import UserError
from common.instruments.driver import Driver, Position, QueryReply
from common.instruments.layout import Layout, layout_from_json
from common.instruments.reading import Result


@dataclass(frozen=True, slots=True)
class Site:
    """Empty values mean: as the driver says."""

    encoding: str | None = None
    specimen: tuple[Position, ...] = ()
    """Where the specimen id stands, e.g. ``("O", 3, 1)`` or ``("OBR", 3, 1)``; the first that is filled counts."""
    patient: tuple[Position, ...] = ()
    code: int | str | None = None
    qc_prefix: tuple[str, ...] = ()
    """Specimen ids that begin so are control material here."""
    codes: Mapping[str, str] = field(default_factory=dict)
    """Code as this analyzer sends it → code of the model (another firmware, another channel number)."""
    units: Mapping[str, str] = field(default_factory=dict)
    """Unit by code, for results sent without one."""
    decimals: Mapping[str, int] = field(default_factory=dict)
    tolerates: tuple[str, ...] = ()
    reply: Mapping[str, Any] = field(default_factory=dict)
    """Fields of ``QueryReply`` that differ here."""
    layout: Layout | None = None
    """A positional format, described by marking columns (``layout.describe``)."""

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-able literal, without what is as the driver says."""
        return {name: value for name, value in asdict(self).items() if value not in (None, (), {})}

    def over(self, driver: Driver | None, protocol: str) -> Driver:
        """The driver with this row laid over it; ``id`` is empty where there is no driver."""
        base = driver or Driver("", "", "", protocol)
        reply = base.reply
        if self.reply:
            reply = replace(reply or QueryReply(), **self.reply)
        return replace(
            base,
            specimen=self.specimen or base.specimen,
            patient=self.patient or base.patient,
            code=base.code if self.code is None else self.code,
            qc_prefix=self.qc_prefix or base.qc_prefix,
            encoding=self.encoding or base.encoding,
            decimals={**base.decimals, **self.decimals},
            tolerates=base.tolerates | set(self.tolerates),
            reply=reply,
            layout=self.layout or base.layout,
        )

    def rename(self, result: Result) -> None:
        """Apply the code map and the units to one result."""
        if result.code is not None and result.code in self.codes:
            result.code = self.codes[result.code]
        if result.unit is None and result.code is not None and result.value is not None:
            result.unit = self.units.get(result.code)


def site_from_json(literal: Mapping[str, Any]) -> Site:
    """Read a site row; raises UserError that names what is wrong with it."""
    known = {one.name for one in fields(Site)}
    unknown = sorted(set(literal) - known)
    if unknown:
        raise UserError("site.form", f"仪器差异里有不认识的内容：{'、'.join(unknown)}。")
    given = dict(literal)
    try:
        for name in ("specimen", "patient"):
            given[name] = tuple((str(record), int(number), int(component)) for record, number, component in given.get(name) or ())
        for name in ("qc_prefix", "tolerates"):
            value = given.get(name) or ()
            given[name] = (value,) if isinstance(value, str) else tuple(str(one) for one in value)
        given["decimals"] = {str(code): int(places) for code, places in (given.get("decimals") or {}).items()}
        for name in ("codes", "units"):
            given[name] = {str(code): str(text) for code, text in (given.get(name) or {}).items()}
        given["reply"] = _reply(given.get("reply") or {})
        given["layout"] = layout_from_json(given["layout"]) if given.get("layout") else None
        return Site(**given)
    except (TypeError, ValueError, AttributeError) as error:
        raise UserError("site.form", f"仪器差异的写法不对：{error}。") from error


def _reply(literal: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(literal)
    if "specimen" in out:
        number, component = out["specimen"]
        out["specimen"] = (int(number), int(component))
    QueryReply(**out)  # a wrong name is a TypeError here, not at the next query
    return out
