"""ASTM records to the common shape: walks H/P/O/R/C/M/Q/L and keeps each result below its specimen.

The rule that matters most: a result is never put under a specimen that is not surely its own. When
frames were lost, a result whose parent may have been among them goes under no specimen, with a
problem that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from common.instruments.codes import (
    ambiguous,
    control_id,
    control_word,
    first_component,
    order_specimen,
    query_specimen,
    vendor_code,
    vendor_codes,
)
from common.instruments.driver import Position
from common.instruments.reading import Message, Result, Specimen
from common.instruments.recognise import ANY, Choice
from common.protocol.astm.records import NONE_IF_NUMBERED, RecordMessage, unescape
from common.protocol.problem import Problem, quote

_NOT_PATIENT = frozenset({"Q", "QR", "CR", "QC"})
"""H.12 values that mean control or calibration (LIS02 7.1.12; QR and CR are Mindray's)."""
_STATUS = frozenset({"F", "P", "C", "X"})


def _get(record: list[str], number: int) -> str:
    """Field ``number`` of the standard (1 is the record type)."""
    return record[number - 1] if len(record) >= number else ""


_PADS = [[""] * (14 - have) for have in range(14)]
"""Empty fields that a result record of so many fields lacks."""
_NULL = '""'
"""Two quotes mean: no value (LIS02 6.4.5)."""
_NULLABLE = frozenset({3, 4, 6, 8, 11, 12})
"""Indexes of a result's value, unit, flags, status and times."""
_NO_RECORD: list[str] = []


def _sequence(record: list[str]) -> int:
    """Number of a record within its parent, 0 when it has none."""
    text = record[1] if len(record) > 1 else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def read_message(source: RecordMessage, choice: Choice = ANY) -> Message:
    """One message of records in the common shape."""
    return _Reader(source, choice).read()


class _Reader:
    def __init__(self, source: RecordMessage, choice: Choice) -> None:
        self.source = source
        self.d = source.delimiters
        self.header = source.records[0] if source.records and source.records[0][0] == "H" else []
        self.driver = choice.driver("astm", self._place)
        self.position = self.driver.code if self.driver else None
        self.codes = vendor_codes(self.d.component, self.position)
        self.roche = _get(self.header, 11)[:5] in ("RSUPL", "TSDWN")
        self.qc = _get(self.header, 12).strip() in _NOT_PATIENT
        self.message = Message("other", protocol="astm", encoding=source.encoding)
        self.patient: list[str] = []
        self.specimen: Specimen | None = None
        self.holder: Message | Specimen | Result = self.message
        self.last_result: Result | None = None
        self.last_record = _NO_RECORD
        self.lost = 0
        self.shift = self.driver.shifted_from if self.driver else 0
        self.loose = bool(self.driver and "frame.gap" in self.driver.tolerates)
        self.escape, self.repeat, self.component = self.d.escape, self.d.repeat, self.d.component
        self.escaped = source.escaped
        self.nulls = source.nulls
        self.odd = bool(self.shift or self.escaped or self.nulls)
        self.orders: list[tuple[Specimen, list[str]]] = []
        self.asked = False

    def _place(self, where: str) -> str:
        kind, number = where[:2], where[2:]
        if kind == "H.":
            return _get(self.header, int(number))
        if kind == "O.":
            return _get(next((record for record in self.source.records if record[0] == "O"), []), int(number))
        return ""

    def read(self) -> Message:
        """Walk the records; never raises on any content."""
        message, source = self.message, self.source
        message.driver = (self.driver.id or None) if self.driver else None
        message.tolerates = self.driver.tolerates if self.driver else frozenset()
        message.delimiters = "".join(self.d)
        message.records = source.records
        message.problems.extend(source.problems)
        message.complete = source.has_end and source.has_header and not source.lost_before
        if self.header:
            message.control_id = _get(self.header, 3) or None
            message.sender = _get(self.header, 5) or None
            message.sent_at = _get(self.header, 14) or None
            message.type = _get(self.header, 11) or _get(self.header, 12) or None
        lost_before = {} if self.loose else source.lost_before
        ended = ""
        for at, record in enumerate(source.records):
            if lost_before and at in lost_before:
                self.lost = lost_before[at]
            kind = record[0]
            if kind == "R":
                self._result(record)
            elif kind == "C":
                self.holder.comments.append(self._text(_get(record, 4)))
            elif kind == "O":
                self._order(record)
            elif kind == "P":
                self._patient(record)
            elif kind == "M" or kind == "S":
                self._detail(record)
            elif kind == "Q":
                self._query(record)
            elif kind == "L":
                ended = _get(record, 3).strip().upper()
            elif kind != "H":
                said = f"未知记录类型 {kind},原文保留(unknown record type):{quote(self.d.field.join(record))}"
                message.problems.append(Problem("record.type", said))
        self._finish(ended)
        return message

    def _text(self, field: str) -> str:
        if self.escaped and self.escape in field:
            return unescape(field, self.d, self.source.encoding)
        return field

    def _opt(self, field: str) -> str | None:
        """Text of an optional field: None when empty or the null mark."""
        if not field or field == '""':
            return None
        return self._text(field)

    def _patient(self, record: list[str]) -> None:
        self.patient = record
        self.specimen = None
        self.last_result = None
        self.last_record = _NO_RECORD
        self.lost = 0
        self.holder = self.message

    def _order(self, record: list[str]) -> None:
        d = self.d
        tests_field = _get(record, 5)
        o3 = _get(record, 3)
        ids = [o3]
        if d.repeat in o3:
            ids = list(dict.fromkeys(one for one in o3.split(d.repeat) if one.strip())) or [o3]
        o4, o12, o16 = _get(record, 4), _get(record, 12), _get(record, 16)
        before = self.specimen
        specimen = self._new_specimen(self._specimen_id(record, ids[0], o4))
        specimen.position = o4 or (o3 if d.component in o3 else None)
        specimen.priority = _get(record, 6) or None
        specimen.action = o12 or None
        specimen.sample_type = self._opt(o16)
        specimen.collected_at = _get(record, 8) or None
        specimen.observed_at = _get(record, 23) or None
        separators = d.component + d.repeat
        prefix = self.driver.qc_prefix if self.driver else ""
        specimen.qc = (
            self.qc
            or o12.strip() == "Q"
            or o16.strip() == "Q"
            or control_word(o16, separators)
            or control_word(o4, separators)
            or bool(prefix and specimen.specimen_id and specimen.specimen_id.startswith(prefix))
            or control_id(specimen.specimen_id)
            or control_id(specimen.patient_id)
        )
        if specimen.qc:
            specimen.control = self._opt(o16) or specimen.specimen_id
        if len(ids) > 1:
            specimen.other_ids = [first_component(self._text(one), d.component) or one for one in ids[1:]]
        if before is not None and _same_tube(before, specimen):
            self.message.specimens.pop()
            self.specimen = self.holder = specimen = before
        self.orders.append((specimen, tests_field.split(d.repeat) if tests_field else []))
        self.lost = 0

    def _specimen_id(self, order: list[str], o3: str, o4: str) -> str | None:
        if self.driver and self.driver.specimen:
            sources = {"O": [*order[:2], o3, *order[3:]], "P": self.patient, "H": self.header}
            return _at(self.driver.specimen, sources, self.d.component, self._text)
        found = order_specimen(o3, o4, self.d.component, self.roche)
        return self._text(found).strip() or None if found else None

    def _new_specimen(self, specimen_id: str | None) -> Specimen:
        record, comp = self.patient, self.d.component
        if self.lost:  # the patient record may be among the lost frames
            record = []
        specimen = Specimen(specimen_id)
        if self.driver and self.driver.patient:
            specimen.patient_id = _at(self.driver.patient, {"P": record, "H": self.header}, comp, self._text)
        else:
            for number in (3, 4, 5):
                found = first_component(_get(record, number), comp)
                if found:
                    specimen.patient_id = self._text(found)
                    break
        name = _get(record, 6)
        specimen.patient_name = self._opt(name) if name.strip(comp) else None
        specimen.birth = _get(record, 8) or None
        specimen.sex = _get(record, 9) or None
        specimen.qc = self.qc
        self.message.specimens.append(specimen)
        self.specimen = specimen
        self.holder = specimen
        self.last_result = None
        self.last_record = _NO_RECORD
        return specimen

    def _result(self, record: list[str]) -> None:
        specimen = self.specimen
        if specimen is None or self.lost:
            specimen = self._parent(specimen, record)
        self.last_record = record
        flags = None
        if self.odd:
            record, flags = self._mended(record)
        have = len(record)
        _, _, test, value, unit, ref_range, flag, _, status, _, operator, started, completed, device = (
            record if have == 14 else record + _PADS[have] if have < 14 else record[:14]
        )
        if flags is None:
            flags = ([one for one in flag.split(self.repeat) if one] if self.repeat in flag else [flag]) if flag else []
        result = Result(
            self.codes[test],
            value or None,
            unit or None,
            flags,
            status or None,
            completed or started or None,
            specimen.qc,
            None,
            test or None,
            ref_range or None,
            None,
            operator or None,
            device or None,
            None,
            None,
            [],
            [],
        )
        specimen.results.append(result)
        self.holder = self.last_result = result
        if not value and result.code is None:
            said = f"结果记录既无项目代码也无值(R record without code and value):{quote(self.d.field.join(self.last_record))}"
            self.message.problems.append(Problem("result.empty", said.rstrip(self.d.field)))

    def _mended(self, record: list[str]) -> tuple[list[str], list[str] | None]:
        """A result record as it is meant: shifted fields, escape sequences and null marks resolved; its flags where they were decoded."""
        flags = None
        if self.shift and not _get(record, 9) and _get(record, 10).strip() in _STATUS:
            record = record[: self.shift - 1] + record[self.shift :]
        if self.escaped and self.escape in "".join(record):  # decoded field by field, after splitting (LIS02 6.6)
            flags = [self._text(one) for one in _get(record, 7).split(self.repeat) if one and one != _NULL]
            record = [self._text(one) for one in record]
        if self.nulls and _NULL in record:
            record = ["" if one == _NULL and at in _NULLABLE else one for at, one in enumerate(record)]
        return record, flags

    def _parent(self, specimen: Specimen | None, record: list[str]) -> Specimen:
        """The specimen for a result whose own O record is missing or may be."""
        lost, self.lost = self.lost, 0
        number = _sequence(record)
        missing = number - _sequence(self.last_record) - 1
        if specimen is not None and number and (missing == lost > 0 or lost == NONE_IF_NUMBERED and missing == 0):
            return specimen  # exactly the missing results are missing
        said = "结果前没有 O 记录,样本未知(result without an order record)"
        if specimen is not None or lost:
            said = "丢帧之后的结果不能确定属于哪个样本,未归入任何样本(specimen uncertain after lost frames)"
        self.message.problems.append(Problem("result.orphan", said))
        orphan = self._new_specimen(None)
        if lost:
            orphan.patient_id = orphan.patient_name = orphan.birth = orphan.sex = None
        return orphan

    def _detail(self, record: list[str]) -> None:
        """Manufacturer and scientific records stay with what they follow; without a driver nobody knows them."""
        if self.driver is None:
            said = f"厂家记录 {record[0]} 未作解释,原文保留(record not interpreted):{quote(self.d.field.join(record))}"
            self.message.problems.append(Problem("record.vendor", said))
        if self.last_result is not None:
            self.last_result.details.append(record)
        elif self.specimen is not None:
            self.specimen.details.append(record)

    def _query(self, record: list[str]) -> None:
        d = self.d
        self.asked = True
        for item in _get(record, 3).split(d.repeat):
            found = query_specimen(item, d.component)
            if found:
                self.message.query.append(self._text(found))
        until = _get(record, 4)
        last = query_specimen(until, d.component) if until.strip() else None
        if last and last not in self.message.query:
            said = f"查询一个范围,至 {last}(query for a range of ids)"
            self.message.problems.append(Problem("query.range", said))
            self.message.query.append(last)
        self.holder = self.message

    def _finish(self, ended: str) -> None:
        message = self.message
        if ended == "T":
            self._aborted()
            return
        if ended in ("R", "E", "Q"):
            said = {"R": "接收方要求中止", "E": "发送方报告未知错误", "Q": "上次请求有错误"}[ended]
            message.problems.append(Problem("message.end", f"消息以 L|{ended} 结束:{said}(termination code)"))
        judged = [specimen.qc for specimen in message.specimens if specimen.results]
        if judged:
            message.kind = "qc" if all(judged) else "results"
        elif self.asked:
            message.kind = "query"
        elif self.orders and (self.source.has_end or not self.source.has_header):
            message.kind = "order"  # a cut message may be one of results: nothing is ordered from it
            for specimen, tests in self.orders:
                self._ordered(specimen, tests)
            message.specimens = [copy for one in message.specimens for copy in _each_id(one)]
        if message.kind in ("results", "qc"):
            for specimen in message.specimens:
                if specimen.other_ids and specimen.results:
                    others = "、".join(specimen.other_ids)
                    said = f"O.3 有多个标本号,结果归入第一个,其余:{others}(several specimen ids)"
                    message.problems.append(Problem("specimen.several", said))
            if self.position is None:
                self._tell_apart()
        if self.driver and self.driver.tolerates:
            message.problems = [one for one in message.problems if one.code not in self.driver.tolerates]

    def _tell_apart(self) -> None:
        """Rows of one specimen whose code is the same though they name different things get the whole test id as code."""
        separator = self.d.component
        for specimen in self.message.specimens:
            codes = [result.code for result in specimen.results]
            if len(set(codes)) == len(codes):
                continue
            rows: dict[str | None, list[Result]] = {}
            for result in specimen.results:
                rows.setdefault(result.code, []).append(result)
            for same in rows.values():
                if len(same) > 1 and ambiguous([one.test_id or "" for one in same], separator):
                    for one in same:
                        one.code = (one.test_id or "").strip() or None

    def _ordered(self, specimen: Specimen, tests: list[str]) -> None:
        for test in tests:
            code = vendor_code(self._text(test), self.d.component, self.position)
            if code:
                specimen.results.append(Result(code, None, qc=specimen.qc, test_id=test))

    def _aborted(self) -> None:
        message = self.message
        count = sum(len(specimen.results) for specimen in message.specimens)
        said = f"发送方中止了本消息(L|1|T),{count} 个结果未读取(message aborted by the sender)"
        message.problems.append(Problem("message.aborted", said))
        message.kind, message.specimens, message.query = "other", [], []


def _each_id(specimen: Specimen) -> list[Specimen]:
    """An order for several specimens (O.3 repeats) is an order for each of them."""
    others = [Specimen(one, specimen.patient_id, list(specimen.results), specimen.qc) for one in specimen.other_ids]
    return [specimen, *others]


def _same_tube(one: Specimen, other: Specimen) -> bool:
    """Two O records of one patient about the same tube (one order record a test)."""
    if one.specimen_id is None or one.specimen_id != other.specimen_id:
        return False
    same = one.patient_id == other.patient_id and one.position == other.position
    return same and one.qc == other.qc and one.other_ids == other.other_ids


def _at(positions: tuple[Position, ...], sources: Mapping[str, Sequence[str]], separator: str, text: Callable[[str], str]) -> str | None:
    """First non-empty component at the given positions."""
    for kind, number, component in positions:
        record = sources.get(kind, ())
        field = record[number - 1] if len(record) >= number else ""
        if component == 0:
            parts, component = ([field] if separator not in field else []), 1
        else:
            parts = field.split(separator)
        if len(parts) >= component and parts[component - 1].strip() not in ("", '""'):
            return text(parts[component - 1].strip()).strip()
    return None
