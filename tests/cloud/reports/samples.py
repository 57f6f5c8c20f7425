"""Invented documents for the print tests. No patient, hospital or result here exists."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from cloud.reports.documents import LabelDocument, ReportDocument, ReportRow, TicketDocument

RARE_NAME = "㛃䶮𠮷"  # Extension A, Extension A, Extension B

CBC = (
    ("白细胞计数", "WBC", "11.26", "↑", "10^9/L", "3.5–9.5"),
    ("中性粒细胞百分数", "NEUT%", "78.4", "↑", "%", "40–75"),
    ("淋巴细胞百分数", "LYMPH%", "14.9", "↓", "%", "20–50"),
    ("单核细胞百分数", "MONO%", "5.8", "", "%", "3–10"),
    ("嗜酸性粒细胞百分数", "EO%", "0.6", "", "%", "0.4–8.0"),
    ("嗜碱性粒细胞百分数", "BASO%", "0.3", "", "%", "0–1"),
    ("中性粒细胞绝对值", "NEUT#", "8.83", "↑", "10^9/L", "1.8–6.3"),
    ("淋巴细胞绝对值", "LYMPH#", "1.68", "", "10^9/L", "1.1–3.2"),
    ("单核细胞绝对值", "MONO#", "0.65", "↑", "10^9/L", "0.1–0.6"),
    ("嗜酸性粒细胞绝对值", "EO#", "0.07", "", "10^9/L", "0.02–0.52"),
    ("嗜碱性粒细胞绝对值", "BASO#", "0.03", "", "10^9/L", "0–0.06"),
    ("红细胞计数", "RBC", "4.52", "", "10^12/L", "4.3–5.8"),
    ("血红蛋白", "HGB", "136", "", "g/L", "130–175"),
    ("红细胞压积", "HCT", "0.412", "", "L/L", "0.40–0.50"),
    ("平均红细胞体积", "MCV", "91.2", "", "fL", "82–100"),
    ("平均红细胞血红蛋白量", "MCH", "30.1", "", "pg", "27–34"),
    ("平均红细胞血红蛋白浓度", "MCHC", "330", "", "g/L", "316–354"),
    ("红细胞分布宽度变异系数", "RDW-CV", "12.9", "", "%", "11.0–15.0"),
    ("血小板计数", "PLT", "18", "危↓", "10^9/L", "125–350"),
    ("平均血小板体积", "MPV", "10.4", "", "fL", "7.4–12.5"),
    ("血小板分布宽度", "PDW", "16.1", "", "fL", "9–17"),
    ("血小板压积", "PCT", "0.02", "↓", "%", "0.108–0.282"),
    ("大血小板比率", "P-LCR", "31.5", "", "%", "13–43"),
    ("C-反应蛋白", "CRP", "<0.50", "", "mg/L", "<10"),
    ("网织红细胞百分数", "RET%", "1.12", "", "%", "0.5–1.5"),
)

CHEMISTRY = (
    ("钾", "K", "6.8", "危↑", "mmol/L", "3.5–5.3", "间接离子选择电极法"),
    ("钠", "Na", "139", "", "mmol/L", "137–147", "间接离子选择电极法"),
    ("葡萄糖", "Glu", "13.20", "↑", "mmol/L", "3.9–6.1", "己糖激酶法"),
    ("肌酐", "Crea", "86", "", "µmol/L", "57–97", "肌氨酸氧化酶法"),
    ("丙氨酸氨基转移酶", "ALT", "23", "", "U/L", "9–50", "速率法"),
    ("γ-谷氨酰转移酶", "GGT", "41", "", "U/L", "10–60", "速率法"),
    ("二氧化碳结合力（CO₂-CP）", "CO2CP", "24.1", "", "mmol/L", "23–29", "酶法"),
    ("乙型肝炎病毒表面抗原", "HBsAg", "阴性（−）", "", "", "阴性", "化学发光法"),
)


def rows(count: int) -> tuple[ReportRow, ...]:
    """``count`` result lines, the blood count over and over."""
    made = []
    for index in range(count):
        name, code, result, mark, unit, interval = CBC[index % len(CBC)]
        made.append(ReportRow(name=name, code=code, result=result, mark=mark, unit=unit, interval=interval))
    return tuple(made)


def chemistry() -> tuple[ReportRow, ...]:
    """A short panel with methods and marks of every kind."""
    made = [ReportRow(name=n, code=c, result=r, mark=m, unit=u, interval=i, method=how) for n, c, r, m, u, i, how in CHEMISTRY]
    made[2] = replace(made[2], mutual_recognition=True, accredited=True)
    made[7] = replace(made[7], referral=True)
    return tuple(made)


def report(count: int = 8) -> ReportDocument:
    """A report of ``count`` lines about an invented patient."""
    return ReportDocument(
        hospital="示例市第一人民医院",
        lab="临床血液",
        title="血细胞分析检验报告单",
        report_no="R126326000422",
        patient_name="张伟",
        sex="男",
        age="45岁",
        patient_no="MZ20261122001",
        specimen_type="静脉血",
        barcode="126326000422",
        rows=rows(count),
        tester="李明",
        verifier="王芳",
        reported_at=datetime(2026, 11, 22, 2, 12, tzinfo=UTC),
        collected_at=datetime(2026, 11, 22, 0, 30, tzinfo=UTC),
        received_at=datetime(2026, 11, 22, 0, 55, tzinfo=UTC),
        department="呼吸内科门诊",
        doctor="赵敏",
        bed="12",
        sample_no="1024",
    )


def label() -> LabelDocument:
    """A tube label about the same patient."""
    return LabelDocument(
        barcode="126326000422",
        patient_name="张伟",
        sex="男",
        age="45岁",
        patient_no="MZ20261122001",
        specimen_type="静脉血",
        container="紫帽",
        items=("血细胞分析", "CRP", "网织红", "血型", "糖化血红蛋白"),
        printed_at=datetime(2026, 11, 22, 0, 31, tzinfo=UTC),
        department="呼吸内科",
        bed="12床",
        volume="2ml",
        urgent=True,
        number=1,
        total=2,
    )


def ticket() -> TicketDocument:
    """A queue ticket about the same patient."""
    return TicketDocument(
        hospital="示例市第一人民医院",
        number="N042",
        class_name="普通",
        service="采血",
        code="Q126326N00424",
        ahead=12,
        printed_at=datetime(2026, 11, 22, 0, 5, 9, tzinfo=UTC),
        patient_name="张*",
        hall_hint="请到门诊二楼采血大厅候诊",
        wait_hint="预计等候 5–10 分钟",
    )
