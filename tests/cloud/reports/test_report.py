"""The report PDF, read back: text, fonts, bar codes, pages, sameness of bytes."""

from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from PIL import Image, ImageChops
from pypdf import PdfReader

from cloud.reports.bench import measure
from cloud.reports.documents import Amendment, Change, Paper, ReportImage, ReportKind, ReportRow
from cloud.reports.renderer import TEMPLATES, Renderer
from common.errors import UserError
from tests.cloud.reports import samples
from tests.cloud.reports.reading import codes, fonts, heights, pictures, texts


def test_the_page_shows_what_the_document_says(renderer: Renderer) -> None:
    document = replace(
        samples.report(),
        rows=samples.chemistry(),
        specimen_note="轻度溶血",
        comments=("钾为危急值，已电话通知。",),
        diagnosis="2型糖尿病",
        placeholder_intervals=True,
        auto_verified=True,
    )
    (page,) = texts(renderer.report(document))
    for word in (
        *("示例市第一人民医院", "血细胞分析检验报告单", "张伟", "MZ20261122001", "呼吸内科门诊", "赵敏", "静脉血", "126326000422"),
        *("R126326000422", "第1页／共1页", "李明", "王芳（自动审核）", "内部签名", "轻度溶血", "钾为危急值，已电话通知。", "2型糖尿病"),
        *("本报告仅对本标本负责", "占位示例", "报告结束", "己糖激酶法", "3.9–6.1", "μmol/L", "CO2-CP", "阴性（−）"),
    ):
        assert word.replace("μ", "µ") in page, word
    # Times are stored in UTC and shown in Asia/Shanghai.
    assert "2026-11-2208:30" in page and "2026-11-2208:55" in page and "2026-11-2210:12" in page
    assert "6.8危↑" in page and "13.20↑" in page


@pytest.mark.parametrize("paper", list(Paper))
def test_reckoned_places_are_where_a_grid_puts_them(renderer: Renderer, paper: Paper) -> None:
    """Head and foot of known length are placed without measuring; the same page set by grids and measured is the same picture."""
    measured = (TEMPLATES / "report.typ").read_text(encoding="utf-8")
    for known in ("masthead-fits", "person-fits", "foot-known"):
        assert f"#let {known} = (" in measured
        measured = measured.replace(f"#let {known} = (", f"#let {known} = false and (")
    plain = replace(samples.report(), paper=paper)
    long = replace(
        plain, rows=plain.rows * 4, urgent=True, diagnosis="2型糖尿病", verify_url="https://lis.example.cn/v/1", auto_verified=True
    )
    for document in (plain, long):
        pages = zip(pictures(renderer.report(document)), pictures(renderer.report(document, measured)), strict=True)
        for reckoned, asked in pages:
            difference = ImageChops.difference(reckoned, asked).point(lambda level: 255 if level > 48 else 0)
            assert difference.getbbox() is None


def test_only_the_chinese_faces_are_used(renderer: Renderer) -> None:
    pdf = renderer.report(replace(samples.report(), rows=samples.chemistry(), patient_name=samples.RARE_NAME))
    assert fonts(pdf) == {"NotoSansCJKsc-Regular-Identity-H", "NotoSansCJKsc-Bold-Identity-H"}


@pytest.mark.parametrize("paper", list(Paper))
@pytest.mark.parametrize("dpi", [203, 300])
def test_a_scanner_reads_the_specimen_and_the_verification_code(renderer: Renderer, paper: Paper, dpi: int) -> None:
    url = "https://lis.example.cn/reports/verify/R126326000422-4f1c9a"
    pdf = renderer.report(replace(samples.report(), paper=paper, verify_url=url))
    (picture,) = pictures(pdf, dpi)
    assert {text for _, text in codes(picture)} == {"126326000422", url}


@pytest.mark.parametrize("paper", list(Paper))
def test_rare_characters_survive_to_the_text_of_the_pdf(renderer: Renderer, paper: Paper) -> None:
    assert samples.RARE_NAME in texts(renderer.report(replace(samples.report(), patient_name=samples.RARE_NAME, paper=paper)))[0]


@pytest.mark.parametrize("name", ["张\ue000", "李\U00031fff", "王☔", "Łucja", "赵\U000e0101"])
def test_a_character_without_a_glyph_stops_the_print_and_is_named(renderer: Renderer, name: str) -> None:
    with pytest.raises(UserError) as caught:
        renderer.report(replace(samples.report(), patient_name=name))
    assert caught.value.code == "glyph_missing"
    missing = caught.value.fields["characters"]
    assert isinstance(missing, list) and len(missing) == 1 and missing[0] in name
    assert f"U+{ord(missing[0][-1]):04X}" in str(caught.value)


