"""From a reviewed tube to the frozen document of a report version: what is printed, and the same as data for other systems."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cloud.modules.bench.queries import MAX_PRINTED, Detail, Print, TestLine
from cloud.modules.bench.service import TestState
from cloud.modules.catalog.queries import HOSPITAL_ZONE, LayoutRow
from cloud.modules.reports.rules import is_positive
from cloud.reports.documents import Amendment, Change, Paper, ReportDocument, ReportImage, ReportKind, ReportRow, report_from_json, to_json

TEMPLATE_VERSION = "report-1"
LAB = "检验科"
SEXES = {"M": "男", "F": "女"}
NO_RESULT = "无结果"


@dataclass(frozen=True, slots=True)
class Signed:
    """Who made and who verified the report."""

    tester_id: int
    tester: str
    verifier_id: int
    verifier: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Issue:
    """What a version adds to the tube: its number, the hospital's name, and, for a later version, what it replaces."""

    no: str
    version: int
    hospital: str
    section: str
    verify_url: str
    amendment: Amendment | None = None
    referral_lab: str = ""
    """Where the tube was examined, when not here."""
    part: Collection[int] | None = None
    """The only tests it tells (a preliminary report); None: all."""
    layout: LayoutRow | None = None
    """How the hospital wants it to look; frozen with the document."""
    remark: str = ""
    """补充说明: what an amendment adds in words; later versions keep it."""


def build(detail: Detail, issue: Issue, signed: Signed) -> dict[str, Any]:
    """The document of a report version: ``print`` (a ReportDocument), ``lines``, ``subject`` and ``requests`` as data."""
    printed = [t for t in detail.tests if _printed(t) and (issue.part is None or t.id in issue.part)]
    return {
        "print": to_json(_sheet(detail, printed, issue, signed)),
        "lines": [_line(t, detail) for t in printed],
        "subject": _subject(detail),
        "requests": [asdict(r) for r in detail.requests],
        "signed": {
            "tester": [signed.tester_id, signed.tester],
            "verifier": [signed.verifier_id, signed.verifier],
            "at": signed.at.isoformat(),
        },
        **({"remark": issue.remark} if issue.remark else {}),
        "template": TEMPLATE_VERSION if issue.layout is None else f"{TEMPLATE_VERSION}+{issue.layout.id}.{issue.layout.version}",
    }


def looks(layout: LayoutRow | None) -> dict[str, Any]:
    """A layout as fields of the printed document."""
    if layout is None:
        return {}
    plain = {name: getattr(layout, name) for name in ("subtitle", "logo", "show_code", "show_method", "tester_word", "verifier_word")}
    return plain | {"paper": Paper(layout.paper), "remarks": tuple(line.strip() for line in layout.remarks.splitlines() if line.strip())}


TELLING = frozenset({TestState.REVIEWED, TestState.RELEASED, TestState.AMENDED})
"""States of the tests that a preliminary report may tell."""


def part_of(detail: Detail, states: Collection[TestState] = TELLING) -> frozenset[int]:
    """The tests of a tube that a preliminary report tells now: what is reviewed, and what was told before."""
    return frozenset(t.id for t in detail.tests if t.state in states and t.current is not None and not t.index)


def is_preliminary(document: Mapping[str, Any]) -> bool:
    """Whether a stored document tells only a part."""
    return document["print"].get("kind") in (ReportKind.PRELIMINARY, ReportKind.INTERIM)


def kind_of(issue: Issue) -> ReportKind:
    """预报告: the first part that is told; 中间报告: each later one while something is still open; 终报告: the whole."""
    if issue.part is None:
        return ReportKind.FINAL
    return ReportKind.PRELIMINARY if issue.version == 1 else ReportKind.INTERIM


def sheet(document: Mapping[str, Any]) -> ReportDocument:
    """The printable part of a stored document."""
    return report_from_json(document["print"])


def _printed(test: TestLine) -> bool:
    if test.state is TestState.CANCELLED or test.index:
        return False
    return test.current is not None or bool(test.no_result_reason)


