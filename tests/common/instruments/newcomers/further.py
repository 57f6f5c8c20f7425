# ruff: noqa: E501 -- wire lines are read as lines
"""Kinds written after the decoder stood, from standards and makers' manuals: microbiology, pictures, odd marks, cuts and damage."""

from __future__ import annotations

import base64

from tests.common.instruments.newcomers.tools import OTHER, Kind, Want, framed, kind, lines, mllp, msh, one_frame, order, qc, query, results

H = "H|\\^&|||{}|||||LIS||P|LIS2-A2|20260105081500"
PID = "PID|1||P1||王^芳||19800101|F"
OUL = msh("A", "OUL^R22^OUL_R22", "2.5.1")
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(200))).decode()


def astm(sender: str, *records: str) -> bytes:
    return framed(lines(H.format(sender), *records, "L|1|N"))


def oru(*segments: str, sender: str = "A", version: str = "2.5.1", encoding: str = "utf-8", more: str = "", mode: str = "P") -> bytes:
    return mllp(lines(msh(sender, "ORU^R01", version, more, mode), *segments), encoding=encoding)


def obx(number: int, code: str, value: str, kind_: str = "NM", sub: str = "", more: str = "||||F") -> str:
    return f"OBX|{number}|{kind_}|{code}|{sub}|{value}|u|{more}"


BIG = lines(H.format("BIG"), "P|1", "O|1|S1||^^^X", *(f"R|{n}|^^^T{n}|{n}.25|g/L||N||F" for n in range(1, 1400)), "L|1|N")
BIG_WANT = ";".join(f"T{n}={n}.25" for n in range(1, 1400))
TWO = lines(H.format("T"), "P|1||A", "O|1|S1||^^^K", "R|1|^^^K|4.1", "P|2||B", "O|1|S2||^^^K", "R|1|^^^K|5.2", "L|1|N")
TWO_WANT = results(("S1", "K=4.1"), ("S2", "K=5.2"))

