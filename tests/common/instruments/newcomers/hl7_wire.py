"""The HL7 wire in every state: MLLP with and without its bytes, batches, line ends, character sets, cuts."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, kind, lines, mllp, msh, results

PID = "PID|1||P1||赵^琳||19800101|F"
TEXT = lines(msh("NEW", more="||||||UNICODE"), PID, "OBR|1||HW1|CBC", "OBX|1|NM|WBC||5.5|10*9/L||N|||F", "OBX|2|ST|GLU||阳性|||A|||F")
READ = results(("HW1", "WBC=5.5;GLU=阳性"))
OTHER_TEXT = TEXT.replace("HW1", "HW2")
OTHER_READ = results(("HW2", "WBC=5.5;GLU=阳性"))
CUT = TEXT[: TEXT.index("OBX|2") + 15]
ASCII = TEXT.replace("赵^琳", "ZHAO^LIN").replace("阳性", "POS")
ASCII_READ = results(("HW1", "WBC=5.5;GLU=POS"))
TRICKY = "".join(bytes((first, second)).decode("gb18030") for first in (0x81, 0xB0, 0xD6) for second in (0x5C, 0x5E, 0x7C, 0x7E))
NAME = "张" + bytes((0xB0, 0x5C)).decode("gb18030")


def wide(text: str, order: str) -> bytes:
    return text.encode(f"utf-16-{order}")


KINDS: list[Kind] = [
    kind("MLLP", mllp(TEXT), READ),
    kind("two messages", mllp(TEXT, OTHER_TEXT), READ, OTHER_READ),
    kind("two messages without any separator", TEXT + OTHER_TEXT, READ, OTHER_READ),
    kind(
        "two messages, the CR before MSH missing",
        mllp(ASCII)[:-3] + mllp(ASCII.replace("HW1", "HW2"))[1:],
        ASCII_READ,
        results(("HW2", "WBC=5.5;GLU=POS")),
    ),
    kind("the same message twice", mllp(TEXT, TEXT), READ, READ),
    kind("LF ends", mllp(TEXT.replace("\r", "\n")), READ),
    kind("CRLF ends", mllp(TEXT.replace("\r", "\r\n")), READ),
    kind("doubled CR", mllp(TEXT.replace("\r", "\r\r")), READ),
    kind("no CR before FS", mllp(TEXT.rstrip("\r")), READ),
    kind("no VT", mllp(TEXT)[1:], READ),
    kind("no FS", mllp(TEXT)[:-2], READ, problem="message.cut"),
    kind("FS without CR", mllp(TEXT)[:-1], READ),
    kind("CR FS twice", mllp(TEXT) + b"\x1c\r", READ),
    kind("text before VT", b"HELO\r\n" + mllp(TEXT), READ, problem="block.stray"),
    kind(
        "commit acknowledgements of release 2 between",
        mllp(TEXT) + b"\x0b\x06\x1c\r" + mllp(OTHER_TEXT) + b"\x0b\x15\x1c\r",
        READ,
        OTHER_READ,
    ),
    kind("the host's ACK between", mllp(TEXT, lines(msh("HIS", "ACK^R01"), "MSA|AA|M1"), OTHER_TEXT), READ, OTHER, OTHER_READ),
    kind("VT only between", b"\x0b" + TEXT.encode() + b"\x0b" + OTHER_TEXT.encode() + b"\x1c\r", READ, OTHER_READ, problem="message.cut"),
    kind("bare file", TEXT, READ),
    kind("bare file, last line without an end", TEXT.rstrip("\r"), READ),
    kind("bare file, LF, blank lines and blanks in front", "\n\n  " + TEXT.replace("\r", "\n\n  "), READ),
    kind("a cut block: the last segment is not read", b"\x0b" + CUT.encode(), results(("HW1", "WBC=5.5")), problem="segment.cut"),
    kind("a cut file", CUT, results(("HW1", "WBC=5.5")), problem="message.cut"),
    kind("MSH missing", mllp(TEXT.split("\r", 1)[1]), READ, problem="message.head"),
    kind("batch", lines("FHS|^~\\&|A", "BHS|^~\\&|A") + TEXT + OTHER_TEXT + lines("BTS|2", "FTS|1"), READ, OTHER_READ),
    kind("batch in one block", mllp(lines("FHS|^~\\&|A", "BHS|^~\\&|A") + TEXT + OTHER_TEXT + lines("BTS|2", "FTS|1")), READ, OTHER_READ),
    kind("batch that says another number", mllp(lines("BHS|^~\\&|A") + TEXT + lines("BTS|3")), READ, problem="batch.count"),
    kind("UTF-8 declared", mllp(TEXT.replace("UNICODE", "UNICODE UTF-8")), READ),
    kind("GB18030 declared", mllp(TEXT.replace("UNICODE", "GB 18030-2000"), encoding="gb18030"), READ),
    kind("GB18030 not declared", mllp(TEXT, encoding="gb18030"), READ),
    kind("GB18030 declared as ASCII", mllp(TEXT.replace("UNICODE", "ASCII"), encoding="gb18030"), READ),
    kind("GB18030 declared as UTF-8", mllp(TEXT.replace("UNICODE", "UNICODE UTF-8"), encoding="gb18030"), READ, problem="charset.declared"),
    kind(
        "GB18030 with delimiters as second bytes",
        mllp(TEXT.replace("赵^琳", TRICKY).replace("阳性", TRICKY), encoding="gb18030"),
        results(("HW1", f"WBC=5.5;GLU={TRICKY}")),
    ),
    kind(
        "one rare character beside a common one",
        mllp(TEXT.replace("赵^琳", NAME).replace("阳性", NAME), encoding="gb18030"),
        results(("HW1", f"WBC=5.5;GLU={NAME}")),
    ),
    kind("UTF-16 LE with its mark, no MLLP", b"\xff\xfe" + wide(TEXT, "le"), READ),
    kind("UTF-16 BE with its mark, no MLLP", b"\xfe\xff" + wide(TEXT, "be"), READ),
    kind("UTF-16 LE in a plain block", b"\x0b" + wide(TEXT, "le") + b"\x1c\r", READ),
    kind("UTF-16 BE in a plain block", b"\x0b" + wide(TEXT, "be") + b"\x1c\r", READ),
    kind("UTF-16 LE with wide block bytes", wide("\x0b" + TEXT + "\x1c\r", "le"), READ),
    kind("UTF-16 BE with wide block bytes", wide("\x0b" + TEXT + "\x1c\r", "be"), READ),
    kind("two UTF-16 messages", b"\x0b" + wide(TEXT, "le") + b"\x1c\r\x0b" + wide(OTHER_TEXT, "le") + b"\x1c\r", READ, OTHER_READ),
    kind("Latin-1 declared", mllp(ASCII.replace("UNICODE", "8859/1").replace("10*9/L", "µmol/L"), encoding="latin-1"), ASCII_READ),
    kind("an undecodable byte", mllp(TEXT.encode().replace(b"|F\rOBX|2", b"|\xffF\rOBX|2")), READ, problem="charset.bytes"),
    kind("log notation <SB> <CR> <EB>", "<SB>" + TEXT.replace("\r", "<CR>") + "<EB><CR>", READ),
    kind("HL7 inside ASTM frames' STX and ETX", b"\x02" + ASCII.encode() + b"\x03", ASCII_READ),
    kind("a line break inside a text value", mllp(ASCII.replace("POS", "POS\nSTRONG")), results(("HW1", "WBC=5.5;GLU=POS\nSTRONG"))),
    kind("lower-case segment names", mllp(ASCII.replace("OBX|1", "obx|1")), results(("HW1", "WBC=5.5;GLU=POS"))),
    kind("NUL bytes between messages", mllp(TEXT) + b"\x00\x00" + mllp(OTHER_TEXT), READ, OTHER_READ),
    kind("trailing noise", mllp(TEXT) + b"\r\n\x00", READ),
]
