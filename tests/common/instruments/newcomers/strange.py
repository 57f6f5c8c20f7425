# ruff: noqa: E501 -- wire lines are read as lines
"""A further round, written by hand before it was decoded: other vendors, mixed streams, several patients, values cut between frames, marks of control."""

from __future__ import annotations

import base64

from tests.common.instruments.newcomers.further import PID, H, astm, obx, oru
from tests.common.instruments.newcomers.others import bci, observation, poct
from tests.common.instruments.newcomers.tools import OTHER, Kind, Want, framed, kind, lines, mllp, msh, one_frame, order, qc, query, results

JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(range(120))).decode()


def cut(text: str, *at: int, encoding: str = "utf-8") -> bytes:
    """One transfer phase whose text is cut exactly there, ETB in between."""
    data = text.encode(encoding)
    ends = [*at, len(data)]
    pieces = [data[start:end] for start, end in zip((0, *at), ends, strict=True)]
    return b"\x05" + b"".join(one_frame((n + 1) % 8, piece, 3 if n + 1 == len(pieces) else 23) for n, piece in enumerate(pieces)) + b"\x04"


ONE = lines(H.format("SIM"), "P|1||P1||李^雷", "O|1|A9001||^^^K|R", "R|1|^^^K|4.15|mmol/L||N||F", "R|2|^^^NA|140.2|mmol/L||N||F", "L|1|N")
ONE_WANT = results(("A9001", "K=4.15;NA=140.2"))
TWO = lines(H.format("SIM"), "P|1||P1", "O|1|A9001||^^^K", "R|1|^^^K|4.1", "P|2||P2", "O|1|A9002||^^^K", "R|1|^^^K|5.2", "L|1|N")
TWO_WANT = results(("A9001", "K=4.1"), ("A9002", "K=5.2"))
PIECES = [one_frame(1, ONE.encode()[:70], 23), one_frame(2, ONE.encode()[70:])]
PACKED = (
    b"H|\\^&|||SIM\rP|1\rO|1|B1||^^^X\rR|1|^^^A|1\rR|2|^^^B|2\r",
    b"C|3|I|x\rP|2\rO|1|B2||^^^X\rR|1|^^^D|4\rR|2|^^^E|5\rR|3|^^^",
    b"|x\rR|4|^^^F|6\rL|1|N\r",
)
FRAMES = [one_frame((n + 1) % 8, f"{text}\r".encode()) for n, text in enumerate(TWO.split("\r")[:-1])]

SEVERAL = oru(PID, "OBR|1||H721|X", obx(1, "K", "4.1"), "OBR|2||H722|X", obx(1, "NA", "140"), "OBR|3||H723|X", obx(1, "CL", "101"))
SEVERAL_WANT = results(("H721", "K=4.1"), (None, "NA=140"), ("H723", "CL=101"))

