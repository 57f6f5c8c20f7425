"""The shift's start and end: every open thing is a number that drills to its list, the note is written from them, two people sign it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import product

import pytest
from sqlalchemy import text

from cloud.jobs import all_jobs, run_job
from cloud.modules.autoverify import service as av
from cloud.modules.autoverify.rules import Scope
from cloud.modules.catalog import models
from cloud.modules.catalog import queries as md
from cloud.modules.equipment import service as equipment
from cloud.modules.handover import queries, rules
from cloud.modules.handover.rules import Code, Figure, State, figure
from cloud.modules.servicedesk import service as desk
from common.say import Said, say, word
from tests.cloud.autoverify.floor import MORNING, Floor, open_floor
from tests.support import lab as labs
from tests.support.database import TestDatabase, TestServer
from tests.support.lab import Client

URL = "/bench/handover/CHEM"


@pytest.fixture(scope="module")
def shared(pg: TestServer, schema_template: TestDatabase) -> Iterator[Floor]:
    made = pg.create(schema_template.name)
    lab = labs.make(made)
    yield open_floor(lab, active=False)
    lab.db.dispose()
    pg.drop(made.name)


@pytest.fixture
def floor(shared: Floor) -> Floor:
    """The one laboratory, at the same time of the day and without a note."""
    shared.world.lab.clock.set(MORNING)
    with shared.world.lab.uow() as uow:
        for table in ("handover_note", "day_entry", "alert"):
            uow.s.execute(text(f"DELETE FROM {table}"))
    return shared


def figures(floor: Floor) -> dict[Code, Figure]:
    with floor.world.lab.uow() as uow:
        return {f.code: f for f in queries.figures(uow, md.catalog(uow).sections_by_code["CHEM"])}


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "text"), list(product(State, ("", " \n", "无"))))
def test_only_a_note_with_words_is_signed_away(state: State, text: str) -> None:
    assert (rules.give_problem(state, text) is None) is (state is State.WRITING and text == "无")


@pytest.mark.parametrize(("state", "user"), list(product(State, (1, 2))))
def test_nobody_takes_over_from_themselves(state: State, user: int) -> None:
    assert (rules.receive_problem(state, 1, user) is None) is (state is State.GIVEN and user == 2)


def test_the_draft_names_what_is_open_and_says_so_when_nothing_is() -> None:
    found = [figure(Code.HELD, [f"{n} 张" for n in range(9)], "/x"), figure(Code.LATE, [], "/y"), figure(Code.WAITING, [], "/z", 12)]
    assert rules.draft(found, ["甲", "乙"]).split("\n") == [
        "值班：甲、乙。",
        "待处理的标本 9：0 张、1 张、2 张、3 张、4 张、5 张 等，另有 3 项。",
        "未出齐结果的标本 12。",
    ]
    assert rules.draft([figure(Code.LATE, [], "/y")], []) == "没有未了事项。"
    assert rules.draft([], ["甲"]) == "值班：甲。\n没有未了事项。"


def test_what_changed_since_is_told_and_what_did_not_is_not() -> None:
    then = [figure(Code.HELD, [], "", 2), figure(Code.LATE, [], "", 0)]
    now = [figure(Code.HELD, [], "", 3), figure(Code.LATE, [], "", 0), figure(Code.STOP, [], "", 1)]
    assert [(m.before, m.now) for m in rules.changed(then, now)] == [(2, 3)]


def test_lights_carry_a_sign_with_their_urgency() -> None:
    assert [figure(c, [], "", n).light for c, n in ((Code.LATE, 1), (Code.HELD, 1), (Code.TICKET, 1), (Code.LATE, 0))] == [
        "bad",
        "warn",
        "none",
        "ok",
    ]
    assert set(rules.LABELS) == set(Code)


# --- what is open ----------------------------------------------------------------------------------------------------


def test_a_quiet_section_has_nothing_open(floor: Floor) -> None:
    assert {c: f.n for c, f in figures(floor).items() if f.n} == {}


# --- the note --------------------------------------------------------------------------------------------------------


def version(page: str) -> int:
    found = re.search(r'name="version"[^>]*value="(\d+)"', page)
    assert found, page
    return int(found[1])


def save(who: Client, words: str, at: int) -> int:
    answer = who.post(f"{URL}/write", {"text": words, "version": at}, htmx=True)
    assert answer.status_code == 200, answer.text
    return version(answer.text)


def test_a_note_from_draft_to_two_signatures(floor: Floor) -> None:
    lab = floor.world.lab
    tester, senior = lab.client("tester"), lab.client("senior")
    floor.tube({"K": "4.1"})
    page = tester.get(URL).text
    assert "没有未了事项" not in page and "未出齐结果的标本 1" in page and version(page) == 0
    first = save(tester, "离心机 2 号异响，已报修。", 0)
    again = tester.post(f"{URL}/write", {"text": "离心机 2 号异响，已报修。", "version": first}, htmx=True)
    assert version(again.text) == first  # a save that changes nothing writes nothing
    assert tester.post(f"{URL}/give", {"text": "离心机 2 号异响，已报修。", "version": first}, htmx=True).status_code == 401
    lab.sign(tester)
    given = tester.post(f"{URL}/give", {"text": "离心机 2 号异响，已报修。K 待复查。", "version": first}, htmx=True)
    assert given.status_code == 200 and "待接班签收" in given.text
    assert tester.post(f"{URL}/receive", {"version": version(given.text)}, htmx=True).status_code == 409
    assert tester.post(f"{URL}/write", {"text": "改", "version": version(given.text)}, htmx=True).status_code == 409
    floor.tube({"K": "4.2"})
    shown = senior.get(URL).text
    assert "签交班之后有变化" in shown and "1 → <b>2</b>" in shown and "K 待复查" in shown
    lab.sign(senior)
    taken = senior.post(f"{URL}/receive", {"version": version(shown), "remark": "离心机已换"}, htmx=True)
    assert taken.status_code == 200 and "离心机已换" in taken.text
    with lab.uow() as uow:
        note = queries.past(uow, floor.world.section)[0]
        kinds = uow.s.execute(text("SELECT meaning FROM signature WHERE target = 'handover' ORDER BY id")).scalars().all()
    assert kinds == ["give", "receive"] and (note.giver, note.receiver) == ("检验者一号", "高级审核者一号")
    one = tester.get(f"{URL}/{note.id}").text
    assert "内部签名有效" in one and "离心机 2 号异响" in one
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE handover_note SET text = '没有事'"))
    assert "签名与内容不符" in tester.get(f"{URL}/{note.id}").text
    assert "离心机已换" in tester.get(f"{URL}/past").text
    assert tester.post(f"{URL}/{note.id}/print", {"kind": "pdf"}).status_code == 303
    assert senior.get(f"{URL}/999").status_code == 404


def test_two_people_writing_see_each_other(floor: Floor) -> None:
    lab = floor.world.lab
    one, two = lab.client("tester"), lab.client("senior")
    at = save(one, "第一句", 0)
    clash = two.post(f"{URL}/write", {"text": "另一句", "version": 0}, htmx=True)
    assert clash.status_code == 409 and "第一句" in clash.text and "检验者一号" in clash.text
    save(two, "第一句\n另一句", at)
    assert one.post(f"{URL}/give", {"text": "第一句", "version": at}, htmx=True).status_code == 409
    rewritten = two.post(f"{URL}/again", {"version": version(two.get(URL).text)}, htmx=True)
    assert "第一句" not in rewritten.text and "值班：" in rewritten.text
    assert two.post(f"{URL}/write", {"text": "长" * 8001, "version": version(rewritten.text)}, htmx=True).status_code == 422


def test_only_its_giver_takes_a_note_back_and_a_forgotten_one_is_alerted(floor: Floor) -> None:
    lab = floor.world.lab
    tester, senior = lab.client("tester"), lab.client("senior")
    lab.sign(tester)
    page = tester.post(f"{URL}/give", {"text": "交", "version": save(tester, "交", 0)}, htmx=True).text
    assert senior.post(f"{URL}/back", {"version": version(page), "reason": "x"}, htmx=True).status_code == 409
    assert tester.post(f"{URL}/back", {"version": version(page), "reason": " "}, htmx=True).status_code == 422
    lab.clock.advance(minutes=31)
    run_job(lab.db, all_jobs()["handover.watch"], [lab.a])
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT kind FROM alert WHERE cleared_at IS NULL")).scalars().all() == ["handover.untaken"]
    tester = lab.client("tester")
    back = tester.post(f"{URL}/back", {"version": version(page), "reason": "又来一份急诊"}, htmx=True)
    assert back.status_code == 200 and "交班内容" in back.text
    run_job(lab.db, all_jobs()["handover.watch"], [lab.a])
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE cleared_at IS NULL")).scalar_one() == 0


def test_who_may_not_write_reads(floor: Floor) -> None:
    quality = floor.world.lab.client("quality")
    assert "<textarea" not in quality.get(URL).text and quality.post(f"{URL}/write", {"text": "x", "version": 0}).status_code == 403
    assert floor.world.lab.client("nurse").get(URL).status_code == 403
    assert quality.get("/bench/handover/NOWHERE").status_code == 404
    assert quality.get("/bench/handover").headers["Location"].endswith(URL)


# --- the day log -----------------------------------------------------------------------------------------------------


def test_a_number_is_a_link_for_whom_its_list_opens(floor: Floor) -> None:
    for role, absent in (("tester", set()), ("quality", {"/edge/orphans"}), ("infogroup", {"/edge/orphans", "/eq/due", "/rg/open"})):
        client = floor.world.lab.client(role)
        things = re.findall(r'<a class="thing[^"]*"([^>]*)>', client.get(URL).text)
        links = {found[1] for thing in things if (found := re.search(r'href="([^"?]+)', thing))}
        assert things and not links & absent and {"/edge/orphans", "/eq/due", "/rg/open"} - absent <= links, role
        assert {client.get(link).status_code for link in links if not link.startswith("/bench")} <= {200}, role


def test_the_day_log_keeps_what_was_taken_back(floor: Floor) -> None:
    lab, url = floor.world.lab, "/bench/daylog/CHEM"
    tester, senior = lab.client("tester"), lab.client("senior")
    assert tester.post(url, {"kind": "moon", "words": "x"}).status_code == 422
    assert tester.post(url, {"kind": "room", "words": "  "}).status_code == 422
    assert tester.post(url, {"kind": "room", "words": "冰箱 6.1 ℃"}).status_code == 303
    with lab.uow() as uow:
        entry = uow.s.execute(text("SELECT id FROM day_entry")).scalar_one()
    assert senior.post(f"{url}/{entry}/withdraw", {"reason": "误记"}).status_code == 409
    assert tester.post(f"{url}/{entry}/withdraw", {"reason": ""}).status_code == 422
    assert tester.post(f"{url}/{entry}/withdraw", {"reason": "误记"}).status_code == 303
    assert tester.post(f"{url}/{entry}/withdraw", {"reason": "误记"}).status_code == 409
    shown = senior.get(f"{url}?day=2026-05-04").text
    assert "冰箱 6.1 ℃" in shown and "误记" in shown
    assert "冰箱" not in senior.get(f"{url}?day=2026-05-05").text and senior.get(f"{url}?day=05-05").status_code == 422
    for kind in ("pdf", "xlsx"):
        assert senior.post(f"{url}/print", {"day": "2026-05-04", "kind": kind}).status_code == 303
    assert senior.post(f"{url}/print", {"day": "2026-05-04", "kind": "doc"}).status_code == 422


# --- a busy morning: last, for it leaves much open ---------------------------------------------------------------------


def test_each_number_counts_its_list_and_drills_to_it(floor: Floor) -> None:
    lab, world = floor.world.lab, floor.world
    before = figures(floor)[Code.WAITING].n
    held = floor.tube({"K": "6.8", "NA": "140"})  # critical: nobody was told
    with lab.uow() as uow:
        world.tube(uow)  # waits for its results
        floor.shop.bad(uow, "K", MORNING - timedelta(minutes=5))
        equipment.calibrate(
            uow, world.analyzer, world.items["NA"], "CAL2", uow.now - timedelta(hours=1), uow.now + timedelta(hours=3), True
        )
        equipment.report_fault(uow, world.analyzer, "加样针堵塞")
        av.stop(uow, Scope.ITEM, world.items["K"], "漂移")
        desk.open_ticket(uow, desk.New("甲", "扫码枪坏", "P2", "fault", world.section))
        uow.s.add_all(models.AnalyzerItemMap(analyzer_id=world.analyzer, channel_code=c, item_id=world.items[c]) for c in ("K", "NA"))
        uow.s.execute(text("UPDATE order_set SET tat_minutes = 30"))
        late = world.tube(uow)
        uow.s.execute(text("UPDATE open_pack SET expires_at = :at"), {"at": uow.now + timedelta(hours=5)})
    found = figures(floor)
    assert {c: f.n for c, f in found.items() if f.n} == {
        Code.QC_OUT: 1,
        Code.CALIBRATION: 1,
        Code.REAGENT: 1,
        Code.FAULT: 1,
        Code.CRITICAL: 1,
        Code.WAITING: before + 2,
        Code.LATE: 1,
        Code.STOP: 1,
        Code.TICKET: 1,
    }, found
    assert held and late
    assert found[Code.QC_OUT].names == ("项目K（生化仪一号）质控失控",)
    assert "项目NA校准将到期" in found[Code.CALIBRATION].names[0] and "2 项 L1 在机将到期" in found[Code.REAGENT].names[0]
    assert "项目K 6.8" in found[Code.CRITICAL].names[0] and found[Code.TICKET].names[0].endswith("扫码枪坏")
    page = lab.client("senior").get(URL).text
    for f in found.values():
        assert f'href="{f.url.replace("&", "&amp;")}"' in page
    tester = lab.client("tester")
    assert "质控失控" in tester.get("/qc/today?section=CHEM").text and "项目K" in tester.get("/critical/board?section=CHEM").text
    assert tester.get("/bench/CHEM?show=late").text.count('<tr id="t') == 1
    assert tester.get("/bench/CHEM?show=held").text.count('<tr id="t') == 0
    assert "扫码枪坏" in tester.get("/desk?section=CHEM").text


def test_what_is_open_is_named_in_the_readers_language() -> None:
    """The names on the screen are sentences that can be said again; the note keeps them in Chinese."""
    assert all(isinstance(each, Said) for each in (*queries.CALIBRATION.values(), *queries.PACK.values()))
    found = figure(Code.LINK, [say("{name} {state}", name="血球仪", state=word("离线"))], "/edge/board")
    assert json.dumps(found.to_json(), ensure_ascii=False).count("血球仪 离线") == 1
    (name,) = found.names
    assert (
        isinstance(name, Said)
        and name.in_words_of({"{name} {state}": "{name}: {state}", "离线": "offline"}.__getitem__) == "血球仪: offline"
    )
