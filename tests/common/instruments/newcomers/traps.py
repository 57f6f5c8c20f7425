"""Traps: what could put a result under a wrong specimen, lose one unsaid, or raise a problem where there is none."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, Want, framed, kind, lines, mllp, msh, one_frame, order, qc, query, results

HEAD = "H|\\^&|||TRAP^1|||||HOST||P|1|20260105081500"
PID = "PID|1||P1||王^芳"
OUL = msh("A", "OUL^R22", "2.5.1")
ORU25 = msh("A", "ORU^R01", "2.5.1")


def obx(number: int, code: str, value: str, more: str = "") -> str:
    return f"OBX|{number}|NM|{code}||{value}|u||N|||F{more}"


def astm(*records: str) -> bytes:
    return framed(lines(HEAD, *records, "L|1|N"))


def frame_list(*records: str) -> list[bytes]:
    return [one_frame((at + 1) % 8, (one + "\r").encode()) for at, one in enumerate((HEAD, *records, "L|1|N"))]


TWO = ("P|1||A", "O|1|T1||^^^K", "R|1|^^^K|4.1", "P|2||B", "O|1|T2||^^^K", "R|1|^^^K|5.2")
SENT = frame_list(*TWO)
GB = "李".encode("gb18030")

KINDS: list[Kind] = [
    kind(
        "the second O lost in a wrap of eight frames",
        b"\x05" + b"".join(SENT[:5] + SENT[6:]) + b"\x04",
        results(("T1", "K=4.1"), (None, "K=5.2")),
        problem="frame.gap",
    ),
    kind(
        "P and O of the second patient lost",
        b"\x05" + b"".join(SENT[:4] + SENT[6:]) + b"\x04",
        results(("T1", "K=4.1"), (None, "K=5.2")),
        problem="frame.gap",
    ),
    kind("the header lost", b"\x05" + b"".join(SENT[1:]) + b"\x04", results(("T1", "K=4.1"), ("T2", "K=5.2")), problem="message.head"),
    kind("the end lost", b"\x05" + b"".join(SENT[:-1]) + b"\x04", results(("T1", "K=4.1"), ("T2", "K=5.2")), problem="message.cut"),
    kind(
        "an O damaged and never repeated",
        b"\x05" + b"".join((*SENT[:5], SENT[5].replace(b"T2", b"T9"), *SENT[6:])) + b"\x04",
        results(("T1", "K=4.1"), (None, "K=5.2")),
        problem="record.damaged",
    ),
    kind(
        "a session broken off and sent again from its beginning",
        b"\x05" + b"".join(SENT[:5]) + b"\x04" + b"\x05" + b"".join(SENT) + b"\x04",
        results(("T1", "K=4.1")),
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
        problem="message.cut",
    ),
    kind(
        "line broken inside a frame, then the whole session",
        b"\x05" + SENT[0] + SENT[1][:5] + b"\x05" + b"".join(SENT) + b"\x04",
        OTHER,
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
        problem="frame.end",
    ),
    kind(
        "same id, two patients: two specimens",
        astm("P|1||A", "O|1|S1||^^^K", "R|1|^^^K|1", "P|2||B", "O|1|S1||^^^K", "R|1|^^^K|2"),
        results(("S1", "K=1"), ("S1", "K=2")),
    ),
    kind(
        "an O without an id after one with an id",
        astm("P|1||A", "O|1|S1||^^^K", "R|1|^^^K|1", "O|2|||^^^NA", "R|1|^^^NA|140"),
        results(("S1", "K=1"), (None, "NA=140")),
    ),
    kind(
        "ids that look alike with blanks",
        astm("P|1", "O|1| S1||^^^K", "R|1|^^^K|1", "O|2|S1 ||^^^NA", "R|1|^^^NA|140"),
        results(("S1", "K=1;NA=140")),
    ),
    kind("an id that is only zeros", astm("P|1", "O|1|0000||^^^K", "R|1|^^^K|1"), results(("0000", "K=1"))),
    kind("an id with a slash, a hash and a blank", astm("P|1", "O|1|A/12 #3||^^^K", "R|1|^^^K|1"), results(("A/12 #3", "K=1"))),
    kind("a very long id", astm("P|1", f"O|1|{'9' * 60}||^^^K", "R|1|^^^K|1"), results(("9" * 60, "K=1"))),
    kind(
        "a Chinese id",
        framed(lines(HEAD, "P|1", "O|1|急诊001||^^^K", "R|1|^^^K|1", "L|1|N"), encoding="gb18030"),
        results(("急诊001", "K=1")),
    ),
    kind("a value that holds a record letter", astm("P|1", "O|1|S1||^^^K", "R|1|^^^K|O|1|x"), results(("S1", "K=O"))),
    kind(
        "a comment that looks like a result", astm("P|1", "O|1|S1||^^^K", "R|1|^^^K|1", "C|1|I|R&F&2&F&^^^X&F&9|G"), results(("S1", "K=1"))
    ),
    kind(
        "sequence numbers all 1",
        astm("P|1", "O|1|S1||^^^A", "R|1|^^^A|1", "R|1|^^^B|2", "O|1|S2||^^^A", "R|1|^^^A|3"),
        results(("S1", "A=1;B=2"), ("S2", "A=3")),
    ),
    kind("sequence numbers missing", astm("P", "O||S1||^^^A", "R||^^^A|1", "R||^^^B|2"), results(("S1", "A=1;B=2"))),
    kind(
        "a run number as the last part: same test twice",
        astm("P|1", "O|1|S1||^^^A", "R|1|^^^A^1|1", "R|2|^^^A^2|2"),
        results(("S1", "A=1;A=2")),
    ),
    kind("a result whose test is empty", astm("P|1", "O|1|S1||^^^A", "R|1||5.5|u"), results(("S1", "=5.5"))),
    kind("R alone", astm("P|1", "O|1|S1||^^^A", "R"), results(("S1", "=")), problem="result.empty"),
    kind("a field with only component marks", astm("P|1", "O|1|S1||^^^A", "R|1|^^^A|^^^"), results(("S1", "A=^^^"))),
    kind("a quoted empty value", astm("P|1", "O|1|S1||^^^A", 'R|1|^^^A|""'), results(("S1", "A="))),
    kind("blanks as a value", astm("P|1", "O|1|S1||^^^A", "R|1|^^^A|   "), results(("S1", "A=   "))),
    kind("zero", astm("P|1", "O|1|S1||^^^A", "R|1|^^^A|0"), results(("S1", "A=0"))),
    kind(
        "a header that repeats inside",
        framed(lines(HEAD, "P|1", "O|1|S1||^^^A", "R|1|^^^A|1", HEAD, "P|1", "O|1|S2||^^^A", "R|1|^^^A|2", "L|1|N")),
        results(("S1", "A=1")),
        results(("S2", "A=2")),
        problem="message.cut",
    ),
    kind(
        "delimiters change between two messages",
        framed(lines(HEAD, "P|1", "O|1|S1||^^^A", "R|1|^^^A|1", "L|1|N", "H!~*%!!!X", "P!1", "O!1!S2!!***B", "R!1!***B!2", "L!1!N")),
        results(("S1", "A=1")),
        results(("S2", "B=2")),
    ),
    kind(
        "query and results in one message",
        astm("P|1", "O|1|S1||^^^A", "R|1|^^^A|1", "Q|1|^S2||ALL"),
        Want("results", (("S1", "A=1"),), ("S2",)),
    ),
    kind(
        "order download with repeats and a profile",
        astm("P|1||A", "O|1|S1||^^^A\\^^^B\\PROFILE|R||||||A||||||||||||||O"),
        order(("S1", "A=;B=;PROFILE=")),
    ),
    kind("cancellation of an order", astm("P|1||A", "O|1|S1||^^^A|R||||||C"), order(("S1", "A="))),
    kind("no information for the query", framed(lines(HEAD, "L|1|I")), OTHER),
    kind("Q with a patient and a specimen", astm("Q|1|PAT7^SP7||ALL"), query("SP7")),
    kind("Q with blanks around", astm("Q|1|^  SP8  ||ALL"), query("SP8")),
    kind("Q by rack only", astm("Q|1|^||ALL"), query()),
    kind("one byte noise between every frame", b"\x05" + b"\x00".join(SENT) + b"\x04", results(("T1", "K=4.1"), ("T2", "K=5.2"))),
    kind(
        "an ACK in front of every frame",
        b"\x06\x05" + b"".join(b"\x06" + one for one in SENT) + b"\x06\x04",
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
    ),
    kind(
        "checksum right, the CR LF swapped",
        b"\x05" + b"".join(one[:-2] + b"\n\r" for one in SENT) + b"\x04",
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
    ),
    kind(
        "control material between two patients",
        astm("P|1", "O|1|S1||^^^A|R||||||N", "R|1|^^^A|1", "O|2|C1||^^^A|R||||||Q", "R|1|^^^A|9", "O|3|S2||^^^A|R||||||N", "R|1|^^^A|2"),
        results(("S1", "A=1"), ("C1", "A=9"), ("S2", "A=2")),
    ),
    kind("a patient named Control is no control", astm("P|1||77||CONTROL^ANNA", "O|1|S1||^^^A", "R|1|^^^A|1"), results(("S1", "A=1"))),
    kind(
        "an id that begins with QC but goes on as a barcode",
        astm("P|1", "O|1|QCH260001||^^^A", "R|1|^^^A|1"),
        results(("QCH260001", "A=1")),
    ),
    # HL7
    kind(
        "OBR of the second tube lost in a cut",
        b"\x0b" + lines(msh("A"), PID, "OBR|1||T1|x", obx(1, "K", "4.1")).encode() + b"OBR|2||T2|x\rOBX|1|NM|K||5.",
        results(("T1", "K=4.1"), ("T2", "")),
        problem="segment.cut",
    ),
    kind(
        "SPM before, another SPM after: each its own",
        mllp(
            lines(
                msh("A", "OUL^R22", "2.5.1"),
                "SPM|1|T1||S|||||||P",
                "OBR|1|||x",
                obx(1, "K", "4.1"),
                "SPM|2|T2||S|||||||P",
                "OBR|1|||x",
                obx(1, "K", "5.2"),
            )
        ),
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
    ),
    kind(
        "SPM behind with two tubes for one group",
        mllp(lines(msh("A", "ORU^R01", "2.5.1"), PID, "OBR|1|o||x", obx(1, "K", "4.1"), "SPM|1|T1||S", "SPM|2|T2||S")),
        results(("T1", ""), ("T2", ""), (None, "K=4.1")),
        problem="specimen.several",
    ),
    kind(
        "PID repeated for the same patient",
        mllp(lines(msh("A"), PID, "OBR|1||T1|x", obx(1, "K", "1"), PID, "OBR|2||T1|x", obx(1, "NA", "2"))),
        results(("T1", "K=1"), ("T1", "NA=2")),
    ),
    kind(
        "OBX before its OBR belongs to none",
        mllp(lines(msh("A"), PID, obx(1, "K", "1"), "OBR|1||T1|x", obx(1, "NA", "2"))),
        results((None, "K=1"), ("T1", "NA=2")),
    ),
    kind(
        "two patients, OBR without ids",
        mllp(lines(msh("A"), "PID|1||P1", "OBR|1|||x", obx(1, "K", "1"), "PID|2||P2", "OBR|1|||x", obx(1, "K", "2"))),
        results((None, "K=1"), (None, "K=2")),
    ),
    kind(
        "ORC carries the placer number, OBR none",
        mllp(lines(msh("A"), PID, "ORC|RE|T9", "OBR|1|||x", obx(1, "K", "1"))),
        results(("T9", "K=1")),
    ),
    kind("OBR-3 with the barcode, OBR-2 null", mllp(lines(msh("A"), PID, 'OBR|1|""|T8|x', obx(1, "K", "1"))), results(("T8", "K=1"))),
    kind(
        "an embedded message in an escaped text",
        mllp(lines(msh("A"), PID, "OBR|1||T7|x", "OBX|1|TX|RAW||MSH\\F\\\\S\\\\R\\\\E\\\\T\\\\F\\A||||||F")),
        results(("T7", "RAW=MSH|^~\\&|A")),
    ),
    kind("a value with MSH in it", mllp(lines(msh("A"), PID, "OBR|1||T6|x", obx(1, "K", "MSH 5"))), results(("T6", "K=MSH 5"))),
    kind(
        "GB18030 cut in the middle of a character at the end",
        b"\x0b" + lines(msh("A"), PID, "OBR|1||T5|x", obx(1, "K", "1")).encode("gb18030") + b"NTE|1||" + GB[:1] + b"\x1c\r",
        results(("T5", "K=1")),
        problem="charset.bytes",
    ),
    kind(
        "two messages of different character sets",
        mllp(lines(msh("A"), PID, "OBR|1||T4|x", "OBX|1|ST|K||阳性|||N|||F"), encoding="gb18030")
        + mllp(lines(msh("A"), PID, "OBR|1||T3|x", "OBX|1|ST|K||阴性|||N|||F")),
        results(("T4", "K=阳性")),
        results(("T3", "K=阴性")),
    ),
    kind(
        "a batch of results and a query",
        mllp(lines(msh("A"), PID, "OBR|1||T2|x", obx(1, "K", "1")), lines(msh("A", "QRY^Q02"), "QRD|20260105|R|D|1|||RD|S901|OTH|||T|")),
        results(("T2", "K=1")),
        query("S901"),
    ),
    kind(
        "OBX-11 X with no value, flagged", mllp(lines(msh("A"), PID, "OBR|1||T1|x", "OBX|1|NM|K||****|u||A|||X")), results(("T1", "K=****"))
    ),
    kind(
        "OBX-5 repeated and structured",
        mllp(lines(msh("A"), PID, "OBR|1||T1|x", "OBX|1|SN|K||>^100~<^5|u||A|||F")),
        results(("T1", "K=>^100~<^5")),
    ),
    kind(
        "ORU of control and patient tubes",
        mllp(
            lines(
                msh("A", "OUL^R22", "2.5.1"),
                "SPM|1|C1||S|||||||Q",
                "OBR|1|||x",
                obx(1, "K", "4.0"),
                "SPM|2|T1||S|||||||P",
                "OBR|1|||x",
                obx(1, "K", "4.4"),
            )
        ),
        results(("C1", "K=4.0"), ("T1", "K=4.4")),
    ),
    kind(
        "a lot number in OBR-3 with LQC",
        mllp(lines(msh("A", version="2.4"), "PID|1", "OBR|1||LOT77|LQC", obx(1, "K", "4.0"))),
        qc(("LOT77", "K=4.0")),
    ),
    kind(
        "blanks before MSH and between",
        b"\r\n  \x0b  " + lines(msh("A"), PID, "OBR|1||T1|x", obx(1, "K", "1")).encode() + b"\x1c\r\r\n",
        results(("T1", "K=1")),
    ),
    # logs and lookalikes
    kind(
        "a log that dropped STX and all but the frame numbers",
        "1H|\\^&|||A\r2P|1\r3O|1|S1||^^^K\r4R|1|^^^K|4.1\r5L|1|N\r",
        results(("S1", "K=4.1")),
    ),
    kind(
        "the same with the checksums on lines of their own",
        "1H|\\^&|||A\r\n9A\r\n2P|1\r\n3F\r\n3O|1|S1||^^^K\r\n9C\r\n4R|1|^^^K|4.1\r\n33\r\n5L|1|N\r\n08\r\n",
        results(("S1", "K=4.1")),
    ),
    kind(
        "a log that dropped STX but not ETX",
        b"\x05" + b"".join(one[1:] for one in SENT) + b"\x04",
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
    ),
    kind(
        "a capture written as hex digits",
        " ".join(f"{byte:02X}" for byte in b"\x05" + b"".join(SENT) + b"\x04"),
        results(("T1", "K=4.1"), ("T2", "K=5.2")),
    ),
    kind(
        "frame numbers to nine",
        b"\x05"
        + b"".join(
            one_frame(number, (text + "\r").encode())
            for number, text in zip(
                [*range(1, 10), 0, 1], (HEAD, "P|1", "O|1|S1||^^^A", *(f"R|{n}|^^^T{n}|{n}" for n in range(1, 8)), "L|1|N"), strict=True
            )
        )
        + b"\x04",
        results(("S1", "T1=1;T2=2;T3=3;T4=4;T5=5;T6=6;T7=7")),
    ),
    kind(
        "a rare character of four bytes",
        mllp(lines(msh("A"), "PID|1||P1||㐂", "OBR|1||T1|x", "OBX|1|ST|K||㐂|||N|||F"), encoding="gb18030"),
        results(("T1", "K=㐂")),
    ),
    kind("sequence and lot in O.4 are no id", astm("P|1|B77", "O|1||660^0090", "R|1|^^^Alb|63.7|mg/L"), results((None, "Alb=63.7"))),
    kind(
        "results in the answer to a query",
        mllp(lines(msh("A", "ORF^R04"), "MSA|AA|1", "QRD|2026|R|I|1|||1|T1|RES|ALL", "OBR|1||T1|x", obx(1, "K", "4.1"))),
        results(("T1", "K=4.1")),
    ),
    kind(
        "a quoted table that begins with H and R",
        b'H,"","","LabPro","3.01"\r\nP,"L","10363567","x"\r\nR,"L","01","2011","PBC28"\r\nM,"1","AM","Ampicillin","4"\r\n',
        OTHER,
        problem="format.unknown",
    ),
    kind("a plain table whose lines begin with R", b"R,26010599,GLU,5.6\r\nR,26010600,GLU,5.7\r\n", OTHER, problem="format.unknown"),
    kind(
        "another Sysmex telegram that begins with D1U",
        b"\x02D1U1234567 20260105S000000000012345 1234 00123004560078900012300456007890001230045600789000123\x03",
        OTHER,
        problem="format.unknown",
    ),
    kind("Q by rack, tube and id without an attribute", astm("Q|1|1^2^S1234567^^||ALL"), query("S1234567")),
    kind("control by O.16 Q", astm("P|1", "O|1|LOT5||^^^A|||||||||||Q", "R|1|^^^A|1"), qc(("LOT5", "A=1"))),
    kind(
        "the barcode in O.4 with rack and position",
        astm("P|1", "O|1||2601050001^0012^03|^^^A", "R|1|^^^A|1"),
        results(("2601050001", "A=1")),
    ),
    # --- a record or segment whose type was damaged may have named another specimen
    kind(
        "an O whose type was damaged, the next results number on from 1",
        astm("P|1", "O|1|T1||^^^K", "R|1|^^^K|4.1", "?|2|T2||^^^K", "R|1|^^^K|5.2"),
        results(("T1", "K=4.1"), (None, "K=5.2")),
        problem="record.text",
    ),
    kind(
        "an O whose type was damaged, results numbered through",
        astm("P|1", "O|1|T1||^^^K", "R|1|^^^K|4.1", "\x7f|2|T2||^^^K", "R|2|^^^K|5.2"),
        results(("T1", "K=4.1"), (None, "K=5.2")),
        problem="record.text",
    ),
    kind(
        "an R whose type was damaged costs only itself",
        astm("P|1", "O|1|T1||^^^K", "R|1|^^^K|4.1", "?|2|^^^NA|140", "R|3|^^^CL|100"),
        results(("T1", "K=4.1;CL=100")),
        problem="record.text",
    ),
    kind("record types in small letters", astm("p|1", "o|1|S1||^^^A", "r|1|^^^A|1"), results(("S1", "A=1"))),
    kind(
        "an OBR whose name was damaged",
        mllp(lines(msh("A"), PID, "OBR|1||T1|X", obx(1, "K", "1"), "O?R|2||T2|X", obx(1, "K", "2"), "OBR|3||T3|X", obx(1, "K", "3"))),
        results(("T1", "K=1"), (None, "K=2"), ("T3", "K=3")),
        problem="segment.name",
    ),
    kind(
        "a PID whose name was damaged",
        mllp(lines(msh("A"), PID, "OBR|1||T1|X", obx(1, "K", "1"), "P?D|2||P2||B", obx(2, "K", "2"), "OBR|2||T2|X", obx(1, "K", "3"))),
        results(("T1", "K=1"), (None, "K=2"), ("T2", "K=3")),
        problem="segment.name",
    ),
    kind(
        "an OBX whose name was damaged costs only itself",
        mllp(lines(msh("A"), PID, "OBR|1||T1|X", obx(1, "K", "1"), obx(2, "NA", "140").replace("OBX", "?BX"), obx(3, "CL", "100"))),
        results(("T1", "K=1;CL=100")),
        problem="segment.name",
    ),
    kind(
        "an SPM whose name was damaged, with the specimen before its groups",
        mllp(
            lines(
                msh("A", "OUL^R22", "2.5.1"), PID, "SPM|1|T1", "OBR|1||O1|X", obx(1, "K", "1"), "S?M|2|T2", "OBR|2||O2|X", obx(1, "K", "2")
            )
        ),
        results(("T1", "K=1"), (None, "K=2")),
        problem="segment.name",
    ),
    kind(
        "an SPM whose name was damaged, with the specimen behind its group",
        mllp(
            lines(
                msh("A", "ORU^R01", "2.5.1"), PID, "OBR|1||O1|X", obx(1, "K", "1"), "S?M|1|T1", "OBR|2||O2|X", obx(1, "K", "2"), "SPM|2|T2"
            )
        ),
        results((None, "K=1"), ("T2", "K=2")),
        problem="segment.name",
    ),
    kind(
        "an OBR whose name was damaged, with the specimen behind its group",
        mllp(
            lines(
                msh("A", "ORU^R01", "2.5.1"), PID, "OBR|1||O1|X", obx(1, "K", "1"), "SPM|1|T1", "?BR|2||O2|X", obx(1, "K", "2"), "SPM|2|T2"
            )
        ),
        results(("T1", "K=1"), ("T2", "K=2")),
        problem="segment.name",
    ),
]
