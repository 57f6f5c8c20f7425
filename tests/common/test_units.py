"""Which texts are UCUM units."""

import pytest

from cloud.demo import catalog_data
from common.units import is_ucum, readable

LINES = (
    "mmol/L umol/L g/L mg/dL U/L 10*9/L 10^12/L % fL pg L/L s ng/mL pg/mL [IU]/L m[IU]/L k[IU]/L u[IU]/mL mm/h mosm/kg",
    "g/(24.h) g/d /[HPF] /uL mL/min mL/min/{1.73_m2} {ratio} mm[Hg] kPa Cel 1 g/mol mol/kg m2 s-1 ug/L{FEU} [copies]/mL mg/L{DDU}",
)
GOOD = [unit for line in LINES for unit in line.split()]
BAD = (
    "mmol/l/",
    "g/24h",
    "μmol/L",
    "个/HPF",
    "mmol L",
    "U\\L",
    "//L",
    "g/",
    "(g",
    "g)",
    "mmoll",
    "10*9L",
    "x",
    "%%",
    "mg／dL",
    "g/(",
    "." * 5,
    "u" * 61,
)


@pytest.mark.parametrize("text", ["", *GOOD])
def test_units(text: str) -> None:
    assert is_ucum(text)


@pytest.mark.parametrize("text", BAD)
def test_what_is_none(text: str) -> None:
    assert not is_ucum(text)


def test_the_demo_writes_units() -> None:
    assert {item.unit for rows in catalog_data.ITEMS.values() for item in rows if not is_ucum(item.unit)} == set()


@pytest.mark.parametrize(
    ("unit", "written"),
    [
        ("umol/L", "μmol/L"),
        ("mmol/L", "mmol/L"),
        ("U/L", "U/L"),
        ("ug/mL", "μg/mL"),
        ("/uL", "/μL"),
        ("10*6/uL", "10*6/μL"),
        ("uU/mL", "μU/mL"),
        ("uIU/mL", "μIU/mL"),
        ("u[IU]/mL", "μIU/mL"),
        ("m[IU]/mL", "mIU/mL"),
        ("ukat/L", "μkat/L"),
        ("mg/mmol", "mg/mmol"),
        ("Mu/L", "Mu/L"),  # no prefix alone is a unit
        ("unit", "unit"),
        ("us", "μs"),
        ("%", "%"),
        ("1", ""),
        ("10^9/L", "10^9/L"),
        ("", ""),
    ],
)
def test_a_unit_is_written_as_people_write_it(unit: str, written: str) -> None:
    assert readable(unit) == written
