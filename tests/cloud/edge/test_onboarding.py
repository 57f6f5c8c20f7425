"""A new analyzer taken on without code, as its engineer and the laboratory's people do it."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest

from cloud.modules.edge import handlers, recordings, service
from tests.cloud.edge.world import Edge, astm
from tests.support.lab import PIN, Client


def upload(who: Client, body: bytes, **form: str) -> str:
    """Upload a recording; its page."""
    data = {"file": (io.BytesIO(body), "五支标本.txt"), **form}
    answer = who.post("/edge/onboard/upload", data, content_type="multipart/form-data")  # type: ignore[arg-type]
    assert answer.status_code == 303, answer.text
    return str(answer.headers["Location"])


def go(who: Client, url: str, status: int = 303, **form: object) -> str:
    """Post a form; where it leads, or what it says."""
    answer = who.post(url, form)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    return str(answer.headers.get("Location") or answer.text)


def rows_form(edge: Edge, who: Client, url: str, meaning: dict[str, str], factor: dict[str, str] | None = None) -> dict[str, object]:
    """The mapping page's form with these codes mapped (code → item code)."""
    text = who.get(url).text
    codes = re.findall(r'name="code" value="([^"]+)"', text)
    version, seen = (re.search(rf'name="{name}" value="(\d+)"', text) for name in ("version", "seen"))
    assert version is not None and seen is not None
    return {
        "version": version[1], "seen": seen[1], "code": codes, "unit": [unit(c) for c in codes], "offset": ["0"] * len(codes),
        "factor": [(factor or {}).get(c, "1") for c in codes], "reason": "按说明书第 12 页",
        "item_id": [str(edge.bench.items[meaning[c]]) if c in meaning else "" for c in codes],
    }  # fmt: skip


def unit(code: str) -> str:
    """What the analyzer prints."""
    return "umol/L" if code == "CREA" else "mmol/L"


MEANING = {"K": "K", "Na": "NA", "GLU": "GLU", "CREA": "CREA"}
"""What the seeded analyzer's codes mean already."""


def prints(who: Client, page: str, printed: dict[str, str], level: str = "normal") -> None:
    """Type the print-out of every line by its code."""
    text = who.get(page).text
    codes = re.findall(r'aria-label="打印值 ([^"]+)"', text)
    idx = re.findall(r'name="idx" value="(\d+)"', text)
    go(who, page, idx=idx, printed=[printed.get(c, "") for c in codes], unit=[unit(c) for c in codes], level=[level] * len(idx))


def taken_on(edge: Edge, engineer: Client, body: bytes, meaning: dict[str, str]) -> tuple[str, str]:
    """A recording uploaded and mapped; the pages of mapping and comparison."""
    rec = upload(engineer, body)
    made = go(engineer, f"{rec}/map", analyzer_id=str(edge.bench.analyzer))
    go(engineer, f"{made}/rows", **rows_form(edge, engineer, made, meaning))
    return made, f"{made}/compare/{rec.rsplit('/', 1)[1]}"


