# ruff: noqa: E501 -- wire lines are read as lines
"""The ASTM wire in every state: cut, repeated, damaged, merged, without link bytes, in other character sets."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, framed, kind, lines, one_frame, qc, query, results

HEAD = "H|\\^&|||NEW^1|||||HOST||P|1|20260105081500"
BODY = ("P|1||PID9||ZHAO^LIN", "O|1|WX1001||^^^GLU\\^^^ALT", "R|1|^^^GLU|5.61|mmol/L||N||F", "R|2|^^^ALT|88|U/L||H||F")
TEXT = lines(HEAD, *BODY, "L|1|N")
READ = results(("WX1001", "GLU=5.61;ALT=88"))
TWO = lines(
    HEAD,
    "P|1||A1",
    "O|1|WX1||^^^K",
    "R|1|^^^K|4.1|mmol/L||||F",
    "P|2||A2",
    "O|1|WX2||^^^K",
    "R|1|^^^K|5.2|mmol/L||||F",
    "O|2|WX3||^^^K",
    "R|1|^^^K|3.3|mmol/L||||F",
    "L|1|N",
)
TWO_READ = results(("WX1", "K=4.1"), ("WX2", "K=5.2"), ("WX3", "K=3.3"))
CHINESE = TEXT.replace("ZHAO^LIN", "赵^琳").replace("|88|", "|阳性|")
CHINESE_READ = results(("WX1001", "GLU=5.61;ALT=阳性"))

FRAMES = [part + b"\r" for part in TEXT.encode().split(b"\r")[:-1]]


def frames(*pieces: tuple[int, bytes]) -> bytes:
    return b"\x05" + b"".join(one_frame(number, text) for number, text in pieces) + b"\x04"


def damaged(frame: bytes) -> bytes:
    """The frame with one letter changed, its checksum as it was."""
    return frame.replace(b"5.61", b"5.67")


ALL = [one_frame((at + 1) % 8, text) for at, text in enumerate(FRAMES)]
# names in GB18030 whose second byte is a delimiter of ASTM: 0x7C |, 0x5C \, 0x5E ^
TRICKY = "".join(bytes((first, second)).decode("gb18030") for first in (0x81, 0xB0, 0xD6) for second in (0x5C, 0x5E, 0x7C))

KINDS: list[Kind] = [
    *(kind(f"cut every {size} bytes with ETB", framed(TEXT, size), READ) for size in (1, 2, 7, 60, 239, 240)),
    kind("several patients and specimens", framed(TWO), TWO_READ),
    kind("several patients, packed", framed(TWO, 50), TWO_READ),
    kind("frame numbers wrap", framed(TWO, 9), TWO_READ),
    kind("CR only behind the checksum", framed(TEXT, tail=b"\r"), READ),
    kind("LF only behind the checksum", framed(TEXT, tail=b"\n"), READ),
    kind("nothing behind the checksum", framed(TEXT, tail=b""), READ),
    kind("lower-case checksums", b"\x05" + b"".join(one[:-4] + one[-4:].lower() for one in ALL) + b"\x04", READ),
    kind("no link layer, CR", TEXT, READ),
    kind("no link layer, LF", TEXT.replace("\r", "\n"), READ),
    kind("no link layer, CRLF", TEXT.replace("\r", "\r\n"), READ),
    kind("no link layer, CR CR LF", TEXT.replace("\r", "\r\r\n"), READ),
    kind("no link layer, last line without an end", TEXT.rstrip("\r"), READ),
    kind("no link layer, cut in a value", TEXT[: TEXT.index("|88|") + 2], results(("WX1001", "GLU=5.61")), problem="record.cut"),
    kind("no EOT", framed(TEXT)[:-1], READ),
    kind("no ENQ", framed(TEXT)[1:], READ),
    kind(
        "two sessions without EOT",
        framed(TEXT)[:-1] + framed(TEXT.replace("WX1001", "WX2002")),
        READ,
        results(("WX2002", "GLU=5.61;ALT=88")),
    ),
    kind(
        "two messages in one transfer phase", framed(TEXT + TEXT.replace("WX1001", "WX2002")), READ, results(("WX2002", "GLU=5.61;ALT=88"))
    ),
    kind(
        "two messages without L between them",
        lines(HEAD, *BODY) + TEXT.replace("WX1001", "WX2"),
        READ,
        results(("WX2", "GLU=5.61;ALT=88")),
        problem="message.cut",
    ),
    kind("host's ACK between the frames", b"\x05\x06" + b"".join(one + b"\x06" for one in ALL) + b"\x04", READ),
    kind(
        "both directions, a query and its answer",
        framed(lines(HEAD, "Q|1|^WX1001||ALL", "L|1|N")) + b"\x06\x06\x05\x06" + framed(TEXT)[1:],
        query("WX1001"),
        READ,
    ),
    kind(
        "NAK, then the same frame again",
        b"\x05\x06" + ALL[0] + b"\x06" + ALL[1] + b"\x15" + ALL[1] + b"\x06" + b"".join(ALL[2:]) + b"\x04",
        READ,
    ),
    kind("ENQ contention before the session", b"\x05\x05\x15\x05" + b"".join(ALL) + b"\x04", READ),
    kind(
        "a damaged frame repeated well",
        b"\x05" + ALL[0] + ALL[1] + ALL[2] + damaged(ALL[3]) + b"\x15" + b"".join(ALL[3:]) + b"\x04",
        READ,
        problem="frame.checksum",
    ),
    kind(
        "a damaged frame never repeated",
        b"\x05" + ALL[0] + ALL[1] + ALL[2] + damaged(ALL[3]) + b"".join(ALL[4:]) + b"\x04",
        results(("WX1001", "GLU=5.67;ALT=88")),
        problem="frame.checksum",
    ),
    kind("every frame sent twice", b"\x05" + b"".join(one + one for one in ALL) + b"\x04", READ),
    kind("the whole session sent twice", framed(TEXT) + framed(TEXT), READ, READ),
    kind("no checksums at all", b"\x05" + b"".join(one[:-4] + b"\r\n" for one in ALL) + b"\x04", READ, problem="frame.unsummed"),
    kind("no ETX and no checksum", b"\x05" + b"".join(one[:-5] for one in ALL) + b"\x04", READ, problem="frame.end"),
    kind(
        "a frame lost", b"\x05" + ALL[0] + ALL[1] + ALL[2] + ALL[4] + ALL[5] + b"\x04", results(("WX1001", "ALT=88")), problem="frame.gap"
    ),
    kind(
        "the order record lost",
        b"\x05" + ALL[0] + ALL[1] + b"".join(ALL[3:]) + b"\x04",
        results((None, "GLU=5.61;ALT=88")),
        problem="result.orphan",
    ),
    kind("frame numbers all 1", frames(*((1, text) for text in FRAMES)), READ, problem="frame.gap"),
    kind("frame numbers begin with 0", frames(*((at % 8, text) for at, text in enumerate(FRAMES))), READ),
    kind(
        "frame numbers missing",
        b"\x05" + b"".join(b"\x02" + text + b"\x03" + b"%02X\r\n" % (sum(text + b"\x03") % 256) for text in FRAMES) + b"\x04",
        READ,
    ),
    kind(
        "STX inside noise between the frames", b"\x05" + ALL[0] + b"\x00\x00\xff" + b"".join(ALL[1:]) + b"\x04", READ, problem="frame.stray"
    ),
    kind("many records in each frame", framed(TEXT, 100), READ),
    kind(
        "log with <STX> names",
        "<ENQ>" + "".join(f"<STX>{one[1:-5].decode().replace(chr(13), '<CR>')}<ETX>{one[-4:-2].decode()}<CR><LF>" for one in ALL) + "<EOT>",
        READ,
    ),
    kind("H with other delimiters: H|@^\\", framed(TEXT.replace("\\", "@").replace("H|@^&", "H|@^\\")), READ),
    kind("H with other delimiters: H|`^&", framed(TEXT.replace("\\", "`")), READ),
    kind("H!~*%", framed(TEXT.replace("H|\\^&|||NEW^1", "H!~*%!!!NEW*1").replace("|", "!").replace("\\", "~").replace("^", "*")), READ),
    kind("H with a comma as field delimiter", framed(TEXT.replace("|", ",")), READ),
    kind("H with a tab as field delimiter", framed(TEXT.replace("|", "\t")), READ),
    kind("H with only two delimiters", framed(TEXT.replace("H|\\^&|", "H|\\^|")), READ),
    kind("H without delimiters", framed(TEXT.replace("H|\\^&|", "H||")), READ),
    kind("H with five delimiters", framed(TEXT.replace("H|\\^&|", "H|\\^&~|")), READ),
    kind("H alone", framed(lines("H|\\^&", *BODY, "L|1|N")), READ),
    kind("no H", framed(lines(*BODY, "L|1|N")), READ, problem="message.head"),
    kind("no L", framed(lines(HEAD, *BODY)), READ, problem="message.cut"),
    kind("neither H nor L", framed(lines(*BODY)), READ, problem="message.cut"),
    kind("L without anything", framed(lines(HEAD, *BODY, "L")), READ),
    kind("aborted with L|1|T", framed(lines(HEAD, *BODY, "L|1|T")), OTHER, problem="message.aborted"),
    kind("ended with L|1|E", framed(lines(HEAD, *BODY, "L|1|E")), READ, problem="message.end"),
    kind("ended with L|1|F", framed(lines(HEAD, *BODY, "L|1|F")), READ),
    kind(
        "a result before any order", framed(lines(HEAD, "P|1", "R|1|^^^K|4.4", "L|1|N")), results((None, "K=4.4")), problem="result.orphan"
    ),
    kind("O before P", framed(lines(HEAD, "O|1|WX5||^^^K", "R|1|^^^K|4.4||||||F", "P|1||P9", "L|1|N")), results(("WX5", "K=4.4"))),
    kind("specimen only in O.4", framed(lines(HEAD, "P|1", "O|1||WX6|^^^K", "R|1|^^^K|4.4", "L|1|N")), results(("WX6", "K=4.4"))),
    kind(
        "specimen, rack and position in O.3",
        framed(lines(HEAD, "P|1", "O|1|WX7^0012^03||^^^K", "R|1|^^^K|4.4", "L|1|N")),
        results(("WX7", "K=4.4")),
    ),
    kind(
        "sequence, then the id in O.3",
        framed(lines(HEAD, "P|1", "O|1|17^2601050099^3||^^^K", "R|1|^^^K|4.4", "L|1|N")),
        results(("2601050099", "K=4.4")),
    ),
    kind(
        "same tube in three O records",
        framed(lines(HEAD, "P|1", *(f"O|{n}|WX8||^^^T{n}\rR|1|^^^T{n}|{n}" for n in (1, 2, 3)), "L|1|N")),
        results(("WX8", "T1=1;T2=2;T3=3")),
    ),
    kind(
        "nothing to report: O.26 X",
        framed(lines(HEAD, "P|1", "O|1|WX9||^^^K||||||||||||||||||||X", "R|1|^^^K||||||X", "L|1|N")),
        results(("WX9", "K=")),
    ),
    kind(
        "comments below every level",
        framed(
            lines(
                HEAD,
                "C|1|I|a|G",
                "P|1",
                "C|1|I|b|G",
                "O|1|WX10||^^^K",
                "C|1|I|c",
                "R|1|^^^K|4",
                "C|1|I|d",
                "C|2|I|e\\f",
                "R|2|^^^NA|140",
                "L|1|N",
            )
        ),
        results(("WX10", "K=4;NA=140")),
    ),
    kind(
        "vendor records below a result",
        framed(lines(HEAD, "P|1", "O|1|WX11||^^^K", "R|1|^^^K|4", "M|1|CURVE|1^2^3", "R|2|^^^NA|140", "L|1|N")),
        results(("WX11", "K=4;NA=140")),
        problem="record.vendor",
    ),
    kind(
        "lower-case abnormal flags and repeats",
        framed(lines(HEAD, "P|1", "O|1|WX12||^^^K", "R|1|^^^K|4||N|H\\A^1||F", "L|1|N")),
        results(("WX12", "K=4")),
    ),
    kind(
        "corrected and partial results",
        framed(lines(HEAD, "P|1", "O|1|WX13||^^^K", "R|1|^^^K|4.0||||||P", "R|2|^^^K|4.2||||||C", "L|1|N")),
        results(("WX13", "K=4.0;K=4.2")),
    ),
    kind(
        "every odd value",
        framed(
            lines(
                HEAD,
                "P|1",
                "O|1|WX14||^^^A",
                *(
                    f"R|{n}|^^^V{n}|{value}"
                    for n, value in enumerate(
                        [
                            "<0.01",
                            "> 1500",
                            "1:80",
                            "+++",
                            "±",
                            "3,5",
                            "1.2E+03",
                            ".....",
                            "----",
                            "****",
                            "0",
                            "-1.5",
                            "1.0 - 2.0",
                            "NEG",
                            "^12.5",
                            "1\\2\\3",
                            "≥32",
                        ],
                        1,
                    )
                ),
                "L|1|N",
            )
        ),
        results(
            (
                "WX14",
                "V1=<0.01;V2=> 1500;V3=1:80;V4=+++;V5=±;V6=3,5;V7=1.2E+03;V8=.....;V9=----;V10=****;V11=0;V12=-1.5;V13=1.0 - 2.0;V14=NEG;V15=^12.5;V16=1\\2\\3;V17=≥32",
            )
        ),
    ),
    kind(
        "escapes in a value",
        framed(lines(HEAD, "P|1", "O|1|W&F&15||^^^A", "R|1|^^^A|a&F&b&S&c&R&d&E&e&X41&&N&", "L|1|N")),
        results(("W|15", "A=a|b^c\\d&eA")),
    ),
    kind("an escape cut by ETB", framed(lines(HEAD, "P|1", "O|1|WX16||^^^A", "R|1|^^^A|x&F&y", "L|1|N"), 71), results(("WX16", "A=x|y"))),
    kind(
        "a lone escape character",
        framed(lines(HEAD, "P|1", "O|1|WX17||^^^A", "R|1|^^^A|Smith & Sons", "L|1|N")),
        results(("WX17", "A=Smith & Sons")),
    ),
    *(kind(f"Chinese in {name}", framed(CHINESE, encoding=name), CHINESE_READ) for name in ("utf-8", "gb18030")),
    *(kind(f"Chinese in {name}, cut inside a character", framed(CHINESE, 3, name), CHINESE_READ) for name in ("utf-8", "gb18030")),
    kind("UTF-8 with a byte order mark, no link layer", b"\xef\xbb\xbf" + CHINESE.encode(), CHINESE_READ),
    kind("UTF-16 LE file with its mark", b"\xff\xfe" + CHINESE.encode("utf-16-le"), CHINESE_READ),
    kind("UTF-16 BE file with its mark", b"\xfe\xff" + CHINESE.encode("utf-16-be"), CHINESE_READ),
    kind("UTF-16 LE file without a mark", CHINESE.encode("utf-16-le"), CHINESE_READ),
    kind("UTF-16 with link bytes wide too", "".join(chr(b) for b in framed(TEXT)).encode("utf-16-le"), READ),
    kind("UTF-16 text between single-byte link bytes", framed(CHINESE.encode("utf-16-le"), 100_000), CHINESE_READ),
    kind("UTF-16 text cut into frames", framed(CHINESE.encode("utf-16-le"), 61), CHINESE_READ),
    kind(
        "GB18030 with delimiters as second bytes",
        framed(TEXT.replace("ZHAO", TRICKY).replace("|88|", f"|{TRICKY}|"), encoding="gb18030"),
        results(("WX1001", f"GLU=5.61;ALT={TRICKY}")),
    ),
    kind(
        "GB18030 with delimiters as second bytes, cut",
        framed(TEXT.replace("|88|", f"|{TRICKY}|"), 5, "gb18030"),
        results(("WX1001", f"GLU=5.61;ALT={TRICKY}")),
    ),
    kind("Latin-1 unit", framed(TEXT.replace("mmol/L", "µmol/L"), encoding="latin-1"), READ),
    kind(
        "an undecodable byte is kept and said",
        framed(TEXT.encode().replace(b"LIN", b"L\xffN").replace(b"ZHAO", "赵".encode()), 0),
        READ,
        problem="charset.bytes",
    ),
    kind("QC by O.12", framed(TEXT.replace("^^^GLU\\^^^ALT", "^^^GLU|R||||||Q")), qc(("WX1001", "GLU=5.61;ALT=88"))),
    kind("QC by O.16", framed(TEXT.replace("^^^GLU\\^^^ALT", "^^^GLU|R||||||||||CONTROL")), qc(("WX1001", "GLU=5.61;ALT=88"))),
    kind("QC by H.12", framed(TEXT.replace("HOST||P|", "HOST||Q|")), qc(("WX1001", "GLU=5.61;ALT=88"))),
    kind("QC by the patient id", framed(TEXT.replace("PID9", "QC")), qc(("WX1001", "GLU=5.61;ALT=88"))),
    kind("QC by the specimen id", framed(TEXT.replace("WX1001", "QC-LOT221-L2")), qc(("QC-LOT221-L2", "GLU=5.61;ALT=88"))),
    kind(
        "QC and a patient in one message",
        framed(lines(HEAD, "P|1", "O|1|L1CTRL||^^^K|R||||||Q", "R|1|^^^K|4.0", "P|2", "O|1|WX20||^^^K|R||||||N", "R|1|^^^K|4.4", "L|1|N")),
        results(("L1CTRL", "K=4.0"), ("WX20", "K=4.4")),
    ),
    kind("query for several", framed(lines(HEAD, "Q|1|^S1\\^S2\\^S3||ALL", "L|1|N")), query("S1", "S2", "S3")),
    kind("query for all", framed(lines(HEAD, "Q|1|ALL||ALL||||||||O", "L|1|N")), query("ALL")),
    kind("two query records", framed(lines(HEAD, "Q|1|^S1||ALL", "Q|2|^S2||ALL", "L|1|N")), query("S1", "S2")),
    kind(
        "query with the rack and position behind the id", framed(lines(HEAD, "Q|1|2601050123^0012^03||ALL", "L|1|N")), query("2601050123")
    ),
    kind("query for a range", framed(lines(HEAD, "Q|1|^S1|^S9|ALL", "L|1|N")), query("S1", "S9"), problem="query.range"),
    kind("query without L", framed(lines(HEAD, "Q|1|^S1||ALL")), query("S1"), problem="message.cut"),
    kind("empty message", framed(lines(HEAD, "L|1|N")), OTHER),
    kind("only a patient", framed(lines(HEAD, "P|1||P1", "L|1|N")), OTHER),
    kind("extra fields everywhere", framed(TEXT.replace("||N||F", "||N||F|||||||||a|b|c|d")), READ),
    kind("blank lines and spaces before records", TEXT.replace("\r", "\r\r  "), READ),
    kind("unknown record type", framed(lines(HEAD, *BODY, "X|1|strange", "L|1|N")), READ, problem="record.type"),
    kind("scientific record", framed(lines(HEAD, *BODY, "S|1|a", "L|1|N")), READ, problem="record.vendor"),
    kind("text that is no record", framed(lines(HEAD, *BODY, "hello there", "L|1|N")), READ, problem="record.text"),
    kind(
        "binary picture in an M record as hex",
        framed(lines(HEAD, *BODY, "M|1|PNG|" + "89504E470D0A1A0A" * 50, "L|1|N")),
        READ,
        problem="record.vendor",
    ),
    kind(
        "histogram as a long result",
        framed(lines(HEAD, "P|1", "O|1|WX30||^^^H", "R|1|^^^HISTO_WBC|" + "^".join(str(n) for n in range(256)), "L|1|N"), 240),
        results(("WX30", "HISTO_WBC=" + "^".join(str(n) for n in range(256)))),
    ),
    kind("modem noise before and after", b"\x00\x00\r\n" + framed(TEXT) + b"\r\n\x00", READ),
]
