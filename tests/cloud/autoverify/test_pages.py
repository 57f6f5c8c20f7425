"""The pages of autoverification through a browser's eyes: every page answers, one click stops, wrong input is answered in words."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from itertools import product
from typing import Any

import pytest
from sqlalchemy import text

from cloud.modules.autoverify import queries, simulation
from cloud.modules.autoverify.listing import AGAINST, STOOD
from cloud.modules.reports import service as reports
from tests.cloud.autoverify.floor import DESK, Floor, open_floor
from tests.cloud.reports.test_release import Room
from tests.support import lab as labs
from tests.support.database import TestDatabase

FULL = bool(os.environ.get("JIANLIAN_WALKS"))


@pytest.fixture
def floor(fresh_db: TestDatabase) -> Iterator[Floor]:
    lab = labs.make(fresh_db)
    yield open_floor(lab)
    lab.db.dispose()


def test_pages_show_rules_board_reasons_and_certificate(floor: Floor) -> None:
    lab, leader = floor.world.lab, floor.world.lab.client("leader")
    held, clean = floor.tube({"K": "6.8", "NA": "140"}), floor.tube()
    floor.decide()
    rules = leader.get("/av/rules").text
    assert "生化常规" in rules and "放行范围" in rules and "占位" in rules
    board = leader.get("/av/board?days=7").text
    assert "放行率" in board and "CRITICAL" in board and "<svg" in board
    reasons = leader.fragment(f"/av/reasons/{held}").text
    assert "危急值" in reasons and "CRITICAL K 6.8" in reasons
    assert "符合全部规则" in leader.fragment(f"/av/reasons/{clean}").text
    assert f"/av/reasons/{held}" in leader.get(f"/bench/CHEM?tube={held}").text
    assert "V1" in leader.get("/av/validation").text
    shown = leader.get("/av/validation/1").text
    assert "假发布" in shown and "WS/T 616" in shown
    assert "10 项目间逻辑（本规则集没有此类规则），11 临床情况（本规则集没有此类规则），12 复查" in shown
    assert "还没有模拟过" in leader.get("/av/simulate").text
    with lab.uow() as uow:
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": held}).scalar_one()
    tried = leader.post("/av/test", {"set": floor.rule_set, "code": barcode}).text
    assert "AV_RANGE K 6.8" in tried and "specimen_id" in tried
    assert lab.client("nurse").get("/av/board").status_code == 403


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where the plain values of a document are, one of a list for all of it."""
    if isinstance(value, dict | list):
        some = value.items() if isinstance(value, dict) else list(enumerate(value))[:1]
        for key, each in some:
            yield from _leaves(each, (*path, key))
    elif path:
        yield path


WRONG = (None, 1, "", "x", "NaN", "1e999999999", "2026-01-01T08:00", "9999-12-31T23:59:59+00:00", [], ["x"], {}, {"a": [1]}, True, 10**30)


def test_no_pasted_case_breaks_the_page_whatever_stands_in_it(floor: Floor) -> None:
    leader, tube = floor.world.lab.client("leader"), floor.tube({"K": "6.8", "NA": "140"})
    with floor.world.lab.uow() as uow:
        barcode = uow.s.execute(text("SELECT barcode FROM specimen WHERE id = :i"), {"i": tube}).scalar_one()
    page = leader.post("/av/test", {"set": floor.rule_set, "code": barcode}).text
    taken = json.loads(unescape(re.search(r'<textarea[^>]*name="case"[^>]*>(.*?)</textarea>', page, re.DOTALL)[1]))  # type: ignore[index]  # None fails
    places = list(_leaves(taken))
    assert len(places) > 30
    failed = []
    for place, wrong in product(places, WRONG if FULL else WRONG[1::4]):
        case = copy.deepcopy(taken)
        at: Any = case
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = wrong
        if leader.post("/av/test", {"set": floor.rule_set, "case": json.dumps(case)}).status_code not in (200, 422):
            failed.append((place, wrong))
    assert failed == []
    assert leader.post("/av/test", {"set": floor.rule_set, "case": "[" * 100_000}).status_code == 422


