"""POCT1-A messages to the common shape: services (SVC) with patients (PT) or control material (CTC), observations (OBS) below."""

from __future__ import annotations

from common.instruments.reading import Message, Result, Specimen
from common.instruments.recognise import ANY, Choice
from common.protocol.poct1a import Document, Element, value
from common.protocol.problem import Problem, quote

_CONTROL = frozenset({"LQC", "EQC", "CVR", "PRF", "CAL"})
"""SVC.role_cd: liquid and electronic control, calibration verification, proficiency test."""
_VALUES = ("value", "qualitative_value", "text_value")
_KNOWN = frozenset({"HDR", "SVC", "DEV", "DST", "ESC", "OPL", "REQ", "EOT", "ACK", "TRM", "NTE", "DTV", "EVS", "UPD", "PTL"})


def read_message(source: Document, choice: Choice = ANY) -> Message:
    """One document in the common shape. Never raises on any content."""
    message = Message("other", protocol="poct1a", encoding=source.encoding, complete=source.root is not None or not source.type)
    message.type = source.type or None
    message.problems.extend(source.problems)
    root = source.root
    if root is None:
        return message
    header = root.find("HDR")
    message.control_id, message.sent_at = value(header, "control_id"), value(header, "creation_dttm")
    device = root.find("DEV")
    message.sender = value(device, "vendor_id")
    driver = choice.driver("poct1a", lambda _: value(device, "model_id") or "")
    message.driver = (driver.id or None) if driver else None
    for service in root.findall("SVC"):
        _service(message, service)
    placed = {id(one) for service in root.findall("SVC") for one in service.iter("OBS")}
    for stray in root.iter("OBS"):
        if id(stray) not in placed:
            message.problems.append(Problem("result.orphan", "结果不在任何 SVC 之内,未归入样本(observation outside a service)"))
            specimen = Specimen(None)
            specimen.results.append(_result(message, stray, False, None))
            message.specimens.append(specimen)
    for child in root:
        if child.tag not in _KNOWN and child.tag != "OBS":
            said = f"未知元素 {child.tag},原文保留(unknown element):{quote(str(child.attrib))}"
            message.problems.append(Problem("poct.element", said))
    judged = [result.qc for specimen in message.specimens for result in specimen.results]
    if judged:
        message.kind = "qc" if all(judged) else "results"
    return message


def _service(message: Message, service: Element) -> None:
    control = (value(service, "role_cd") or "").strip().upper() in _CONTROL or service.find("CTC") is not None
    when = value(service, "observation_dttm")
    tubes = service.findall("SPC")
    tube = value(tubes[0], "specimen_id") if len(tubes) == 1 else None
    orders = service.findall("ORD")
    if tube is None and len(orders) == 1 and not tubes[1:]:
        tube = value(orders[0], "order_id")
    holders = [*service.findall("PT"), *service.findall("CTC")]
    if tube is not None and len(service.findall("PT")) > 1:
        said = f"一个服务里有多个患者,标本 {quote(tube)} 不能确定是谁的,结果不归入标本(several patients, one specimen)"
        message.problems.append(Problem("specimen.uncertain", said))
        tube = None
    if service.findall("OBS"):
        holders.append(service)
    for holder in holders:
        specimen = Specimen(tube.strip() if tube else None, qc=control)
        if holder.tag == "PT":
            specimen.patient_id, specimen.patient_name = value(holder, "patient_id"), value(holder, "name")
            specimen.birth, specimen.sex = value(holder, "birth_date"), value(holder, "gender_cd")
        elif holder.tag == "CTC":
            parts = (value(holder, "name"), value(holder, "lot_number"), value(holder, "level_cd"))
            specimen.control = "^".join(part for part in parts if part) or None
        specimen.observed_at = when
        specimen.results = [_result(message, one, control, when) for one in holder.findall("OBS")]
        message.specimens.append(specimen)


def _result(message: Message, element: Element, control: bool, when: str | None) -> Result:
    result = Result((value(element, "observation_id") or "").strip() or None, None, time=when, qc=control)
    for name in _VALUES:
        child = element.find(f"OBS.{name}")
        given = value(element, name)
        if child is not None and given is not None:
            result.value, result.unit = given, child.get("U") or None
            break
    flag = value(element, "interpretation_cd")
    result.flags = [flag] if flag else []
    result.status = value(element, "status_cd")
    result.ref_range = value(element, "normal_lo-hi_limit")
    named = element.find("OBS.observation_id")
    result.name = named.get("DN") if named is not None else None
    if result.code is None and result.value is None:
        message.problems.append(Problem("result.empty", "结果既无项目代码也无值(OBS without code and value)"))
    return result
