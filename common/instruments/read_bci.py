"""BCI messages (mini VIDAS, VITEK 2) to the common shape.

A test (``rt``) has a qualitative (``ql``) and a quantitative (``qn``) result; both are kept, as two results
of one code with different ``aspect``. Microbiology: each organism field (``o1`` code, ``o2`` name, ``o3`` bio-number,
``o9`` probability) is a result whose code is the field key; each phenotype (``ap``) has its family (``af``) as code;
each antibiotic (group ``ra``) is a result with the antibiotic's code, the MIC as value and the call as flag.
"""

from __future__ import annotations

from common.instruments.codes import control_id
from common.instruments.reading import Message, Result, Specimen
from common.instruments.recognise import ANY, Choice
from common.protocol.bci import BciMessage
from common.protocol.problem import Problem

_ORGANISM = {"o1": "organism", "o2": "organism", "o3": "bionumber", "o9": "probability"}


def read_message(source: BciMessage, choice: Choice = ANY) -> Message:
    """One BCI message in the common shape."""
    return _Reader(source).read(choice)


class _Reader:
    def __init__(self, source: BciMessage) -> None:
        self.source = source
        self.message = Message("results", protocol="bci", encoding=source.encoding)
        self.specimen = Specimen(None)
        self.test: dict[str, str] = {}
        self.drug: dict[str, str] | None = None
        self.family: str | None = None
        self.found = False

    def read(self, choice: Choice) -> Message:
        """Walk the fields."""
        message, source = self.message, self.source
        flat = "|" + "".join(f"{key}{value}|" for key, value in source.fields)
        driver = choice.driver("bci", lambda _: flat)
        message.driver = (driver.id if driver else "") or self._family()
        message.problems.extend(source.problems)
        message.complete = source.complete
        message.records = [[key, value] for key, value in source.fields]
        message.specimens.append(self.specimen)
        for key, value in source.fields:
            self._field(key, value)
        self._close_drug()
        self._close_test()
        if source.fields and source.fields[0][0] == "mt" and source.fields[0][1] != "rsl":
            self._request(source.fields[0][1])
        elif not any(specimen.results for specimen in message.specimens):
            message.kind = "other"
        else:
            self._control()
        return message

    def _control(self) -> None:
        """Specimens whose id is plainly one of control material."""
        message = self.message
        for specimen in message.specimens:
            specimen.qc = control_id(specimen.specimen_id) or control_id(specimen.patient_id)
            for result in specimen.results:
                result.qc = specimen.qc
        if all(specimen.qc for specimen in message.specimens if specimen.results):
            message.kind = "qc"

    def _request(self, kind: str) -> None:
        """Not results: ``mtmpr`` orders tests, another type that names specimens and no test asks about them."""
        message = self.message
        ordered = any(specimen.results for specimen in message.specimens)
        named = [specimen.specimen_id for specimen in message.specimens if specimen.specimen_id]
        message.type = f"mt{kind}"
        if ordered and all(result.value is None for specimen in message.specimens for result in specimen.results):
            message.kind = "order"
        elif not ordered and named and kind != "mpr":
            message.kind, message.specimens, message.query = "query", [], named
        elif not ordered:
            message.kind = "other"

    def _family(self) -> str | None:
        keys = {key for key, _ in self.source.fields}
        return "biomerieux_mini_vidas" if "rt" in keys and keys & {"qn", "ql"} else None

    def _field(self, key: str, value: str) -> None:
        specimen = self.specimen
        text = value.strip()
        if self.drug is not None and key in ("a1", "a2", "a3", "a4", "an", "a5", "a6"):
            self.drug[key] = value
        elif key == "ra":
            self._close_drug()
            self.drug = {}
        elif key == "ci":
            named = specimen.specimen_id is not None and text != specimen.specimen_id
            if named and (text or specimen.results or "rt" in self.test or self.drug is not None):
                self._next()
            self.specimen.specimen_id = text or None
        elif key in ("pi", "pn"):
            if specimen.results or "rt" in self.test or self.drug is not None:  # the next patient: what follows is about another tube
                self._next()
                self.specimen.patient_id = self.specimen.patient_name = None
            setattr(self.specimen, "patient_id" if key == "pi" else "patient_name", text or None)
        elif key in ("ps", "pb"):
            setattr(specimen, "sex" if key == "ps" else "birth", text or None)
        elif key == "s1":
            specimen.collected_at = text or None
        elif key == "ss":
            specimen.sample_type = text or None
        elif key == "rt":
            self._close_drug()
            self._close_test()
            self.test = {"rt": value}
        elif key in _ORGANISM:
            self._organism(key, value)
        elif key in ("af", "ap"):
            self._phenotype(key, value)
        else:
            self.test[key] = value

    def _next(self) -> None:
        """A second specimen in one message."""
        self._close_drug()
        self._close_test()
        self.specimen = Specimen(None, self.specimen.patient_id, patient_name=self.specimen.patient_name)
        self.message.specimens.append(self.specimen)

    def _organism(self, key: str, value: str) -> None:
        if not value.strip():
            return
        result = Result(key, value, name=self.test.get("rt"), aspect=_ORGANISM[key])
        result.run = self.test.get("t1")
        self.specimen.results.append(result)
        self.found = True

    def _phenotype(self, key: str, value: str) -> None:
        if key == "af":
            self.family = value
        elif value.strip():
            code = (self.family or "").strip() or key
            self.specimen.results.append(Result(code, value, name=self.family, aspect="phenotype"))

    def _close_drug(self) -> None:
        drug, self.drug = self.drug, None
        if not drug:
            return
        flags = [drug[key] for key in ("a4",) if drug.get(key)]
        final = drug.get("an")
        if final and final not in flags:
            flags.append(final)
        result = Result(drug.get("a1", "").strip() or None, drug.get("a3") or None, flags=flags)
        result.name, result.aspect, result.run = drug.get("a2"), "susceptibility", self.test.get("t1")
        self.specimen.results.append(result)
        self.found = True
        if result.code is None:
            said = "药敏组没有抗菌药代码(antibiotic group without a code)"
            self.message.problems.append(Problem("bci.drug", said))

    def _close_test(self) -> None:
        test, self.test = self.test, {}
        if "rt" not in test and not (test.get("qn") or test.get("ql")):
            return
        code = test.get("rt", "").strip() or None
        when = " ".join(test[key].strip() for key in ("td", "tt") if test.get(key, "").strip()) or None
        values = [(key, test[key]) for key in ("qn", "ql") if test.get(key)]
        if not values and (self.found or not self.source.complete):
            return  # a microbiology card (its results are organism and antibiotics), or cut before its value
        for key, value in values or [("", "")]:
            result = Result(code, value or None, time=when, status=test.get("nc") or None)
            result.unit = (test.get("y3") or None) if key == "qn" else None
            result.name, result.aspect = test.get("rn"), {"qn": "quantitative", "ql": "qualitative"}.get(key)
            self.specimen.results.append(result)