def test_pasted_cases_and_wrong_ones(floor: Floor) -> None:
    leader = floor.world.lab.client("leader")
    case = {"specimen_id": 1, "at": "2026-05-04T01:30:00+00:00", "items": [{"code": "K", "name": "钾", "present": False}]}
    assert "MISSING K" in leader.post("/av/test", {"set": floor.rule_set, "case": json.dumps(case)}).text
    # One sentence for all items with one reason, as on the bench.
    both = case | {"items": [{"code": code, "name": code, "present": False} for code in ("K", "NA")]}
    said = leader.post("/av/test", {"set": floor.rule_set, "case": json.dumps(both)}).text
    assert "MISSING K NA" in said and "项目K、项目NA" in said and said.count("MISSING") == 1
    for wrong in ("{", "[]", '{"at": 5}', '{"specimen_id": 1}', json.dumps(case | {"a": [1]})):
        assert leader.post("/av/test", {"set": floor.rule_set, "case": wrong}).status_code == 422
    assert leader.post("/av/test", {"set": floor.rule_set, "code": "nothing"}).status_code == 404
    assert leader.post("/av/test", {"set": 999, "case": "{}"}).status_code == 404


def test_one_click_stops_and_only_a_verifier_lets_it_go_on(floor: Floor) -> None:
    lab = floor.world.lab
    tester = lab.client("tester")
    assert tester.post("/av/switch", {"what": f"item:{floor.world.items['K']}", "reason": ""}).status_code == 422
    assert tester.post("/av/switch", {"what": "moon:1", "reason": "x"}).status_code == 422
    assert tester.post("/av/switch", {"what": "item:99999", "reason": "x"}).status_code == 404
    assert tester.post("/av/switch", {"what": f"item:{floor.world.items['K']}", "reason": "漂移"}).status_code == 303
    assert "漂移" in tester.get("/av/switch").text
    with lab.uow() as uow:
        stop = uow.s.execute(text("SELECT id FROM av_suspension")).scalar_one()
    assert tester.post(f"/av/switch/{stop}/end", {"reason": "好了"}).status_code == 403
    assert "请审核者、组长或质量主管解除" in tester.get("/av/switch").text
    assert lab.client("verifier").post(f"/av/switch/{stop}/end", {"reason": "质控在控"}).status_code == 303
    with lab.uow() as uow:
        ended = uow.s.execute(text("SELECT u.name FROM app_user u JOIN av_suspension s ON s.ended_by = u.id AND s.id = :i"), {"i": stop})
        by = ended.scalar_one()
    assert re.search(rf"解除 {by} [0-9: -]+ 质控在控", tester.get("/av/switch").text)


