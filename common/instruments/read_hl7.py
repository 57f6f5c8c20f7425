"""HL7 v2 messages of analyzers to the common shape.

Which specimen an OBX belongs to is decided by the message's own order: an SPM (or SAC) before the first
order group governs the groups after it (OUL^R22, OML^O33); an SPM after its group closes it
(ORU^R01 of 2.5.1, OML^O21); without SPM the OBR carries the id. Where one group has several
specimens behind it, its results go under none, with a problem.
"""

from __future__ import annotations

import re

from common.instruments.codes import control_id
from common.instruments.driver import Driver
from common.instruments.hl7_damage import Damage, harmless, like
from common.instruments.hl7_fields import (
    KNOWN,
    control_order,
    flags_of,
    kind_of,
    observation_code,
    ordered_code,
    query_ids,
    unit_of,
)
from common.instruments.reading import Message, Result, Specimen
from common.instruments.recognise import ANY, Choice
from common.protocol.hl7 import messages as hl7
from common.protocol.hl7.messages import Segment
from common.protocol.hl7.split import Found
from common.protocol.problem import Problem, quote

_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_NOT_PATIENT = frozenset({"Q", "C", "E", "F", "O", "V"})
"""SPM-11 (table 0369): control, calibrator, electronic QC, proficiency (two), verifying calibrator."""


def read_message(found: Found, choice: Choice = ANY) -> Message:
    """One HL7 message in the common shape. Never raises on any content."""
    return _Reader(found, choice).read()


class _Group:
    """An order group: its OBR, its results, its ordered code."""

    def __init__(self, order: Segment | None, control: Segment | None = None) -> None:
        self.order = order
        self.control = control
        self.results: list[Result] = []
        self.code: str | None = None
        self.qc = False


