"""What an outside system asks for, in this module's own words: the pure shape between an interface and ``place_order``.

Interfaces (HL7, later FHIR and SOAP) translate into these; nothing here knows a wire. All times are aware.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class Action(StrEnum):
    """What the sender wants done with one order item."""

    NEW = "new"
    CHANGE = "change"
    CANCEL = "cancel"


class Sex(StrEnum):
    """Administrative sex as the sender says; UNKNOWN is a statement, not a default for a value we could not read."""

    MALE = "M"
    FEMALE = "F"
    OTHER = "O"
    UNKNOWN = "U"


class VisitType(StrEnum):
    """Kind of contact (M03)."""

    OUTPATIENT = "outpatient"
    EMERGENCY = "emergency"
    INPATIENT = "inpatient"
    EXAM = "exam"
    EXTERNAL = "external"
    RESEARCH = "research"


class Priority(StrEnum):
    """常规, 急, 绿色通道, from least to most urgent."""

    ROUTINE = "routine"
    STAT = "stat"
    GREEN = "green"

    @property
    def rank(self) -> int:
        """0 is the least urgent."""
        return list(Priority).index(self)


class Charge(StrEnum):
    """Whether an item is paid, as the sender says."""

    PAID = "paid"
    UNPAID = "unpaid"
    REFUNDED = "refunded"


class Severity(StrEnum):
    """HL7 table 0516."""

    ERROR = "E"
    WARNING = "W"
    INFO = "I"


@dataclass(frozen=True, slots=True)
class Problem:
    """One remark about a message: where (``PID^1^3``), a code of HL7 table 0357, how bad, and a Chinese sentence."""

    location: str
    code: str
    text: str
    severity: Severity = Severity.ERROR


@dataclass(frozen=True, slots=True)
class PatientId:
    """An identifier and its kind: patient_no, id_card, medical_insurance, visit_card, health_card, inpatient_no … or as sent."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class PatientData:
    """A person as the sender describes them; ``ids`` is never empty and the first is the sender's main number."""

    ids: tuple[PatientId, ...]
    name: str
    sex: Sex
    birth: date | None
    birth_at: datetime | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class VisitData:
    """The contact the order belongs to; ``kind`` is None when the sender gave none we know."""

    kind: VisitType | None
    visit_no: str | None = None
    dept: str | None = None
    dept_code: str | None = None
    ward: str | None = None
    bed: str | None = None
    diagnosis: str | None = None


@dataclass(frozen=True, slots=True)
class ItemData:
    """One requested item. ``charge`` None means the sender did not say; ``location`` is where it stood (``OBR^1``)."""

    order_item_no: str
    action: Action
    code: str | None
    name: str | None
    charge: Charge | None = None
    specimen: str | None = None
    note: str | None = None
    location: str = ""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OrderData:
    """One request form (申请单) with its items."""

    order_no: str
    priority: Priority
    items: tuple[ItemData, ...]
    doctor: str | None = None
    doctor_code: str | None = None
    dept: str | None = None
    dept_code: str | None = None
    ordered_at: datetime | None = None
    planned_at: datetime | None = None
    clinical_note: str | None = None
    drugs: str | None = None
    """Drugs that matter to the tests; "" says none, None says nothing."""
    gest_from: date | None = None
    """The day from which the patient's pregnancy is counted (its weeks, as told, counted back)."""
    fasting: bool | None = None
    consent: bool | None = None
    """Whether the patient fasts for it, and has signed a consent; None: nothing was said."""


@dataclass(frozen=True, slots=True)
class OrderMessage:
    """Everything one message asks for one patient. ``key`` repeats exactly when the message is a repeat."""

    key: str
    patient: PatientData
    visit: VisitData | None
    orders: tuple[OrderData, ...]
    problems: tuple[Problem, ...] = ()
    sent_at: datetime | None = None

    @property
    def items(self) -> tuple[ItemData, ...]:
        """All items in the order they were sent."""
        return tuple(item for order in self.orders for item in order.items)


NO_DRUGS = frozenset({"无", "没有", "否认", "none", "no", "nil"})


def drugs_said(text: str | None) -> str | None:
    """What was said of drugs that matter to the tests: None for silence, "" for none, else as it was said."""
    said = (text or "").strip()
    if not said:
        return None
    return "" if said.rstrip("。.").lower() in NO_DRUGS else said


# HL7 tables 0916 and 0136, LOINC answers and what people write. What is in none of them says nothing.
_YES = frozenset({"是", "有", "已签", "已签署", "同意", "空腹", "y", "yes", "true", "1", "f", "fasting", "la33-6"})
_NO = frozenset(
    {"否", "无", "未签", "未签署", "不同意", "非空腹", "未空腹", "餐后", "n", "no", "false", "0", "nf", "non-fasting", "la32-8"}
)


def yes_said(text: str | None) -> bool | None:
    """Whether what was written says yes or no of fasting or a consent; None: it says neither."""
    said = (text or "").strip().rstrip("。.").lower()
    return True if said in _YES else False if said in _NO else None


LAST_WEEK = 45
_WEEK = re.compile("周|weeks?|wks?|w")
_WEEKS = re.compile(r"(?:孕|妊娠)?\s*(\d{1,2})\s*(?:\+[\s+]*(?:([0-6])\s*(?:天|d)?\s*\+?)?)?", re.ASCII)
_DAYS = re.compile(r"(\d{1,3})\s*(?:天|日|d)?", re.ASCII)
_IN_DAYS = frozenset({"d", "day", "days", "天", "日"})


def gestation_said(text: str | None, unit: str = "") -> int | None:
    """Days of pregnancy in what was written: 24, 24周, 24+3, 24w3d; days where the unit says so. None: nothing we can read, or no pregnancy
    lasts so long."""
    said, by_day = (text or "").strip().lower().replace("＋", "+"), unit.strip().lower() in _IN_DAYS
    found = _DAYS.fullmatch(said) if by_day else _WEEKS.fullmatch(_WEEK.sub("+", said))
    if found is None:
        return None
    days = int(found[1]) if by_day else 7 * int(found[1]) + int(found[2] or 0)
    return days if 7 <= days < 7 * (LAST_WEEK + 1) else None


@dataclass(frozen=True, slots=True)
class Registration:
    """What the form holds. ``key`` is the form's own, so that sending it twice registers once."""

    key: str
    patient_no: str
    name: str
    sex: str
    birth: str
    phone: str
    kind: str
    dept: str
    doctor: str
    priority: str
    paid: bool
    note: str
    order_sets: Sequence[str]
    drugs: str = ""
    fasting: str = ""
    consent: bool = False
    gest: str = ""
    """Week of pregnancy on the day of the registration: 24, 24+3."""
    other_person: bool = False
    """Somebody of this name and birthday is known, and this is another person: said by whoever registers."""

    @classmethod
    def read(cls, form: Mapping[str, str]) -> Registration:
        """From a submitted form; ``order_set`` may stand in it several times."""
        words = {
            name: form.get(name, "")
            for name in ("key", "patient_no", "name", "sex", "birth", "phone", "kind", "dept", "doctor", "note", "drugs", "gest", "fasting")
        }
        several = getattr(form, "getlist", lambda name: [form[name]] if name in form else [])
        return cls(
            **words,
            priority=form.get("priority", ""),
            paid=form.get("paid") == "1",
            consent=form.get("consent") == "1",
            order_sets=several("order_set"),
            other_person=form.get("other_person") == "1",
        )
