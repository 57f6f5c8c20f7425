"""What the demo's laboratories can measure. Literals only.

Intervals and limits are placeholders for a demonstration, not recommendations: each names where it was taken from, and
says so when the source was not compared again. A laboratory replaces them.
"""

from typing import NamedTuple

WST405 = "WS/T 405—2012（未核对原文，演示占位）"
WST779 = "WS/T 779—2020（未核对原文，演示占位）"
WST404 = "WS/T 404—2012/2015（未核对原文，演示占位）"
WST780 = "WS/T 780—2020（未核对原文，演示占位）"
LIPIDS = "中国血脂管理指南（2023年）（未核对原文，演示占位）"
START = "演示起始值（占位）"
KIT = "试剂说明书常见值（未核对，演示占位）"

# code, name, English, share group (None: its tubes are never shared), prefix of its sample numbers
SECTIONS = (
    ("XY", "血液组", "Haematology", None, "A"),
    ("SH", "生化组", "Chemistry", None, "B"),
    ("NX", "凝血组", "Coagulation", None, "C"),
    ("TY", "体液组", "Urinalysis", None, "D"),
)
SPECIMEN_TYPES = (("WB", "全血", "Whole blood"), ("SE", "血清", "Serum"), ("PL", "血浆", "Plasma"), ("UR", "尿液", "Urine"))
# code, name, cap colour, additive, nominal ml, order of draw (WS/T 661—2020)
CONTAINERS = (
    ("BLUE", "蓝帽管", "蓝", "枸橼酸钠 1:9", "2.7", 2),
    ("YELLOW", "黄帽管", "黄", "促凝剂+分离胶", "5", 3),
    ("PURPLE", "紫帽管", "紫", "EDTA-K2", "2", 5),
    ("URINE", "尿管", "白", "", "10", 9),
)


class Item(NamedTuple):
    """A test item; `kind` numeric or enum."""

    code: str
    name: str
    name_en: str
    abbr: str
    unit: str
    decimals: int
    kind: str = "numeric"
    wst886: str | None = None
    choices: tuple[str, ...] = ()


class Interval(NamedTuple):
    """A reference interval; ages half-open in `unit`; None means any or open."""

    item: str
    sex: str | None
    age: tuple[int | None, int | None]
    unit: str
    low: str | None
    high: str | None
    source: str
    text: str = ""