def test_a_new_code_goes_from_recording_to_use_and_what_waited_is_placed(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"XK": "4.1"})))
    assert edge.fates() == [(barcode, "XK", "4.1", "unmapped")]
    engineer, leader, group = (edge.lab.client(role) for role in ("engineer", "leader", "infogroup"))
    body = astm("1001", {"XK": "4.1", "GLU": "5.6"})
    rec = upload(engineer, body)
    page = engineer.get(rec).text
    assert "各种读法并列" in page and "1001" in page and "代码相同" in page
    made = go(engineer, f"{rec}/map", analyzer_id=str(edge.bench.analyzer))
    # K is taken from K to XK: one item may not have two codes.
    meaning = {"XK": "K", "Na": "NA", "GLU": "GLU", "CREA": "CREA"}
    go(engineer, f"{made}/rows", **rows_form(edge, engineer, made, meaning))
    assert "未与打印值比对" in go(engineer, f"{made}/test", 409)
    compare = f"{made}/compare/{rec.rsplit('/', 1)[1]}"
    page = engineer.get(compare).text
    assert page.count('<span class="tag">新</span>') == 1, "GLU is in use, unchanged: XK alone must be compared"
    prints(engineer, compare, {"XK": "4.1"})
    page = engineer.get(made).text
    assert "标为已试验还缺" not in page and "验收签名还缺" in page
    go(engineer, f"{made}/test")
    assert engineer.post(f"{made}/approve").status_code == 403
    go(leader, f"{made}/approve")
    assert "已经批准过" in go(leader, f"{made}/approve", 409)
    assert leader.post(f"{made}/activate").status_code == 409
    go(group, f"{made}/approve")
    version = edge.rows("SELECT config_version FROM agent WHERE id = :i", i=edge.agent.id)[0][0]
    go(group, f"{made}/activate")
    assert edge.current(barcode) == {"K": "4.1"}
    assert edge.fates() == [(barcode, "XK", "4.1", "matched")]
    assert edge.rows("SELECT config_version FROM agent WHERE id = :i", i=edge.agent.id) == [(version + 1,)]
    [(document,)] = edge.rows("SELECT body FROM downlink WHERE kind = 'config'")
    assert document["connections"][0]["mapping"] == 1
    actions = [r[0] for r in edge.rows("SELECT action FROM audit_log WHERE entity LIKE 'edge_mapping%' ORDER BY seq")]
    assert actions == ["draft", "edit", "compare", "tested", "approve", "approve", "approved", "active"]
    assert "/ 2" in leader.get("/edge/mappings").text and "未生效" in leader.get("/edge/mappings").text
    # A later version that reads the bytes alike: only what is new in it is compared again.
    third = upload(engineer, astm("1003", {"NA2": "141"}), analyzer_id=str(edge.bench.analyzer))
    made = go(engineer, f"{third}/map", analyzer_id=str(edge.bench.analyzer))
    go(engineer, f"{made}/rows", **rows_form(edge, engineer, made, {"XK": "K", "NA2": "NA", "GLU": "GLU", "CREA": "CREA"}))
    refused = go(engineer, f"{made}/test", 409)
    assert "（NA）未与打印值比对" in refused and "（CREA）" not in refused
    prints(engineer, f"{made}/compare/{third.rsplit('/', 1)[1]}", {"NA2": "141"})
    go(engineer, f"{made}/test")


XN = b"H|\\^&|||XN-1000^00-22^12345^^^^12345||||||||E1394-97\r"


def test_bytes_that_are_read_another_way_are_compared_whole_and_a_named_driver_that_was_recognised_before_is_not_another_way(
    edge: Edge,
) -> None:
    engineer = edge.lab.client("engineer")
    body = astm("1", {"K": "4.1", "WBC": "6.1"})
    body = XN + body.split(b"\r", 1)[1]
    rec = upload(engineer, body)
    made = go(engineer, f"{rec}/map", analyzer_id=str(edge.bench.analyzer))
    assert edge.rows("SELECT driver FROM edge_mapping") == [("sysmex_xn",)], "what the catalog left open was recognised"
    assert "还没有" not in go(engineer, f"{made}/test"), "K is in use, read and reported as before"
    go(engineer, f"{made}/back", reason="再看")
    version, seen = (re.search(rf'name="{name}" value="(\d+)"', engineer.get(made).text) for name in ("version", "seen"))
    assert version is not None and seen is not None
    go(engineer, f"{made}/site", version=version[1], seen=seen[1], encoding="gb18030")
    refused = go(engineer, f"{made}/test", 409)
    assert all(f"（{item}）未与打印值比对" in refused for item in MEANING.values())
    assert "读法与使用中的不同" in engineer.get(made).text


