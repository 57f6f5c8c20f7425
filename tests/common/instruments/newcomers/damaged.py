# ruff: noqa: E501 -- wire lines are read as lines
"""HL7 segments and ASTM frames whose damage can be told: reported, and their results nobody's; and what only looks damaged."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, Want, framed, kind, lines, mllp, msh, one_frame, results

PID = "PID|1||P1||LI^LEI||19800101|M"


def obx(number: int, code: str, value: str, kind: str = "NM", status: str = "F") -> str:
    return f"OBX|{number}|{kind}|{code}^{code}||{value}|mmol/L|1-9|N|||{status}|||20260105080000"


def oru(*segments: str) -> bytes:
    return mllp(lines(msh("SIM"), *segments))


def oul(*segments: str) -> bytes:
    return mllp(lines(msh("SIM", "OUL^R22^OUL_R22", "2.5.1"), *segments))


TWO = oru(PID, "OBR|1||D101|P^P|||20260105", obx(1, "K", "4.1"), obx(2, "NA", "140"), "OBR|2||D102|P^P|||20260105", obx(1, "K", "4.2"))
BARE = oru(PID, "OBR|1||D111|K", "OBX|1||K||4.1|mmol/L", "OBR|2||D111|NA", "OBX|1||NA||140|mmol/L", "OBR|3||D112|K", "OBX|1||K||4.2|mmol/L")
PATIENTS = oru(PID, "OBR|1|D121||P", obx(1, "K", "4.1"), "PID|1||P2||HAN^MEI||19810101|F", "OBR|1|||P", obx(1, "K", "4.2"))
RACKS = mllp(
    lines(msh("SIM", "OUL^R21", "2.4"), "SAC|||D131", "OBR|1|||P", obx(1, "K", "4.1"), "SAC|||D132", "OBR|1|||P", obx(1, "K", "4.2"))
)
TUBES = oul(
    "SPM|1|D141||SER|||||||P",
    "SAC|||C1",
    "OBR|1|||P",
    obx(1, "K", "4.1"),
    "SPM|2|D142||SER|||||||P",
    "SAC|||C2",
    "OBR|1|||P",
    obx(1, "K", "4.2"),
)

RECORDS = ["H|\\^&|||SIM", "P|1||P1", "O|1|D171||^^^K", "R|1|^^^K|4.1|mmol/L", "P|2||P2", "O|1|D172||^^^K", "R|1|^^^K|5.2|mmol/L", "L|1|N"]
RECORDS[4:4] = ["R|2|^^^NA|140|mmol/L"]
FRAMES = [one_frame((at + 1) % 8, f"{record}\r".encode()) for at, record in enumerate(RECORDS)]
FRAMES_WANT = results(("D171", "K=4.1;NA=140"), ("D172", "K=5.2"))
JOINED = lines(*RECORDS).encode()


def spoiled(at: int, old: bytes, new: bytes) -> list[bytes]:
    """The frames, one of them damaged."""
    at += at > 3
    assert old in FRAMES[at], FRAMES[at]
    return [*FRAMES[:at], FRAMES[at].replace(old, new), *FRAMES[at + 1 :]]


KINDS: list[Kind] = [
    kind("OBR became OBX before another tube's results", TWO.replace(b"OBR|2", b"OBX|2"), results(("D101", "K=4.1;NA=140"), (None, "K=4.2")), problem="segment.name"),
    kind("OBR became OBX, the only order", oru(PID, "OBX|1||D103|P^P|||20260105", obx(1, "K", "4.1")), results((None, "K=4.1")), problem="segment.name"),
    kind("OBR became OBX where no OBX has a type or a status", BARE.replace(b"OBR|3", b"OBX|3"), results(("D111", "K=4.1;NA=140"), (None, "K=4.2")), problem="segment.name"),
    kind("OBX became OBR", TWO.replace(b"OBX|2|NM", b"OBR|2|NM"), results(("D101", "K=4.1"), ("D102", "K=4.2")), problem="segment.name"),
    kind("the only OBX of a tube became OBR", oru(PID, "OBR|1||D104|P", obx(1, "K", "4.1").replace("OBX", "OBR")), results(("D104", "")), problem="segment.name"),
    kind("OBX without a type became OBR", BARE.replace(b"OBX|1||NA", b"OBR|1||NA"), results(("D111", "K=4.1"), ("D112", "K=4.2")), problem="segment.name"),
    kind("PID became SID: its patient is not the one before", PATIENTS.replace(b"PID|1||P2", b"SID|1||P2"), results(("D121", "K=4.1"), (None, "K=4.2")), problem="segment.name"),
    kind("PID became QID", PATIENTS.replace(b"PID|1||P2", b"QID|1||P2"), results(("D121", "K=4.1"), (None, "K=4.2")), problem="segment.name"),
    kind("SAC became UAC", RACKS.replace(b"SAC|||D132", b"UAC|||D132"), results(("D131", "K=4.1"), (None, "K=4.2")), problem="segment.name"),
    kind("SAC with two letters wrong", RACKS.replace(b"SAC|||D132", b"VA0|||D132"), results(("D131", "K=4.1"), (None, "K=4.2")), problem="segment.name"),
    kind("OBR with two letters wrong", TWO.replace(b"OBR|2", b"XXR|2"), results(("D101", "K=4.1;NA=140"), (None, "K=4.2")), problem="segment.name"),
    kind("OBR became a Z segment", TWO.replace(b"OBR|2", b"ZBR|2"), results(("D101", "K=4.1;NA=140"), (None, "K=4.2")), problem="segment.name"),
    kind("SPM damaged: the container behind it is no specimen id", TUBES.replace(b"SPM|2", b"S?M|2"), results(("D141", "K=4.1"), (None, "K=4.2")), problem="segment.name"),
    kind("the separator behind an SPM's number lost", TUBES.replace(b"SPM|2|", b"SPM|27"), results(("D141", "K=4.1"), (None, "K=4.2")), problem="segment.name"),
    kind("the separator behind an OBR's number lost", oru(PID, "OBR|1D105||P", obx(1, "K", "4.1")), results((None, "K=4.1")), problem="segment.name"),
    kind("a separator inside an OBX lost: its value would be the unit", TWO.replace(b"^NA||140", b"^NA|140"), results(("D101", "K=4.1"), ("D102", "K=4.2")), problem="segment.name"),
    kind("a separator added inside an OBX", TWO.replace(b"^NA||140", b"^NA|||140"), results(("D101", "K=4.1"), ("D102", "K=4.2")), problem="segment.name"),
    kind("the CR before a SAC damaged: it is read apart", RACKS.replace(b"\rSAC|||D132", b"MSAC|||D132"), results(("D131", "K=4.1"), ("D132", "K=4.2")), problem="segment.glued"),
    # --- what only looks so
    kind("RAPID is a word, whatever begins with PID||", oru("PID||P1", "OBR|1|D151||T", "OBX|1|ST|T||RAPID||N|||F"), results(("D151", "T=RAPID"))),
    kind("one OBX without a type among typed ones", oru(PID, "OBR|1||D152|P", "OBX|1|NM|K||4.1|mmol/L", "OBX|2||NOTE||seen", "OBX|3|NM|NA||140"), results(("D152", "K=4.1;NOTE=seen;NA=140"))),
    kind("headings without a value among results", oru(PID, "OBR|1||D153|P", "OBX|1|ST|CBC|||||||F", obx(2, "WBC", "6.1"), "OBX|3|ST|DIFF||", obx(4, "NEU", "3.3")), results(("D153", "CBC=;WBC=6.1;DIFF=;NEU=3.3"))),
    kind("an SID of a reagent and a UAC in the header", oul("UAC|KERB|^^^^x", "SPM|1|D154||SER|||||||P", "OBR|1|||P", obx(1, "K", "4.1"), "TCD|K|1", "SID|K|LOT7|C9|MAKER"), results(("D154", "K=4.1"))),
    kind("a Z segment of the maker with an order's fields", oru(PID, "OBR|1||D155|P", "ZRD|1||x|y", obx(1, "K", "4.1")), results(("D155", "K=4.1")), problem="segment.type"),
    kind("an OBR filled like an OBX of its message", oru(PID, "OBR|1||D156|P||20260105|20260105", "OBX|1||K|1||mmol/L|1-9", "OBX|2|NM|NA||140"), results(("D156", "K=;NA=140"))),
    kind("the status of one row a place too late, as its sender counts", oru(PID, "OBR|1||D157|U", "OBX|1|ST|BLD||(-)|||||||F", "OBX|2|NM|SG||1.015||||||F"), results(("D157", "BLD=(-);SG=1.015"))),
    kind("an interpretation without type and value", oru(PID, "OBR|1|D158||SUSC", "OBX|1|ST|MEM||>=16|mg/L||null|||F", "OBX|2|ST|AMP||<=2|mg/L||null|||F", "OBX|3||MEM^Meropenem|||||R|||F"), results(("D158", "MEM=>=16;AMP=<=2;MEM="))),
    kind("a heading without type, value and status", oru(PID, "OBR|1|D159||CBC", obx(1, "WBC", "6.1"), "OBX|2||DIFF", obx(3, "NEU", "3.3")), results(("D159", "WBC=6.1;DIFF=;NEU=3.3"))),
    kind("blanks inside the name of a SAC", RACKS.replace(b"SAC|||D132", b"SAC |||D132"), results(("D131", "K=4.1"), ("D132", "K=4.2"))),
    # --- others of that round
    kind("UTF-16 as a whole, its mark before the wide VT", b"\xff\xfe" + oru(PID, "OBR|1||D161|X", "OBX|1|ST|乙肝||阴性").decode().encode("utf-16-le"), results(("D161", "乙肝=阴性"))),
    kind("OUL^R23: two containers of one specimen", mllp(lines(msh("A", "OUL^R23^OUL_R23", "2.5.1"), "SPM|1|D162||SER", "SAC|1||C1", "OBR|1|||GLU", "OBX|1|NM|GLU||5.5", "SAC|2||C2", "OBR|2|||K", "OBX|1|NM|K||4.1")), results(("D162", "GLU=5.5;K=4.1"))),
    kind("noise like a byte order mark before ENQ", b"\xff\xfe\x7f" + framed(lines("H|\\^&|||SIM", "P|1", "O|1|D163||^^^K", "R|1|^^^K|4.1", "L|1|N")), results(("D163", "K=4.1")), problem="frame.stray"),
    # --- ASTM frames with a wrong checksum that nobody sent again
    kind("an O damaged into no record: not the tube's before", b"\x05" + b"".join(spoiled(5, b"O|1", b"E|1")) + b"\x04", results(("D171", "K=4.1;NA=140"), (None, "K=5.2")), problem="record.damaged"),
    kind("a P damaged: the next tube's patient is not the one before", b"\x05" + b"".join(spoiled(4, b"P|2", b"A|2")) + b"\x04", results(("D171", "K=4.1;NA=140"), ("D172", "K=5.2")), problem="record.damaged"),
    kind("the id in a damaged O may be another tube's", b"\x05" + b"".join(spoiled(5, b"D172", b"D171")) + b"\x04", results(("D171", "K=4.1;NA=140"), (None, "K=5.2")), problem="record.damaged"),
    kind("a result in a damaged frame is read, its number goes on", b"\x05" + b"".join(spoiled(3, b"mmol", b"mmo!")) + b"\x04", results(("D171", "K=4.1;NA=140"), ("D172", "K=5.2")), problem="frame.checksum"),
    kind("an end of frame inside a result: the order behind it is not swallowed", b"\x05" + b"".join([*FRAMES[:4], FRAMES[4].replace(b"|140|", b"|140\x17"), *FRAMES[5:]]) + b"\x04", results(("D171", "K=4.1"), ("D172", "K=5.2")), problem="record.cut"),
    kind("every checksum counted another way: nothing is in doubt", b"\x05" + b"".join(one[:-4] + b"00" + one[-2:] for one in FRAMES) + b"\x04", FRAMES_WANT, problem="frame.checksum"),
    kind("one frame for all, damaged: numbers that begin anew without an order", b"\x05" + one_frame(1, JOINED.replace(b"P|2||P2\r", b"")).replace(b"O|1|D172", b"C|1|D172") + b"\x04", results(("D171", "K=4.1;NA=140"), (None, "K=5.2")), problem="frame.checksum"),
    kind("records without frames, a CR damaged", JOINED.replace(b"\rR|2", b"xR|2"), FRAMES_WANT, problem="record.glued"),
    kind("BCI: a test of a tube without id behind one with", "mtrsl|ciD181|rtTSH|qn1.1|ci|rtTSH|qn2.2|", results(("D181", "TSH=1.1"), (None, "TSH=2.2"))),
    kind("the same id twice in O.3", framed(lines("H|\\^&|||SIM", "P|1", "O|1|D182\\D182||^^^K", "R|1|^^^K|4.1", "L|1|N")), results(("D182", "K=4.1"))),
    # --- others
    kind("a block cut inside the name of its next segment", oru(PID, "OBR|1||D191|X", obx(1, "K", "4.1")).replace(b"\x1c\r", b"OB"), results(("D191", "K=4.1")), problem="segment.cut"),
    kind("ASTM records between VT and FS", mllp(lines("H|\\^&|||SIM", "P|1", "O|1|D192||^^^K", "R|1|^^^K|4.1", "L|1|N")), results(("D192", "K=4.1"))),
    kind("HL7 in ASTM frames, cut inside a value", framed(lines(msh("A"), PID, "OBR|1||D193|X", obx(1, "K", "4.1"), obx(2, "NA", "140")), size=64), results(("D193", "K=4.1;NA=140"))),
    kind("HL7 in ASTM frames, a segment a frame", framed(lines(msh("A"), PID, "OBR|1||D194|X", obx(1, "K", "4.1"))), results(("D194", "K=4.1"))),
    kind("a sender without types, numbers and status, one row empty", oru(PID, "OBR|||D195", "OBX|||K||4.1", "OBX|||NA||140", "OBX|||CL||"), results(("D195", "K=4.1;NA=140;CL="))),
    kind("every OBX is number 1, one has neither type nor value", oru(PID, "OBR|1||D196|X", obx(1, "K", "4.1"), "OBX|1||REMARK||", obx(1, "NA", "140")), results(("D196", "K=4.1;REMARK=;NA=140"))),
    kind("a mark without type and value", oru(PID, "OBR|1||D197|X", "OBX|1||POS_FLAG|||||A", obx(2, "K", "4.1")), results(("D197", "POS_FLAG=;K=4.1"))),
    # --- automation: nothing of it is a result, and its segments are no unknown ones
    kind("a track tells to load a tube", mllp(lines(msh("TRK", "EAC^U07", "2.5.1"), "EQU|1^TRACK|20260105", "ECD|1|LO^LOAD^HL70368", "SAC|||D198")), Want("other", (("D198", ""),))),
    kind("a log of the equipment, its test settings, a notification", mllp(lines(msh("A", "LSU^U12", "2.5.1"), "EQU|A", "EQP|E1|f.txt|20260105|20260105|log"), lines(msh("A", "TCU^U10", "2.5.1"), "EQU|A", "TCC|GLU|1"), lines(msh("A", "EAN^U09", "2.5.1"), "EQU|A", "NDS|1|20260105|W|X1")), OTHER, OTHER, OTHER),
]  # fmt: skip