def _sheet(detail: Detail, tests: Sequence[TestLine], issue: Issue, signed: Signed) -> ReportDocument:
    tube = detail.tube
    first = detail.requests[0] if detail.requests else None
    return ReportDocument(
        hospital=issue.hospital,
        lab=LAB,
        title=f"{issue.section.removesuffix('组').removesuffix('室')}检验报告单",
        report_no=issue.no,
        patient_name=tube.name,
        sex=SEXES.get(tube.sex, "未知"),
        age=detail.age,
        patient_no=tube.patient_no,
        specimen_type=tube.specimen_type,
        barcode=tube.barcode,
        rows=tuple(_row(t, issue.referral_lab) for t in tests),
        tester=signed.tester,
        verifier=signed.verifier,
        reported_at=signed.at,
        collected_at=tube.collected_at,
        received_at=tube.received_at,
        department=tube.ward or tube.dept or (first.dept if first else ""),
        doctor=first.doctor if first else "",
        bed=tube.bed,
        diagnosis=tube.diagnosis,
        sample_no=tube.sample_no or "",
        specimen_note=tube.caveat,
        comments=(
            *_to_follow(detail, issue),
            *_remark(issue),
            *_fed(detail),
            *_comments(tests),
            *_not_printed(detail, issue),
        ),
        images=() if issue.part is not None else tuple(ReportImage(p.title, p.data) for p in _drawn(detail)),
        kind=kind_of(issue),
        version=issue.version,
        urgent=tube.urgent,
        amendment=issue.amendment,
        placeholder_intervals=any(t.current is not None and t.current.snapshot.get("placeholder") for t in tests),
        verify_url=issue.verify_url,
        referral_lab=issue.referral_lab,
        **looks(issue.layout),
        accreditation_no="、".join(
            dict.fromkeys(t.item.accredited for t in tests if t.item.accredited and t.current and not issue.referral_lab)
        ),
        mutual_recognition_scope="、".join(
            dict.fromkeys(t.item.mutual_recognition for t in tests if t.item.mutual_recognition and t.current)
        ),
    )


REMARK = "补充说明"


def _remark(issue: Issue) -> list[str]:
    return [f"{REMARK}：{issue.remark}"] if issue.remark else []


# What of patient and tube a reader relies on, and whether it is told of every amendment or only of one made for it: a patient moves.
_FACTS = {
    "name": ("患者姓名", True), "sex": ("性别", True), "birth": ("出生日期", True), "patient_no": ("病历号", True),
    "specimen_type": ("标本类型", True), "collected_at": ("采集时间", True), "received_at": ("接收时间", True),
    "note": ("标本说明", True), "dept": ("科室", False), "ward": ("病区", False),
}  # fmt: skip


def corrected_facts(told: Mapping[str, Any], detail: Detail, moved: bool) -> list[Change]:
    """What a told document says otherwise of patient and tube than is known now. ``moved``: also where the patient is."""
    now = _subject(detail)
    return [
        Change(word, _fact(name, told.get(name)), _fact(name, now[name]))
        for name, (word, always) in _FACTS.items()
        if (always or moved) and (told.get(name) or "") != (now[name] or "")
    ]


def _fact(name: str, value: str | None) -> str:
    if not value:
        return "无"
    if name == "sex":
        return SEXES.get(value, "未知")
    if name in ("collected_at", "received_at"):
        return f"{datetime.fromisoformat(value).astimezone(HOSPITAL_ZONE):%Y-%m-%d %H:%M}"
    return f"{datetime.fromisoformat(value).astimezone(HOSPITAL_ZONE):%Y-%m-%d}" if name == "birth" else value


def _fed(detail: Detail) -> list[str]:
    """What was taken from a patient who, as the request says, had eaten."""
    names = list(dict.fromkeys(each.his_name for each in detail.requests if each.fed))
    return [f"申请注明采集前未空腹（{'、'.join(names)}），结果请结合进食情况判断。"] if names else []


def _drawn(detail: Detail) -> list[Print]:
    return [p for p in detail.prints if not p.problem][:MAX_PRINTED]


def _to_follow(detail: Detail, issue: Issue) -> list[str]:
    """What a preliminary report leaves open, by name; a sensitive item's name is nobody's who may not see the item."""
    if issue.part is None:
        return []
    rest = [t for t in detail.tests if t.id not in issue.part and t.state is not TestState.CANCELLED and not t.index]
    rest = [t for t in rest if t.item.mandatory or t.current is not None]
    names = [t.item.name for t in rest if not t.item.sensitive]
    others = len(rest) - len(names)
    word = "预报告" if kind_of(issue) is ReportKind.PRELIMINARY else "中间报告"
    return [f"{word}，以终报告为准。待出：{'、'.join([*names, *([f'另 {others} 项'] if others else [])])}。"]