def test_ac_pj_1_one_unit_error_among_24_items_is_named_and_nobody_can_accept(edge: Edge) -> None:
    engineer, leader = edge.lab.client("engineer"), edge.lab.client("leader")
    with edge.lab.uow() as uow:
        from cloud.modules.catalog import models as md

        for n in range(20):
            known = uow.s.get(md.TestItem, (edge.lab.a, edge.bench.items["K"]))
            assert known is not None
            row = md.TestItem(
                code=f"T{n}", name=f"项目{n}", abbr=f"T{n}", section_id=known.section_id, unit="mmol/L", decimals=2, result_type="numeric"
            )
            uow.s.add(row)
            uow.s.flush()
            edge.bench.items[f"T{n}"] = row.id
    codes = {**{f"T{n}": f"T{n}" for n in range(20)}, **MEANING}
    values = {c: f"{n + 1}.50" for n, c in enumerate(codes)}
    made, compare = taken_on(edge, engineer, astm("1001", values), codes)
    form = rows_form(edge, engineer, made, codes, {"T7": "10"})
    go(engineer, f"{made}/rows", **form)
    assert "按单位系数应为" in engineer.get(made).text
    prints(engineer, compare, values)
    page = engineer.get(compare).text
    assert page.count("✕ 按打印值") == 1 and "大了 10 倍" in page
    refused = go(engineer, f"{made}/test", 409)
    assert "项目7（T7）与打印值不符" in refused
    form = rows_form(edge, engineer, made, codes)
    go(engineer, f"{made}/rows", **form)
    go(engineer, f"{made}/test")
    record = made.replace("/edge/mappings/", "/edge/acceptance/")
    said = go(leader, f"{record}/sign", 409, pin=PIN)
    assert "缺低、高值标本" in said


def test_a_record_is_signed_when_each_item_has_three_levels_and_a_change_breaks_it(edge: Edge) -> None:
    engineer, leader = edge.lab.client("engineer"), edge.lab.client("leader")
    meaning = {"K": "K"}
    made, compare = taken_on(edge, engineer, astm("1", {"K": "2.9"}) + astm("2", {"K": "4.1"}) + astm("3", {"K": "6.2"}), meaning)
    idx = re.findall(r'name="idx" value="(\d+)"', engineer.get(compare).text)
    levels = ["low", "normal", "high"]
    go(engineer, compare, idx=idx, printed=["2.9", "4.1", "6.2"], unit=["mmol/L"] * 3, level=levels)
    go(engineer, f"{made}/test")
    record = made.replace("/edge/mappings/", "/edge/acceptance/")
    assert leader.post(f"{record}/sign", {"pin": "999999"}).status_code == 422
    go(leader, f"{record}/sign", pin=PIN)
    page = leader.get(record).text
    assert "已签名" in page and "内部签名" in page and "签名无效" not in page
    assert engineer.post(compare, {"idx": idx[0], "printed": "3.0", "unit": "", "level": "low"}).status_code == 409
    with edge.lab.uow() as uow:
        from sqlalchemy import text

        uow.s.execute(text("UPDATE edge_print_check SET printed = '3.0' WHERE printed = '2.9'"))
    assert "签名无效" in leader.get(record).text


def test_the_author_never_approves_and_a_stale_save_is_refused(edge: Edge) -> None:
    leader, group = edge.lab.client("leader"), edge.lab.client("infogroup")
    made, compare = taken_on(edge, leader, astm("1", {"K": "4.1"}), {"K": "K"})
    prints(leader, compare, {"K": "4.1"})
    stale = rows_form(edge, group, made, {})
    go(group, f"{made}/rows", **rows_form(edge, group, made, {"K": "K"}, {"K": "2"}))
    refused = go(leader, f"{made}/rows", 409, **stale)
    assert "已被他人修改" in refused and "：K K 项目K → K 项目K × 2。" in refused, "what the other person changed is named"
    assert "与打印值不符" in go(leader, f"{made}/test", 409)
    go(group, f"{made}/rows", **rows_form(edge, group, made, {"K": "K"}))
    go(leader, f"{made}/test")
    assert "不能自己批准" in go(leader, f"{made}/approve", 409)
    go(group, f"{made}/approve")
    go(leader, f"{made}/back", reason="单位再核对")
    assert edge.rows("SELECT state FROM edge_mapping") == [("draft",)] and edge.rows("SELECT 1 FROM edge_mapping_approval") == []
    assert leader.post(f"{made}/back", {"reason": "", "refuse": "1"}).status_code == 422
    go(leader, f"{made}/back", reason="不用了", refuse="1")
    assert leader.post(f"{made}/test").status_code == 409