def test_a_draft_is_edited_validated_and_approved_on_the_page(floor: Floor) -> None:
    lab = floor.world.lab
    leader = lab.client("leader")
    made = leader.post("/av/rules", {"section": floor.world.section, "name": "第二版", "copy": floor.rule_set})
    assert made.status_code == 303
    draft = int(made.headers["Location"].rpartition("=")[2])

    def edit(**form: object) -> int:
        with lab.uow() as uow:
            version = uow.s.execute(text("SELECT version FROM av_rule_set WHERE id = :i"), {"i": draft}).scalar_one()
        return leader.post(f"/av/rules/{draft}/policy", {"version": version, **form}).status_code

    assert edit(what="range", item="K", low="3.0", high="6.0") == 303
    assert edit(what="range", item="K", low="2.0", high="6.0") == 422
    assert edit(what="range", item="K", low="三", high="6.0") == 422
    assert edit(what="context", code="dial", source="\"K\" > 5 且 dept = '血透'", message="血透钾高") == 303
    assert edit(what="context", code="bad", source='"K" >', message="x") == 422
    assert edit(what="drop", name="DIAL") == 303
    assert edit(what="context", code="whole", source='"K" > 5', message="整份", level="report") == 303
    assert edit(what="reach", analyzers=["ZZ9"]) == 422
    assert edit(what="reach", analyzers=["AU1"], items=["K"], depts="内科，急诊") == 303
    shown = leader.get(f"/av/rules?set={draft}").text
    assert "整份报告</span>" in shown and "内科、急诊" in shown and 'value="AU1" checked' in shown
    assert edit(what="drop", name="WHOLE") == 303 and edit(what="reach") == 303
    assert edit(what="identity", weights="K 1\nNA 0.5", fixed="ABO 2", threshold="1.5") == 303
    assert edit(what="identity", weights="K", fixed="", threshold="1.5") == 422 == edit(what="identity", weights="K 1", threshold="0")
    assert edit(what="pattern", code="contam_x", elements="K > 5.5 20%", required="K", least="1") == 303
    assert "K &gt; 5.5 20%" in leader.get(f"/av/rules?set={draft}").text and edit(what="drop", name="CONTAM_X") == 303
    assert leader.post(f"/av/rules/{draft}/policy", {"version": 1, "what": "whole", "manual": "1"}).status_code == 409
    answer = leader.post(f"/av/rules/{draft}/validate")
    assert answer.status_code == 409 and "至少需要 500 份" in answer.text
    assert lab.client("quality").post(f"/av/rules/{draft}/approve").status_code == 409
    assert leader.post(f"/av/rules/{draft}/state", {"to": "shadow"}).status_code == 303
    assert leader.post(f"/av/rules/{draft}/state", {"to": "activate"}).status_code == 409
    assert leader.post("/av/simulate", {"set": draft, "reports": "500"}).status_code == 409
    assert lab.client("tester").post(f"/av/rules/{draft}/validate").status_code == 403


def test_each_decision_of_a_shadow_counts_once_and_what_no_person_saw_agrees_with_nobody(floor: Floor) -> None:
    lab, leader = floor.world.lab, floor.world.lab.client("leader")
    made = leader.post("/av/rules", {"section": floor.world.section, "name": "影子", "copy": floor.rule_set})
    shadow = int(made.headers["Location"].rpartition("=")[2])
    assert leader.post(f"/av/rules/{shadow}/state", {"to": "shadow"}).status_code == 303
    tube = floor.tube()
    floor.decide()
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE report_version SET reason_class = 'result'"))  # an amended one corrects an error
    told = {"released": ("agree_release", "rules_agree"), "held": ("only_held", "rules_held"), "partial": ("agree_part", "rules_agree")}
    changed = {"released": "only_released", "held": "agree_held", "partial": "only_released"}
    for outcome, state, same, auto in product(told, ("draft", "tested", "released", "amended", "recalled", "cancelled"), (1, 0), (1, 0)):
        with lab.uow() as uow:
            facts = {"s": tube, "o": outcome, "r": state, "b": bool(same), "a": bool(auto)}
            part = "(SELECT jsonb_agg(jsonb_build_array(id, current_id + (1 - :same))) FROM test WHERE specimen_id = :s)"
            uow.s.execute(
                text(f"UPDATE av_decision SET outcome = :o, part = {part} WHERE specimen_id = :s AND shadow"), facts | {"same": same}
            )
            basis = "(SELECT basis FROM av_decision WHERE specimen_id = :s AND shadow)"
            by_hand = f"UPDATE report /* by hand */ SET state = :r, auto = :a, basis = CASE WHEN :b THEN {basis} ELSE 'x' END"
            uow.s.execute(text(f"{by_hand} WHERE specimen_id = :s"), facts)
            each = "cancelled" if state in ("draft", "tested", "cancelled") else state
            uow.s.execute(text("UPDATE test /* by hand */ SET state = :e WHERE specimen_id = :s"), {"s": tube, "e": each})
            [seen] = queries.board(uow, [floor.world.section], uow.now - timedelta(days=1)).shadow
            found = [name for name in AGAINST if seen._mapping[name]]
        assert sum(seen._mapping[name] for name in AGAINST) == seen.n == 1
        waits = state in ("draft", "tested") or (outcome == "partial" and state == "cancelled")
        stood = told[outcome][auto] if state == "released" and same else changed[outcome]
        assert found == ["waiting" if waits else stood], (outcome, state, same, auto)