CBC = (
    Item("WBC", "白细胞计数", "White blood cell count", "WBC", "10^9/L", 2, wst886="0100101A"),
    Item("NEUT%", "中性粒细胞百分数", "Neutrophils %", "NEUT%", "%", 1),
    Item("LYMPH%", "淋巴细胞百分数", "Lymphocytes %", "LYMPH%", "%", 1),
    Item("MONO%", "单核细胞百分数", "Monocytes %", "MONO%", "%", 1),
    Item("EO%", "嗜酸性粒细胞百分数", "Eosinophils %", "EO%", "%", 1),
    Item("BASO%", "嗜碱性粒细胞百分数", "Basophils %", "BASO%", "%", 1),
    Item("NEUT#", "中性粒细胞绝对值", "Neutrophils", "NEUT#", "10^9/L", 2),
    Item("LYMPH#", "淋巴细胞绝对值", "Lymphocytes", "LYMPH#", "10^9/L", 2),
    Item("MONO#", "单核细胞绝对值", "Monocytes", "MONO#", "10^9/L", 2),
    Item("EO#", "嗜酸性粒细胞绝对值", "Eosinophils", "EO#", "10^9/L", 2),
    Item("BASO#", "嗜碱性粒细胞绝对值", "Basophils", "BASO#", "10^9/L", 2),
    Item("RBC", "红细胞计数", "Red blood cell count", "RBC", "10^12/L", 2),
    Item("HGB", "血红蛋白", "Haemoglobin", "HGB", "g/L", 0),
    Item("HCT", "红细胞比容", "Haematocrit", "HCT", "L/L", 3),
    Item("MCV", "平均红细胞体积", "Mean corpuscular volume", "MCV", "fL", 1),
    Item("MCH", "平均红细胞血红蛋白量", "Mean corpuscular haemoglobin", "MCH", "pg", 1),
    Item("MCHC", "平均红细胞血红蛋白浓度", "Mean corpuscular haemoglobin concentration", "MCHC", "g/L", 0),
    Item("RDW-CV", "红细胞分布宽度变异系数", "Red cell distribution width CV", "RDW-CV", "%", 1),
    Item("RDW-SD", "红细胞分布宽度标准差", "Red cell distribution width SD", "RDW-SD", "fL", 1),
    Item("PLT", "血小板计数", "Platelet count", "PLT", "10^9/L", 0),
    Item("MPV", "平均血小板体积", "Mean platelet volume", "MPV", "fL", 1),
    Item("PDW", "血小板分布宽度", "Platelet distribution width", "PDW", "fL", 1),
    Item("PCT", "血小板比容", "Plateletcrit", "PCT", "%", 2),
    Item("P-LCR", "大型血小板比率", "Platelet large cell ratio", "P-LCR", "%", 1),
    Item("IG%", "未成熟粒细胞百分数", "Immature granulocytes %", "IG%", "%", 1),
)
CHEMISTRY = (
    Item("ALT", "丙氨酸氨基转移酶", "Alanine aminotransferase", "ALT", "U/L", 0),
    Item("AST", "天门冬氨酸氨基转移酶", "Aspartate aminotransferase", "AST", "U/L", 0),
    Item("GGT", "γ-谷氨酰转移酶", "Gamma-glutamyl transferase", "GGT", "U/L", 0),
    Item("ALP", "碱性磷酸酶", "Alkaline phosphatase", "ALP", "U/L", 0),
    Item("TP", "总蛋白", "Total protein", "TP", "g/L", 1),
    Item("ALB", "白蛋白", "Albumin", "ALB", "g/L", 1),
    Item("TBIL", "总胆红素", "Total bilirubin", "TBIL", "umol/L", 1),
    Item("DBIL", "直接胆红素", "Direct bilirubin", "DBIL", "umol/L", 1),
    Item("UREA", "尿素", "Urea", "UREA", "mmol/L", 2),
    Item("CREA", "肌酐", "Creatinine", "CREA", "umol/L", 0),
    Item("UA", "尿酸", "Uric acid", "UA", "umol/L", 0),
    Item("GLU", "葡萄糖", "Glucose", "GLU", "mmol/L", 2),
    Item("TC", "总胆固醇", "Total cholesterol", "TC", "mmol/L", 2),
    Item("TG", "甘油三酯", "Triglycerides", "TG", "mmol/L", 2),
    Item("HDL-C", "高密度脂蛋白胆固醇", "HDL cholesterol", "HDL-C", "mmol/L", 2),
    Item("LDL-C", "低密度脂蛋白胆固醇", "LDL cholesterol", "LDL-C", "mmol/L", 2),
    Item("K", "钾", "Potassium", "K", "mmol/L", 1),
    Item("NA", "钠", "Sodium", "Na", "mmol/L", 0),
    Item("CL", "氯", "Chloride", "Cl", "mmol/L", 0),
    Item("CA", "总钙", "Calcium", "Ca", "mmol/L", 2),
    Item("PHOS", "无机磷", "Phosphate", "P", "mmol/L", 2),
    Item("MG", "镁", "Magnesium", "Mg", "mmol/L", 2),
    Item("CK", "肌酸激酶", "Creatine kinase", "CK", "U/L", 0),
    Item("CK-MB", "肌酸激酶同工酶", "Creatine kinase MB", "CK-MB", "U/L", 0),
    Item("LDH", "乳酸脱氢酶", "Lactate dehydrogenase", "LDH", "U/L", 0),
)
COAGULATION = (
    Item("PT", "凝血酶原时间", "Prothrombin time", "PT", "s", 1),
    Item("INR", "国际标准化比值", "International normalized ratio", "INR", "", 2),
    Item("APTT", "活化部分凝血活酶时间", "Activated partial thromboplastin time", "APTT", "s", 1),
    Item("TT", "凝血酶时间", "Thrombin time", "TT", "s", 1),
    Item("FIB", "纤维蛋白原", "Fibrinogen", "FIB", "g/L", 2),
    Item("DD", "D-二聚体", "D-dimer (FEU)", "D-D", "mg/L", 2),
)
# What a urine strip can say, as its reader sends it; typed values come from the same list.
STRIP = ("-", "+-", "1+", "2+", "3+", "4+")
URINE = (
    Item("U-SG", "尿比重", "Urine specific gravity", "SG", "", 3),
    Item("U-PH", "尿酸碱度", "Urine pH", "pH", "", 1),
    Item("U-LEU", "尿白细胞酯酶", "Urine leukocyte esterase", "LEU", "", 0, "enum"),
    Item("U-NIT", "尿亚硝酸盐", "Urine nitrite", "NIT", "", 0, "enum"),
    Item("U-PRO", "尿蛋白", "Urine protein", "PRO", "", 0, "enum"),
    Item("U-GLU", "尿葡萄糖", "Urine glucose", "GLU", "", 0, "enum"),
    Item("U-KET", "尿酮体", "Urine ketones", "KET", "", 0, "enum"),
    Item("U-UBG", "尿胆原", "Urine urobilinogen", "UBG", "", 0, "enum"),
    Item("U-BIL", "尿胆红素", "Urine bilirubin", "BIL", "", 0, "enum"),
    Item("U-BLD", "尿隐血", "Urine blood", "BLD", "", 0, "enum"),
    Item("U-RBC", "尿红细胞计数", "Urine red cells", "U-RBC", "/uL", 1),
    Item("U-WBC", "尿白细胞计数", "Urine white cells", "U-WBC", "/uL", 1),
)
# A person counts these at the microscope, where strip and counter disagree (the catalog's starting reflex rules add them).
FIELDS = ("0-3/HP", "4-10/HP", "11-30/HP", ">30/HP", "满视野")
MICROSCOPY = (
    Item("U-MRBC", "尿红细胞（镜检）", "Urine red cells (microscopy)", "RBC镜检", "", 0, "enum", choices=FIELDS),
    Item("U-MWBC", "尿白细胞（镜检）", "Urine white cells (microscopy)", "WBC镜检", "", 0, "enum", choices=FIELDS),
)
# No analyzer measures these: the starting formulas of the catalog calculate them (demo/formulas.py).
CALCULATED = (
    Item("GLO", "球蛋白（计算）", "Globulin (calculated)", "GLO", "g/L", 1),
    Item("A/G", "白球比（计算）", "Albumin/globulin ratio (calculated)", "A/G", "1", 1),
    Item("IBIL", "间接胆红素（计算）", "Indirect bilirubin (calculated)", "IBIL", "umol/L", 1),
    Item("EGFR", "估算肾小球滤过率（计算）", "eGFR (calculated)", "eGFR", "mL/min", 0),
)
ITEMS = {"XY": CBC, "SH": (*CHEMISTRY, *CALCULATED), "NX": COAGULATION, "TY": (*URINE, *MICROSCOPY)}

