# ruff: noqa: E501 -- wire lines are read as lines
"""BCI, POCT1-A, and positional formats that nobody described: those are kept whole and said, never half understood."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, Want, kind, order, qc, query, results

RS, GS = b"\x1e", b"\x1d"


def bci(*fields: str, sum_: bytes = b"") -> bytes:
    body = b"".join(RS + field.encode() + b"|" for field in fields) + GS
    return b"\x02" + body + (sum_ or b"%02x" % (sum(body) % 256)) + b"\x03"


def whole(name: str, data: bytes | str) -> Kind:
    return kind(name, data, OTHER, problem="format.unknown")


VIDAS = ("mtrsl", "piP1", "pnLI SI", "ciV100", "rtTSH", "rnTSH", "tt10:22", "td01/05/2026", "qn1.24", "y3uIU/ml")
DEVICE = '<HDR><HDR.message_type V="{}"/><HDR.control_id V="{}"/><HDR.version_id V="POCT1"/><HDR.creation_dttm V="2026-01-05T08:15:00+08:00"/></HDR>'


def poct(kind_: str, body: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{kind_}>{DEVICE.format(kind_, "1001")}{body}</{kind_}>'


def observation(code: str, value: str, more: str = "") -> str:
    return f'<OBS><OBS.observation_id V="{code}" SN="LN"/>{value}<OBS.method_cd V="M"/>{more}</OBS>'


GLU = observation("2339-0", '<OBS.value V="5.6" U="mmol/L"/>')
PATIENT = '<PT><PT.patient_id V="P77"/><PT.name V="王芳"/>{}</PT>'

KINDS: list[Kind] = [
    kind("BCI order download", bci("mtmpr", "piP1", "pnLI SI", "si", "ciV100", "rtTSH", "rtFT4", "qd1"), order(("V100", "TSH=;FT4="))),
    kind("BCI query", bci("mtqry", "ciV100"), query("V100")),
    kind("BCI log that dropped RS and GS", "".join(f"{one}|" for one in (*VIDAS, "zz")) + "8a", results(("V100", "TSH=1.24"))),
    kind("BCI message cut in a field", bci(*VIDAS)[:60], Want("other", (("V100", ""),)), problem="bci.cut"),
    kind("BCI quantitative", bci(*VIDAS), results(("V100", "TSH=1.24"))),
    kind("BCI qualitative and quantitative", bci(*VIDAS, "qlNegative"), results(("V100", "TSH=1.24;TSH=Negative"))),
    kind("BCI two tests of one specimen", bci(*VIDAS, "rtFT4", "qn15.2", "y3pmol/l"), results(("V100", "TSH=1.24;FT4=15.2"))),
    kind(
        "BCI two messages",
        bci(*VIDAS) + bci(*(one.replace("V100", "V200") for one in VIDAS)),
        results(("V100", "TSH=1.24")),
        results(("V200", "TSH=1.24")),
    ),
    kind("BCI wrong checksum", bci(*VIDAS, sum_=b"00"), results(("V100", "TSH=1.24")), problem="bci.checksum"),
    kind("BCI bare text", "".join(f"{one}|" for one in VIDAS), results(("V100", "TSH=1.24"))),
    kind("BCI comma decimal and comparator", bci(*(one.replace("1.24", ">60,0") for one in VIDAS)), results(("V100", "TSH=>60,0"))),
    kind("BCI with ENQ and EOT", b"\x05" + bci(*VIDAS) + b"\x04", results(("V100", "TSH=1.24"))),
    kind(
        "BCI VITEK 2 card",
        bci(
            "mtrsl",
            "iiV2",
            "piP8",
            "ciB55",
            "rtGN",
            "rnAST-GN13",
            "t11",
            "o1ECOLI",
            "o2Escherichia coli",
            "ra",
            "a1AM",
            "a2Ampicillin",
            "a3>=32",
            "a4R",
            "ra",
            "a1MEM",
            "a2Meropenem",
            "a3<=0.25",
            "a4S",
            "zz",
        ),
        results(("B55", "o1=ECOLI;o2=Escherichia coli;AM=>=32;MEM=<=0.25")),
    ),
    kind(
        "POCT1-A patient result",
        poct("OBS.R01", f'<SVC><SVC.role_cd V="OBS"/><SVC.observation_dttm V="2026-01-05T08:10:00+08:00"/>{PATIENT.format(GLU)}</SVC>'),
        results((None, "2339-0=5.6")),
    ),
    kind(
        "POCT1-A with the specimen and a comparator",
        poct(
            "OBS.R01",
            '<SVC><SVC.role_cd V="OBS"/>'
            + PATIENT.format(
                observation("GLU", '<OBS.value V="33.3" U="mmol/L"/>') + observation("KET", '<OBS.qualitative_value V="POS"/>')
            )
            + '<SPC><SPC.specimen_dttm V="2026-01-05"/><SPC.specimen_id V="S88"/></SPC></SVC>',
        ),
        results(("S88", "GLU=33.3;KET=POS")),
    ),
    kind(
        "POCT1-A control",
        poct(
            "OBS.R02",
            '<SVC><SVC.role_cd V="LQC"/><CTC><CTC.name V="L1"/><CTC.lot_number V="L77"/><CTC.level_cd V="1"/>' + GLU + "</CTC></SVC>",
        ),
        qc((None, "2339-0=5.6")),
    ),
    kind("POCT1-A hello", poct("HEL.R01", '<DEV><DEV.device_id V="D1"/><DEV.vendor_id V="X"/></DEV>'), OTHER),
    kind(
        "POCT1-A several messages in a stream",
        poct("HEL.R01", "<DEV/>") + poct("OBS.R01", f"<SVC>{PATIENT.format(GLU)}</SVC>") + poct("EOT.R01", "<EOT/>"),
        OTHER,
        results((None, "2339-0=5.6")),
        OTHER,
    ),
    kind("POCT1-A cut", poct("OBS.R01", f"<SVC>{PATIENT.format(GLU)}</SVC>")[:-20], OTHER, problem="poct.cut"),
    whole("Beckman AU fixed columns", "\x02D 000101 0001             26010599    E0010015.2r 0020045.1  \x03"),
    whole("Beckman AU start of data", "\x02DB\x03\x02DE\x03"),
    whole(
        "Siemens Dimension, FS separated",
        b"\x02R\x1c0\x1c\x1cS100\x1cSER\x1c\x1c0\x1c081500050126\x1c1\x1c1\x1cGLUC\x1c5.6\x1cMMOL\x1c\x1cAB\x03",
    ),
    whole("Siemens Dimension poll", b"\x02P\x1cDIM1\x1c1\x1c1\x1c0\x1cB8\x03"),
    whole("Hitachi 7xxx block", b"\x02:n1  0 0101 26010599     M 2601050815  12  1   5.6   2  45.1   \x03A7\r\n"),
    whole(
        "Abbott Cell-Dyn quoted CSV",
        '\x02"   ","CD3200C","Y1","0","123456","  26010599","---","01/05/26","08:15","LW",06.12,04.55,0141\x035A',
    ),
    whole("Beckman Coulter LH block", "\x16" + "\x0201\r\nSOH\r\nWBC 6.2\r\nRBC 4.55\r\n\x03" + "A7F2"),
    whole("Nihon Kohden Celltac", "\x02\r26010599\r2026/01/05\r08:15\r 6.2 \r 4.55\r 141\r\x03"),
    whole(
        "Medonic XML-like text",
        "<!--:Begin:Chksum:1:--><!--:Begin:Msg:2:0:--><sample><smpinfo><p><n>ID</n><v>26010599</v></p></smpinfo></sample>",
    ),
    whole(
        "a ticket of a urine strip reader",
        "\x02\r\n No.0012  2026-01-05 08:15\r\n ID:26010599\r\n LEU   -      neg\r\n*GLU   2+  14 mmol/L\r\n SG  1.015\r\n\x03",
    ),
    whole("comma separated line", "26010599,2026-01-05,08:15,WBC,6.2,RBC,4.55\r\n"),
    whole("semicolons", "S;26010599;K;4.1;NA;140;CL;101\r\n"),
    whole("ESR record with XOR", "\x02 0012 26010599    012 \x03" + "5B\r"),
    whole("name=value", "=====\r\nID=26010599\r\nGLU=5.6\r\n=====\r\n"),
    whole("words and numbers", "RESULT READY 26010599 5.6 mmol/L\r\n"),
    whole("binary", bytes(range(128, 256)) * 3),
    whole("an HTTP request by mistake", "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"),
    whole("JSON", '{"sample": "26010599", "results": [{"code": "GLU", "value": 5.6}]}'),
    whole("a TLS hello by mistake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(40, 90))),
    kind("nothing", b"", problem="empty"),
    kind("only link bytes", b"\x05\x06\x04\x05\x15\x04"),
]