def test_one_click_on_an_unmapped_code_joins_the_draft(edge: Edge) -> None:
    edge.take(edge.agent.raw(astm(edge.tube(), {"UREA9": "4.1"})))
    leader = edge.lab.client("leader")
    item = str(edge.bench.items["K"])
    form = {"analyzer_id": str(edge.bench.analyzer), "code": "UREA9", "item_id": item, "reason": "说明书"}
    assert "两个代码对照到同一项目" in go(leader, "/edge/unmapped/map", 422, **form)
    with edge.lab.uow() as uow:
        from cloud.modules.catalog import models as md

        known = uow.s.get(md.TestItem, (edge.lab.a, int(item)))
        assert known is not None
        row = md.TestItem(code="UREA", name="尿素", abbr="UREA", section_id=known.section_id, unit="mmol/L", decimals=2)
        uow.s.add(row)
        uow.s.flush()
        form["item_id"] = str(row.id)
    page = leader.get("/edge/unmapped").text
    assert "UREA 尿素 · 代码相近" in page
    [form["raw_id"]] = set(re.findall(r'name="raw_id" value="(\d+)"', page))
    go(leader, "/edge/unmapped/map", **form)
    assert "已在第 1 版" in leader.get("/edge/unmapped").text
    assert edge.fates()[0][3] == "unmapped", "nothing is placed before two people approved"
    [(version, rec)] = edge.rows("SELECT m.id, r.id FROM edge_mapping m JOIN edge_recording r ON r.analyzer_id = m.analyzer_id")
    page = leader.get(f"/edge/mappings/{version}/compare/{rec}").text
    assert 'aria-label="打印值 UREA9"' in page, "the message it came with is ready to be compared"
    prints(leader, f"/edge/mappings/{version}/compare/{rec}", {"UREA9": "4.1"})
    go(leader, f"/edge/mappings/{version}/test")


def test_an_analyzer_that_is_replaced_hands_its_mapping_on_and_every_value_is_compared_anew(edge: Edge) -> None:
    with edge.lab.uow() as uow:
        from cloud.modules.catalog import models as md

        old = uow.s.get(md.Analyzer, (edge.lab.a, edge.bench.analyzer))
        assert old is not None
        row = md.Analyzer(code="AU2", name="新生化仪", model="AU2", section_id=old.section_id)
        uow.s.add(row)
        uow.s.flush()
        fresh = row.id
    engineer = edge.lab.client("engineer")
    made = go(engineer, "/edge/mappings", analyzer_id=str(fresh))
    assert "换机：复制另一台仪器的对照" in engineer.get(made).text
    assert "另一台" in go(engineer, f"{made}/copy", 422, source_id=str(fresh))
    go(engineer, f"{made}/copy", source_id=str(edge.bench.analyzer))
    [(rows,)] = edge.rows("SELECT rows FROM edge_mapping")
    assert {r["code"]: r["item_id"] for r in rows} == {c: edge.bench.items[i] for c, i in MEANING.items()}
    refused = go(engineer, f"{made}/test", 409)
    assert all(f"（{item}）未与打印值比对" in refused for item in MEANING.values())


POSITIONAL = b"".join(b"A%04d %6s%6s\r\n" % (n, k, g) for n, (k, g) in enumerate([(b"4.1", b"5.6"), (b"3.9", b"6.1")], 1))


def marks(*rows: tuple[str, int, int, str]) -> dict[str, object]:
    names = ("role", "start", "end", "code")
    columns = {f"m_{name}": [str(row[n]) for row in rows] for n, name in enumerate(names)}
    empty = [""] * len(rows)
    return {**columns, "m_line": ["1"] * len(rows), "m_decimals": empty, "m_text": empty, "telegram": "line", "separator": ""}


