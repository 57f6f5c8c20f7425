"""Calculated items and allowable errors for the demo: the catalog's starting formulas and TEa as second-hand figures. All placeholders."""

from sqlalchemy import select

from cloud.db.session import UnitOfWork
from cloud.demo import catalog_data
from cloud.modules.catalog import models as catalog
from cloud.modules.catalog.formulas import EGFR, STARTING
from cloud.modules.catalog.rule_models import CalcFormula

FORMULAS = (*(each for each in STARTING if each.code in ("GLO", "A/G", "IBIL")), EGFR["2021"])
# WS/T 403—2024 as second-hand figures (F5): absolute up to a value (in the item's unit), percent beyond.
TEA = {
    "K": [{"to": "3.3", "abs": "0.2"}, {"pct": "6.0"}],
    "NA": [{"pct": "4.0"}],
    "GLU": [{"to": "3", "abs": "0.21"}, {"pct": "7.0"}],
    "CREA": [{"to": "50", "abs": "6"}, {"pct": "12"}],
    "ALT": [{"to": "40", "abs": "6"}, {"pct": "15"}],
}


def seed(uow: UnitOfWork) -> None:
    """Once a hospital."""
    if uow.s.execute(select(CalcFormula.id)).first() is not None:
        return
    items = {i.code: i for i in uow.s.execute(select(catalog.TestItem)).scalars()}
    if not {row.code for row in catalog_data.CALCULATED} <= set(items):
        return  # a demo folder from before: its catalog has no such items
    for code, steps in TEA.items():
        items[code].tea = {"steps": steps}
    uow.s.add_all(
        CalcFormula(item_id=items[f.code].id, name=f.name, expression=f.expression, units=dict(f.units), source=f.source) for f in FORMULAS
    )
    uow.audit("tenant", uow.tenant_id, "seed_formulas")