def test_a_missing_glyph_is_found_wherever_it_stands(renderer: Renderer) -> None:
    bad = "\ue001"
    base = samples.report(2)
    changed = Amendment(base.reported_at, "录入" + bad)
    for document in (
        replace(base, doctor=bad),
        replace(base, comments=("一切正常", bad)),
        replace(base, rows=(replace(base.rows[0], unit=bad),)),
        replace(base, rows=(replace(base.rows[0], method=bad),)),
        replace(base, amendment=changed, version=2),
        replace(base, amendment=Amendment(base.reported_at, "录入", (Change("钾", "1", bad),)), version=2),
    ):
        with pytest.raises(UserError, match="U\\+E001"):
            renderer.report(document)


@pytest.mark.parametrize(
    ("paper", "count", "pages"),
    [
        *((Paper.A5_LANDSCAPE, count, pages) for count, pages in ((1, 1), (10, 1), (25, 1), (60, 2), (90, 3))),
        *((Paper.A5_PORTRAIT, count, pages) for count, pages in ((1, 1), (25, 1), (40, 2), (70, 3))),
        *((Paper.A4, count, pages) for count, pages in ((1, 1), (60, 1), (120, 2), (200, 3))),
    ],
)
def test_page_numbers_and_identity_stand_on_every_page(renderer: Renderer, paper: Paper, count: int, pages: int) -> None:
    rows = tuple(replace(row, result=f"R{index}x") for index, row in enumerate(samples.rows(count)))
    read = texts(renderer.report(replace(samples.report(), rows=rows, paper=paper)))
    assert len(read) == pages
    for number, page in enumerate(read, start=1):
        assert f"第{number}页／共{pages}页" in page
        assert page.count("R126326000422") == 2 and "张伟" in page and "检验项目" in page and "王芳" in page
    together = "".join(read)
    for index in range(count):
        assert together.count(f"R{index}x") == 1
    assert together.count("报告结束") == 1 and "报告结束" in read[-1]


def test_each_row_is_printed_once_whatever_their_number(renderer: Renderer) -> None:
    for count in range(0, 61, 3):
        rows = tuple(replace(row, result=f"R{index}x") for index, row in enumerate(samples.rows(count)))
        together = "".join(texts(renderer.report(replace(samples.report(), rows=rows))))
        assert [together.count(f"R{index}x") for index in range(count)] == [1] * count