KINDS: list[Kind] = [
    # --- ASTM dialects
    kind(
        "Beckman DxH 800: \\!~ as delimiters, carets in units",
        framed(
            lines(
                "H|\\!~|||DxH^800!2.0|||||LIS||P|LIS2-A2|20260105",
                "P|1||PID9|||19700101|F",
                "O|1|2601050011!05!3||!!!CBC!CD|R||||||||||Whole blood",
                "R|1|!!!WBC|6.05|10^3/uL||N||F",
                "R|2|!!!MCHC|33.1|g/dL||H!L||F",
                "L|1|N",
            )
        ),
        results(("2601050011", "WBC=6.05;MCHC=33.1")),
    ),
    kind(
        "Siemens Atellica: one test as dose and signal, told apart by the last part",
        astm("Atellica", "P|1", "O|1|S77||^^^Glu|R", "R|1|^^^Glu^^^^DOSE|5.52|mmol/L||N||F", "R|2|^^^Glu^^^^INT|0.123|Abs||||F"),
        results(("S77", "Glu=5.52;Glu=0.123")),
    ),
    kind(
        "Werfen GEM 4000: measured and calculated marked behind the name",
        astm("GEM4000", "P|1", "O|1|S81||^^^ABG", "R|1|^^^pH^M|7.39|||N||F", "R|2|^^^HCO3^C|24.0|mmol/L||N||F", "R|3|^^^tHb^E|**.*|g/dL||A||X"),
        results(("S81", "pH=7.39;HCO3=24.0;tHb=**.*")),
    ),
    kind(
        "Sebia Capillarys: fractions, and a curve in an M record",
        astm(
            "CAPILLARYS",
            "P|1",
            "O|1|S82||^^^PROT",
            "R|1|^^^Albumin^%|58.2|%||N||F",
            "R|2|^^^Gamma^%|21.4|%||H||F",
            "M|1|CURVE|0A0B0C0D",
        ),
        results(("S82", "Albumin=58.2;Gamma=21.4")),
        problem="record.vendor",
    ),
    kind(
        "blood groups: words with blanks",
        astm("ECHO", "P|1", "O|1|S83||^^^ABORH", "R|1|^^^ABO|A|||||F", "R|2|^^^RhD|POS (4+)|||||F"),
        results(("S83", "ABO=A;RhD=POS (4+)")),
    ),
    kind(
        "microbiology over ASTM: an organism and its antibiotics",
        astm(
            "MICRO",
            "P|1||P8",
            "O|1|B56||^^^URINE",
            "R|1|^^^ORG^1|ECO^Escherichia coli|||||F",
            "R|2|^^^AMP^1|>=32|ug/mL||R||F",
            "R|3|^^^MEM^1|<=0.25|ug/mL||S||F",
            "C|1|I|ESBL positive|G",
        ),
        results(("B56", "ORG=ECO^Escherichia coli;AMP=>=32;MEM=<=0.25")),
    ),
    kind(
        "two isolates of one bottle, each behind an O of its own",
        astm("MICRO", "P|1", "O|1|B57^1||^^^ID", "R|1|^^^ORG|SAU", "O|2|B57^2||^^^ID", "R|1|^^^ORG|KPN"),
        results(("B57", "ORG=SAU"), ("B57", "ORG=KPN")),
    ),
    kind(
        "one result repeated with other units: both are kept",
        astm("X", "P|1", "O|1|S84||^^^GLU", "R|1|^^^GLU|5.5|mmol/L", "R|2|^^^GLU|99|mg/dL"),
        results(("S84", "GLU=5.5;GLU=99")),
    ),
    kind("a result of 0.0 and one of -0.5", astm("X", "P|1", "O|1|S85||^^^BE", "R|1|^^^BE|0.0", "R|2|^^^CR|-0.5"), results(("S85", "BE=0.0;CR=-0.5"))),
    kind(
        "titres, ratios and fractions",
        astm("X", "P|1", "O|1|S86||^^^A", "R|1|^^^A|1:320", "R|2|^^^B|>1:1280", "R|3|^^^C|3/8", "R|4|^^^D|1+-2+"),
        results(("S86", "A=1:320;B=>1:1280;C=3/8;D=1+-2+")),
    ),
    kind("a test name with a slash and a percent sign", astm("X", "P|1", "O|1|S87||^^^A", "R|1|^^^A/G|1.6", "R|2|^^^NEU%|61.2"), results(("S87", "A/G=1.6;NEU%=61.2"))),
    kind("Chinese test names in utf-8", astm("X", "P|1", "O|1|S88||^^^A", "R|1|^^^葡萄糖|5.6|mmol/L"), results(("S88", "葡萄糖=5.6"))),
    kind(
        "GB18030, the frame cut in a test's name",
        framed(lines(H.format("X"), "P|1||1||李^雷", "O|1|S89||^^^A", "R|1|^^^总蛋白|72.0|g/L", "L|1|N"), 37, "gb18030"),
        results(("S89", "总蛋白=72.0")),
    ),
    kind(
        "Q.3 with two repeats, blanks and a rack",
        astm("X", "Q|1|^S901^R1^1\\^S902^R1^2||ALL||||||||O"),
        query("S901", "S902"),
    ),
    kind("Q by patient only asks for no tube", astm("X", "Q|1|PAT77||ALL"), query("PAT77")),
    kind(
        "an O of a control between the tubes of one patient, QC in O.12 in small letters",
        astm("X", "P|1", "O|1|S90||^^^K|||||||N", "R|1|^^^K|4.1", "O|2|LV1||^^^K|||||||Q", "R|1|^^^K|6.1", "O|3|S91||^^^K|||||||N", "R|1|^^^K|4.3"),
        results(("S90", "K=4.1"), ("LV1", "K=6.1"), ("S91", "K=4.3")),
    ),
    kind("calibration by H.12 is no patient", framed(lines("H|\\^&|||X|||||LIS||CR|1", "P|1", "O|1|CAL1||^^^K", "R|1|^^^K|5.0", "L|1|N")), qc(("CAL1", "K=5.0"))),
    # --- ASTM wire
    kind("one frame of 60 000 bytes", framed(BIG, 63_000), results(("S1", BIG_WANT))),
    kind("1 400 results in frames of 240", framed(BIG, 240), results(("S1", BIG_WANT))),
    kind("ENQ and EOT doubled, frames between", b"\x05" + framed(TWO) + b"\x04", TWO_WANT),
    kind("each session preceded by a telnet negotiation", b"\xff\xfb\x01\xff\xfd\x03" + framed(TWO), TWO_WANT, problem="frame.stray"),
    kind("XON and XOFF between frames", framed(TWO).replace(b"\r\n\x02", b"\r\n\x13\x11\x02"), TWO_WANT),
    kind("BEL after every frame", framed(TWO, tail=b"\r\n\x07"), TWO_WANT, problem="frame.stray"),
    kind("the last frame's checksum cut off by the end of the file", framed(TWO)[:-5], TWO_WANT, problem="frame.unsummed"),
    kind(
        "the frame with the second specimen cut in the middle, the rest whole",
        b"\x05" + b"".join(one_frame((at + 1) % 8, (text + "\r").encode()) if at != 5 else one_frame(6, (text + "\r").encode())[:9] for at, text in enumerate(TWO.split("\r")[:-1])) + b"\x04",
        results(("S1", "K=4.1"), (None, "K=5.2")),
        problem="frame.end",
    ),
    kind("a form feed before H in a printed log", b"\x0c" + TWO.encode(), TWO_WANT),
    kind("lines indented by a tab in a log", ("\t" + TWO.replace("\r", "\r\n\t")).encode(), TWO_WANT),
    # --- HL7
    kind(
        "microbiology with MIC, zone and interpretation in OBX-8",
        oru(
            PID, "OBR|1||B60|CULT", obx(1, "ORG", "ECO^Escherichia coli^L", "CE", "1"), "OBR|2||B60|AST",
            obx(1, "AMP", ">=^32", "SN", "1", "|R|||F"), obx(2, "CTX", "22", "NM", "1", "|S|||F"),
        ),
        results(("B60", "ORG=ECO^Escherichia coli^L;AMP=>=^32;CTX=22")),
    ),
    kind("no growth, in Chinese, GB18030", oru(PID, "OBR|1||B61|CULT", obx(1, "CULT", "培养5天无菌生长", "ST"), encoding="gb18030"), results(("B61", "CULT=培养5天无菌生长"))),
    kind("a picture as ED in base64", oru(PID, "OBR|1||S92|WBC", obx(1, "WBC", "6.1"), obx(2, "DIFF", f"^Image^PNG^Base64^{PNG}", "ED")), results(("S92", f"WBC=6.1;DIFF=^Image^PNG^Base64^{PNG}"))),
    kind("a pointer to a picture", oru(PID, "OBR|1||S93|WBC", obx(1, "IMG", "//pc/share/1.jpg^LAB^IM^JPEG", "RP")), results(("S93", "IMG=//pc/share/1.jpg^LAB^IM^JPEG"))),
    kind("five encoding characters of 2.7", oru(PID, "OBR|1||S94|X", obx(1, "K", "4.1")).replace(b"^~\\&|", b"^~\\&#|", 1), results(("S94", "K=4.1"))),
    kind("dollar and percent as delimiters", oru(PID, "OBR|1||S95|X", obx(1, "K^Kalium", "4.1")).replace(b"|", b"$").replace(b"^", b"%"), results(("S95", "K=4.1"))),
    kind("a byte order mark inside the block", mllp(b"\xef\xbb\xbf" + lines(msh("A"), PID, "OBR|1||S96|X", obx(1, "K", "4.1")).encode()), results(("S96", "K=4.1"))),
    kind("GBK declared by its old name", oru(PID, "OBR|1||S97|X", obx(1, "RF", "阳性", "ST"), more="||||||GBK", encoding="gb18030"), results(("S97", "RF=阳性"))),
    kind(
        "SPM-2 with the placer's and the filler's id",
        mllp(lines(OUL, PID, "SPM|1|S98&LIS^F55&AN||SER|||||||P", "OBR|1|||X", obx(1, "K", "4.1"))),
        results(("S98", "K=4.1")),
    ),
    kind("a reflex: the second group has no placer's number, only its own OBR-3", oru(PID, "OBR|1|P1|S99|X", obx(1, "K", "4.1"), "OBR|2||S100|X", obx(1, "NA", "140")), results(("P1", "K=4.1"), ("S100", "NA=140"))),
    kind("OBX type empty", oru(PID, "OBR|1||S101|X", "OBX|1||K||4.1|mmol/L||N|||F"), results(("S101", "K=4.1"))),
    kind("OBX-5 with a trailing blank and a plus", oru(PID, "OBR|1||S102|X", obx(1, "PRO", "++ ", "ST")), results(("S102", "PRO=++ "))),
    kind("debugging mode D is no control", oru(PID, "OBR|1||S103|X", obx(1, "K", "4.1"), mode="D"), results(("S103", "K=4.1"))),
    kind("inventory of reagents on board", mllp(lines(msh("A", "INU^U05^INU_U05", "2.5.1"), "EQU|A1^AN", "INV|R1|OK|RG|LOT1||1")), OTHER),
    kind("an order of two tubes, OML^O33", mllp(lines(msh("LIS", "OML^O33^OML_O33", "2.5.1"), PID, "SPM|1|S104||SER", "ORC|NW|1", "OBR|1|1||GLU", "SPM|2|S105||EDTA", "ORC|NW|2", "OBR|1|2||HBA1C")), order(("S104", "GLU="), ("S105", "HBA1C="))),
    kind("QBP for a container with blanks", mllp(lines(msh("A", "QBP^Q11^QBP_Q11", "2.5.1"), "QPD|WOS^Work Order Step^IHE_LABTF|1| S106 ", "RCP|I|1")), query("S106")),
    kind(
        "a message whose end lacks FS, the next whole",
        b"\x0b" + lines(msh("A"), PID, "OBR|1||S107|X", obx(1, "K", "4.1")).encode() + oru(PID, "OBR|1||S108|X", obx(1, "K", "5.1")),
        results(("S107", "K=4.1")),
        results(("S108", "K=5.1")),
        problem="message.cut",
    ),
    kind("a stray FS in the middle of a value", oru(PID, "OBR|1||S109|X", obx(1, "K", "4.1")).replace(b"4.1", b"4\x1c1"), Want("results", (("S109", "K=4\x1c1"),)), problem="block.control"),
    kind("NTE before any OBX", oru(PID, "NTE|1||溶血", "OBR|1||S110|X", "NTE|1||轻度", obx(1, "K", "5.9")), results(("S110", "K=5.9"))),
    kind("OBX numbers that begin anew", oru(PID, "OBR|1||S111|X", obx(1, "K", "4.1"), obx(1, "NA", "140"), obx(1, "CL", "101")), results(("S111", "K=4.1;NA=140;CL=101"))),
    kind("QC of a chemistry analyzer, MSH-16 2, level and lot in OBR", mllp(lines(msh("BS-2000", more="||||2"), "OBR|1||QC1|L1^LOT77", obx(1, "GLU", "5.5"))), qc(("QC1", "GLU=5.5"))),
    # --- one-way text nobody described: kept whole and said
    kind("an electrolyte analyzer's line", "ID 26010601  Na=140.2 K=4.11 Cl=101.1 mmol/L\r\n", OTHER, problem="format.unknown"),
    kind("angle brackets around fields", "<TRANSMIT><M|26010602|HbA1c|5.6|%></TRANSMIT>\r\n", OTHER, problem="format.unknown"),
    kind("a ticket in GB18030", "标本号:26010603\r\n白细胞 6.2 10^9/L\r\n红细胞 4.55\r\n".encode("gb18030"), OTHER, problem="format.unknown"),
    kind("UTF-16 text of a one-way reader", "\ufeffID;26010604;GLU;5.6\r\n".encode("utf-16-le"), OTHER, problem="format.unknown"),
]  # fmt: skip
