"""HL7 dialects of analyzers, middleware and point-of-care hubs; every value is invented."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import OTHER, Kind, Want, kind, lines, mllp, msh, order, qc, query, results

PID = "PID|1||P100^^^HIS^MR||王^小明||19800101|M"
LAW_RESULT = msh("LINE1", "OUL^R22^OUL_R22", "2.5.1", "|||NE|AL||UNICODE UTF-8|||LAB-29^IHE")
LAW_QUERY = msh("LINE1", "QBP^Q11^QBP_Q11", "2.5.1", "|||ER|AL||UNICODE UTF-8|||LAB-27^IHE")
LAW_ORDER = msh("LIS", "OML^O33^OML_O33", "2.5.1", "|||NE|AL||UNICODE UTF-8|||LAB-28^IHE")


def obx(number: int, code: str, value: str, kind_: str = "NM", unit: str = "u", flag: str = "N", more: str = "") -> str:
    return f"OBX|{number}|{kind_}|{code}||{value}|{unit}||{flag}|||F{more}"


def oru(name: str, *segments: str, version: str = "2.3.1", more: str = "", mode: str = "P") -> bytes:
    return mllp(lines(msh(name, "ORU^R01", version, more, mode), *segments))


KINDS: list[Kind] = [
    kind(
        "Mindray BC-6800: LOINC codes, flags N~A",
        oru(
            ["Mindray", "BC-6800"][1],
            PID,
            "OBR|1||B001|00001^Automated Count^99MRC",
            obx(1, "6690-2^WBC^LN", "6.1", unit="10*9/L", flag="H~A"),
            obx(2, "12014^WBC Left Shift?^99MRC", "T", "IS", ""),
            more="||||||UNICODE",
        ),
        results(("B001", "6690-2=6.1;12014=T")),
    ),
    kind(
        "Mindray BC with pictures as ED",
        oru(
            "BC-7500",
            PID,
            "OBR|1||B002|00001^Automated Count^99MRC",
            obx(1, "6690-2^WBC^LN", "6.1"),
            "OBX|2|ED|15008^WBC DIFF Scattergram. BMP^99MRC||^Image^BMP^Base64^Qk0=||||||F",
        ),
        results(("B002", "6690-2=6.1;15008=^Image^BMP^Base64^Qk0=")),
    ),
    kind(
        "Mindray BC control by MSH-11",
        oru("BC-6800", "PID|1", "OBR|1||QCF1|00003^LJ QCR^99MRC", obx(1, "6690-2^WBC^LN", "7.0"), mode="Q"),
        qc(("QCF1", "6690-2=7.0")),
    ),
    kind(
        "Mindray BS: MSH-16 0, code OBX-3, name OBX-4",
        oru("Mindray", PID, "OBR|1|S900|5|Mindray^BS-480", "OBX|1|NM|12|ALT|33.1|U/L|0-40|N|||F||33.1|20260105", more="||||0||ASCII"),
        results(("S900", "12=33.1")),
    ),
    kind("Mindray BS calibration: MSH-16 1", oru("Mindray", "OBR|1|12|ALT|Mindray^BS-480|||20260105", more="||||1||ASCII"), Want("qc")),
    kind(
        "Mindray query QRY^Q02",
        mllp(lines(msh("Mindray", "QRY^Q02"), "QRD|20260105|R|D|1|||RD|S901|OTH|||T|", "QRF|BS-480|||||RCT|COR|ALL||")),
        query("S901"),
    ),
    kind(
        "Mindray CL answer DSR^Q03",
        mllp(
            lines(
                msh("LIS", "DSR^Q03"),
                "MSA|AA|1",
                "QRD|20260105|R|D|1|||RD|S901|OTH|||T|",
                *(f"DSP|{n}||{text}|||" for n, text in ((1, "P1"), (21, "S901"), (29, "12^^^"), (30, "13^^^"))),
                "DSC||",
            )
        ),
        order(("S901", "12=;13=")),
    ),
    kind("Mindray QCK", mllp(lines(msh("LIS", "QCK^Q02"), "MSA|AA|1|Message accepted|||0|", "ERR|0|", "QAK|SR|OK|")), OTHER),
    kind("Mindray haematology asks with ORM^O01", mllp(lines(msh("BC-6800", "ORM^O01"), "ORC|RF||B003||IP")), query("B003")),
    kind(
        "Rayto, code only as the name in component 2",
        oru("RT-7600", PID, "OBR|1|RT1||CBC", obx(1, "^WBC", "5.5"), obx(2, "^RBC", "4.4")),
        results(("RT1", "WBC=5.5;RBC=4.4")),
    ),
    kind(
        "Dymind DH76: no PID",
        oru("DH76", "OBR|1||DY1|01001^Automated Count^99MRC", obx(1, "6690-2^WBC^LN", "5.5")),
        results(("DY1", "6690-2=5.5")),
    ),
    kind("Zybio: id only in PID-3", oru("Z3", "PID|1||ZB1", "OBR|1|||CBC", obx(1, "WBC", "5.5")), results((None, "WBC=5.5"))),
    kind(
        "Getein POCT, one OBX, CRLF",
        mllp(lines(msh("Getein1100"), "PID|1", "OBR|1||G1|NT-proBNP", obx(1, "NT-proBNP", "<100", "ST", "pg/mL")).replace("\r", "\r\n")),
        results(("G1", "NT-proBNP=<100")),
    ),
    kind(
        "Wondfo, qualitative words in Chinese",
        oru("Finecare", PID, "OBR|1||W1|FOB", obx(1, "FOB^便隐血", "阴性", "ST", "")),
        results(("W1", "FOB=阴性")),
    ),
    kind(
        "URIT UC-1800 urine, graded values",
        oru(
            "URIT",
            "PID|1|1",
            "OBR|1|U9|000001|URIT^UC-1800",
            obx(1, "LEU", "- 0", "ST", "Cell/uL"),
            obx(2, "GLU", "+1 5.5", "ST", "mmol/L", "A"),
            obx(3, "SG", "1.015"),
        ),
        results(("U9", "LEU=- 0;GLU=+1 5.5;SG=1.015")),
    ),
    kind(
        "URIT with the caret unescaped in units",
        oru("URIT", "PID|1|1", "OBR|1|U8|1|URIT^UT-5160", "OBX|1|NM|WBC||8.2|10^9/L|4^10|N|||F"),
        results(("U8", "WBC=8.2")),
    ),
    kind(
        "Edan i15 blood gas 2.4",
        oru(
            "i15",
            PID,
            "OBR|1||E15|ABG",
            obx(1, "pH^pH^99EDAN", "7.41", unit=""),
            obx(2, "pCO2^pCO2^99EDAN", "40", unit="mmHg"),
            version="2.4",
        ),
        results(("E15", "pH=7.41;pCO2=40")),
    ),
    kind(
        "Sysmex through middleware, OBX-3 with LN in front",
        oru("SIS", PID, "ORC|RE|O1", "OBR|1|O1|SX1|CBC^^L", obx(1, "WBC^White^L", "5.1"), version="2.5"),
        results(("O1", "WBC=5.1")),
    ),
    kind(
        "Roche cobas pro, LAW, supplements",
        mllp(
            lines(
                LAW_RESULT,
                "PID|||P1",
                "SPM|1|R001&BARCODE||SERPLAS^^99ROC|||||||P^^HL70369",
                "SAC|||R001^BARCODE|||||||50120|2",
                'OBR|1|""||20490^^99ROC',
                "ORC|SC||||CM",
                "OBX|1|NM|20490^20490^99ROC^^^IHELAW|1|32.2|mg/L^^99ROC||N^^HL70078|||F|||||Admin||c503^ROCHE|20260105",
                "OBX|2|DTM|PT^Pipetting_Time^99ROC^S_OTHER^Other^IHELAW|1|20260105081000|||N^^HL70078|||F",
                "TCD|20490^^99ROC|^1^:^1",
                "INV|2049001|OK^^HL70383|R1|514",
            )
        ),
        results(("R001", "20490=32.2;PT=20260105081000")),
    ),
    kind(
        "LAW control: SPM-11 Q, lot in SAC and INV",
        mllp(
            lines(
                LAW_RESULT,
                "SPM|1|CTL1||SER|||||||Q^^HL70369",
                "SAC|||CTL1",
                "INV|PCCC2|OK|CO|||||||||20270101||||LOT99",
                "OBR|1|||GLU",
                obx(1, "GLU^Glu^99X", "5.0"),
            )
        ),
        qc(("CTL1", "GLU=5.0")),
    ),
    kind(
        "LAW: several specimens, each with its groups",
        mllp(
            lines(
                LAW_RESULT,
                "SPM|1|A1||SER|||||||P",
                "OBR|1|||GLU",
                obx(1, "GLU", "5.0"),
                "OBR|2|||ALT",
                obx(1, "ALT", "30"),
                "SPM|2|A2||SER|||||||P",
                "OBR|1|||GLU",
                obx(1, "GLU", "6.0"),
            )
        ),
        results(("A1", "GLU=5.0;ALT=30"), ("A2", "GLU=6.0")),
    ),
    kind(
        "LAW query by container", mllp(lines(LAW_QUERY, "QPD|WOS^Work Order Step^IHE_LABTF|tag1|A77", "RCP|I|1|R^^HL70394")), query("A77")
    ),
    kind("LAW query for all", mllp(lines(LAW_QUERY, "QPD|WOS_ALL^Work Order Step All^IHE_LABTF|tag1", "RCP|I")), query("ALL")),
    kind(
        "LAW order LAB-28",
        mllp(
            lines(
                LAW_ORDER,
                "PID|||P1||王^芳",
                "SPM|1|A5||SER|||||||P",
                "SAC|||A5",
                "ORC|NW|1",
                "TQ1|||||||||R",
                "OBR|1|1||GLU",
                "ORC|NW|2",
                "TQ1|||||||||R",
                "OBR|2|2||ALT",
            )
        ),
        order(("A5", "GLU=;ALT=")),
    ),
    kind("LAW: nothing to do", mllp(lines(LAW_ORDER, "SPM|1|A6||SER|||||||P", "SAC|||A6", "ORC|DC")), order(("A6", ""))),
    kind(
        "LAW order response",
        mllp(lines(msh("LINE1", "ORL^O34^ORL_O42", "2.5.1"), "MSA|AA|9", "SPM|1|A5", "ORC|OK|1|||SC", "ORC|UA|2|||CA")),
        Want("other", (("A5", ""),)),
    ),
    kind(
        "LAW query confirmation",
        mllp(
            lines(
                msh("LIS", "RSP^K11^RSP_K11", "2.5.1"),
                "MSA|AA|9",
                "QAK|tag1|OK|WOS^Work Order Step^IHE_LABTF",
                "QPD|WOS^Work Order Step^IHE_LABTF|tag1|A77",
            )
        ),
        OTHER,
    ),
    kind(
        "OUL^R21 with SAC",
        mllp(
            lines(
                msh("AXON", "OUL^R21", "2.5"),
                PID,
                "SAC|||C1",
                "OBR|1|||GLU",
                obx(1, "GLU", "5.0"),
                "SAC|||C2",
                "OBR|1|||GLU",
                obx(1, "GLU", "6.0"),
            )
        ),
        results(("C1", "GLU=5.0"), ("C2", "GLU=6.0")),
    ),
    kind(
        "OUL^R23: container first, then its orders",
        mllp(lines(msh("AXON", "OUL^R23", "2.5"), "SPM|1|S1||SER|||||||P", "SAC|||C1", "OBR|1|||GLU", obx(1, "GLU", "5.0"))),
        results(("S1", "GLU=5.0")),
    ),
    kind(
        "ORU 2.5.1 with SPM behind each group",
        mllp(
            lines(
                msh("MW", "ORU^R01^ORU_R01", "2.5.1"),
                "PID|1||P1",
                "ORC|RE",
                "OBR|1|O1||GLU",
                obx(1, "GLU", "5.0"),
                "SPM|1|T1||SER",
                "ORC|RE",
                "OBR|2|O2||ALT",
                obx(1, "ALT", "30"),
                "SPM|1|T2||SER",
            )
        ),
        results(("T1", "GLU=5.0"), ("T2", "ALT=30")),
    ),
    kind(
        "ORU with several patients",
        oru(
            "MW",
            "PID|1||P1",
            "OBR|1|O1||GLU",
            obx(1, "GLU", "5.0"),
            "PID|2||P2",
            "OBR|1|O2||GLU",
            obx(1, "GLU", "9.0"),
            "PID|3||P3",
            "OBR|1|O3||GLU",
            obx(1, "GLU", "3.0"),
        ),
        results(("O1", "GLU=5.0"), ("O2", "GLU=9.0"), ("O3", "GLU=3.0")),
    ),
    kind(
        "ORU with several OBR of one tube",
        oru("MW", PID, "OBR|1||T5|CBC", obx(1, "WBC", "5"), "OBR|2||T5|CRP", obx(1, "CRP", "8")),
        results(("T5", "WBC=5;CRP=8")),
    ),
    kind(
        "ORU with several OBR of several tubes",
        oru("MW", PID, "OBR|1||T5|CBC", obx(1, "WBC", "5"), "OBR|2||T6|CRP", obx(1, "CRP", "8")),
        results(("T5", "WBC=5"), ("T6", "CRP=8")),
    ),
    kind(
        "structured numeric values",
        oru(
            "MW",
            PID,
            "OBR|1||T7|X",
            obx(1, "A", ">^100", "SN"),
            obx(2, "B", "^1^:^80", "SN"),
            obx(3, "C", "^2^-^5", "SN"),
            obx(4, "D", "<=^0.25", "SN"),
        ),
        results(("T7", "A=>^100;B=^1^:^80;C=^2^-^5;D=<=^0.25")),
    ),
    kind(
        "coded values CE and CWE",
        oru("MW", PID, "OBR|1||T8|X", obx(1, "HBSAG", "NEG^Negative^L", "CE"), obx(2, "RH", "165747007^RhD positive^SCT", "CWE")),
        results(("T8", "HBSAG=NEG^Negative^L;RH=165747007^RhD positive^SCT")),
    ),
    kind(
        "repeated values and numeric arrays",
        oru("MW", PID, "OBR|1||T9|X", obx(1, "HIST", "1^2^3~4^5^6", "NA"), obx(2, "MULTI", "A~B~C", "ST")),
        results(("T9", "HIST=1^2^3~4^5^6;MULTI=A~B~C")),
    ),
    kind(
        "formatted text with escapes",
        oru("MW", PID, "OBR|1||T10|X", obx(1, "NOTE", "line 1\\.br\\a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f\\X0D\\g", "FT")),
        results(("T10", "NOTE=line 1\na|b^c&d~e\\f\rg")),
    ),
    kind(
        "a unit with its caret escaped", oru("MW", PID, "OBR|1||T11|X", "OBX|1|NM|WBC||5.5|10\\S\\9/L||N|||F"), results(("T11", "WBC=5.5"))
    ),
    kind(
        "every odd value",
        oru(
            "MW",
            PID,
            "OBR|1||T12|X",
            *(
                obx(n, f"V{n}", value, "ST")
                for n, value in enumerate(
                    ["<0.01", "> 1500", "1:80", "+++", "±", "3,5", "1.2E+03", ".....", "----", "****", "0", "-1.5", "NEG", "\\S\\12"], 1
                )
            ),
        ),
        results(
            ("T12", "V1=<0.01;V2=> 1500;V3=1:80;V4=+++;V5=±;V6=3,5;V7=1.2E+03;V8=.....;V9=----;V10=****;V11=0;V12=-1.5;V13=NEG;V14=^12")
        ),
    ),
    kind(
        "no value, status X",
        oru("MW", PID, "OBR|1||T13|X", "OBX|1|NM|GLU||||||||X", 'OBX|2|NM|ALT||""|U/L|||||F'),
        results(("T13", "GLU=;ALT=")),
    ),
    kind(
        "corrected result",
        oru("MW", PID, "OBR|1||T14|X", "OBX|1|NM|GLU||5.0|u|||||F", "OBX|2|NM|GLU||5.2|u|||||C"),
        results(("T14", "GLU=5.0;GLU=5.2")),
    ),
    kind(
        "comments everywhere",
        oru("MW", PID, "NTE|1||a", "OBR|1||T15|X", "NTE|1||b", obx(1, "GLU", "5.0"), "NTE|1||c~d", obx(2, "ALT", "6")),
        results(("T15", "GLU=5.0;ALT=6")),
    ),
    kind("control: OBR-4", oru("POC", "PID|1", "OBR|1||C77|QC^Quality control", obx(1, "GLU", "5.0")), qc(("C77", "GLU=5.0"))),
    kind("control: OBR-11 Q", oru("POC", "PID|1", "OBR|1||C78|GLU|||||||Q", obx(1, "GLU", "5.0")), qc(("C78", "GLU=5.0"))),
    kind("control: OBR-15", oru("POC", "PID|1", "OBR|1||C79|GLU|||||||||||Control", obx(1, "GLU", "5.0")), qc(("C79", "GLU=5.0"))),
    kind("control: the specimen's id", oru("POC", "PID|1", "OBR|1||QC-LOT5|GLU", obx(1, "GLU", "5.0")), qc(("QC-LOT5", "GLU=5.0"))),
    kind("control: PID-3", oru("POC", "PID|1||QC", "OBR|1||55|GLU", obx(1, "GLU", "5.0")), qc(("55", "GLU=5.0"))),
    kind(
        "calibrator: SPM-11 C",
        mllp(lines(LAW_RESULT, "SPM|1|CAL1||SER|||||||C", "OBR|1|||GLU", obx(1, "GLU", "5.0"))),
        qc(("CAL1", "GLU=5.0")),
    ),
    kind(
        "microbiology: organism and antibiotics in child groups",
        mllp(
            lines(
                msh("MYLA", "ORU^R01", "2.5"),
                "PID|1||P1",
                "OBR|1|M1||BC^Culture",
                "OBX|1|CE|ORG^Organism||ECO^Escherichia coli||||||F",
                "OBR|2|M1||AST^Susceptibility",
                "OBX|1|SN|AMP^Ampicillin||>=^32|ug/mL||R|||F",
                "OBX|2|SN|MEM^Meropenem||<=^0.25|ug/mL||S|||F",
            )
        ),
        results(("M1", "ORG=ECO^Escherichia coli;AMP=>=^32;MEM=<=^0.25")),
    ),
    kind(
        "microbiology: two isolates by sub-id",
        mllp(
            lines(
                msh("VITEK", "ORU^R01", "2.5"),
                "PID|1||P1",
                "OBR|1|M2||CUL",
                "OBX|1|ST|ORG|1|E. coli||||||F",
                "OBX|2|ST|AMP|1|>=32|||R|||F",
                "OBX|3|ST|ORG|2|S. aureus||||||F",
                "OBX|4|ST|AMP|2|8|||I|||F",
            )
        ),
        results(("M2", "ORG=E. coli;AMP=>=32;ORG=S. aureus;AMP=8")),
    ),
    kind(
        "a PDF in an OBX",
        oru("MW", PID, "OBR|1||T16|X", "OBX|1|ED|PDF^Report||MW^AP^PDF^Base64^JVBERi0xLjQK||||||F"),
        results(("T16", "PDF=MW^AP^PDF^Base64^JVBERi0xLjQK")),
    ),
    kind(
        "custom delimiters MSH*",
        mllp(lines("MSH*!~\\&*A*LIS*H**20260105**ORU!R01*1*P*2.4", "PID*1**P1", "OBR*1**T17*X", "OBX*1*NM*WBC!x**5.5*10^9/L**H~A***F")),
        results(("T17", "WBC=5.5")),
    ),
    kind(
        "custom delimiters MSH_",
        mllp(lines("MSH_^~\\&_A_LIS_H__20260105__ORU^R01_1_P_2.4", "OBR_1__T18_X", "OBX_1_NM_WBC__5.5_u__N___F")),
        results(("T18", "WBC=5.5")),
    ),
    kind(
        "unsolicited without MSH-9",
        mllp(lines("MSH|^~\\&|A||||20260105||||P|2.3", "OBR|1||T19|X", obx(1, "WBC", "5.5"))),
        results(("T19", "WBC=5.5")),
    ),
    kind(
        "ORU^R30 point of care",
        mllp(lines(msh("AQURE", "ORU^R30", "2.5"), PID, "ORC|NW", "OBR|1||T20|ABG", obx(1, "pH^M^L", "7.4"))),
        results(("T20", "pH=7.4")),
    ),
    kind(
        "ORU^R32 preordered point of care",
        mllp(lines(msh("RAPIDComm", "ORU^R32", "2.6"), PID, "OBR|1|PL1|FI1|ABG", obx(1, "pH", "7.4"))),
        results(("PL1", "pH=7.4")),
    ),
    kind("GeneXpert query Z03", mllp(lines(msh("GeneXpert", "QBP^Z03", "2.5"), "QPD|Z03^HOST QUERY|tag|k|GX1", "RCP|I")), query("GX1")),
    kind("QBP with several ids", mllp(lines(LAW_QUERY, "QPD|WOS^Work Order Step^IHE_LABTF|tag|A1~A2", "RCP|I")), query("A1", "A2")),
    kind("QRY^R02 for results", mllp(lines(msh("HIS", "QRY^R02"), "QRD|20260105|R|I|Q1|||1^RD|A9|RES|ALL")), query("A9")),
    kind(
        "ORM^O01 order",
        mllp(lines(msh("HIS", "ORM^O01", "2.4"), PID, "ORC|NW|A10", "OBR|1|A10||GLU^Glucose", "ORC|NW|A10", "OBR|2|A10||ALT^ALT")),
        order(("A10", "GLU=;ALT=")),
    ),
    kind("application acknowledgement", mllp(lines(msh("LIS", "ACK^R01"), "MSA|AA|1")), OTHER),
    kind("equipment status", mllp(lines(msh("LINE", "ESU^U01", "2.5"), "EQU|LINE1|20260105|OP", "ISD|1|x")), OTHER),
    kind(
        "specimen status of a track line",
        mllp(lines(msh("LINE", "SSU^U03", "2.5"), "EQU|LINE1|20260105|OP", "SAC|||TRK1||||R^Processed|20260105")),
        Want("other", (("TRK1", ""),)),
    ),
    kind(
        "a Z segment is said",
        oru("MW", PID, "ZPS|1|secret", "OBR|1||T21|X", obx(1, "A", "1")),
        results(("T21", "A=1")),
        problem="segment.type",
    ),
    kind("an empty Z segment is nothing", oru("MW", PID, "ZPS|||", "OBR|1||T22|X", obx(1, "A", "1")), results(("T22", "A=1"))),
    kind("results before any OBR", oru("MW", PID, obx(1, "A", "1")), results((None, "A=1"))),
    kind("OBR without ids: none, though PID has one", oru("MW", PID, "OBR|1|||X", obx(1, "A", "1")), results((None, "A=1"))),
    kind("id in OBR-2 with a namespace", oru("MW", PID, "OBR|1|T23^MW^1.2.3^ISO||X", obx(1, "A", "1")), results(("T23", "A=1"))),
    kind("OBX-3 with subcomponents and spaces", oru("MW", PID, "OBR|1||T24|X", obx(1, " GLU ^Glucose", "1")), results(("T24", "GLU=1"))),
    kind("OBX-3 empty, code in OBX-4", oru("MW", PID, "OBR|1||T25|X", "OBX|1|NM||GLU|5.1|u|||||F"), results(("T25", "GLU=5.1"))),
    kind("short OBX without status", oru("MW", PID, "OBR|1||T26|X", "OBX|1|NM|GLU||5.1"), results(("T26", "GLU=5.1"))),
]
