"""The demo's analyzers, how their agents reach them, and what their channels are called."""

from typing import NamedTuple


class Channel(NamedTuple):
    """A channel's code at the analyzer, the item it measures, and how the value as sent becomes the item's unit."""

    code: str
    item: str
    unit: str
    factor: str = "1"


class Instrument(NamedTuple):
    """An analyzer and its line. `section` is None on an idle line for a visitor, which belongs to no real work."""

    key: str
    name: str
    model: str
    section: str | None
    protocol: str
    driver: str | None
    transport: str  # tcp-listen | tcp-dial | serial
    host_query: bool
    channels: tuple[Channel, ...] = ()


def _same(*codes: str, unit: str = "") -> tuple[Channel, ...]:
    return tuple(Channel(code, code, unit) for code in codes)


# A five-part counter says cells in 10*3/uL (the same number as 10^9/L), haemoglobin in g/dL and the haematocrit in percent.
COUNTER = (
    *_same("WBC", "NEUT#", "LYMPH#", "MONO#", "EO#", "BASO#", "PLT", unit="10*3/uL"),
    *_same("NEUT%", "LYMPH%", "MONO%", "EO%", "BASO%", "IG%", "RDW-CV", "PCT", "P-LCR", unit="%"),
    Channel("RBC", "RBC", "10*6/uL"),
    Channel("HGB", "HGB", "g/dL", "10"),
    Channel("HCT", "HCT", "%", "0.01"),
    Channel("MCHC", "MCHC", "g/dL", "10"),
    *_same("MCV", "RDW-SD", "MPV", "PDW", unit="fL"),
    *_same("MCH", unit="pg"),
)
# A chemistry analyzer numbers its channels.
CHEMISTRY_NUMBERS = (
    ("1", "ALT", "U/L"),
    ("2", "AST", "U/L"),
    ("3", "GGT", "U/L"),
    ("4", "ALP", "U/L"),
    ("5", "TP", "g/L"),
    ("6", "ALB", "g/L"),
    ("7", "TBIL", "umol/L"),
    ("8", "DBIL", "umol/L"),
    ("9", "UREA", "mmol/L"),
    ("10", "CREA", "umol/L"),
    ("11", "UA", "umol/L"),
    ("12", "GLU", "mmol/L"),
    ("13", "TC", "mmol/L"),
    ("14", "TG", "mmol/L"),
    ("15", "HDL-C", "mmol/L"),
    ("16", "LDL-C", "mmol/L"),
    ("17", "CA", "mmol/L"),
    ("18", "PHOS", "mmol/L"),
    ("19", "MG", "mmol/L"),
    ("20", "CK", "U/L"),
    ("21", "CK-MB", "U/L"),
    ("22", "LDH", "U/L"),
    ("51", "K", "mmol/L"),
    ("52", "NA", "mmol/L"),
    ("53", "CL", "mmol/L"),
)
CHEMISTRY = tuple(Channel(*row) for row in CHEMISTRY_NUMBERS)
COAGULATION = (
    *_same("PT", "APTT", "TT", unit="s"),
    Channel("PT-INR", "INR", ""),
    Channel("FIB", "FIB", "mg/dL", "0.01"),
    Channel("D-Dimer", "DD", "ug/mL FEU"),
)
URINE = (
    *(
        Channel(item.removeprefix("U-"), item, "")
        for item in ("U-SG", "U-PH", "U-LEU", "U-NIT", "U-PRO", "U-GLU", "U-KET", "U-UBG", "U-BIL", "U-BLD")
    ),
    Channel("RBC", "U-RBC", "/uL"),
    Channel("WBC", "U-WBC", "/uL"),
)

INSTRUMENTS = {
    "rm": (
        Instrument("xn1", "血球仪 1 号", "XN 型（模拟）", "XY", "astm", "sysmex_xn", "tcp-listen", True, COUNTER),
        Instrument("bs1", "生化仪 1 号", "BS 型（模拟）", "SH", "hl7", "mindray_bs", "tcp-listen", False, CHEMISTRY),
        Instrument("cs1", "凝血仪 1 号", "ASTM 通用（模拟）", "NX", "astm", None, "serial", True, COAGULATION),
        Instrument("ur1", "尿液分析仪 1 号", "ASTM 通用（模拟）", "TY", "astm", None, "serial", False, URINE),
        Instrument("idle-listen", "空闲线路（TCP，本端监听）", "供来访者试用", None, "astm", None, "tcp-listen", True, COUNTER),
        Instrument("idle-dial", "空闲线路（TCP，本端拨出）", "供来访者试用", None, "hl7", None, "tcp-dial", False, CHEMISTRY),
        Instrument("idle-serial", "空闲线路（串口）", "供来访者试用", None, "astm", None, "serial", True, COUNTER),
    ),
    "zx": (
        Instrument("xn1", "血球仪 1 号", "XN 型（模拟）", "XY", "astm", "sysmex_xn", "serial", True, COUNTER),
        Instrument("bs1", "生化仪 1 号", "BS 型（模拟）", "SH", "hl7", "mindray_bs", "tcp-listen", False, CHEMISTRY),
        Instrument("idle-listen", "空闲线路（TCP，本端监听）", "供来访者试用", None, "astm", None, "tcp-listen", True, COUNTER),
        Instrument("idle-dial", "空闲线路（TCP，本端拨出）", "供来访者试用", None, "hl7", None, "tcp-dial", False, CHEMISTRY),
        Instrument("idle-serial", "空闲线路（串口）", "供来访者试用", None, "astm", None, "serial", True, COUNTER),
    ),
}
IDLE_SECTION = "XY"  # Analyzer.section_id is not empty; an idle line's analyzer stands in the first section