class _Reader:
    def __init__(self, found: Found, choice: Choice) -> None:
        self.found = found
        self.source = found.message
        self.msh = self.source.msh
        self.damage = Damage(self.source)
        self.driver: Driver | None = choice.driver("hl7", self._place)
        self.message = Message("other", protocol="hl7", encoding=self.source.encoding)
        self.kind = kind_of(self.source.type, self.source)
        self.patient: Segment | None = None
        self.specimen: Specimen | None = None
        self.group: _Group | None = None
        self.control: Segment | None = None
        self.holder: Message | Result | Specimen = self.message
        names = [segment.name for segment in self.source.segments]
        groups = [at for at, name in enumerate(names) if name in ("OBR", "OBX")]
        spm = {"SPM"}.union(name for name in set(names) if like(name, "SPM"))
        tubes = [at for at, name in enumerate(names) if name in spm]
        self.tubes, self.uncertain = bool(tubes), False  # uncertain: a segment before was damaged and no specimen was named since
        self.trailing = bool(groups and tubes and groups[0] < tubes[0]) and not self.source.type.startswith("OUL")
        # a cut message of 2.5 or later may have lost the SPM that follows its group
        self.surely = found.complete or not (self.trailing or self.msh.get(12)[:3] >= "2.5")
        self.numbers: dict[str, str] = {}
        self.pending: list[_Group] = []
        self.waiting: list[tuple[Segment, list[Result]]] = []
        self.qc = self.msh.component(11).strip() == "Q" or (self.msh.get(16).strip() in ("1", "2") and self.msh.get(12).startswith("2.3"))

    def _place(self, where: str) -> str:
        name, _, number = where.partition("-")
        if name == "MSH":
            return self.msh.get(int(number))
        segment = self.source.first(name) if number else None
        return segment.get(int(number)) if segment else ""

    def read(self) -> Message:
        """Walk the segments."""
        message, msh = self.message, self.msh
        message.driver = (self.driver.id or None) if self.driver else None
        message.tolerates = self.driver.tolerates if self.driver else frozenset()
        message.delimiters = "".join(self.source.d)
        message.records = [segment.fields for segment in self.source.segments]
        message.type = self.source.type or None
        message.control_id = msh.get(10) or None
        message.sender = "|".join(part for part in (msh.get(3), msh.get(4)) if part) or None
        message.sent_at = msh.get(7) or None
        message.complete = self.found.complete
        message.problems.extend(self.found.problems)
        for segment in self.source.segments:
            self._segment(segment)
        self._flush()
        message.kind = self.kind
        if message.type and message.type.startswith("DSR"):
            self._display()
        if message.kind == "query":
            message.query = query_ids(self.source)
        self._finish()
        return message

    def _segment(self, segment: Segment) -> None:
        name = segment.name
        was = self.damage.was(segment)
        if was:
            self._damaged(segment, was)
        elif name == "OBX":
            self._observation(segment)
        elif name == "OBR":
            self._order(segment)
        elif name == "ORC":
            self._control(segment)
        elif name == "SPM":
            self._tube(segment)
        elif name == "SAC":
            self._container(segment)
        elif name == "PID":
            self._flush()
            self.patient, self.specimen, self.group = segment, None, None
            self.holder, self.numbers = self.message, {}
        elif name == "NTE":
            self.holder.comments.append(segment.text(3))
        elif name in ("TCD", "INV", "SID"):
            if isinstance(self.holder, Result):
                self.holder.details.append(segment.fields)
        elif not _NAME.fullmatch(name):
            self._damaged(segment)
        elif name not in KNOWN and any(field.strip() for field in segment.fields[1:]):
            said = f"未知段 {name},原文保留(unknown segment):{quote(self.source.d.field.join(segment.fields))}"
            self.message.problems.append(Problem("segment.type", said))

    def _damaged(self, segment: Segment, was: str = "") -> None:
        """A segment whose name is no name: where it may have named a patient, an order or a specimen, the results after it are nobody's."""
        text = quote(self.source.d.field.join(segment.fields))
        if was == "OBX" or not was and harmless(segment.fields[0][:3]):
            self.message.problems.append(Problem("segment.name", f"段损坏,未读取(damaged segment):{text}"))
            return
        said = f"段损坏,其后的结果不能确定属于哪个标本,未归入任何标本(damaged segment, specimen uncertain):{text}"
        self.message.problems.append(Problem("segment.name", said))
        if self.trailing and not self.waiting:
            for group in self.pending:
                if group.results:
                    self._new_specimen(None).results.extend(group.results)
            self.pending = []
        self._flush()
        self.patient, self.specimen, self.group, self.control = None, None, None, None
        self.holder, self.uncertain, self.numbers = self.message, True, {}

    def _control(self, segment: Segment) -> None:
        """ORC opens a group of its own where the SPM follows its group."""
        if self.trailing and self.waiting:
            self._flush()
        self.control = segment

    def _order(self, segment: Segment) -> None:
        if self.trailing and self.waiting:
            self._flush()
        group = _Group(segment, self.control)
        self.control = None
        group.code = ordered_code(segment)
        group.qc = control_order(segment)
        self.group = group
        if self.trailing:
            self.pending.append(group)
            self.holder = self.message
            return
        self._open(group)

    def _open(self, group: _Group) -> None:
        """Give the group its specimen when the specimen comes first or is in the OBR itself."""
        specimen = self.specimen
        if self.uncertain and (group.order is None or self.tubes):
            own = None
        else:
            own = self._order_specimen(group) if self.surely else None
        if specimen is not None and specimen.details:  # from SPM or SAC: it governs
            if specimen.specimen_id is None:
                specimen.specimen_id = own
        elif specimen is None or specimen.specimen_id != own or specimen.qc != self._is_control(own, group):
            specimen = self._new_specimen(own)
        if group.order is not None:
            specimen.observed_at = specimen.observed_at or group.order.get(7) or None
            specimen.sample_type = specimen.sample_type or group.order.text(15) or None
            specimen.position = specimen.position or group.order.id(3)
        specimen.qc = specimen.qc or group.qc
        group.results = specimen.results
        self.pending.append(group)
        self.specimen = specimen
        self.holder = specimen

    def _is_control(self, specimen_id: str | None, group: _Group) -> bool:
        patient_id = self._patient_id(self.patient) if self.patient is not None else None
        return self.qc or group.qc or control_id(specimen_id) or control_id(patient_id)

    def _order_specimen(self, group: _Group) -> str | None:
        """Specimen id in the OBR (or, as a driver says, elsewhere) for messages without SPM."""
        positions = self.driver.specimen if self.driver and self.driver.specimen else (("OBR", 2, 1), ("OBR", 3, 1))
        for name, number, component in positions:
            segment = group.order if name == "OBR" else self.source.first(name)
            if name == "PID":
                segment = self.patient
            found = segment.id(number, component) if segment else None
            if found:
                return self._numbered(group, found)
        own = group.control  # ORC-2 and ORC-3 are the same numbers as OBR-2 and OBR-3 (HL7 4.5.1)
        found = (own.id(2) or own.id(3)) if own is not None and group.order is not None else None
        return self._numbered(group, found) if found else self._parent(group)

    def _numbered(self, group: _Group, found: str) -> str:
        """Remember which specimen the order's own numbers mean, for orders that name it as their parent."""
        for segment in (group.order, group.control):
            for number in (2, 3):
                name = segment.id(number) if segment is not None else None
                if name:
                    self.numbers.setdefault(name, found)
        return found

    def _parent(self, group: _Group) -> str | None:
        """The specimen of the parent order (OBR-29) when this message named it before: susceptibilities of an isolate, reflex tests."""
        order = group.order
        names = [name for name in (order.id(29, 1), order.id(29, 2)) if name] if order is not None else []
        known = {self.numbers.get(name) for name in names}
        return known.pop() if len(known) == 1 else None

    def _new_specimen(self, specimen_id: str | None, tube: Segment | None = None) -> Specimen:
        specimen = Specimen(specimen_id, qc=self.qc)
        if self.patient is not None:
            pid = self.patient
            specimen.patient_id = self._patient_id(pid)
            name = pid.component(5, 1).strip() + pid.component(5, 2).strip()
            specimen.patient_name = hl7.unescape(name, pid.d) or None
            specimen.birth = pid.id(7)
            specimen.sex = pid.id(8)
        specimen.qc = specimen.qc or control_id(specimen_id) or control_id(specimen.patient_id)
        if tube is not None:
            specimen.details.append(tube.fields)
        self.message.specimens.append(specimen)
        return specimen

    def _patient_id(self, pid: Segment) -> str | None:
        for name, number, component in self.driver.patient if self.driver else ():
            segment = pid if name == "PID" else self.source.first(name)
            found = segment.id(number, component) if segment else None
            if found:
                return found
        return pid.id(3) or pid.id(2) or pid.id(4)

    def _tube(self, segment: Segment) -> None:
        if self.trailing:
            self.waiting.append((segment, []))
            return
        self._flush()
        self.specimen = self._from_tube(segment)
        self.group = None
        self.holder = self.specimen

    def _from_tube(self, segment: Segment) -> Specimen:
        self.uncertain = False
        specimen_id = segment.id(2, 1) or segment.id(2, 2) or segment.id(3, 1)
        specimen = self._new_specimen(specimen_id, segment)
        specimen.sample_type = segment.id(4)
        specimen.collected_at = segment.id(17)
        specimen.qc = specimen.qc or segment.component(11).strip().upper() in _NOT_PATIENT
        if specimen.qc:
            specimen.control = specimen_id
        return specimen

    def _container(self, segment: Segment) -> None:
        container = segment.id(3) or segment.id(4)
        if self.trailing:
            return
        if self.uncertain and self.tubes:
            container = None  # its SPM was damaged
        if self.specimen is not None and self.specimen.specimen_id and self.group is not None and self.source.type.startswith("OUL^R23"):
            return  # another container of the same specimen
        opened = self.specimen.details[0][0] if self.specimen is not None and self.specimen.details else ""
        if self.specimen is None or not opened or self.group is not None or opened == "SAC":
            self._flush()  # OUL^R21: each SAC begins another specimen
            self.specimen = self._new_specimen(container, segment)
            self.group = None
            self.holder = self.specimen
            return
        if self.specimen.specimen_id is None:
            self.specimen.specimen_id = container
        place = [segment.get(10), segment.get(11)]
        self.specimen.position = "^".join(place) if any(place) else None

    def _observation(self, segment: Segment) -> None:
        result = self._result(segment)
        if self.trailing:
            if self.waiting:  # OBX below an SPM is about that specimen (HL7 7.3.1)
                self.waiting[-1][1].append(result)
                self.holder = result
                return
            if self.group is None:
                self.group = _Group(None)
                self.pending.append(self.group)
            self.group.results.append(result)
        else:
            if self.group is None and (self.specimen is None or not self.specimen.details):
                group = _Group(None)
                self._open(group)
                self.group = group
            assert self.specimen is not None
            result.qc = self.specimen.qc
            self.specimen.results.append(result)
        self.holder = result

    def _result(self, segment: Segment) -> Result:
        result = Result(
            observation_code(segment, self.driver.code if self.driver else None),
            segment.text(5) if segment.get(5) not in ("", '""') else None,
            unit_of(segment),
            flags_of(segment),
            segment.id(11),
            segment.id(14) or segment.id(19),
        )
        result.name = hl7.unescape(segment.component(3, 2), segment.d) or segment.text(4) or None
        result.test_id = segment.get(3) or None
        result.ref_range = segment.text(7) or None
        result.run = segment.get(4) or None
        result.operator = segment.id(16)
        result.instrument = segment.id(18) or segment.id(15)
        supplement = segment.component(3, 4)
        result.aspect = supplement if supplement.startswith("S_") else segment.get(2) or None
        if result.code is None and result.value is None:
            said = f"OBX 既无项目代码也无值(OBX without code and value):{quote(segment.d.field.join(segment.fields))}"
            self.message.problems.append(Problem("result.empty", said))
        return result

    def _flush(self) -> None:
        """Close the groups whose specimens are known by now (SPM behind its group)."""
        pending, waiting = self.pending, self.waiting
        self.pending, self.waiting = [], []
        if self.trailing:
            self._place_trailing(pending, waiting)
            self.group = None
        elif self.message.type and self.kind == "order":
            for group in pending:
                if group.code:
                    at = sum(1 for one in group.results if one.value is None)
                    group.results.insert(at, Result(group.code, None, qc=group.qc or self.qc))

    def _place_trailing(self, pending: list[_Group], waiting: list[tuple[Segment, list[Result]]]) -> None:
        order = self.kind == "order"
        tubes = [self._closing_tube(tube, pending, len(waiting)) for tube, _ in waiting]
        for group in pending:
            targets = tubes or [self._by_order(group)]
            for specimen in targets:
                specimen.qc = specimen.qc or group.qc
                if order and group.code:
                    specimen.results.append(Result(group.code, None))
            if not group.results:
                continue
            if len(targets) > 1:
                ids = "、".join(specimen.specimen_id or "?" for specimen in targets)
                said = f"一组结果之后有多个标本({ids}),结果未归入任何标本(several specimens for one group)"
                self.message.problems.append(Problem("specimen.several", said))
                targets = [self._new_specimen(None)]
            targets[0].results.extend(group.results)
        for specimen, (_, results) in zip(tubes, waiting, strict=True):
            specimen.results.extend(results)  # OBX below an SPM is about that specimen (HL7 7.3.1)

    def _closing_tube(self, tube: Segment, pending: list[_Group], count: int) -> Specimen:
        """The specimen of an SPM behind its group: the one before if it is the same, else a new one."""
        specimen = self._from_tube(tube)
        if specimen.specimen_id is None and count == 1 and pending:
            specimen.specimen_id = self._order_specimen(pending[-1])
        before = self.message.specimens[-2] if len(self.message.specimens) > 1 else None
        if before is None or specimen.specimen_id is None or before.specimen_id != specimen.specimen_id:
            return specimen
        if before.patient_id != specimen.patient_id or before.qc != specimen.qc:
            return specimen
        self.message.specimens.pop()
        return before

    def _by_order(self, group: _Group) -> Specimen:
        own = self._order_specimen(group) if self.surely else None
        last = self.message.specimens[-1] if self.message.specimens else None
        if last is not None and own is not None and last.specimen_id == own:
            return last
        return self._new_specimen(own)

    def _display(self) -> None:
        """DSR^Q03 order download: DSP lines 1-28 are fixed fields, from 29 on one test a line (Mindray)."""
        lines: dict[int, str] = {}
        for segment in self.source.all("DSP"):
            number = segment.get(1).strip()
            if number.isascii() and number.isdigit():
                lines[int(number)] = segment.text(3)
        if not lines:
            return
        request = self.source.first("QRD")
        barcode = lines.get(21, "").strip() or (request.id(8) if request else None)
        specimen = Specimen(barcode or None, lines.get(1, "").strip() or None)
        specimen.patient_name, specimen.sex = lines.get(3) or None, lines.get(5) or None
        specimen.position = lines.get(22) or None
        for line in sorted(lines):
            code = lines[line].split(self.source.d.component)[0].strip()
            if line >= 29 and code:
                specimen.results.append(Result(code, None, test_id=lines[line]))
        self.message.specimens.append(specimen)

    def _finish(self) -> None:
        message = self.message
        if not self.surely and any(one.specimen_id is None and one.results for one in message.specimens):
            said = "消息被截断,标本段可能丢失,结果未归入标本(specimen unknown in a cut message)"
            message.problems.append(Problem("specimen.unknown", said))
        if self.qc:
            self._control_results()
        if message.kind == "results":
            judged = [specimen.qc for specimen in message.specimens if specimen.results]
            if judged and all(judged):
                message.kind = "qc"
        for specimen in message.specimens:
            if specimen.qc:
                for result in specimen.results:
                    result.qc = True
        if self.driver and self.driver.tolerates:
            message.problems = [one for one in message.problems if one.code not in self.driver.tolerates]

    def _control_results(self) -> None:
        """Mindray chemistry control: the result stands in the OBR (2 test, 13 control, 14 lot, 20 value, 21 unit)."""
        calibration = self.msh.get(16).strip() == "1"
        if self.source.first("OBX") or not (calibration or self.msh.get(16).strip() == "2"):
            return
        self.message.specimens = []
        if calibration:  # its OBR names a test, no specimen and no result
            self.message.kind = "qc"
            return
        for order in self.source.all("OBR"):
            specimen = self._new_specimen(None)
            specimen.control = "^".join(part for part in (order.text(13), order.text(14)) if part) or None
            result = Result(order.id(2), order.text(20) or None, order.text(21) or None, [], None, order.id(6), True)
            result.name = order.text(3) or None
            specimen.results.append(result)
