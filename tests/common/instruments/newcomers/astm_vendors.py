"""ASTM dialects of many makers, from their host interface manuals' layouts; every value is invented."""

from __future__ import annotations

from tests.common.instruments.newcomers.tools import Kind, framed, kind, lines, one_frame, order, qc, query, results

H = "H|\\^&|||{}|||||HOST||P|1|20260105081500"


def head(name: str) -> str:
    return H.format(name)


def cbc(*more: str) -> str:
    return lines(head("XN-1000^00-22^12345"), "P|1|||PAT1|^LI^WEI||19700101|M", *more, "L|1|N")


KINDS: list[Kind] = [
    kind(
        "Sysmex XN-1000, rack and tube, dilution, abnormal and graphic rows",
        framed(
            cbc(
                "O|1||12^3^               2601050001^B|^^^^WBC\\^^^^RBC||20260105|||||N||||||||||||||F",
                "R|1|^^^^WBC^1|12.34|10*3/uL||H||F||lab||20260105080000",
                "R|2|^^^^RBC^1|4.51|10*6/uL||N||F||lab||20260105080000",
                "R|3|^^^^Positive_Diff||||A||F||lab||20260105080000",
                "R|4|^^^^SCAT_WDF|PNG&R&20260105&R&2601050001_WDF.PNG||||||||20260105080000",
            )
        ),
        results(("2601050001", "WBC=12.34;RBC=4.51;Positive_Diff=;SCAT_WDF=PNG\\20260105\\2601050001_WDF.PNG")),
    ),
    kind(
        "Sysmex XN query",
        framed(lines(head("XN-1000^00-22"), "Q|1|12^3^               2601050001^B||||20260105", "L|1|N")),
        query("2601050001"),
    ),
    kind(
        "Sysmex XN control by id prefix",
        framed(cbc("O|1||^^            QC-43020801^B|^^^^WBC|||||||Q||||||||||||||F", "R|1|^^^^WBC^1|7.01|10*3/uL||N||F")),
        qc(("QC-43020801", "WBC=7.01")),
    ),
    kind(
        "Sysmex CS-2500: rack^tube^id^attribute in O.3",
        framed(
            lines(
                head("CS-2500^V1.0^A1234"),
                "P|1",
                "O|1|000123^05^         2601050002^B||^^^040^PT\\^^^050^APTT|R|20260105|||||N||||||||||||||F",
                "R|1|^^^041^PT-sec^100|11.9|sec||N||F||||20260105",
                "R|2|^^^044^PT-INR^100|1.02|||N||F||||20260105",
                "L|1|N",
            )
        ),
        results(("2601050002", "041=11.9;044=1.02")),
    ),
    kind(
        "Sysmex CS query: id in the third part of Q.3",
        framed(lines(head("CS-2500^V1"), "Q|1|000123^05^         2601050002^B||^^^040\\^^^050|0|20260105081500", "L|1|N")),
        query("2601050002"),
    ),
    kind(
        "Sysmex UC-3500 urine strip, value with semi-quantitative pair",
        framed(
            lines(
                head("UC-3500^00-01"),
                "P|1",
                "O|1||5^1^            2601050003^B|^^^^GLU",
                "R|1|^^^^GLU|2+^100|mg/dL||A||F",
                "R|2|^^^^PRO|-^|mg/dL||N||F",
                "L|1|N",
            )
        ),
        results(("2601050003", "GLU=2+^100;PRO=-^")),
    ),
    kind(
        "Roche cobas 8000: padded id, position, numeric alarm comments",
        framed(
            lines(
                "H|\\^&|||cobas8000^1.06|||||host|RSUPL^REAL|P|1|20260105",
                "P|1||||||||U||||||^",
                "O|1|            26010504  |0001^50001^1^^S1^SC|^^^8413^1\\^^^8714^1|R||20260105||||N||||1|||||||||F",
                "R|1|^^^8413^1|5.21|mmol/L||N||F||Admin^^REAL||20260105|ISE^1",
                "C|1|I|0^|I",
                "R|2|^^^8714^1|< 0.3|mg/L||L||F||Admin^^REAL||20260105|P1",
                "C|1|I|26^<Test|I",
                "L|1|N",
            ),
            240,
        ),
        results(("26010504", "8413=5.21;8714=< 0.3")),
    ),
    kind(
        "Roche cobas query TSREQ^REAL",
        framed(
            lines(
                "H|\\^&|||cobas8000^1.06|||||host|TSREQ^REAL|P|1", "Q|1|^^            26010504  ^0001^50001^1^^S1^SC||ALL||||||||O", "L|1|N"
            )
        ),
        query("26010504"),
    ),
    kind(
        "Roche cobas control S3 CONTROL",
        framed(
            lines(
                "H|\\^&|||cobas8000^1.06|||||host|RSUPL^BATCH|P|1",
                "P|1",
                "O|1|PNU1|^50100^1^^QC^CONTROL|^^^8413^1|R||||||Q||||1|||||||||F",
                "R|1|^^^8413^1|5.5|mmol/L||N||F",
                "L|1|N",
            )
        ),
        qc(("PNU1", "8413=5.5")),
    ),
    kind(
        "Roche cobas b 221 blood gas",
        framed(
            lines(
                "H|\\^&|||cobas b221^Roche|||||||P|1394-97",
                "P|1||PAT7||Wang^Fang",
                "O|1|26010505||^^^BG|R||||||||||A",
                "R|1|^^^PH|7.412||7.35 - 7.45|N||F||||20260105",
                "R|2|^^^PCO2|38.9|mmHg|35 - 45|N||F",
                "R|3|^^^cHCO3st|24.1|mmol/L||||F",
                "L|1|N",
            )
        ),
        results(("26010505", "PH=7.412;PCO2=38.9;cHCO3st=24.1")),
    ),
    kind(
        "Abbott Architect: result, interpretation and signal of one assay",
        framed(
            lines(
                "H|\\^&|||ARCHITECT^8.10^F3453010030^H1P1O1R1C1Q1L1|||||||P|1|20260105",
                "P|1|||MIS1|LI^SI||19600401|M",
                "O|1|SID60|SID60^A123^5|^^^16^TSH^UNDILUTED|R||||||||||||||||||||F",
                "R|1|^^^16^TSH^UNDILUTED^F|1.2345|uIU/mL|0.35 TO 4.94^NORMAL|||F||ADMIN^ADMIN||20260105|B4352",
                "R|2|^^^16^TSH^UNDILUTED^P|123456|RLU||||F||ADMIN^ADMIN||20260105|B4352",
                "R|3|^^^16^TSH^UNDILUTED^I|NORMAL|||||F",
                "L|1",
            )
        ),
        results(("SID60", "16=1.2345;16=123456;16=NORMAL")),
    ),
    kind(
        "Abbott Alinity: control",
        framed(
            lines(
                "H|\\^&|||Alinity ci-series^3.2.0|||||||P|LIS2-A2|20260105",
                "P|1",
                "O|1|BioRad_L1|BioRad_L1^40311^20261231^LEVEL1|^^^1014^TSH|R||||||Q||||||||||||||F",
                "R|1|^^^1014^TSH^1^F|0.52|uIU/mL|||||F",
                "L|1|N",
            )
        ),
        qc(("BioRad_L1", "1014=0.52")),
    ),
    kind("Abbott Architect query", framed(lines("H|\\^&|||ARCHITECT|||||||P|1", "Q|1|^SID 60||^^^ALL||||||||O", "L|1")), query("SID 60")),
    kind(
        "Abbott Architect cancels its query",
        framed(lines("H|\\^&|||ARCHITECT|||||||P|1", "Q|1|^SID60||^^^ALL||||||||A", "L|1")),
        query("SID60"),
    ),
    kind(
        "Beckman Access 2",
        framed(
            lines(
                "H|\\^&|||ACCESS^500001|||||LIS||P|1|20260105",
                "P|1|PN-123",
                "O|1|SPEC-1234|^5^7|^^^TSH^1|||||||||||Serum||||||||||F",
                "R|1|^^^TSH^1|4.56|uIU/mL||H||F||||20260105",
                "R|2|^^^Ferritin^1|>1500|ng/mL||>^H||F",
                "L|1|F",
            )
        ),
        results(("SPEC-1234", "TSH=4.56;Ferritin=>1500")),
    ),
    kind("Beckman DxI query", framed(lines(head("DXI 800^1"), "Q|1|^SPEC-1234||ALL||||||||O", "L|1|N")), query("SPEC-1234")),
    kind(
        "Beckman DxC 700 AU over ASTM, error instead of a value",
        framed(
            lines(
                head("DxC 700 AU"),
                "P|1",
                "O|1|S 0001^0012^03||^^^GLU\\^^^ALT|R",
                "R|1|^^^GLU^0|-----|mmol/L||A||X",
                "R|2|^^^ALT^0|23|U/L||N||F",
                "L|1|N",
            )
        ),
        results(("S 0001", "GLU=-----;ALT=23")),
    ),
    kind(
        "Siemens Advia Centaur: DOSE, RLU and index of one test",
        framed(
            lines(
                head("ADVCNT_LIS"),
                "P|1|PID2",
                "O|1|SMP99||^^^HBs^^^1|R|||||||||||||||||||F",
                "R|1|^^^HBs^^^1^DOSE|0.05|IU/L||<||F||||20260105",
                "R|2|^^^HBs^^^1^RLU|1020||||||F",
                "R|3|^^^HBs^^^1^INTR|NonReactive||||||F",
                "L|1|F",
            )
        ),
        results(("SMP99", "HBs=0.05;HBs=1020;HBs=NonReactive")),
    ),
    kind(
        "Siemens Immulite 2000, range with the repeat delimiter",
        framed(lines(head("IMMULITE"), "P|1|1", "O|1|26010510||^^^TSH", "R|1|^^^TSH|1.52|uIU/mL|.4\\4|N|N|F||||20260105", "L|1")),
        results(("26010510", "TSH=1.52")),
    ),
    kind(
        "Siemens Clinitek Status: semi-quantitative words",
        framed(
            lines(
                head("CLINITEK Status^1.7"),
                "P|1||U0001",
                "O|1|U0001||^^^MULTISTIX 10 SG",
                "R|1|^^^GLU|Negative||||||F",
                "R|2|^^^PRO|30 mg/dL|||A||F",
                "R|3|^^^BLO|Ca 25 Ery/uL*|||A||F",
                "L|1|N",
            )
        ),
        results(("U0001", "GLU=Negative;PRO=30 mg/dL;BLO=Ca 25 Ery/uL*")),
    ),
    kind(
        "Snibe Maglumi with password in H.4",
        framed(
            lines(
                "H|\\^&||PSWD|Maglumi User|||||Lis||P|E1394-97|20260105",
                "P|1",
                "O|1|26010511||^^^FT4",
                "R|1|^^^FT4|15.66|pmol/L|11.5 to 22.7|N||||||20260105081000",
                "L|1|N",
            )
        ),
        results(("26010511", "FT4=15.66")),
    ),
    kind(
        "Snibe query",
        framed(lines("H|\\^&||PSWD|Maglumi User|||||Lis||P|E1394-97", "Q|1|^26010511||ALL||||||||O", "L|1|N")),
        query("26010511"),
    ),
    kind(
        "Autobio A2000, Chinese test names in GB18030",
        framed(
            lines(
                head("AutoLumo A2000Plus"),
                "P|1|||B001|张三",
                "O|1|26010512||^^^乙肝表面抗原",
                "R|1|^^^乙肝表面抗原|0.01|IU/mL||阴性||F",
                "L|1|N",
            ),
            encoding="gb18030",
        ),
        results(("26010512", "乙肝表面抗原=0.01")),
    ),
    kind(
        "Mindray CL-6000i in ASTM mode without H.12 marks",
        framed(
            lines(
                "H|\\^&|||Mindray CL-6000i|||||||P|E1394-97|20260105",
                "P|1||P77",
                "O|1|26010513^1^2||^^^TSH|R",
                "R|1|^^^TSH^F|2.2|mIU/L|0.3^4.2|N||F||||20260105",
                "L|1|N",
            )
        ),
        results(("26010513", "TSH=2.2")),
    ),
    kind(
        "Ortho Vitros: fluid+test codes",
        framed(
            lines(
                head("VITROS"),
                "P|1",
                "O|1|VSAMPLE1||^^^1.0000+300+1.0\\^^^1.0000+301+1.0|R",
                "R|1|^^^1.0000+300+1.0|5.3|mmol/L||0||F|||20260105",
                "R|2|^^^1.0000+301+1.0|No Result|||2^OR||X",
                "L|1|N",
            )
        ),
        results(("VSAMPLE1", "1.0000+300+1.0=5.3;1.0000+301+1.0=No Result")),
    ),
    kind(
        "DiaSorin Liaison XL: index and interpretation",
        framed(
            lines(
                head("LIAISON XL^1.4"),
                "P|1||P5",
                "O|1|LX-55||^^^RUBG|R",
                "R|1|^^^RUBG|^12.3\\Positive|IU/mL||N||F||||20260105",
                "L|1|N",
            )
        ),
        results(("LX-55", "RUBG=^12.3\\Positive")),
    ),
    kind(
        "Hologic Panther",
        framed(
            lines(
                "H|\\^&|||Panther|||||LIS||P|1|20260105",
                "P|1",
                "O|1|PAN-1||^^^GCCT|R|20260105",
                "R|1|^^^GCCT^CT^1|Positive|||||F||op||20260105",
                "R|2|^^^GCCT^GC^1|Negative|||||F",
                "L|1|N",
            )
        ),
        results(("PAN-1", "^^^GCCT^CT^1=Positive;^^^GCCT^GC^1=Negative")),
    ),
    kind(
        "BD Phoenix: MIC rows differ only behind the fourth part",
        framed(
            lines(
                head("BDEpiCenter"),
                "P|1||P8",
                "O|1|B2601||^^^PNID|R",
                "R|1|^^^ID^^ESCCOL|Escherichia coli||||||F",
                "R|2|^^^AST_MIC^^AM|>=32^R|ug/mL||R||F",
                "R|3|^^^AST_MIC^^SXT|<=0.25^S|ug/mL||S||F",
                "L|1|N",
            )
        ),
        results(("B2601", "ID=Escherichia coli;^^^AST_MIC^^AM=>=32^R;^^^AST_MIC^^SXT=<=0.25^S")),
    ),
    kind(
        "BD BACTEC bottle",
        framed(
            lines(
                head("BACTEC FX"),
                "P|1||P8",
                "O|1|449273001^BOTTLE||^^^GND|R",
                "R|1|^^^GND|INST_POSITIVE^12.5^H|||||F|||20260105",
                "L|1|N",
            )
        ),
        results(("449273001", "GND=INST_POSITIVE^12.5^H")),
    ),
    kind(
        "bioMérieux VIDAS 3 over ASTM",
        framed(lines(head("VIDAS3"), "P|1", "O|1|V3-1||^^^TOX", "R|1|^^^TOX|Positive^1.24^TV|IU/mL||||F", "L|1|N")),
        results(("V3-1", "TOX=Positive^1.24^TV")),
    ),
    kind(
        "Stago STA-R Max",
        framed(
            lines(
                head("STA-R Max"),
                "P|1",
                "O|1|STG1||^^^PT\\^^^FIB",
                "R|1|^^^PT^^^s|13.2|s||||F",
                "R|2|^^^FIB^^^g/L|2.98|g/L||||F",
                "L|1|N",
            )
        ),
        results(("STG1", "PT=13.2;FIB=2.98")),
    ),
    kind(
        "Werfen ACL TOP: number, name and unit rows",
        framed(
            lines(
                head("ACL TOP 750"),
                "P|1",
                "O|1|WF-9||^^^001",
                "R|1|^^^001^PT-HS^s|12.0|s|9.4 - 12.5|N||F",
                "R|2|^^^001^PT-HS^INR|1.05|INR|||N||F",
                "L|1|N",
            )
        ),
        results(("WF-9", "^^^001^PT-HS^s=12.0;^^^001^PT-HS^INR=1.05")),
    ),
    kind(
        "Bio-Rad D-10",
        framed(lines("H|\\^&|||D-10|||||||P|1|20260105", "P|1", "O|1|D10-5||^^^A1c", "R|1|^^^A1c^AREA|5.8|%||N||F||||20260105", "L|1|N")),
        results(("D10-5", "A1c=5.8")),
    ),
    kind(
        "Bio-Rad Variant II: area and time of one peak",
        framed(
            lines(
                head("VII"),
                "P|1",
                "O|1|VII-1||^^^BTHAL",
                "R|1|^^^A2^AREA|2.6|%||||F",
                "R|2|^^^A2^TIME|3.65|min||||F",
                "L|1|N",
            )
        ),
        results(("VII-1", "A2=2.6;A2=3.65")),
    ),
    kind(
        "Tosoh HLC-723 G8",
        framed(lines(head("HLC-723G8"), "P|1", "O|1|0001^G8-77||^^^SA1C", "R|1|^^^SA1C|5.61|%||||F", "R|2|^^^HBF|0.7|%||||F", "L|1|N")),
        results(("G8-77", "SA1C=5.61;HBF=0.7")),
    ),
    kind(
        "Radiometer ABL90: measured and calculated",
        framed(
            lines(
                "H|\\^&|||ABL90 FLEX^I393-092R0001N001|||||||P|1|20260105",
                "P|1||010180-1234",
                "O|1||Sample #^5512||||20260105|||||||Arterial",
                "R|1|^^^pH^M|7.388||7.350^7.450|N||F||op1|20260105|20260105",
                "R|2|^^^HCO3-^C|23.4|mmol/L||||F",
                "R|3|^^^tHb^M|.....|g/dL||||F",
                "L|1|N",
            )
        ),
        results((None, "pH=7.388;HCO3-=23.4;tHb=.....")),
    ),
    kind(
        "Nova Stat Profile",
        framed(
            lines(
                head("NOVA^SPPLUS"),
                "P|1||ID55",
                "O|1|ID55-1||^^^Glu|R",
                "R|1|^^^Glu|5,6|mmol/L||N||F",
                "R|2|^^^Lac|1.1|mmol/L||N||F",
                "L|1|N",
            )
        ),
        results(("ID55-1", "Glu=5,6;Lac=1.1")),
    ),
    kind(
        "Cepheid GeneXpert: analytes and probes in later parts",
        framed(
            lines(
                "H|@^\\|f4e|Secret|GeneXpert PC^GeneXpert^4.6|||||LIS||P|1394-97|20260105",
                "P|1",
                "O|1|GX-1||^^^MTB-RIF|R|20260105|||||||ORH||||||||||F",
                "R|1|^MTB-RIF^^MTB^Xpert MTB-RIF^5^^|MTB DETECTED LOW^|||||F||op|20260105|20260105|Cepheid",
                "R|2|^MTB-RIF^^MTB^^^Probe D^Ct|^24.6|||",
                "L|1|N",
            ),
            0,
        ),
        results(("GX-1", "^MTB-RIF^^MTB^Xpert MTB-RIF^5^^=MTB DETECTED LOW^;^MTB-RIF^^MTB^^^Probe D^Ct=^24.6")),
    ),
    kind(
        "Quidel Sofia",
        framed(
            lines(
                head("Sofia^2.0"),
                "P|1||PT1",
                "O|1|ORD5||^^^Flu A+B",
                "R|1|^^^Flu A|Negative||||||F",
                "R|2|^^^Flu B|Positive||||||F",
                "L|1|N",
            )
        ),
        results(("ORD5", "Flu A=Negative;Flu B=Positive")),
    ),
    kind(
        "Dirui CS-1300B, names as codes, no P",
        framed(
            lines(
                head("DIRUI CS-1300B"),
                "O|1|2601051401|0023|^^^ALT\\^^^AST",
                "R|1|^^^ALT|35.2|U/L||N||F",
                "R|2|^^^AST|28.0|U/L||N||F",
                "L|1|N",
            )
        ),
        results(("2601051401", "ALT=35.2;AST=28.0")),
    ),
    kind(
        "Alifax ESR as ASTM with the code in R.3 alone",
        framed(lines(head("ROLLER20"), "P|1", "O|1|ESR-9||VES", "R|1|VES|12|mm/h|||||F", "L|1|N")),
        results(("ESR-9", "VES=12")),
    ),
    kind(
        "LOINC in the first part, vendor code in the fourth",
        framed(lines(head("IVD9"), "P|1", "O|1|L9||^^^K", "R|1|2823-3^Potassium^LN^K|4.1|mmol/L||N||F", "L|1|N")),
        results(("L9", "K=4.1")),
    ),
    kind(
        "Pre-analytical sorter: the order download of several tubes",
        framed(
            lines(
                head("HOST"),
                "P|1||P1",
                "O|1|T001||^^^SORT1\\^^^ALIQ|R|||||||N||||||||||||||O",
                "P|2||P2",
                "O|1|T002||^^^SORT2|R|||||||N||||||||||||||O",
                "L|1|N",
            )
        ),
        order(("T001", "SORT1=;ALIQ="), ("T002", "SORT2=")),
    ),
    kind(
        "Everything in one long frame",
        b"\x05"
        + one_frame(
            1, lines(head("BIG"), "P|1", "O|1|LONG1||^^^A", *(f"R|{n}|^^^T{n}|{n}.5|u||N||F" for n in range(1, 61)), "L|1|N").encode()
        )
        + b"\x04",
        results(("LONG1", ";".join(f"T{n}={n}.5" for n in range(1, 61)))),
    ),
]
