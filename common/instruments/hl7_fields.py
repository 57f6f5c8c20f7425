"""Meaning of single HL7 fields as analyzers fill them: codes, units, flags, kinds, queries."""

from __future__ import annotations

import re

from common.instruments.codes import control_word
from common.protocol.hl7.messages import Message, Segment, unescape

KNOWN = frozenset(
    {"ABS", "ACC", "ADD", "AFF", "AIG", "AIL", "AIP", "AIS", "AL1", "APR", "ARQ", "ARV", "AUT", "BHS", "BLC", "BLG", "BPI"}
    | {"BPO", "BPX", "BTS", "BTX", "BUI", "CDM", "CDO", "CER", "CM0", "CM1", "CM2", "CNS", "CSP", "CSR", "CSS", "CTD", "CTI"}
    | {"DB1", "DEV", "DG1", "DMI", "DON", "DPS", "DRG", "DSC", "DSP", "ECD", "ECR", "EDU", "EQL", "EQP", "EQU", "ERQ", "ERR"}
    | {"EVN", "FHS", "FT1", "FTS", "GOL", "GP1", "GP2", "GT1", "IAM", "IIM", "ILT", "IN1", "IN2", "IN3", "INV", "IPC", "IPR"}
    | {"ISD", "ITM", "IVC", "IVT", "LAN", "LCC", "LCH", "LDP", "LOC", "LRL", "MCP", "MFA", "MFE", "MFI", "MRG", "MSA", "MSH"}
    | {"NCK", "NDS", "NK1", "NPU", "NSC", "NST", "NTE", "OBR", "OBX", "ODS", "ODT", "OH1", "OH2", "OH3", "OH4", "OM1", "OM2"}
    | {"OM3", "OM4", "OM5", "OM6", "OM7", "ORC", "ORG", "PCE", "PCR", "PD1", "PDA", "PDC", "PEO", "PES", "PID", "PKG", "PM1"}
    | {"PMT", "PR1", "PRA", "PRB", "PRT", "PSG", "PSL", "PSS", "PTH", "PV1", "PV2", "PVT", "PYE", "QAK", "QID", "QPD", "QRD"}
    | {"QRF", "QRI", "RCP", "RDF", "RDT", "REL", "RF1", "RFI", "RGS", "RMI", "ROL", "RQ1", "RQD", "RXA", "RXC", "RXD", "RXE"}
    | {"RXG", "RXO", "RXR", "RXV", "SAC", "SCD", "SCH", "SCP", "SDD", "SFT", "SHP", "SID", "SLT", "SPM", "STF", "STZ", "TCC"}
    | {"TCD", "TQ1", "TQ2", "TXA", "UAC", "UB1", "UB2", "URD", "URS", "VAR", "VND", "VTQ"}
)
"""Segments that carry nothing to place here, or are placed by the reader."""

RESULTS = frozenset({"ORU", "OUL", "ORX"})
ORDERS = frozenset({"OML", "ORM", "OMG", "OMB", "OMP", "DSR", "RSP", "ORR", "ORF", "OMI"})
QUERIES = frozenset({"QRY", "QBP", "QSB", "QVR"})
ANSWERS = frozenset(
    {"EAC", "EAR", "EAN", "LSU", "TCU", "ACK", "MCF", "ORL", "QCK", "ORG", "ADT", "MFN", "MFK", "SIU", "SSU", "SSR", "ESU", "ESR", "INU"}
)


def kind_of(message_type: str, message: Message) -> str:
    """results, query, order or other; ``qc`` is decided by the specimens."""
    head = message_type.split("^")[0]
    if head in QUERIES:
        return "query"
    has = {segment.name for segment in message.segments}
    if head == "ORM":
        control = message.first("ORC")
        if "OBR" not in has and control is not None and control.get(1).strip() == "RF":
            return "query"  # Mindray haematology asks for an order with ORC-1 RF
        return "order"
    if head in ("RSP", "ORF") and any(segment.get(5) for segment in message.all("OBX")):
        return "results"  # the answer to a query for results
    if head in ("RSP", "ORR", "ORF"):
        return "order" if "OBR" in has else "other"
    if head in ORDERS:
        return "order"
    if head in RESULTS:
        return "results"
    if head in ANSWERS:
        return "other"
    if "OBX" in has:
        return "results"
    if has & {"QRD", "QPD"}:
        return "query"
    return "order" if "OBR" in has else "other"


def observation_code(segment: Segment, rule: int | str | None) -> str | None:
    """Code of an OBX: OBX-3.1, else the next component that is not empty, else OBX-4."""
    if rule == "OBX-4":
        return _code(segment, 4) or _code(segment, 3)
    return _code(segment, 3) or _code(segment, 4)


def ordered_code(segment: Segment) -> str | None:
    """Code of the ordered test: OBR-4.1, else the next component that is not empty."""
    return _code(segment, 4)


def _code(segment: Segment, number: int) -> str | None:
    for part in segment.get(number).split(segment.d.component):
        part = part.strip()
        if part and part != '""':
            return unescape(part, segment.d).strip() or None
    return None


def unit_of(segment: Segment) -> str | None:
    """Unit as sent: the first component of a coded unit; ``10^9/L`` (caret not escaped) stays whole."""
    field = segment.get(6)
    separator = segment.d.component
    if separator not in field:
        return unescape(field, segment.d) if field and field != '""' else None
    parts = field.split(separator)
    first, second = parts[0], parts[1]
    if second[:1].isdigit() and first.lstrip("xX×*").strip().isdigit():
        return unescape(first + separator + second, segment.d)
    found = first if first.strip() else next((part for part in parts[:2] if part.strip()), "")
    return unescape(found, segment.d) or None


def flags_of(segment: Segment) -> list[str]:
    """Abnormal flags: each repetition's first component."""
    flags = []
    for one in segment.repeats(8):
        flag = unescape(one.split(segment.d.component, 1)[0], segment.d)
        if flag.strip() and flag != '""':
            flags.append(flag)
    return flags


_CONTROL = re.compile(r"^(?:L?QC|PRF|CONTROL|CTRL)$|\bQCR?\b", re.IGNORECASE)


def control_order(segment: Segment) -> bool:
    """Is the order itself about control material (OBR-4 LQC and PRF of HemoScreen, ``LJ QCR`` of Mindray; OBR-11 Q, OBR-15)?"""
    if segment.component(11).strip() == "Q" or control_word(segment.get(15), segment.d.component + segment.d.sub + segment.d.repeat):
        return True
    if "C" not in segment.get(4).upper() and "PRF" not in segment.get(4).upper():
        return False
    return any(_CONTROL.search(part.strip()) for part in segment.get(4).split(segment.d.component)[:2])


def query_ids(message: Message) -> list[str]:
    """Specimen ids a query asks for: QPD-3 (QPD-4 for Z03), QRD-8, or ORC-3/2 of an ORM."""
    ids: list[str] = []
    for segment in message.segments:
        if segment.name == "QPD":
            number = 4 if "Z03" in segment.get(1).upper() else 3
            ids.extend(_ids(segment, number))
            if not ids and segment.get(1).upper().startswith("WOS_ALL"):
                ids.append("ALL")
        elif segment.name == "QRD":
            ids.extend(_ids(segment, 8))
        elif segment.name == "ORC":
            ids.extend(_ids(segment, 3) or _ids(segment, 2))
    return ids


def _ids(segment: Segment, number: int) -> list[str]:
    found = []
    for one in segment.repeats(number):
        parts = one.split(segment.d.component)
        first = parts[0].split(segment.d.sub)[0].strip()
        if first and first != '""':
            found.append(unescape(first, segment.d))
    return found
