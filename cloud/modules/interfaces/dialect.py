"""How one hospital system writes: code tables, where it says "paid", how it numbers items. Pure data and small readers.

The tables hold what HL7 2.3.1–2.5.1 says and what Chinese systems are seen to write. An endpoint's ``config["dialect"]`` may add to
them; a value in neither is reported with its location and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

from cloud.modules.orders.messages import Action, Charge, Priority, Sex, VisitType

SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

SEX = {
    "M": Sex.MALE, "男": Sex.MALE, "男性": Sex.MALE, "1": Sex.MALE, "MALE": Sex.MALE,
    "F": Sex.FEMALE, "女": Sex.FEMALE, "女性": Sex.FEMALE, "2": Sex.FEMALE, "FEMALE": Sex.FEMALE,
    "O": Sex.OTHER, "A": Sex.OTHER, "其他": Sex.OTHER,
    "U": Sex.UNKNOWN, "N": Sex.UNKNOWN, "0": Sex.UNKNOWN, "9": Sex.UNKNOWN, "未知": Sex.UNKNOWN, "未说明": Sex.UNKNOWN,
}  # fmt: skip
VISIT = {
    "O": VisitType.OUTPATIENT, "门诊": VisitType.OUTPATIENT, "E": VisitType.EMERGENCY, "急诊": VisitType.EMERGENCY,
    "I": VisitType.INPATIENT, "住院": VisitType.INPATIENT, "B": VisitType.INPATIENT, "P": VisitType.OUTPATIENT, "R": VisitType.OUTPATIENT,
    "T": VisitType.EXAM, "体检": VisitType.EXAM, "H": VisitType.EXAM, "外院": VisitType.EXTERNAL, "科研": VisitType.RESEARCH,
}  # fmt: skip
PRIORITY = {
    "S": Priority.STAT, "STAT": Priority.STAT, "急": Priority.STAT, "急诊": Priority.STAT, "加急": Priority.STAT, "A": Priority.STAT,
    "ASAP": Priority.STAT, "E": Priority.STAT, "R": Priority.ROUTINE, "ROUTINE": Priority.ROUTINE, "常规": Priority.ROUTINE,
    "普通": Priority.ROUTINE, "P": Priority.ROUTINE, "C": Priority.ROUTINE, "T": Priority.ROUTINE, "TM": Priority.ROUTINE,
    "G": Priority.GREEN, "GREEN": Priority.GREEN, "绿色通道": Priority.GREEN, "绿通": Priority.GREEN,
}  # fmt: skip
CHARGE = {
    "PAID": Charge.PAID, "Y": Charge.PAID, "1": Charge.PAID, "T": Charge.PAID, "已收费": Charge.PAID, "已缴费": Charge.PAID,
    "已付": Charge.PAID, "已付费": Charge.PAID, "PY": Charge.PAID,
    "UNPAID": Charge.UNPAID, "N": Charge.UNPAID, "0": Charge.UNPAID, "F": Charge.UNPAID, "未收费": Charge.UNPAID, "未缴费": Charge.UNPAID,
    "未付": Charge.UNPAID, "未付费": Charge.UNPAID, "CG": Charge.UNPAID,
    "REFUNDED": Charge.REFUNDED, "REFUND": Charge.REFUNDED, "2": Charge.REFUNDED, "已退费": Charge.REFUNDED, "退费": Charge.REFUNDED,
    "CR": Charge.REFUNDED,
}  # fmt: skip
ACTION = {
    "NW": Action.NEW, "RP": Action.NEW, "XO": Action.CHANGE, "XX": Action.CHANGE, "CA": Action.CANCEL, "OC": Action.CANCEL,
    "DC": Action.CANCEL,
}  # fmt: skip
ID_KIND = {
    "": "patient_no", "PI": "patient_no", "MR": "patient_no", "PN": "patient_no", "PT": "patient_no", "PATID": "patient_no",
    "EMPI": "empi", "MPI": "empi", "主索引": "empi", "NI": "id_card", "NNCHN": "id_card", "ID": "id_card", "IDCARD": "id_card",
    "SFZ": "id_card", "身份证": "id_card", "身份证号": "id_card", "HC": "medical_insurance", "YB": "medical_insurance",
    "医保": "medical_insurance", "医保号": "medical_insurance", "VC": "visit_card", "JZK": "visit_card", "就诊卡": "visit_card",
    "就诊卡号": "visit_card", "EHC": "health_card", "电子健康卡": "health_card", "健康卡": "health_card", "IN": "inpatient_no",
    "ZY": "inpatient_no", "ZYH": "inpatient_no", "住院号": "inpatient_no", "OP": "outpatient_no", "MZ": "outpatient_no",
    "MZH": "outpatient_no", "门诊号": "outpatient_no",
}  # fmt: skip

# Where "paid" may stand, in this order: our own recommended Z-segment, then the financial transaction type of HL7.
CHARGE_FIELDS = (("ZPY", 2), ("FT1", 6))


@dataclass(frozen=True, slots=True)
class Dialect:
    """One endpoint's way of writing; the defaults fit a system that follows the standard or the habits named above.

    ``item_number``: ``placer`` — ORC-2/OBR-2 numbers one item (also when a number repeats inside a message: then the item code is
    appended); ``placer+code`` — ORC-2 is always the number of the whole form. Choose the latter for a HIS that numbers forms, or a
    form of one item would be numbered differently from a form of two.
    """

    encoding: str = ""
    item_number: str = "placer"
    charge_fields: tuple[tuple[str, int], ...] = CHARGE_FIELDS
    sex: Mapping[str, Sex] = field(default_factory=lambda: SEX)
    visit: Mapping[str, VisitType] = field(default_factory=lambda: VISIT)
    priority: Mapping[str, Priority] = field(default_factory=lambda: PRIORITY)
    charge: Mapping[str, Charge] = field(default_factory=lambda: CHARGE)
    id_kind: Mapping[str, str] = field(default_factory=lambda: ID_KIND)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Dialect:
        """An endpoint's ``dialect`` setting: ``{"encoding", "item_number", "charge_field": "ZPY-2", "sex": {…}, …}``.

        Raises ValueError for a key or a value that does not exist, so that a typing error in the settings cannot pass in silence.
        """
        known = {"encoding", "item_number", "charge_field", "sex", "visit", "priority", "charge", "id_kind"}
        if unknown := set(config) - known:
            raise ValueError(f"unknown dialect setting: {', '.join(sorted(unknown))}")
        number = str(config.get("item_number", "placer"))
        if number not in ("placer", "placer+code"):
            raise ValueError(f"item_number: {number}")
        return cls(
            encoding=str(config.get("encoding", "")),
            item_number=number,
            charge_fields=_charge_fields(config.get("charge_field")),
            sex={**SEX, **{k: Sex(v) for k, v in config.get("sex", {}).items()}},
            visit={**VISIT, **{k: VisitType(v) for k, v in config.get("visit", {}).items()}},
            priority={**PRIORITY, **{k: Priority(v) for k, v in config.get("priority", {}).items()}},
            charge={**CHARGE, **{k: Charge(v) for k, v in config.get("charge", {}).items()}},
            id_kind={**ID_KIND, **{str(k): str(v) for k, v in config.get("id_kind", {}).items()}},
        )


STANDARD = Dialect()


def _charge_fields(setting: Any) -> tuple[tuple[str, int], ...]:
    if not setting:
        return CHARGE_FIELDS
    match = re.fullmatch(r"([A-Z][A-Z0-9]{2})-(\d{1,2})", str(setting))
    if match is None:
        raise ValueError(f"charge_field: {setting}")
    return ((match[1], int(match[2])), *CHARGE_FIELDS)


_TIME = re.compile(
    r"(?P<y>\d{4})[-/.年]?(?P<m>\d{1,2})[-/.月]?(?P<d>\d{1,2})日?"
    r"(?:[T\s]*(?P<H>\d{1,2}):?(?P<M>\d{2})(?::?(?P<S>\d{2})(?:\.\d+)?)?)?\s*(?P<z>Z|[+-]\d{2}:?\d{2})?"
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})?(\d{2})?(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?")


@dataclass(frozen=True, slots=True)
class Moment:
    """A date, with the instant when the sender gave a time of day."""

    day: date
    at: datetime | None

    @property
    def instant(self) -> datetime:
        """The instant in UTC; midnight in China when only a day was given."""
        return self.at if self.at is not None else datetime.combine(self.day, time(0), SHANGHAI).astimezone(UTC)


def read_time(text: str) -> Moment | None:
    """HL7 times and what hospital systems write instead: 8 to 14 digits, ``2026-05-06``, ``2026-05-06 07:08:09``, ``2026/5/6 7:08``.

    Without a zone it is China's time. None when it is not a whole date (a year alone says no birthday) or no real date.
    """
    text = text.strip()
    compact = _COMPACT.fullmatch(text)
    if compact is not None:
        year, month, day, hour, minute, second, zone = compact.groups()
    else:
        loose = _TIME.fullmatch(text)
        if loose is None or text[:8].isdigit():
            return None
        year, month, day, hour, minute, second, zone = loose.group("y", "m", "d", "H", "M", "S", "z")
    try:
        whole = date(int(year), int(month), int(day))
        if hour is None:
            return Moment(whole, None)
        at = datetime.combine(whole, time(int(hour), int(minute or 0), int(second or 0)), _zone(zone))
        return Moment(whole, at.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone:
    if text is None:
        return SHANGHAI
    if text == "Z":
        return UTC
    digits = text[1:].replace(":", "")
    shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-shift if text[0] == "-" else shift)