def test_columns_are_marked_on_a_format_nobody_described_and_old_messages_are_read_by_them(edge: Edge) -> None:
    engineer, leader, group = (edge.lab.client(role) for role in ("engineer", "leader", "infogroup"))
    barcode = edge.tube()
    telegram = b"%-12s %6s%6s\r\n" % (barcode.encode(), b"4.1", b"5.6")
    edge.take(edge.agent.raw(telegram))
    assert edge.rows("SELECT state FROM raw_message") == [("quarantined",)]
    assert edge.rows("SELECT last_result_at FROM connection") == [(None,)]
    edge.lab.clock.advance(seconds=60)
    page = leader.get("/edge/onboard").text
    assert "au1" in page
    [(raw,)] = edge.rows("SELECT id FROM raw_message")
    rec = go(leader, "/edge/onboard/received", raw=str(raw), name="单向仪器")
    assert leader.post(f"{rec}/layout", {**marks(("value", 14, 19, "")), "m_code": [""]}).status_code == 422
    go(engineer, f"{rec}/layout", **marks(("specimen", 1, 12, ""), ("value", 14, 19, "K"), ("value", 20, 25, "GLU")))
    assert f">{barcode}<" in engineer.get(rec).text
    made = go(engineer, f"{rec}/map", analyzer_id=str(edge.bench.analyzer))
    go(engineer, f"{made}/rows", **rows_form(edge, engineer, made, {"K": "K", "GLU": "GLU"}))
    prints(engineer, f"{made}/compare/{rec.rsplit('/', 1)[1]}", {"K": "4.1", "GLU": "5.6"})
    go(engineer, f"{made}/test")
    go(leader, f"{made}/approve")
    go(group, f"{made}/approve")
    go(group, f"{made}/activate")
    assert edge.current(barcode) == {}
    with edge.lab.uow() as uow:
        handlers.on_mapping(uow, {"analyzer_id": edge.bench.analyzer, "number": 1})
    assert edge.current(barcode) == {"K": "4.1", "GLU": "5.60"}
    came = "SELECT last_result_at - (SELECT min(received_at) FROM raw_message) FROM connection"
    assert edge.rows(came) == [(timedelta(0),)], "the board shows when the result came, not when it could be read"
    later = edge.tube("李四光")
    edge.take(edge.agent.raw(b"%-12s %6s%6s\r\n" % (later.encode(), b"3.9", b"6.1")))
    assert edge.current(later) == {"K": "3.9", "GLU": "6.10"}
    with edge.lab.uow() as uow:
        service.reinterpret(uow, raw, "再读一次")
    [(later_than_first,)] = edge.rows(came)
    assert later_than_first >= timedelta(seconds=60), "an old message read again is not the last result"


def marked(*rows: tuple[str, int, int, int], **more: str) -> dict[str, object]:
    """A form of marks (role, line, from, to) without codes of their own."""
    empty = [""] * len(rows)
    columns = {f"m_{name}": [str(row[n]) for row in rows] for n, name in enumerate(("role", "line", "start", "end"))}
    return {**columns, "m_code": empty, "m_decimals": empty, "m_text": empty, **more}


HEADINGS = b"#S 4711 2026\r\n WBC   6.1 10^9/L\r\n RBC   4.5 10^12/L\r\n#S 4712 2026\r\n WBC   7.2 10^9/L\r\n"
GROUPS = b"M;20260105;4711;WBC;6.1;10^9/L;N;RBC;4.5;10^12/L;H\r\nM;20260105;4712;WBC;7.2;10^9/L;N\r\n"


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (HEADINGS, marked(("specimen", 1, 4, 7), ("ignore", 1, 9, 12), ("code", 2, 2, 5), ("value", 2, 6, 11), ("unit", 2, 12, 20),
                          telegram="head", starts="#S", separator="", repeat="line")),
        (GROUPS, marked(("ignore", 1, 1, 1), ("date", 1, 2, 2), ("specimen", 1, 3, 3), ("code", 1, 4, 4), ("value", 1, 5, 5),
                        ("unit", 1, 6, 6), ("flag", 1, 7, 7), telegram="line", separator=";", repeat="step", width="4")),
    ],
    ids=["specimen on a heading, a result a line", "several results on a line"],
)  # fmt: skip
def test_repeated_results_are_marked_once(edge: Edge, body: bytes, form: dict[str, object]) -> None:
    engineer = edge.lab.client("engineer")
    with edge.lab.uow() as uow:
        rec = f"/edge/onboard/{recordings.add_recording(uow, 'unbekannt.txt', body, None).id}"
    assert engineer.post(f"{rec}/layout", {**form, "repeat": ""}).status_code == 422
    go(engineer, f"{rec}/layout", **form)
    with edge.lab.uow() as uow:
        read = recordings.read(recordings.recording_of(uow, int(rec.rsplit("/", 1)[1])))
    assert [(s.specimen, s.code, s.value) for s in read.said] == [("4711", "WBC", "6.1"), ("4711", "RBC", "4.5"), ("4712", "WBC", "7.2")]
    assert not read.problems
    page = engineer.get(rec).text
    assert f'<option value="{form["repeat"]}" selected>' in page and '<option value="code" selected>' in page, "and shown as it was marked"
    assert page.count('class="gap"') == (form["telegram"] == "head"), (
        "two telegrams; where each is a line, the lines stand below each other"
    )
    assert engineer.get(f"{rec}?telegram=whole").text.count('class="gap"') == 0, "another cut is shown before it is saved"