def test_what_was_only_supplemented_overrules_nobody(floor: Floor) -> None:
    """补充信息 is no error: counted as one, no set of a laboratory that adds remarks could ever be validated (false release = 0)."""
    lab, leader, room = floor.world.lab, floor.world.lab.client("leader"), Room(floor.world)
    made = leader.post("/av/rules", {"section": floor.world.section, "name": "影子", "copy": floor.rule_set})
    shadow = int(made.headers["Location"].rpartition("=")[2])
    assert leader.post(f"/av/rules/{shadow}/state", {"to": "shadow"}).status_code == 303
    assert leader.post(f"/av/rules/{floor.rule_set}/state", {"to": "suspend", "reason": "对照"}).status_code == 303
    tube = floor.tube()
    floor.decide()
    with lab.uow() as uow:
        report = reports.review(uow, tube, None, room.person(uow, "tester"))
    with lab.uow() as uow:
        reports.release(uow, [report], room.person(uow, "verifier"), DESK)

    def told() -> tuple[list[str], str]:
        with lab.uow() as uow:
            [seen] = queries.board(uow, [floor.world.section], uow.now - timedelta(days=1)).shadow
            state = uow.s.execute(text(f"SELECT {STOOD} FROM report r WHERE r.id = :r"), {"r": report}).scalar_one()
            return [name for name in AGAINST if seen._mapping[name]], state

    assert told() == (["agree_release"], "released")
    listed = leader.get(f"/av/decisions?shadow={shadow}").text
    assert ">会自动发布</span>" in listed and ">自动发布</span>" not in listed, "a shadow releases nothing"
    for version, (reason, remark, found) in enumerate(
        (
            ("supplement", "空腹采血", "agree_release"),
            ("specimen", "标本轻度溶血", "only_released"),
            ("supplement", "已复核", "only_released"),
        ),
        1,
    ):
        with lab.uow() as uow:
            asked = reports.AmendRequest(report, version, {}, reason, "补记", remark)
            reports.amend(uow, asked, room.person(uow, "senior"), DESK)
        assert told() == ([found], "released" if found == "agree_release" else "amended"), (reason, remark)
        with lab.uow() as uow:
            run = simulation.start(uow, floor.rule_set, 1)
            while simulation.step(uow):
                pass
            over = (run.confusion["both_release"], run.confusion["false_release"])
        assert over == ((1, 0) if found == "agree_release" else (0, 1)), "the past is held against people in the same way"


def test_the_board_says_that_a_set_is_suspended_and_a_suspension_says_why(floor: Floor) -> None:
    leader = floor.world.lab.client("leader")
    assert "规则集已暂停" not in leader.get("/av/board").text
    to = f"/av/rules/{floor.rule_set}/state"
    assert leader.post(to, {"to": "suspend", "reason": " "}).status_code == 422
    assert re.search(
        r'<input name="reason"[^>]* required[^>]*><button[^>]*value="suspend"', leader.get(f"/av/rules?set={floor.rule_set}").text
    )
    assert leader.post(to, {"to": "suspend", "reason": "放行了不该放的"}).status_code == 303
    assert re.search("规则集已暂停，本组报告全部转人工：生化组 1 .*放行了不该放的", leader.get("/av/board").text)
    assert leader.post(to, {"to": "resume"}).status_code == 303
    assert "规则集已暂停" not in leader.get("/av/board").text


def test_a_list_says_a_reason_once_for_all_its_items(floor: Floor) -> None:
    floor.tube({"K": "6.8", "NA": "140"})
    floor.decide()
    with floor.world.lab.uow() as uow:
        same = json.dumps([[5, "QC", code, "no_plan"] for code in ("K", "NA")])
        uow.s.execute(text("UPDATE av_decision SET reasons = CAST(:r AS jsonb)"), {"r": same})
    listed = floor.world.lab.client("leader").get("/av/decisions?outcome=held").text
    assert listed.count("没有质控计划") == 1 and "项目K、项目NA" in listed and "QC K NA no_plan" in listed