def test_equal_documents_give_equal_bytes_in_another_process_too(renderer: Renderer) -> None:
    document = replace(samples.report(25), patient_name=samples.RARE_NAME, verify_url="https://lis.example.cn/v/1")
    first = renderer.report(document)
    renderer.report(samples.report(3))
    assert renderer.report(document) == first
    script = (
        "import sys, hashlib; from dataclasses import replace; from tests.cloud.reports import samples;"
        "from cloud.reports.renderer import Renderer;"
        "d = replace(samples.report(25), patient_name=samples.RARE_NAME, verify_url='https://lis.example.cn/v/1');"
        "sys.stdout.buffer.write(Renderer().report(d))"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
    assert other == first
    assert renderer.report(replace(document, reported_at=document.reported_at + timedelta(minutes=1))) != first


def test_the_file_names_the_report_and_its_day_only(renderer: Renderer) -> None:
    info = PdfReader(io.BytesIO(renderer.report(samples.report()))).metadata
    assert info is not None
    assert info.title == "血细胞分析检验报告单 R126326000422"
    assert "张伟" not in "".join(str(value) for value in info.values())


def test_an_amended_report_says_what_changed_and_when_the_first_was_told(renderer: Renderer) -> None:
    base = replace(samples.report(), rows=samples.chemistry())
    amended = replace(
        base,
        version=2,
        amendment=Amendment(base.reported_at, "结果错误：录入时小数点错位", (Change("葡萄糖", "3.20 mmol/L", "13.20 mmol/L"),)),
        reported_at=base.reported_at + timedelta(hours=2),
    )
    (page,) = texts(renderer.report(amended))
    assert "【修改报告V2】" in page and "原报告时间：2026-11-2210:12" in page and "报告时间2026-11-2212:12" in page
    assert "修改原因：结果错误：录入时小数点错位" in page and "修改项：葡萄糖3.20mmol/L→13.20mmol/L" in page
    assert "修改报告" not in texts(renderer.report(base))[0]


def test_preliminary_reports_are_marked(renderer: Renderer) -> None:
    assert "【预报告】" in texts(renderer.report(replace(samples.report(), kind=ReportKind.PRELIMINARY)))[0]
    assert "预报告" not in texts(renderer.report(samples.report()))[0]


def test_marks_of_recognition_accreditation_and_referral_are_explained(renderer: Renderer) -> None:
    document = replace(
        samples.report(),
        rows=samples.chemistry(),
        referral_lab="示例医学检验中心",
        mutual_recognition_scope="示例省",
        accreditation_no="MT0000",
    )
    (page,) = texts(renderer.report(document))
    assert "葡萄糖◆HR" in page and "乙型肝炎病毒表面抗原※" in page
    assert "◆认可项目（MT0000）" in page and "HR检查检验结果互认项目（示例省）" in page and "※外送检验：示例医学检验中心" in page
    assert "认可项目" not in texts(renderer.report(samples.report()))[0]
    row = samples.chemistry()[0]
    unsure = texts(renderer.report(replace(samples.report(), rows=(replace(row, mark="?"),))))[0]
    odd = texts(renderer.report(replace(samples.report(), rows=(replace(row, mark="*"),))))[0]
    assert "?无法与参考区间比较，须结合临床判断" in unsure and "*异常" in odd
    assert "须结合临床判断" not in page + odd and "*异常" not in unsure


@pytest.mark.parametrize("paper", list(Paper))
def test_long_texts_push_the_table_down_instead_of_covering_it(renderer: Renderer, paper: Paper) -> None:
    document = replace(
        samples.report(5),
        paper=paper,
        hospital="示例省示例医科大学附属第一人民医院（滨江国际院区）",
        patient_name="阿卜杜拉·买买提·托合提如孜",
        department="心血管内科三病区（重症监护室）二组",
        diagnosis="急性非ST段抬高型心肌梗死；高血压病3级（很高危）；2型糖尿病；高脂血症；肾功能不全待查；腔隙性脑梗死；肺部感染" * 2,
    )
    pdf = renderer.report(document)
    end_of_head = heights(pdf, document.diagnosis[-8:])[0]
    start_of_table = heights(pdf, "检验项目")[1]
    assert start_of_table < end_of_head


def test_long_item_names_wrap_and_stay_whole(renderer: Renderer) -> None:
    name = "人类免疫缺陷病毒抗原抗体联合检测（电化学发光法，第四代试剂，含补充试验说明）"
    for paper in Paper:
        for count in (3, 25):
            rows = tuple(replace(row, name=name) for row in samples.rows(count))
            together = "".join(texts(renderer.report(replace(samples.report(), rows=rows, paper=paper))))
            assert together.count("人类免疫缺陷病毒") == count


def test_pictures_are_printed_with_their_captions(renderer: Renderer) -> None:
    raw = io.BytesIO()
    Image.new("RGB", (60, 40), "red").save(raw, "PNG")
    document = replace(samples.report(3), images=(ReportImage("血涂片 ×1000", raw.getvalue()),))
    pdf = renderer.report(document)
    assert "血涂片×1000" in texts(pdf)[0]
    colours = PdfReader(io.BytesIO(pdf)).pages[0].images
    assert len(colours) == 1
    with pytest.raises(UserError) as caught:
        renderer.report(replace(document, images=(ReportImage("坏图", b"not a picture"),)))
    assert caught.value.code == "picture_format"


@pytest.mark.parametrize(("rows", "pages"), [(25, 1), (26, 1), (12, 1)])
def test_a_blood_count_with_its_graphs_stays_on_one_sheet(renderer: Renderer, rows: int, pages: int) -> None:
    curve = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 60"><path d="M0 60 L80 4 L160 60" fill="none" stroke="black"/></svg>'
    graphs = tuple(ReportImage(f"{name} 直方图", curve) for name in ("WBC", "RBC", "PLT"))
    document = replace(samples.report(rows), comments=(), diagnosis="", images=graphs)
    shown = texts(renderer.report(document))
    assert len(shown) == pages and "报告结束" in shown[-1] and all(f"{g.caption.replace(' ', '')}" in shown[0] for g in graphs)


def test_texts_are_data_and_never_template_code(renderer: Renderer) -> None:
    trick = '#panic("x") $a$ *b* [c] \\ "d" @e <f> // g'
    (page,) = texts(renderer.report(replace(samples.report(), diagnosis=trick, comments=(trick,))))
    assert page.count("".join(trick.split())) == 2


def test_control_characters_and_look_alikes_become_printable(renderer: Renderer) -> None:
    row = ReportRow(name="乳酸\t脱氢酶\x00", result="2.5∼3.0", unit="10*9/L", interval="男 9–50\n女 7–40")
    (page,) = texts(renderer.report(replace(samples.report(), rows=(row,))))
    assert "乳酸脱氢酶" in page and "2.5~3.0" in page and "×109/L" in page and "男9–50" in page and "女7–40" in page


def test_a_time_without_a_zone_is_refused(renderer: Renderer) -> None:
    with pytest.raises(ValueError, match="zone"):
        renderer.report(replace(samples.report(), reported_at=datetime(2026, 11, 22, 10, 0)))  # noqa: DTZ001 - the fault under test


def test_a_broken_template_says_where(renderer: Renderer) -> None:
    with pytest.raises(UserError) as caught:
        renderer.report(samples.report(), template='#import "lib.typ": *\n#unknown-function()')
    assert caught.value.code == "template_error" and "2:" in str(caught.value.fields["place"])


@pytest.mark.parametrize("escape", ['#read("../renderer.py")', '#read("/etc/hostname")', '#import "@preview/cetz:0.3.4": *'])
def test_a_hospitals_template_reaches_nothing_outside_its_folder(renderer: Renderer, escape: str) -> None:
    with pytest.raises(UserError) as caught:
        renderer.report(samples.report(), template=escape)
    assert caught.value.code == "template_error"


def test_two_compilers_render_at_once_and_alike(renderer: Renderer) -> None:
    pair = Renderer(compilers=2)
    documents = [replace(samples.report(5), report_no=f"R{number}") for number in range(12)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(pair.report, documents)) == [renderer.report(document) for document in documents]


def test_an_error_in_one_report_does_not_stop_the_next(renderer: Renderer) -> None:
    for _ in range(3):
        with pytest.raises(UserError):
            renderer.report(samples.report(), template="#panic()")
    assert renderer.report(samples.report())


def test_the_bench_gives_figures() -> None:
    figures = measure(count=4, warm_up=1)
    assert set(figures) == {"pdf_per_s", "ms_p50", "ms_p95", "cpu_ms", "kilobytes", "rss_mb"}
    assert all(value > 0 for value in figures.values())


@pytest.mark.parametrize("paper", list(Paper))
def test_sensitive_items_stand_on_a_sheet_of_their_own(renderer: Renderer, paper: Paper) -> None:
    made = replace(samples.report(3), paper=paper)
    rows = (replace(made.rows[0], name="人类免疫缺陷病毒抗体", sensitive=True), *made.rows[1:])
    pages = texts(renderer.report(replace(made, rows=rows)))
    assert len(pages) == 2 and "免疫缺陷" not in pages[0] and "中性粒细胞" in pages[0]
    assert "免疫缺陷" in pages[1] and "中性粒细胞" not in pages[1] and all(made.report_no in page and "张伟" in page for page in pages)


CULTURE = (
    "培养48小时：肺炎克雷伯菌肺炎亚种（Klebsiella pneumoniae）10^5 CFU/mL，产超广谱β-内酰胺酶。\n"
    "药敏：哌拉西林/他唑巴坦MIC≤4 μg/mL敏感（S）；头孢他啶MIC≥64 μg/mL耐药（R）；亚胺培南MIC≤0.25 μg/mL敏感（S）。请结合临床。"
)


@pytest.mark.parametrize("paper", list(Paper))
def test_a_finding_in_words_stands_over_the_whole_width(renderer: Renderer, paper: Paper) -> None:
    rows = (
        ReportRow("细菌培养及鉴定", CULTURE, mark="*"),
        ReportRow("真菌涂片", "未见"),
        ReportRow("革兰染色涂片", "可见革兰阴性杆菌，" * 6),
    )
    pdf = renderer.report(replace(samples.report(), rows=rows, paper=paper))
    (page,) = texts(pdf)
    # Each finding in one piece behind its name: a narrow column would set it two characters a line and over three sheets.
    order = [page.index(word) for word in ("细菌培养及鉴定", "培养48小时", "药敏：", "真菌涂片", "革兰染色涂片", "可见革兰阴性杆菌")]
    assert order == sorted(order) and "105CFU/mL" in page and page.count("报告结束") == 1
    top, bottom = heights(pdf, "细菌培养")[0], heights(pdf, "真菌涂片")[0]
    assert abs(top - bottom) < 110, "some six lines, not forty"


def test_a_very_long_finding_goes_on_on_the_next_sheet_and_loses_nothing(renderer: Renderer) -> None:
    words = "".join(f"第{n:03}句所见描述。" for n in range(300))
    pages = texts(renderer.report(replace(samples.report(3), rows=(*samples.rows(2), ReportRow("骨髓细胞学检查", words)))))
    together = "".join(pages)
    # One that is cut by the end of a sheet has the foot between its halves.
    assert len(pages) > 1 and sum(together.count(f"第{n:03}句") == 1 for n in range(300)) > 300 - len(pages)
    assert all("张伟" in page for page in pages) and "报告结束" in pages[-1]


def test_four_photographs_stand_in_one_row(renderer: Renderer) -> None:
    seen = io.BytesIO()
    Image.new("RGB", (400, 300), "pink").save(seen, "PNG")
    pictured = tuple(ReportImage(f"图{n}", seen.getvalue()) for n in range(4))
    pages = texts(renderer.report(replace(samples.report(3), images=pictured)))
    assert len(pages) == 1 and all(f"图{n}" in pages[0] for n in range(4))