ADULT = (18, None)
ANY = (None, None)
# Ages of the children's tables: completed months, then years. Newborns below a month have no row: 无适用参考区间.
BANDS = (((1, 6), "month"), ((6, 12), "month"), ((12, 24), "month"), ((2, 6), "year"), ((6, 13), "year"), ((13, 18), "year"))


def _both(item: str, low: str | None, high: str | None, source: str, age: tuple[int | None, int | None] = ANY) -> tuple[Interval, ...]:
    return (Interval(item, None, age, "year", low, high, source),)


def _by_sex(
    item: str, male: tuple[str, str], female: tuple[str, str], source: str, age: tuple[int | None, int | None] = ADULT
) -> tuple[Interval, ...]:
    return (Interval(item, "M", age, "year", *male, source), Interval(item, "F", age, "year", *female, source))


def _children(item: str, source: str, *limits: tuple[str, str] | None) -> tuple[Interval, ...]:
    """One row a band of BANDS; None leaves a band out (its rows by sex stand elsewhere)."""
    pairs = zip(BANDS, limits, strict=True)
    return tuple(Interval(item, None, age, unit, *limit, source) for (age, unit), limit in pairs if limit is not None)


INTERVALS: tuple[Interval, ...] = (
    # blood count, adults
    *_both("WBC", "3.5", "9.5", WST405, ADULT),
    *_both("NEUT%", "40", "75", WST405, ADULT),
    *_both("LYMPH%", "20", "50", WST405, ADULT),
    *_both("MONO%", "3", "10", WST405, ADULT),
    *_both("EO%", "0.4", "8.0", WST405, ADULT),
    *_both("BASO%", "0", "1", WST405),
    *_both("NEUT#", "1.8", "6.3", WST405, ADULT),
    *_both("LYMPH#", "1.1", "3.2", WST405, ADULT),
    *_both("MONO#", "0.1", "0.6", WST405, ADULT),
    *_both("EO#", "0.02", "0.52", WST405, ADULT),
    *_both("BASO#", "0", "0.06", WST405, ADULT),
    *_by_sex("RBC", ("4.3", "5.8"), ("3.8", "5.1"), WST405),
    *_by_sex("HGB", ("130", "175"), ("115", "150"), WST405),
    *_by_sex("HCT", ("0.40", "0.50"), ("0.35", "0.45"), WST405),
    *_both("MCV", "82", "100", WST405, ADULT),
    *_both("MCH", "27", "34", WST405, ADULT),
    *_both("MCHC", "316", "354", WST405, ADULT),
    *_both("PLT", "125", "350", WST405, ADULT),
    *_both("RDW-CV", "11.0", "15.0", KIT),
    *_both("RDW-SD", "37.0", "54.0", KIT),
    *_both("MPV", "7.4", "12.5", KIT),
    *_both("PDW", "9.0", "17.0", KIT),
    *_both("PCT", "0.11", "0.28", KIT),
    *_both("P-LCR", "13.0", "43.0", KIT),
    *_both("IG%", "0", "0.6", KIT),
    # blood count, children
    *_children("WBC", WST779, ("4.3", "14.2"), ("4.8", "14.6"), ("5.1", "14.1"), ("4.4", "11.9"), ("4.3", "11.3"), ("4.1", "11.0")),
    *_children("NEUT%", WST779, ("7", "56"), ("9", "57"), ("13", "55"), ("22", "65"), ("31", "70"), ("37", "77")),
    *_children("LYMPH%", WST779, ("26", "83"), ("31", "81"), ("33", "77"), ("23", "69"), ("23", "59"), ("17", "54")),
    *_children("MONO%", WST779, ("3", "16"), ("2", "13"), ("2", "13"), ("2", "11"), ("2", "11"), ("2", "11")),
    *_children("EO%", WST779, ("1", "10"), ("1", "10"), ("0", "9"), ("0", "9"), ("0", "9"), ("0", "9")),
    *_children("NEUT#", WST779, ("0.6", "7.5"), ("0.8", "6.4"), ("0.8", "5.8"), ("1.2", "7.0"), ("1.6", "7.8"), ("1.8", "8.3")),
    *_children("LYMPH#", WST779, ("2.4", "9.5"), ("2.5", "9.0"), ("2.4", "8.7"), ("1.8", "6.3"), ("1.5", "4.6"), ("1.2", "3.8")),
    *_children("MONO#", WST779, ("0.15", "1.56"), ("0.17", "1.06"), ("0.18", "1.13"), ("0.12", "0.93"), ("0.13", "0.76"), ("0.14", "0.74")),
    *_children("EO#", WST779, ("0.07", "1.02"), ("0.03", "0.79"), ("0.00", "0.68"), ("0.00", "0.68"), ("0.00", "0.68"), ("0.00", "0.68")),
    *_children("BASO#", WST779, ("0.00", "0.10"), ("0.00", "0.09"), ("0.00", "0.07"), ("0.00", "0.07"), ("0.00", "0.07"), ("0.00", "0.07")),
    *_children("RBC", WST779, ("3.3", "5.2"), ("4.0", "5.5"), ("4.0", "5.5"), ("4.0", "5.5"), ("4.2", "5.7"), None),
    *_by_sex("RBC", ("4.5", "5.9"), ("4.1", "5.3"), WST779, (13, 18)),
    *_children("HGB", WST779, ("97", "183"), ("97", "141"), ("107", "141"), ("112", "149"), ("118", "156"), None),
    *_by_sex("HGB", ("129", "172"), ("114", "154"), WST779, (13, 18)),
    *_children("HCT", WST779, ("0.28", "0.52"), ("0.30", "0.41"), ("0.32", "0.42"), ("0.34", "0.43"), ("0.36", "0.46"), None),
    *_by_sex("HCT", ("0.39", "0.51"), ("0.36", "0.47"), WST779, (13, 18)),
    *_children("MCV", WST779, ("73", "104"), ("72", "86"), ("72", "86"), ("76", "88"), ("77", "92"), ("80", "100")),
    *_children("MCH", WST779, ("24", "37"), ("24", "30"), ("24", "30"), ("24", "30"), ("25", "34"), ("25", "34")),
    *_children("MCHC", WST779, ("309", "363"), ("309", "363"), ("309", "363"), ("310", "355"), ("310", "355"), ("310", "355")),
    *_children("PLT", WST779, ("183", "614"), ("190", "579"), ("190", "524"), ("188", "472"), ("167", "453"), ("150", "407")),
    # chemistry, adults
    *_by_sex("ALT", ("9", "50"), ("7", "40"), WST404),
    *_by_sex("AST", ("15", "40"), ("13", "35"), WST404),
    *_by_sex("GGT", ("10", "60"), ("7", "45"), WST404),
    Interval("ALP", "M", (18, None), "year", "45", "125", WST404),
    Interval("ALP", "F", (18, 50), "year", "35", "100", WST404),
    Interval("ALP", "F", (50, None), "year", "50", "135", WST404),
    *_both("TP", "65", "85", WST404, ADULT),
    *_both("ALB", "40", "55", WST404, ADULT),
    *_by_sex("TBIL", ("0", "26"), ("0", "21"), WST404),
    *_both("DBIL", "0", "8", KIT),
    *_both("GLO", "20", "40", WST404, ADULT),
    *_both("A/G", "1.2", "2.4", WST404, ADULT),
    *_both("IBIL", "0", "21", START),
    *_both("EGFR", "90", None, START, ADULT),
    Interval("UREA", "M", (18, 60), "year", "3.1", "8.0", WST404),
    Interval("UREA", "M", (60, None), "year", "3.6", "9.5", WST404),
    Interval("UREA", "F", (18, 60), "year", "2.6", "7.5", WST404),
    Interval("UREA", "F", (60, None), "year", "3.1", "8.8", WST404),
    Interval("CREA", "M", (18, 60), "year", "57", "97", WST404),
    Interval("CREA", "M", (60, None), "year", "57", "111", WST404),
    Interval("CREA", "F", (18, 60), "year", "41", "73", WST404),
    Interval("CREA", "F", (60, None), "year", "41", "81", WST404),
    *_by_sex("UA", ("208", "428"), ("155", "357"), WST404),
    *_both("GLU", "3.9", "6.1", START),
    *_both("TC", None, "5.2", LIPIDS),
    *_both("TG", None, "1.7", LIPIDS),
    *_both("HDL-C", "1.0", None, LIPIDS),
    *_both("LDL-C", None, "3.4", LIPIDS),
    *_both("K", "3.5", "5.3", WST404, ADULT),
    *_both("NA", "137", "147", WST404, ADULT),
    *_both("CL", "99", "110", WST404, ADULT),
    *_both("CA", "2.11", "2.52", WST404, ADULT),
    *_both("PHOS", "0.85", "1.51", WST404, ADULT),
    *_both("MG", "0.75", "1.02", WST404, ADULT),
    *_by_sex("CK", ("50", "310"), ("40", "200"), WST404),
    *_both("CK-MB", "0", "25", KIT),
    *_both("LDH", "120", "250", WST404, ADULT),
    # chemistry, children
    *_children("ALT", WST780, ("8", "71"), ("8", "71"), ("8", "42"), ("7", "30"), ("7", "30"), None),
    *_by_sex("ALT", ("7", "43"), ("6", "29"), WST780, (13, 18)),
    *_children("AST", WST780, ("21", "80"), ("21", "80"), ("22", "59"), ("14", "44"), ("14", "44"), None),
    *_by_sex("AST", ("12", "37"), ("10", "31"), WST780, (13, 18)),
    *_children("GGT", WST780, ("9", "150"), ("6", "31"), ("5", "16"), ("5", "19"), ("5", "19"), None),
    *_by_sex("GGT", ("8", "40"), ("6", "26"), WST780, (13, 18)),
    *_children("ALP", WST780, ("98", "532"), ("106", "420"), ("128", "432"), ("143", "406"), ("146", "500"), None),
    *_by_sex("ALP", ("82", "603"), ("51", "454"), WST780, (13, 18)),
    *_children("TP", WST780, ("49", "71"), ("55", "75"), ("58", "76"), ("61", "79"), ("65", "84"), ("68", "88")),
    *_children("ALB", WST780, ("35", "50"), ("39", "54"), ("40", "54"), ("39", "54"), ("39", "54"), ("42", "56")),
    *_children("UREA", WST780, ("0.8", "5.3"), ("1.1", "5.9"), ("2.3", "6.7"), ("2.5", "6.5"), ("2.7", "7.0"), None),
    *_by_sex("UREA", ("3.0", "7.7"), ("2.5", "7.1"), WST780, (13, 18)),
    *_children("CREA", WST780, ("13", "33"), ("13", "33"), ("13", "33"), ("19", "44"), ("27", "66"), None),
    *_by_sex("CREA", ("37", "101"), ("33", "76"), WST780, (13, 18)),
    *_children("K", WST780, ("4.2", "5.9"), ("4.2", "5.9"), ("4.2", "5.9"), ("3.7", "5.2"), ("3.7", "5.2"), ("3.5", "4.9")),
    *_children("NA", WST780, ("135", "150"), ("135", "150"), ("135", "150"), ("135", "145"), ("135", "145"), ("135", "145")),
    *_children("CL", WST780, ("100", "116"), ("100", "116"), ("100", "114"), ("98", "110"), ("98", "110"), ("98", "110")),
    *_children("CA", WST780, ("2.1", "2.8"), ("2.1", "2.8"), ("2.1", "2.8"), ("2.1", "2.8"), ("2.1", "2.7"), ("2.1", "2.7")),
    *_children("PHOS", WST780, ("1.60", "2.51"), ("1.48", "2.20"), ("1.42", "2.13"), ("1.37", "1.99"), ("1.25", "1.93"), ("0.95", "1.80")),
    # coagulation
    *_both("PT", "11.0", "14.5", KIT),
    *_both("INR", "0.80", "1.20", KIT),
    *_both("APTT", "25", "37", START),
    *_both("TT", "14.0", "21.0", KIT),
    *_both("FIB", "2.00", "4.00", KIT),
    *_both("DD", "0", "0.55", KIT),
    # urine
    *_both("U-SG", "1.003", "1.030", KIT),
    *_both("U-PH", "4.5", "8.0", KIT),
    *_both("U-RBC", "0", "17", KIT),
    *_both("U-WBC", "0", "28", KIT),
    *(Interval(item.code, None, ANY, "year", None, None, KIT, "阴性") for item in URINE if item.kind == "enum"),
    *(Interval(item.code, None, ANY, "year", None, None, KIT, FIELDS[0]) for item in MICROSCOPY),
)

