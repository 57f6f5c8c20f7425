"""M09 report layouts: drawn with a preview, changed under change control, frozen on each report, never without what a report must show."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from pypdf import PdfReader
from sqlalchemy import text

from cloud.modules.catalog import service as catalog
from cloud.modules.reports import document, layouts, queries
from cloud.ports import s3
from cloud.reports.documents import Paper
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.cloud.reports.test_pages import released, work
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
FORM = {
    "name": "生化 A4", "section": "CHEM", "paper": "a4", "subtitle": "国家区域医疗中心（虚构）", "show_code": "否", "show_method": "否",
    "tester_word": "报告者", "verifier_word": "复核者", "remarks": "结果请结合临床。\n咨询电话 8001（虚构）", "active": "是",
}  # fmt: skip


@pytest.fixture(scope="module")
def world(pg: TestServer, schema_template: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = pg.create(schema_template.name)
    lab = labs.make(made, data_dir=str(tmp_path_factory.mktemp("files")))
    yield build(lab)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tester_word": "甲"}, "检验者称谓须为 2 到 6 个字"),
        ({"subtitle": "长" * 41}, "院名下的一行最多 40 个字"),
        ({"remarks": "一\n二\n三\n四\n五"}, "固定备注最多 4 条"),
        ({"logo": "picture.png"}, "院徽请在“报告格式”页上传"),
        ({"paper": "B5"}, "纸张“B5”只能是"),
        ({"name": ""}, "名称没有填写"),
    ],
)
def test_a_layout_that_cannot_be_is_refused_in_words_and_stays_typed(world: World, change: dict[str, str], word: str) -> None:
    answer = world.lab.client("leader").post("/md/edit/layout/0", FORM | change | {"reason": "新格式"})
    kept = "复核者" if "remarks" in change else "咨询电话 8001"
    assert answer.status_code == 422 and word in answer.text and kept in answer.text


def test_pictures_are_pictures(world: World) -> None:
    with world.lab.uow() as uow:
        for data, word in ((b"<svg onload=x>", "PNG 或 JPEG"), (PNG + b"0" * layouts.LOGO_MOST, "小于 200 kB")):
            with pytest.raises(UserError, match=word):
                layouts.keep_logo(uow, data)


def test_a_layout_is_previewed_proposed_approved_and_frozen_on_reports(world: World) -> None:
    lab = world.lab
    before = released(world)
    leader = lab.client("leader")
    page = leader.post("/templates/0/preview", FORM | {"picture": (io.BytesIO(PNG), "logo.png")}, content_type="multipart/form-data")
    found = re.search(r'src="(/templates/preview/([0-9]+))"', page.text)
    logo = re.search(r'name="logo" value="([0-9a-f]{64})"', page.text)
    assert page.status_code == 200 and found is not None and logo is not None and "国家区域医疗中心" in page.text
    assert "正在生成预览" in leader.get(found[1]).text
    work(world)
    assert leader.get(found[1]).headers["Location"].split("#")[0].endswith(f"/lists/{found[2]}/file")
    shown = PdfReader(io.BytesIO(leader.get(f"/lists/{found[2]}/file").data))
    printed = "".join("".join(p.extract_text().split()) for p in shown.pages)
    assert "国家区域医疗中心" in printed and "报告者示例甲" in printed and "结果请结合临床" in printed and "示例患者（虚构）" in printed
    assert float(shown.pages[0].mediabox.height) > 800, "A4"
    # Proposed and approved by two others; until then reports print as before.
    answer = leader.post("/md/edit/layout/0", FORM | {"logo": logo[1], "reason": "院徽与称谓统一"})
    change = re.search(r"/md/changes/([0-9]+)", answer.headers["Location"])
    assert answer.status_code == 303 and change is not None
    assert "还没有自己的报告格式" in leader.get("/templates").text
    with lab.uow() as uow:
        values = uow.s.execute(text("SELECT rows FROM catalog_change WHERE id = :i"), {"i": int(change[1])}).scalar_one()[0]["after"]
        catalog.write(uow, catalog.KINDS["layout"], None, None, values)
        catalog.changed(uow)
    assert "生化 A4" in leader.get("/templates").text
    after = released(world)
    work(world)
    with lab.uow() as uow:
        old, new = queries.released(uow, before), queries.released(uow, after)
        assert old is not None and new is not None
        assert (document.sheet(old.document).paper, document.sheet(new.document).paper) == (Paper.A5_LANDSCAPE, Paper.A4)
        sheet = document.sheet(new.document)
        assert (sheet.logo, sheet.verifier_word, len(sheet.remarks)) == (logo[1], "复核者", 2)
        versions = dict(uow.s.execute(text("SELECT report_id, template_version FROM report_version")).all())
        assert versions[old.report_id] == "report-1" and re.fullmatch(r"report-1\+[0-9]+\.[0-9]+", versions[new.report_id])
        assert new.pdf_key is not None and queries.signature_holds(uow, new.report_id, 1)
        pdf = s3.files_of(s3.current_store(), uow.tenant_id).get(new.pdf_key, new.pdf_sha256)
    printed = "".join("".join(p.extract_text().split()) for p in PdfReader(io.BytesIO(pdf)).pages)
    assert "复核者审核者一号" in printed and "咨询电话8001" in printed and "本报告仅对本标本负责" in printed
