"""Invented HIS messages for tests. Every name, number and diagnosis is made up."""

from collections.abc import Sequence

MSH = "MSH|^~\\&|HIS|H1|LIS|LAB|20260506080910||{kind}|{control}|P|{version}||||||{charset}"
PID = "PID|1||{patient}^^^H1^PI~110101199003077475^^^^NI||{name}||19900307|{sex}|||||13800000000"
PV1 = "PV1|1|{visit}|W3^12^05|||||||内科|||||||||V{patient}"


def order(
    items: Sequence[tuple[str, str, str]] = (("I1", "CBC", "血常规"),),
    *,
    kind: str = "OML^O21^OML_O21",
    control: str = "M1",
    version: str = "2.5.1",
    charset: str = "UNICODE UTF-8",
    patient: str = "P001",
    name: str = "张三丰",
    sex: str = "F",
    visit: str = "O",
    form: str = "F1",
    action: str = "NW",
    priority: str = "R",
    charge: str = "PAID",
    encoding: str = "utf-8",
) -> bytes:
    """One order message, unframed. ``items``: (order item number, HIS code, name)."""
    lines = [
        MSH.format(kind=kind, control=control, version=version, charset=charset),
        PID.format(patient=patient, name=name, sex=sex),
        PV1.format(visit=visit, patient=patient),
        "DG1|1||D64.9^贫血 & 待查",
    ]
    for number, (item, code, title) in enumerate(items, 1):
        lines.append(f"ORC|{action}|{item}||{form}|||||20260506080900|||D007^李^四|||||D01^心内科")
        lines.append(f"TQ1|1||||||||{priority}")
        lines.append(f"OBR|{number}|{item}||{code}^{title}^L")
        if charge:
            lines.append(f"ZPY|1|{charge}")
    return ("\r".join(lines) + "\r").encode(encoding)