# item, low, high: critical beyond them. The first eight are the specification's starting values, the rest are as usual in the field.
CRITICAL = (
    ("K", "2.8", "6.2"),
    ("NA", "120", "160"),
    ("GLU", "2.2", "22.2"),
    ("CREA", None, "650"),
    ("HGB", "50", "200"),
    ("PLT", "20", "1000"),
    ("WBC", "1.0", "30"),
    ("APTT", None, "100"),
    ("INR", None, "4.5"),
    ("CA", "1.60", "3.50"),
)


class OrderSet(NamedTuple):
    """What a doctor orders."""

    code: str
    name: str
    abbr: str
    section: str
    specimen: str
    container: str
    volume_ml: str
    tat_minutes: int
    items: tuple[str, ...]
    service: str = "blood"
    notes: str = ""
    graphs: bool = False


ORDER_SETS = (
    OrderSet("CBC", "血常规（五分类）", "血常规", "XY", "WB", "PURPLE", "1", 60, tuple(i.code for i in CBC), graphs=True),
    OrderSet("BIO", "生化全套", "生化", "SH", "SE", "YELLOW", "2", 240, tuple(i.code for i in CHEMISTRY), notes="空腹 8～12 小时"),
    OrderSet(
        "LFT",
        "肝功能",
        "肝功",
        "SH",
        "SE",
        "YELLOW",
        "1",
        240,
        ("ALT", "AST", "GGT", "ALP", "TP", "ALB", "GLO", "A/G", "TBIL", "DBIL", "IBIL"),
    ),
    OrderSet("RFT", "肾功能", "肾功", "SH", "SE", "YELLOW", "1", 240, ("UREA", "CREA", "UA")),
    OrderSet("LIP", "血脂四项", "血脂", "SH", "SE", "YELLOW", "1", 240, ("TC", "TG", "HDL-C", "LDL-C"), notes="空腹 12 小时"),
    OrderSet("ELE", "电解质", "电解质", "SH", "SE", "YELLOW", "1", 120, ("K", "NA", "CL", "CA", "PHOS", "MG")),
    OrderSet("FBG", "空腹血糖", "血糖", "SH", "SE", "YELLOW", "1", 120, ("GLU",), notes="空腹 8～12 小时"),
    OrderSet("CAR", "心肌酶谱", "心肌酶", "SH", "SE", "YELLOW", "1", 120, ("AST", "CK", "CK-MB", "LDH")),
    OrderSet("COA", "凝血四项", "凝血", "NX", "PL", "BLUE", "2.5", 120, ("PT", "INR", "APTT", "TT", "FIB")),
    OrderSet("DDI", "D-二聚体", "D-二聚体", "NX", "PL", "BLUE", "2.5", 120, ("DD",)),
    OrderSet("URT", "尿常规", "尿常规", "TY", "UR", "URINE", "5", 60, tuple(i.code for i in URINE), service="urine"),
    OrderSet("GFR", "肾小球滤过率估算", "eGFR", "SH", "SE", "YELLOW", "1", 240, ("CREA", "EGFR"), notes="仅适用于 18 岁及以上"),
    OrderSet("UMR", "尿红细胞镜检", "尿镜检RBC", "TY", "UR", "URINE", "1", 60, ("U-MRBC",), service="urine"),
    OrderSet("UMW", "尿白细胞镜检", "尿镜检WBC", "TY", "UR", "URINE", "1", 60, ("U-MWBC",), service="urine"),
)
# What each hospital's own system calls them; a code that is not here arrives as 未对照.
HIS_CODES = {
    "rm": {s.code: f"F{2501 + i:05d}" for i, s in enumerate(ORDER_SETS)},
    "zx": {s.code: f"LAB-{s.code}" for s in ORDER_SETS},
}
# code, name, indicator that counts it (names of the 2015 set)
REJECT_REASONS = (
    ("VOL", "标本量不足", "标本量错误率"),
    ("HEM", "溶血", "标本溶血率"),
    ("CLOT", "抗凝标本凝集", "抗凝标本凝集率"),
    ("TUBE", "容器错误", "标本容器错误率"),
    ("TYPE", "标本类型错误", "标本类型错误率"),
    ("LABEL", "标签不符或无标签", "标本标签不合格率"),
    ("LATE", "送检超时", "标本运送超时率"),
    ("LIP", "严重脂血", ""),
    ("CONT", "疑似污染", "血培养污染率"),
)