def test_every_number_of_the_board_opens_a_list_as_long(floor: Floor) -> None:
    leader = floor.world.lab.client("leader")
    made = leader.post("/av/rules", {"section": floor.world.section, "name": "影子", "copy": floor.rule_set})
    assert leader.post(f"/av/rules/{made.headers['Location'].rpartition('=')[2]}/state", {"to": "shadow"}).status_code == 303
    passed, _critical = floor.tube(), floor.tube({"K": "6.8", "NA": "140"})
    unchanged = floor.tube({"K": "6.2", "NA": "156"})
    floor.decide()
    lab, room = floor.world.lab, Room(floor.world)
    with lab.uow() as uow:
        report = reports.review(uow, unchanged, None, room.person(uow, "tester"))
    with lab.uow() as uow:
        reports.release(uow, [report], room.person(uow, "verifier"), DESK)
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE av_decision SET audit = NOT shadow"))
        seen = (
            "UPDATE av_decision SET audit_agrees = (outcome = 'released'), audit_note = '应当拦截' WHERE NOT shadow AND specimen_id <> :s"
        )
        uow.s.execute(text(seen), {"s": unchanged})
        gone = "UPDATE test /* by hand */ SET state = 'cancelled' WHERE specimen_id = :s AND item_id = :i"
        uow.s.execute(text(gone), {"s": passed, "i": floor.world.items["NA"]})
    board = leader.get("/av/board").text
    # Of an item's reports, not of all: the one without sodium counts for nothing against it.
    assert "<td>生化组 2 影子</td>" in board
    rates = dict(re.findall(r'<td>([^<]+)</td><td class="num"><a[^>]*item=[^>]*>\d+</a></td><td class="num muted">([^<]+?) *<', board))
    assert {name: rate.split("%")[0] for name, rate in rates.items()} == {"项目K": "66.7", "项目NA": "50.0"}
    assert "2/3</span>" in board and "1/2</span>" in board
    links = re.findall(r'<a(?: class="high")? href="(/av/decisions[^"]*)"[^>]*>(?:<b>)?(?:✕ )?(\d+)', board)
    assert {"sample", "shadow", "against", "outcome", "category", "item", "unchanged"} <= {
        name for href, _ in links for name in re.findall(r"(\w+)=", href)
    }
    for href, count in links:
        text_of = leader.get(href.replace("&amp;", "&")).text
        assert text_of.count("<tr><td class") == int(count), href
    found = {href.partition("&amp;")[2]: count for href, count in links}
    assert [found[f"sample={name}"] for name in ("sampled", "answered", "disagreed")] == ["3", "2", "1"]
    assert "应当拦截" in leader.get("/av/decisions?days=1&sample=disagreed").text
    against = {href.rpartition("=")[2]: count for href, count in links if "against=" in href}
    assert against == {"only_held": "1", "waiting": "1", "rules_agree": "1"}
    wrong = ("sample=x", "shadow=1&against=x", "against=waiting", "sample=sampled&shadow=1&against=waiting")
    assert {leader.get(f"/av/decisions?{query}").status_code for query in wrong} == {422}
    [hour] = re.findall(r'href="(/av/decisions\?hour=[^"]*)"', board)
    assert leader.get(hour).text.count("<tr><td class") == 3
    assert "假拦截" in board and "50.0%" in board
    assert {leader.get(f"/av/decisions?hour={h}").status_code for h in ("noon", "2026-05-04T01:00", "9999-12-31T23:30:00Z")} == {422}
    assert leader.get("/av/decisions?outcome=x").status_code == 422
    asked = leader.post("/av/decisions/export?outcome=held", {"kind": "xlsx"})
    assert asked.status_code == 303 and "/lists/" in asked.headers["Location"]
    assert lab.client("nurse").get("/av/decisions").status_code == 403