@pytest.mark.parametrize("body", [b"", b"   \r\n"])
def test_an_empty_file_is_refused_in_words(edge: Edge, body: bytes) -> None:
    answer = edge.lab.client("engineer").post(
        "/edge/onboard/upload",
        {"file": (io.BytesIO(body), "x.txt")},
        content_type="multipart/form-data",  # type: ignore[dict-item]
    )
    assert answer.status_code == 422 and "文件是空的" in answer.text


TABLES = ("raw_message", "observation", "result_version", "test", "specimen", "analyzer_item_map", "edge_mapping", "edge_alarm", "downlink")


def state(edge: Edge) -> dict[str, list[tuple[object, ...]]]:
    return {t: [tuple(r) for r in edge.rows(f"SELECT md5({t}::text) FROM {t} ORDER BY id")] for t in TABLES}


def test_the_replay_console_shows_old_against_new_and_changes_no_row(edge: Edge) -> None:
    barcode = edge.tube()
    edge.take(edge.agent.raw(astm(barcode, {"K": "4.1", "GLU": "5.6"})), edge.agent.raw(b"\xff\x00 noise"))
    engineer = edge.lab.client("engineer")
    rec = upload(engineer, astm("1", {"K": "4.1"}))
    made = go(engineer, f"{rec}/map", analyzer_id=str(edge.bench.analyzer))
    go(engineer, f"{made}/rows", **rows_form(edge, engineer, made, MEANING, {"K": "10"}))
    before = state(edge)
    raws = [r[0] for r in edge.rows("SELECT id FROM raw_message ORDER BY id")]
    picked = "&".join(f"raw={r}" for r in raws)
    page = engineer.get(f"/edge/replay?{picked}&version={made.rsplit('/', 1)[1]}").text
    assert "1 个结果会不同" in page and "≠ 钾 41.00" in page.replace("  ", " ") or "≠" in page
    assert "没有差别" in engineer.get(f"/edge/replay?raw={raws[0]}").text
    assert engineer.get(f"/edge/replay?{picked}&driver=sysmex_xn&encoding=gb18030").status_code == 200
    assert engineer.get("/edge/replay?raw=1&version=999999").status_code == 404
    assert engineer.get(f"{made}/replay/{rec.rsplit('/', 1)[1]}").status_code == 200
    assert state(edge) == before


def test_nothing_of_another_hospital_is_found(edge: Edge) -> None:
    engineer = edge.lab.client("engineer")
    rec = upload(engineer, astm("1", {"K": "4.1"}))
    made = go(engineer, f"{rec}/map", analyzer_id=str(edge.bench.analyzer))
    stranger = edge.lab.client("engineer", edge.lab.b)
    for url in (rec, made, f"{made}/compare/{rec.rsplit('/', 1)[1]}", made.replace("mappings", "acceptance"), "/edge/links/1"):
        assert stranger.get(url).status_code == 404, url
    assert stranger.post(f"{rec}/choose", {"candidate": "0"}).status_code == 404
