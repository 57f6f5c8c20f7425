# ruff: noqa: E501 -- wire lines are read as lines
"""Curious ones: bytes of one protocol that mean something in another layer, odd orders of records, dialects of dialects."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, framed, kind, lines, mllp, msh, one_frame, order, qc, query, results

H = "H|\\^&|||CUR^1|||||HOST||P|1|20260105081500"
PID = "PID|1||PID1||ZHAO^LIN"


def astm(*records: str, head: str = H) -> str:
    return lines(head, "P|1||PID1", *records, "L|1|N")


def obx(number: object, code: str, value: str, kind_: str = "NM", sub: str = "", more: str = "||||F") -> str:
    return f"OBX|{number}|{kind_}|{code}|{sub}|{value}|mmol/L|{more}"


def oru(*segments: str, encoding: str = "utf-8", **head: str) -> bytes:
    return mllp(lines(msh("CUR", **head), *segments), encoding=encoding)


def wide_frames(*records: str) -> bytes:
    """UTF-16 text between single-byte link bytes, a record a frame."""
    frames = b""
    for number, record in enumerate(records, 1):
        frames += one_frame(number % 8, (record + "\r").encode("utf-16-le"))
    return b"\x05" + frames + b"\x04"


def parity(data: bytes) -> bytes:
    """Seven data bits with even parity, read by a port set to eight and none."""
    return bytes(byte | 0x80 if byte.bit_count() % 2 else byte for byte in data)


K = "R|1|^^^K|4.1|mmol/L||N||F"
NA = "R|2|^^^NA|140|mmol/L||N||F"
ONE = astm("O|1|S1||^^^K", K, NA)
READ = results(("S1", "K=4.1;NA=140"))
AST = ("R|1|^^^AMP|>=32|ug/mL||R||F", "R|2|^^^CIP|<=0.25|ug/mL||S||F")
BARE = lines(msh("CUR"), PID, "OBR|1||S1|X", obx(1, "K", "4.1"))

KINDS: list[Kind] = [
    # --- ASTM: delimiters
    kind("a slash as field delimiter, a bar inside a value", framed("H/\\^&///CUR\rP/1\rO/1/S1//^^^K\rR/1/^^^K/4|1/mmol\rL/1/N\r"), results(("S1", "K=4|1"))),
    kind("an asterisk as field delimiter", framed(ONE.replace("|", "*")), READ),
    kind("a semicolon as field delimiter, decimal commas", framed(ONE.replace("|", ";").replace("4.1", "4,1")), results(("S1", "K=4,1;NA=140"))),
    kind("a colon as component delimiter", framed(ONE.replace("^", ":")), READ),
    kind("tilde repeats and a backslash escapes, as in HL7", framed(astm("O|1|S1||^^^K~^^^NA", "R|1|^^^K|4\\F\\1|mmol", head="H|~^\\|||CUR")), results(("S1", "K=4|1"))),
    kind("the second message has other delimiters", framed(ONE + "H!~*%!!!CUR\rP!1\rO!1!S2!!***K\rR!1!***K!5.2\rL!1!N\r"), READ, results(("S2", "K=5.2"))),
    kind("an escaped component mark inside the specimen id", framed(astm("O|1|A&S&12||^^^K", K)), results(("A^12", "K=4.1"))),
    kind("an escaped bar, hex and an unknown escape in values", framed(astm("O|1|S1||^^^K", "R|1|^^^K|1&F&2", "R|2|^^^P|5&X25&", "R|3|^^^Q|a&ZZZ&b")), results(("S1", "K=1|2;P=5%;Q=a&ZZZ&b"))),
    kind("an ampersand alone in a value", framed(astm("O|1|S1||^^^K", "R|1|^^^K|A & B")), results(("S1", "K=A & B"))),
    # --- ASTM: orders of records
    kind("a result before its order belongs to nobody", framed(astm(K, "O|1|S1||^^^NA", "R|1|^^^NA|140")), results((None, "K=4.1"), ("S1", "NA=140")), problem="result.orphan"),
    kind("results below a patient without any order", framed(astm(K)), results((None, "K=4.1")), problem="result.orphan"),
    kind("comments that look like results", framed(astm("O|1|S1||^^^K", K, "C|1|I|NA=9.9^mmol/L|G", "C|2|I|R&F&1&F&^^^CL&F&99|G")), results(("S1", "K=4.1"))),
    kind("a result record behind L", framed(ONE + "R|3|^^^CL|101\r"), READ, results((None, "CL=101")), problem="message.head"),
    kind("rubbish behind L", framed(ONE + "@@@ 12 ###\r"), READ, problem="record.text"),
    kind("isolates of one bottle, each with its order", framed(astm("O|1|B1^1||^^^AST", *AST, "O|2|B1^2||^^^AST", "R|1|^^^AMP|4|ug/mL||S||F")), results(("B1", "AMP=>=32;CIP=<=0.25"), ("B1", "AMP=4"))),
    kind("one test in two units", framed(astm("O|1|S1||^^^GLU", "R|1|^^^GLU|5.6|mmol/L", "R|2|^^^GLU|101|mg/dL")), results(("S1", "GLU=5.6;GLU=101"))),
    kind("four tubes of one patient, one without results", framed(astm("O|1|S1||^^^K", K, "O|2|S2||^^^K", "O|3|S3||^^^K", K.replace("4.1", "5.5"), "O|4|S4||^^^K", K.replace("4.1", "3.3"))), results(("S1", "K=4.1"), ("S2", ""), ("S3", "K=5.5"), ("S4", "K=3.3"))),
    kind("values with exponents, words and blanks as sent", framed(astm("O|1|S1||^^^A", "R|1|^^^A|1.50E+03", "R|2|^^^B| <0.01 ", "R|3|^^^C|...", "R|4|^^^D|>1:640", "R|5|^^^E|阴性(-)")), results(("S1", "A=1.50E+03;B= <0.01 ;C=...;D=>1:640;E=阴性(-)"))),
    kind("a full-width specimen id stays as sent", framed(astm("O|1|ＷＸ００１||^^^K", K)), results(("ＷＸ００１", "K=4.1"))),
    kind("action code Q with a blank", framed(astm("O|1|C1||^^^K|||||||Q ", K)), qc(("C1", "K=4.1"))),
    kind("an order in capital and a query in one transfer", framed(lines(H, "Q|1|^S7||ALL", "L|1|N") + ONE), query("S7"), READ),
    # --- ASTM: the wire
    kind("CR LF LF ends, no link layer", ONE.replace("\r", "\r\n\n"), READ),
    kind("CR NUL ends as telnet sends them", framed(ONE.replace("\r", "\r\x00"), 80), READ),
    kind("a file ended by control-Z", ONE + "\x1a", READ),
    kind("frames of nothing between the records", b"\x05" + b"".join(one_frame((2 * at + 1) % 8, part + b"\r") + one_frame((2 * at + 2) % 8, b"") for at, part in enumerate(ONE.encode().split(b"\r")[:-1])) + b"\x04", READ),
    kind("empty lines inside a frame", framed(ONE.replace("\r", "\r\r\r"), 240), READ),
    kind("a hex dump of the session", framed(ONE).hex(" "), READ),
    kind("a hex dump in capitals, sixteen bytes a line", "\r\n".join(framed(ONE).hex(" ").upper()[at : at + 48].strip() for at in range(0, 3 * len(framed(ONE)), 48)), READ),
    kind("the port's parity is set wrong: nothing is guessed", parity(framed(ONE)), OTHER, problem="format.unknown"),
    kind("UTF-16 frames whose characters hold ETX, CR and ETB bytes", wide_frames(H, "P|1||PID1||王七^不东", "O|1|S1||^^^K|||||||||||丗", K, "L|1|N"), results(("S1", "K=4.1"))),
    kind("a byte order mark before ENQ", b"\xef\xbb\xbf" + framed(ONE), READ),
    # --- HL7: delimiters and escapes
    kind("a name in capitals and MSH in small letters", b"\x0b" + BARE.lower().encode().replace(b"s1", b"S1") + b"\x1c\r", results(("S1", "k=4.1"))),
    kind("escape sequences in values", oru(PID, "OBR|1||S1|X", obx(1, "A", "a\\T\\b\\F\\c", "ST"), obx(2, "B", "\\X41\\1", "ST"), obx(3, "C", "\\H\\high\\N\\", "ST")), results(("S1", "A=a&b|c;B=A1;C=high"))),
    kind("only two encoding characters: a backslash is a backslash", mllp(lines("MSH|^~|CUR|LAB|LIS|HIS|20260105081500||ORU^R01|M1|P|2.3.1", PID, "OBR|1||S1|X", obx(1, "P", "C:\\T\\x", "ST"))), results(("S1", "P=C:\\T\\x"))),
    kind("two messages in one file, each with its delimiters", BARE + BARE.replace("|", "#").replace("^", "!").replace("S1", "S2"), results(("S1", "K=4.1")), results(("S2", "K=4.1"))),
    kind("an escaped repeat mark and a real one", oru(PID, "OBR|1||S1|X", obx(1, "ORG", "S. aureus~E. coli", "ST"), obx(2, "N", "a\\R\\b", "ST")), results(("S1", "ORG=S. aureus~E. coli;N=a~b"))),
    # --- HL7: groups
    kind("one code with sub-ids", oru(PID, "OBR|1||S1|X", obx(1, "MIC", "4", sub="1.1"), obx(2, "MIC", "8", sub="1.2"), obx(3, "MIC", "16", sub="2.1")), results(("S1", "MIC=4;MIC=8;MIC=16"))),
    kind("notes that look like results", oru(PID, "OBR|1||S1|X", obx(1, "K", "4.1"), "NTE|1|L|NA=140 mmol/L", "NTE|2|L|OBX 2 NM CL 101"), results(("S1", "K=4.1"))),
    kind("a child order names its parent, not its tube", oru(PID, "OBR|1|P7|S7|CULT", obx(1, "ORG", "ECO", "ST"), "OBR|2|||AST" + "|" * 25 + "P7^S7", obx(1, "AMP", "4")), results(("P7", "ORG=ECO;AMP=4"))),
    kind("a child order whose parent is not in the message belongs to nobody", oru(PID, "OBR|1|P7|S7|CULT", obx(1, "ORG", "ECO", "ST"), "OBR|2|||AST" + "|" * 25 + "P8^S8", obx(1, "AMP", "4")), results(("P7", "ORG=ECO"), (None, "AMP=4"))),
    kind("only the filler's id in SPM-2", mllp(lines(msh("CUR", "OUL^R22^OUL_R22", "2.5.1"), PID, "SPM|1|^F55&AN||SER", "OBR|1|||X", obx(1, "K", "4.1"))), results(("F55", "K=4.1"))),
    kind("a calibrator by SPM-11 is no patient", mllp(lines(msh("CUR", "OUL^R22^OUL_R22", "2.5.1"), "SPM|1|CAL1|||||||||C", "OBR|1|||X", obx(1, "K", "4.1"))), qc(("CAL1", "K=4.1"))),
    kind("an order without results", oru(PID, "OBR|1||S1|X"), results(("S1", ""))),
    kind("deleted and unobtainable rows keep their status and value", oru(PID, "OBR|1||S1|X", obx(1, "K", "4.1", more="||||D"), obx(2, "NA", "", more="||||X")), results(("S1", "K=4.1;NA="))),
    kind("set ids that are letters or missing", oru(PID, "OBR|a||S1|X", obx("", "K", "4.1"), obx("b", "NA", "140")), results(("S1", "K=4.1;NA=140"))),
    kind("a picture in hex", oru(PID, "OBR|1||S1|X", obx(1, "K", "4.1"), obx(2, "WBCH", "^Image^BMP^Hex^424D1E00", "ED")), results(("S1", "K=4.1;WBCH=^Image^BMP^Hex^424D1E00"))),
    kind("three patients, the second a control by its id", oru(PID, "OBR|1||S1|X", obx(1, "K", "4.1"), "PID|2||QC", "OBR|1||C1|X", obx(1, "K", "9.9"), "PID|3||P3", "OBR|1||S3|X", obx(1, "K", "3.3")), results(("S1", "K=4.1"), ("C1", "K=9.9"), ("S3", "K=3.3"))),
    # --- HL7: the wire
    kind("CR, LF and CRLF mixed", mllp(BARE.replace("\rOBR", "\nOBR").replace("\rOBX", "\r\nOBX")), results(("S1", "K=4.1"))),
    kind("CR LF LF between segments", mllp(BARE.replace("\r", "\r\n\n")), results(("S1", "K=4.1"))),
    kind("VT twice", b"\x0b" + mllp(BARE), results(("S1", "K=4.1"))),
    kind("FS twice", mllp(BARE)[:-1] + b"\x1c\r", results(("S1", "K=4.1"))),
    kind("a byte order mark before VT", b"\xef\xbb\xbf" + mllp(BARE), results(("S1", "K=4.1"))),
    kind("ASCII declared first, GB 18030-2000 as the alternative", oru(PID.replace("LIN", "琳"), "OBR|1||S1|X", obx(1, "RF", "弱阳性", "ST"), more="||||||ASCII~GB 18030-2000", encoding="gb18030"), results(("S1", "RF=弱阳性"))),
    kind("UTF-16 in a plain block whose characters hold VT, FS and CR bytes", b"\x0b" + (msh("CUR", more="||||||UNICODE") + "\r" + PID.replace("LIN", "东不下") + "\rOBR|1||S1|X\r" + obx(1, "K", "4.1") + "\r").encode("utf-16-le") + b"\x1c\r", results(("S1", "K=4.1"))),
    kind("an STX inside a value is kept", oru(PID, "OBR|1||S1|X", obx(1, "K", "4\x021", "ST")), results(("S1", "K=4\x021"))),
    kind("an order with the segments in small letters", mllp(lines(msh("LIS", "ORM^O01"), "pid|1||P1", "orc|NW|S1", "obr|1|S1||K")), order(("S1", "K="))),
    # --- one-way text: kept whole and said
    kind("JSON of a point-of-care reader", '{"sample":"S1","results":[{"code":"CRP","value":"5.1"}]}\r\n', OTHER, problem="format.unknown"),
    kind("a line of name=value pairs", "SID=S1;CRP=5.1;UNIT=mg/L\r\n", OTHER, problem="format.unknown"),
]  # fmt: skip