def _not_printed(detail: Detail, issue: Issue) -> list[str]:
    """Graphs the report should carry and does not: each is named. A preliminary report carries none."""
    if issue.part is not None:
        return []
    whole = [p for p in detail.prints if not p.problem]
    out = [f"附图“{p.title}”数据损坏，未能打印。" for p in detail.prints if p.problem]
    return out + ([f"另有 {len(whole) - MAX_PRINTED} 幅图未打印，可在检验科查看。"] if len(whole) > MAX_PRINTED else [])


def _comments(tests: Sequence[TestLine]) -> list[str]:
    """Why there is no result, said once of all items with the one reason, or what must be known of the one there is (interference)."""
    out: dict[str, list[str]] = {}
    for test in tests:
        if test.current is None:
            out.setdefault(test.no_result_reason, []).append(test.item.name)
    none = [f"{'、'.join(names)}未出结果：{reason}" for reason, names in out.items()]
    return none + [f"{t.item.name}：{told}" for t in tests if t.current is not None for told in t.told]


def _row(test: TestLine, referral_lab: str) -> ReportRow:
    item, value, away = test.item, test.current, bool(referral_lab)
    if value is None:
        return ReportRow(name=item.name, code=item.code, result=NO_RESULT, method=item.method, sensitive=item.sensitive, referral=away)
    return ReportRow(
        name=item.name,
        code=item.code,
        result=value.reported_text,
        unit=value.unit,
        interval=value.ref_text,
        mark=value.mark,
        method=item.method,
        sensitive=item.sensitive,
        mutual_recognition=bool(item.mutual_recognition),
        accredited=bool(item.accredited) and not away,
        referral=away,
    )


def _line(test: TestLine, detail: Detail) -> dict[str, Any]:
    item, value = test.item, test.current
    numbers = {r.order_item_id: r.order_item_no for r in detail.requests}
    out: dict[str, Any] = {
        "item_id": item.id,
        "code": item.code,
        "standard_code": item.wst886_code or "",
        "name": item.name,
        "name_en": item.name_en,
        "method": item.method,
        "numeric": item.result_type == "numeric",
        "test_id": test.id,
        "item_no": numbers.get(test.order_item_id or 0, ""),
    }
    if value is None:
        return out | {"value": NO_RESULT, "note": test.no_result_reason, "unit": "", "interval": "", "flag": "", "critical": False}
    if item.notifiable and is_positive(value.reported_text, value.flag):
        out["notify"] = item.notifiable
    return out | {
        "version_id": value.id,
        "value": value.reported_text,
        "comparator": value.comparator,
        "number": None if value.value is None else f"{value.value:f}",
        "unit": value.unit,
        "interval": value.ref_text,
        "limits": _limits(value.snapshot),
        "flag": value.flag,
        "critical": value.critical,
        "note": " ".join(test.told),
        "observed_at": (value.run_at or value.at).isoformat(),
    }


def _limits(snapshot: Mapping[str, Any]) -> list[str | None]:
    interval = snapshot.get("interval") or [None, None, None]
    return [interval[1], interval[2]]


def _subject(detail: Detail) -> dict[str, Any]:
    tube = detail.tube
    return {
        "patient_id": tube.patient_id,
        "patient_no": tube.patient_no,
        "name": tube.name,
        "sex": tube.sex,
        "birth": None if tube.birth is None else tube.birth.isoformat(),
        "age": detail.age,
        "visit_no": tube.visit_no,
        "visit_kind": tube.visit_kind,
        "dept": tube.dept,
        "ward": tube.ward,
        "bed": tube.bed,
        "specimen_id": tube.specimen_id,
        "barcode": tube.barcode,
        "specimen_type": tube.specimen_type,
        "collected_at": None if tube.collected_at is None else tube.collected_at.isoformat(),
        "received_at": None if tube.received_at is None else tube.received_at.isoformat(),
        "note": tube.caveat,
    }