KINDS: list[Kind] = [
    # --- ASTM: makers
    kind(
        "Grifols Erytra: blood group and antibody screen, cards in the repeat",
        astm("Erytra", "P|1||D77", "O|1|B26010501^CARD1\\B26010501^CARD2||^^^ABO-RH\\^^^SCREEN", "R|1|^^^ABO|A||||||F", "R|2|^^^RH|POS||||||F", "R|3|^^^SCREEN|0^0^1+||||||P"),
        results(("B26010501", "ABO=A;RH=POS;SCREEN=0^0^1+")),
        problem="specimen.several",
    ),
    kind(
        "Thermo Phadia 250: class behind the value, response in a comment",
        astm("Phadia250", "P|1", "O|1|S301||^^^d1\\^^^f2", "R|1|^^^d1|>100^6|kUA/l", "C|1|I|RU 31022|G", "R|2|^^^f2|<0.10^0|kUA/l", "C|1|I|RU 41|G"),
        results(("S301", "d1=>100^6;f2=<0.10^0")),
    ),
    kind(
        "Sebia Minicap: the fraction's name in Chinese, GB18030",
        framed(lines(H.format("MINICAP"), "P|1", "O|1|S302||^^^PROT", "R|1|^^^白蛋白|61.3|%", "R|2|^^^α1球蛋白|3.1|%", "L|1|N"), encoding="gb18030"),
        results(("S302", "白蛋白=61.3;α1球蛋白=3.1")),
    ),
    kind(
        "Inova BIO-FLASH: index, words and the raw signal told apart by a word in the test id",
        astm("BIOFLASH", "P|1", "O|1|S303||^^^CCP3", "R|1|^^^CCP3^^CU|12.5|CU", "R|2|^^^CCP3^^INTERP|Negative", "R|3|^^^CCP3^^RLU|1022|RLU"),
        results(("S303", "CCP3=12.5;CCP3=Negative;CCP3=1022")),
    ),
    kind(
        "Bio-Rad IH-500: reaction strengths, id behind rack and place",
        astm("IH-500", "P|1", "O|1|0021^04^2601050088^B||^^^AB0", "R|1|^^^AntiA|4+", "R|2|^^^AntiB|-", "R|3|^^^Dvi|dp"),
        results(("2601050088", "AntiA=4+;AntiB=-;Dvi=dp")),
    ),
    kind("Sysmex UF-5000 query with the attribute B", astm("UF-5000", "Q|1|000007^03^         2601051234^B||||20260105"), query("2601051234")),
    kind(
        "MicroScan WalkAway: organism, then drugs with signs",
        astm("WalkAway", "P|1", "O|1|M7788||^^^NEG-COMBO", "R|1|^^^ORG|KLEPNE^K. pneumoniae", "R|2|^^^AMP|>16|ug/mL||R", "R|3|^^^GEN|<=4|ug/mL||S", "R|4|^^^ESBL|POS"),
        results(("M7788", "ORG=KLEPNE^K. pneumoniae;AMP=>16;GEN=<=4;ESBL=POS")),
    ),
    kind(
        "Tecan track: tube events as manufacturer's records",
        astm("FREEDOM", "P|1", "O|1|T5501", "M|1|EVENT|ALIQUOTED|2", "R|1|^^^STATUS|DONE"),
        results(("T5501", "STATUS=DONE")),
        problem="record.vendor",
    ),
    kind("a level of control named in O.16, CONTROL beside its lot", astm("X", "P|1", "O|1|L2||^^^GLU|||||||||||CONTROL^LOT9", "R|1|^^^GLU|15.1"), qc(("L2", "GLU=15.1"))),
    kind("control by the patient's id", astm("X", "P|1||QC-2", "O|1|77||^^^GLU", "R|1|^^^GLU|15.1"), qc(("77", "GLU=15.1"))),
    kind("a ward called QC is no control", astm("X", "P|1||P9||ANNA|||||||||||||||||QC", "O|1|S304||^^^GLU", "R|1|^^^GLU|5.1"), results(("S304", "GLU=5.1"))),
    kind("a barcode that begins with CTRL1 and goes on", astm("X", "P|1", "O|1|CTRLX260105||^^^GLU", "R|1|^^^GLU|5.1"), results(("CTRLX260105", "GLU=5.1"))),
    # --- ASTM: fields
    kind("a comment that speaks of HL7: MSH|, PID|", astm("X", "P|1", "O|1|S305||^^^K", "R|1|^^^K|4.1", "C|1|I|resend as MSH^ PID^ OBX^|G"), results(("S305", "K=4.1"))),
    kind("the same without frames", lines(H.format("X"), "P|1", "O|1|S306||^^^K", "R|1|^^^K|4.1", "C|1|I| MSH^ sent|G", "L|1|N"), results(("S306", "K=4.1"))),
    kind("a comment with XML of a point-of-care reader", astm("X", "P|1", "O|1|S307||^^^K", "R|1|^^^K|4.1", "C|1|I|<OBS.R01 x=1>|G"), results(("S307", "K=4.1"))),
    kind("an escaped delimiter inside the id", astm("X", "P|1", "O|1|A&F&7||^^^K", "R|1|^^^K|4.1"), results(("A|7", "K=4.1"))),
    kind("an escaped line end inside a value", astm("X", "P|1", "O|1|S308||^^^T", "R|1|^^^T|one&X0D&two"), results(("S308", "T=one\rtwo"))),
    kind("an unknown escape sequence stays", astm("X", "P|1", "O|1|S309||^^^T", "R|1|^^^T|a&Q1&b"), results(("S309", "T=a&Q1&b"))),
    kind("the first repeat of O.3 empty", astm("X", "P|1", "O|1|\\S310||^^^K", "R|1|^^^K|4.1"), results(("S310", "K=4.1"))),
    kind("O.3 ends with an empty component", astm("X", "P|1", "O|1|S311^^||^^^K", "R|1|^^^K|4.1"), results(("S311", "K=4.1"))),
    kind("values with blanks before and behind", astm("X", "P|1", "O|1|S312||^^^K", "R|1|^^^K|   4.1 |mmol/L"), results(("S312", "K=   4.1 "))),
    kind("a value of three components", astm("X", "P|1", "O|1|S313||^^^HBV", "R|1|^^^HBV|POS^1.2E+05^5.08|IU/mL"), results(("S313", "HBV=POS^1.2E+05^5.08"))),
    kind("numbers as the east and the south write them", astm("X", "P|1", "O|1|S314||^^^A", "R|1|^^^A|1.234,5", "R|2|^^^B|１２.３", "R|3|^^^C|٣"), results(("S314", "A=1.234,5;B=１２.３;C=٣"))),
    kind("a test id of five levels, the code in the fourth", astm("X", "P|1", "O|1|S315||^^^FT4^1^2", "R|1|^^^FT4^1^2|15.2"), results(("S315", "FT4=15.2"))),
    kind("thirty empty fields at the end", astm("X", "P|1" + "|" * 30, "O|1|S317||^^^K" + "|" * 40, "R|1|^^^K|4.1" + "|" * 30), results(("S317", "K=4.1"))),
    kind("an S and an M record of an unknown maker", astm("X", "P|1", "O|1|S318||^^^K", "S|1|method|9", "R|1|^^^K|4.1"), results(("S318", "K=4.1")), problem="record.vendor"),
    kind("an O of another tube without any result between two", astm("X", "P|1", "O|1|S319||^^^K", "O|2|S320||^^^K", "R|1|^^^K|4.1"), results(("S319", ""), ("S320", "K=4.1"))),
    kind("P repeated for each test of one tube", astm("X", "P|1||77", "O|1|S321||^^^K", "R|1|^^^K|4.1", "P|2||77", "O|1|S321||^^^NA", "R|1|^^^NA|140"), results(("S321", "K=4.1"), ("S321", "NA=140"))),
    kind("a query with an escape in the id", astm("X", "Q|1|^A&S&7||ALL"), query("A^7")),
    # --- ASTM: wire
    kind("cut inside the value", cut(ONE, ONE.encode().index(b"4.15") + 2), ONE_WANT),
    kind("cut inside the id and inside the unit", cut(ONE, ONE.encode().index(b"A9001") + 3, ONE.encode().index(b"mmol") + 2), ONE_WANT),
    kind("cut inside a Chinese character", cut(ONE, ONE.encode().index("李".encode()) + 1), ONE_WANT),
    kind("cut inside a Chinese character, GB18030", cut(ONE, ONE.encode("gb18030").index("雷".encode("gb18030")) + 1, encoding="gb18030"), ONE_WANT),
    kind("cut behind a delimiter and before the CR", cut(ONE, ONE.encode().index(b"|4.15") + 1, ONE.encode().index(b"\rL")), ONE_WANT),
    kind("a cut frame damaged, then sent again as it was", b"\x05" + PIECES[0].replace(b"SIM", b"S?M") + PIECES[0] + PIECES[1] + b"\x04", ONE_WANT, problem="frame.checksum"),
    kind("an empty frame as a sign of life", b"\x05" + one_frame(1, b"") + b"\x04" + framed(ONE), ONE_WANT),
    kind("the frame of the second patient twice, the second time with another number", b"\x05" + b"".join(FRAMES[:5]) + b"".join(one_frame((n + 6) % 8, text) for n, text in enumerate([b"P|2||P2\r", b"O|1|A9002||^^^K\r", b"R|1|^^^K|5.2\r", b"L|1|N\r"])) + b"\x04", results(("A9001", "K=4.1"), ("A9002", "K=5.2"))),
    kind("after a break the sender begins again at the last level, its parents before it", b"\x05" + b"".join(FRAMES[:4]) + b"\x05" + framed(TWO)[1:], results(("A9001", "K=4.1")), TWO_WANT, problem="message.cut"),
    kind("two analyzers' sessions in one capture", framed(ONE) + b"\r\n" + framed(TWO), ONE_WANT, TWO_WANT),
    kind("a session of HL7 behind one of ASTM is kept apart from it", framed(ONE) + oru(PID, "OBR|1||A9003|X", obx(1, "K", "4.1")), Want("results", (("A9003", "K=4.1"),)), problem="block.stray"),
    kind("UTF-16 big endian with its mark, records in lines", b"\xfe\xff" + ONE.replace("\r", "\r\n").encode("utf-16-be"), ONE_WANT),
    kind("UTF-16 little endian without a mark", ONE.encode("utf-16-le"), ONE_WANT),
    kind("Latin-1 micro sign in a unit", framed(ONE.replace("mmol/L", "µmol/L").replace("李^雷", "M^X"), encoding="latin-1"), ONE_WANT),
    kind("a 7-bit line that lost the top bits of a name", framed(ONE.encode("gb18030").translate(bytes(range(128)) + bytes(range(128)))), ONE_WANT),
    # --- ASTM: frames lost, cut and repeated among several specimens
    kind("a frame cut behind its number: the next results may be another tube's", b"\x05" + b"".join(FRAMES[:4]) + b"\x025" + one_frame(6, b"R|1|^^^NA|140\r") + FRAMES[-1] + b"\x04", results(("A9001", "K=4.1"), (None, "NA=140")), problem="frame.end"),
    kind("packed: a lost frame held the end of one tube and the beginning of the next, the numbers fit by chance", b"\x05" + one_frame(1, PACKED[0], 23) + one_frame(3, PACKED[2], 3) + b"\x04", results(("B1", "A=1;B=2"), (None, "F=6")), problem="frame.gap"),
    kind("packed: a frame without its end held more than is seen", b"\x05" + one_frame(1, PACKED[0], 23) + b"\x022C|3|I|x\r" + one_frame(3, PACKED[2], 3) + b"\x04", results(("B1", "A=1;B=2"), (None, "F=6")), problem="frame.end"),
    kind("a tube's only result lost where the numbers wrap", b"\x05" + b"".join(one_frame(n, text) for n, text in ((1, b"H|\\^&|||SIM\r"), (2, b"P|1\r"), (3, b"O|1|B5||^^^A\r"), (4, b"R|1|^^^A|1\r"), (5, b"R|2|^^^B|2\r"), (6, b"P|2\r"), (7, b"O|1|B6||^^^A\r"), (1, b"O|2|B7||^^^A\r"), (2, b"R|1|^^^A|3\r"), (3, b"L|1|N\r"))) + b"\x04", results(("B5", "A=1;B=2"), ("B6", ""), ("B7", "A=3")), problem="frame.gap"),
    kind("the first frame's number damaged, then sent again", b"\x05" + FRAMES[0].replace(b"\x021", b"\x02q") + b"".join(FRAMES[:5]) + FRAMES[4] + b"".join(FRAMES[5:]) + b"\x04", TWO_WANT, problem="frame.checksum"),
    kind("a frame whose ETX was damaged, then sent again", b"\x05" + b"".join(FRAMES[:5]) + FRAMES[5].replace(b"\x03", b"}") + b"".join(FRAMES[5:]) + b"\x04", TWO_WANT, problem="frame.end"),
    kind("the beginning of a frame sent again and broken off", b"\x05" + b"".join(FRAMES[:5]) + FRAMES[4][:6] + b"".join(FRAMES[5:]) + b"\x04", TWO_WANT, problem="frame.end"),
    kind("the order of the second tube cut, the first had one result only", b"\x05" + b"".join(FRAMES[:4]) + b"\x025O|2|A90" + one_frame(6, b"R|1|^^^K|5.2\r") + one_frame(7, b"L|1|N\r") + b"\x04", results(("A9001", "K=4.1"), (None, "K=5.2")), problem="frame.end"),
    # --- HL7
    kind("Hitachi LABOSPECT: SPM before, values as SN and as ST", mllp(lines(msh("LABOSPECT", "OUL^R22^OUL_R22", "2.5.1"), PID, "SPM|1|H701||SER|||||||P", "OBR|1|||GLU", obx(1, "GLU", "<^0.5", "SN"), "OBR|2|||IC", obx(1, "IC", "++", "ST"))), results(("H701", "GLU=<^0.5;IC=++"))),
    kind("Siemens DCA through a hub, several patients and tubes", oru("PID|1||P1", "OBR|1||H702|HBA1C", obx(1, "HBA1C", "6.1"), "PID|2||P2", "OBR|1||H703|HBA1C", obx(1, "HBA1C", "7.2"), "PID|3||P3", "OBR|1||H704|HBA1C", obx(1, "HBA1C", "8.3")), results(("H702", "HBA1C=6.1"), ("H703", "HBA1C=7.2"), ("H704", "HBA1C=8.3"))),
    kind("a picture over several lines of base64", oru(PID, "OBR|1||H705|WBC", obx(1, "WBC", "6.1"), obx(2, "PIC", f"^IM^JPEG^Base64^{JPEG[:76]}\n{JPEG[76:]}", "ED"), obx(3, "RBC", "4.5")), results(("H705", f"WBC=6.1;PIC=^IM^JPEG^Base64^{JPEG[:76]}\n{JPEG[76:]};RBC=4.5"))),
    kind("a repeat delimiter inside a free text", oru(PID, "OBR|1||H706|X", obx(1, "T", "a~b", "TX")), results(("H706", "T=a~b"))),
    kind("escaped delimiters in code and value", oru(PID, "OBR|1||H707|X", obx(1, "A\\T\\B^x", "5\\S\\6", "ST")), results(("H707", "A&B=5^6"))),
    kind("CR and CRLF mixed in one message", oru(PID, "OBR|1||H708|X", obx(1, "K", "4.1"), obx(2, "NA", "140")).replace(b"\rOBX|2", b"\r\nOBX|2"), results(("H708", "K=4.1;NA=140"))),
    kind("OBR numbers in OBR-2 for one tube and OBR-3 for the next", oru(PID, "OBR|1|H709||X", obx(1, "K", "4.1"), "OBR|2||H710|X", obx(1, "K", "4.2")), results(("H709", "K=4.1"), ("H710", "K=4.2"))),
    kind("a second group without any id keeps no id", oru(PID, "OBR|1||H711|X", obx(1, "K", "4.1"), "OBR|2|||Y", obx(1, "NA", "140")), results(("H711", "K=4.1"), (None, "NA=140"))),
    kind("control in the middle of patients, by SPM-11", mllp(lines(msh("A", "OUL^R22^OUL_R22", "2.5.1"), "SPM|1|H712||SER|||||||P", "OBR|1|||K", obx(1, "K", "4.1"), "SPM|2|LOT7||SER|||||||Q", "OBR|1|||K", obx(1, "K", "6.0"), "SPM|3|H713||SER|||||||P", "OBR|1|||K", obx(1, "K", "4.3"))), results(("H712", "K=4.1"), ("LOT7", "K=6.0"), ("H713", "K=4.3"))),
    kind("an order with its tests cancelled", mllp(lines(msh("LIS", "OML^O33^OML_O33", "2.5.1"), PID, "SPM|1|H714||SER", "ORC|CA|1", "OBR|1|1||GLU")), order(("H714", "GLU="))),
    kind("OBX-11 W, D and I", oru(PID, "OBR|1||H715|X", obx(1, "A", "1", more="||||W"), obx(2, "B", "", more="||||D"), obx(3, "C", "", more="||||I")), results(("H715", "A=1;B=;C="))),
    kind("GB18030 with a rare name, declared as 8859/1", oru("PID|1||P1||𠮷^田", "OBR|1||H716|X", obx(1, "RF", "阴性", "ST"), encoding="gb18030", more="||||||8859/1"), results(("H716", "RF=阴性")), problem="charset.declared"),
    # --- HL7: segments damaged among several specimens
    kind("an OBR whose first separator was damaged", SEVERAL.replace(b"OBR|2", b"OBR#2"), SEVERAL_WANT, problem="segment.name"),
    kind("an OBR whose last letter became a digit", SEVERAL.replace(b"OBR|2", b"OB7|2"), SEVERAL_WANT, problem="segment.name"),
    kind("an OBR whose first letter became a zero byte, the separator another", SEVERAL.replace(b"OBR|2|", b"\x00BR!2|"), SEVERAL_WANT, problem="segment.name"),
    kind("a CR put into the name of an OBR", SEVERAL.replace(b"OBR|2", b"OB\r|2"), SEVERAL_WANT, problem="segment.name"),
    kind("an LF in the place of an OBR's first separator", SEVERAL.replace(b"OBR|2", b"OBR\n2"), SEVERAL_WANT, problem="segment.name"),
    kind("the CR before an OBR damaged: it is read apart", SEVERAL.replace(b"\rOBR|2", b"\x00OBR|2"), results(("H721", "K=4.1"), ("H722", "NA=140"), ("H723", "CL=101")), problem="segment.glued"),
    kind("the CR before an OBX damaged", oru(PID, "OBR|1||H724|X", obx(1, "K", "4.1"), obx(2, "NA", "140")).replace(b"\rOBX|2", b"VOBX|2"), results(("H724", "K=4.1;NA=140")), problem="segment.glued"),
    kind("the first SPM of several damaged: the others keep their results", mllp(lines(msh("A", "OUL^R22^OUL_R22", "2.5.1"), PID, "S?M|1|H725||SER|||||||P", "OBR|1|||K", obx(1, "K", "4.1"), "SPM|2|H726||SER|||||||P", "OBR|1|||K", obx(1, "K", "4.2"))), results((None, "K=4.1"), ("H726", "K=4.2")), problem="segment.name"),
    kind("a free text over several lines is no damage", oru(PID, "OBR|1||H727|X", obx(1, "T", "a\nK  4.1\nb", "TX"), obx(2, "K", "4.1")), Want("results", (("H727", "T=a\nK  4.1\nb;K=4.1"),))),
    # --- BCI, POCT1-A
    kind("BCI: two patients in one message", bci("mtrsl", "piP1", "pnLI", "ciV301", "rtTSH", "qn1.24", "piP2", "pnWANG", "ciV302", "rtTSH", "qn2.5"), results(("V301", "TSH=1.24"), ("V302", "TSH=2.5"))),
    kind("BCI: a second patient whose tube has no id", bci("mtrsl", "piP1", "ciV303", "rtTSH", "qn1.24", "piP2", "rtTSH", "qn2.5"), results(("V303", "TSH=1.24"), (None, "TSH=2.5"))),
    kind("BCI: Chinese name in GB18030", "".join(f"{one}|" for one in ("mtrsl", "piP1", "pn李雷", "ciV304", "rtTSH", "qn1.24")).encode("gb18030"), results(("V304", "TSH=1.24"))),
    kind("POCT1-A: two patients under one service, one specimen named", poct("OBS.R01", '<SVC><SVC.role_cd V="OBS"/><SPC><SPC.specimen_id V="C401"/></SPC><PT><PT.patient_id V="P1"/>' + observation("GLU", '<OBS.value V="5.6" U="mmol/L"/>') + '</PT><PT><PT.patient_id V="P2"/>' + observation("GLU", '<OBS.value V="7.7" U="mmol/L"/>') + "</PT></SVC>"), results((None, "GLU=5.6"), (None, "GLU=7.7")), problem="specimen.uncertain"),
    # --- positional formats: whole and said
    kind("a watch's report of three columns", "Pat 1   INR 2.4  OK\r\nPat 2   INR 1.1  OK\r\n", OTHER, problem="format.unknown"),
    kind("lines of a coagulometer between STX and ETX", b"\x0226010501 PT 12.1 INR 1.02\x03\x0226010502 PT 13.3 INR 1.11\x03", OTHER, problem="format.unknown"),
    kind("a CSV in GB18030 with a heading", "标本号,项目,结果\r\n26010501,葡萄糖,5.6\r\n".encode("gb18030"), OTHER, problem="format.unknown"),
]  # fmt: skip
