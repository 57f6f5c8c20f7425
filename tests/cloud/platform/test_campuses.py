"""Campuses, where a role counts, and which modules a hospital's edition has (M01)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import openpyxl
import pytest
from sqlalchemy import text

from cloud import admin, jobs
from cloud.db.session import UnitOfWork
from cloud.modules.catalog.models import Section
from cloud.modules.platform import rules
from cloud.modules.platform.rules import NOWHERE, Places, Scope
from cloud.modules.registry import MODULES
from common.errors import UserError
from tests.cloud.bench.world import World, build
from tests.cloud.reports.test_pages import reviewed
from tests.support import lab as labs
from tests.support.database import TestDatabase
from tests.support.lab import Client, Lab

NONE: frozenset[str] = frozenset()


def at(sections: str = "", wards: str = "") -> Places:
    return Places(frozenset(sections.split()), frozenset(wards.split()))


@pytest.mark.parametrize(
    ("scope", "own", "campus", "found"),
    [
        (Scope.TENANT, at(), None, at()),
        (Scope.TENANT, at("HEM"), at("CHEM"), at("HEM")),
        (Scope.CAMPUS, at(), at("HEM CHEM", "w1"), at("HEM CHEM", "w1")),
        (Scope.CAMPUS, at("CHEM IMM", "w2"), at("HEM CHEM", "w1 w2"), at("CHEM", "w2")),
        (Scope.CAMPUS, at("IMM"), at("HEM CHEM"), at(NOWHERE, NOWHERE)),  # nothing in common is nothing, and not everything
        (Scope.CAMPUS, at(), at("HEM"), at("HEM", NOWHERE)),
        (Scope.CAMPUS, at(), at(), None),
        (Scope.CAMPUS, at(), None, None),  # closed
        (Scope.SECTION, at("HEM"), None, at("HEM")),
        (Scope.SECTION, at(), None, None),
        (Scope.OWN, at("", "w1"), None, at(NOWHERE, "w1")),
        (Scope.OWN, at("HEM"), None, None),
    ],
)
def test_where_a_role_counts(scope: Scope, own: Places, campus: Places | None, found: Places | None) -> None:
    assert rules.places(scope, own, campus) == found


def test_several_grants_reach_what_any_of_them_reaches() -> None:
    assert rules.together([at("HEM", "w1"), at("CHEM", "w2")]) == at("HEM CHEM", "w1 w2")
    assert rules.together([at("HEM", "w1"), at("", "w2")]) == at("", "w1 w2")
    assert rules.together([at(NOWHERE, NOWHERE), at("HEM", "w1")]).sections == {NOWHERE, "HEM"}


@pytest.mark.parametrize(
    ("code", "name", "sections", "good"),
    [
        ("EAST", "东院区", ["HEM"], True),
        ("EAST", "东院区", [], True),
        ("", "东院区", [], False),
        ("east", "东院区", [], False),
        ("A" * 11, "东院区", [], False),
        ("EAST", "", [], False),
        ("EAST", "东院区", ["XX"], False),
        ("EAST", "东院区", ["CHEM"], False),  # at another campus
    ],
)
def test_what_a_campus_may_be(code: str, name: str, sections: list[str], good: bool) -> None:
    assert (rules.campus_problem(code, name, sections, ["HEM", "CHEM"], {"CHEM": "西院区"}) is None) is good


@pytest.fixture
def world(fresh_db: TestDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lab = labs.make(fresh_db, data_dir=str(tmp_path_factory.mktemp("files")))
    made = build(lab)  # one section, CHEM; here another beside it
    with lab.uow() as uow:
        uow.s.add(Section(code="HEM", name="血液组"))
    yield made
    lab.db.dispose()


def campus(lab: Lab, code: str, *sections: str, wards: str = "") -> int:
    form = {"code": code, "name": f"{code}院区", "section": list(sections), "wards": wards}
    assert lab.client("sysadmin").post("/admin/campuses", form).status_code == 303
    with lab.uow() as uow:
        return int(uow.s.execute(text("SELECT id FROM campus WHERE code = :c"), {"c": code}).scalar_one())


def give(lab: Lab, who: str, scopes: dict[str, str], **more: Any) -> int:
    user = lab.users[(lab.a, who)]
    with lab.uow() as uow:
        version = uow.s.execute(text("SELECT version FROM app_user WHERE id = :u"), {"u": user}).scalar_one()
    form = {"version": version, "name": who, "role": list(scopes), **{f"scope.{k}": v for k, v in scopes.items()}, **more}
    return lab.client("secadmin").post(f"/admin/users/{user}", form).status_code


def release(client: Client, section: str, report: int) -> int:
    return client.post(f"/review/{section}/release", {"id": report}, htmx=True).status_code


def test_a_right_given_for_one_campus_counts_nowhere_else(world: World) -> None:
    lab = world.lab
    report, verifier = reviewed(world), lab.client("verifier")
    lab.sign(verifier)
    campus(lab, "WEST", "CHEM")
    campus(lab, "EAST", "HEM")
    assert give(lab, "verifier", {"verifier": "campus:EAST"}) == 200
    assert verifier.get("/review/CHEM").status_code == 404 and verifier.get("/review/HEM").status_code == 200
    assert verifier.get("/bench/CHEM").status_code == 404
    assert release(verifier, "CHEM", report) == 404
    assert release(verifier, "HEM", report) >= 400  # by the address of the own section, another's report
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT state FROM report WHERE id = :r"), {"r": report}).scalar_one() == "tested"
    assert give(lab, "verifier", {"verifier": "campus:WEST"}) == 200
    assert release(verifier, "CHEM", report) == 200
    assert "（WEST院区）" in lab.client("secadmin").get(f"/admin/users/{lab.users[(lab.a, 'verifier')]}").text


def test_no_result_is_written_and_no_report_changed_from_another_campus(world: World) -> None:
    """By any address: of the test itself, or of an own section with another's tube, report or worklist."""
    lab = world.lab
    report, who = reviewed(world), lab.client("verifier")
    lab.sign(who)
    with lab.uow() as uow:
        test, tube = uow.s.execute(text("SELECT id, specimen_id FROM test ORDER BY id LIMIT 1")).one()
        before = state(uow)
    campus(lab, "WEST", "CHEM")
    campus(lab, "EAST", "HEM")
    assert give(lab, "verifier", {"senior": "campus:EAST", "leader": "campus:EAST"}) == 200
    value = {f"v-{test}": "9.9", f"n-{test}": "1", "value": "9.9", "version": "1", "sure": "1", "reason": "改", "test": str(test)}
    for address, form in (
        *((f"/bench/test/{test}/{verb}", value) for verb in ("enter", "none", "choose", "dismiss")),
        *((f"/bench/HEM/tube/{tube}/{verb}", value) for verb in ("values", "diff", "rerun", "choose", "accept", "review", "part")),
        *((f"/review/report/{report}/{verb}", {"reason": "退回"}) for verb in ("back", "cocheck")),
    ):
        answer = who.post(address, form, htmx=True)
        assert answer.status_code in (403, 404), (address, answer.status_code, answer.text)
    who.post("/bench/entry/HEM", value, htmx=True)  # a worklist skips what is not its own
    with lab.uow() as uow:
        assert state(uow) == before
    assert give(lab, "verifier", {"verifier": "campus:WEST"}) == 200
    assert who.post(f"/review/report/{report}/back", {"reason": "退回"}, htmx=True).status_code == 204


def state(uow: UnitOfWork) -> list[Any]:
    """Everything of results and reports that a write would change."""
    tables = ("test", "result_version", "report", "follow_up", "specimen")
    return [uow.s.execute(text(f"SELECT * FROM {t} ORDER BY id")).all() for t in tables]


def test_each_page_is_judged_by_its_own_right(world: World) -> None:
    """Tester everywhere, verifier at one campus: works at the bench of both, releases at one."""
    lab = world.lab
    report, both = reviewed(world), lab.client("verifier")
    lab.sign(both)
    campus(lab, "EAST", "HEM")
    assert give(lab, "verifier", {"tester": "tenant", "verifier": "campus:EAST"}) == 200
    assert both.get("/bench/CHEM").status_code == 200 and both.get("/bench/HEM").status_code == 200
    assert release(both, "CHEM", report) == 404
    assert both.get("/me").status_code == 200


def test_a_lent_right_counts_where_the_lenders_does(world: World) -> None:
    lab = world.lab
    campus(lab, "EAST", "HEM")
    assert give(lab, "leader", {"leader": "campus:EAST"}) == 200
    lent = {"t": lab.a, "f": lab.users[(lab.a, "leader")], "to": lab.users[(lab.a, "tester")]}
    with lab.uow() as uow:
        sql = """INSERT INTO delegation (tenant_id, from_id, to_id, first, until, permissions, reason, given_at)
                 VALUES (:t, :f, :to, :a, :b, '{results:release}', '外出', :a)"""
        uow.s.execute(text(sql), lent | {"a": uow.now, "b": uow.now.replace(year=uow.now.year + 1)})
    tester, report = lab.client("tester"), reviewed(world)
    lab.sign(tester)
    assert release(tester, "CHEM", report) == 404
    assert tester.get("/bench/CHEM").status_code == 200


def test_a_role_needs_the_places_it_counts_in(lab: Lab) -> None:
    assert give(lab, "tester", {"tester": "section"}) == 422 and give(lab, "tester", {"tester": "own"}) == 422
    assert give(lab, "tester", {"tester": "campus:NONE"}) == 422 and give(lab, "tester", {"tester": "campus"}) == 422
    assert give(lab, "tester", {"tester": "everywhere"}) == 422 and give(lab, "tester", {"tester": "tenant:X"}) == 422
    assert give(lab, "tester", {"tester": "section"}, sections="HEM") == 200
    assert give(lab, "nurse", {"nurse": "own"}, wards="内科一病区") == 200
    assert lab.client("tester").get("/me").status_code == 200


def test_a_role_for_an_empty_campus_counts_nowhere_yet(world: World) -> None:
    lab = world.lab
    number, tester = campus(lab, "NEW"), lab.client("tester")
    assert give(lab, "tester", {"tester": "campus:NEW"}) == 200
    assert tester.get("/bench/CHEM").status_code == 403
    with lab.uow() as uow:
        version = uow.s.execute(text("SELECT version FROM campus")).scalar_one()
    saved = {"version": version, "name": "新院区", "section": "CHEM"}
    admin_page = lab.client("sysadmin")
    assert admin_page.post(f"/admin/campuses/{number}", saved).status_code == 303
    assert admin_page.post(f"/admin/campuses/{number}", saved).status_code == 409  # somebody saved first
    assert tester.get("/bench/CHEM").status_code == 200 and tester.get("/bench/HEM").status_code == 404


def test_campuses_are_kept_once_and_closed_only_when_nobody_needs_them(world: World) -> None:
    lab = world.lab
    page, number = lab.client("sysadmin"), campus(lab, "EAST", "HEM", wards="内科一病区、外科")
    shown = page.get("/admin/campuses").text
    assert "EAST院区" in shown and "内科一病区、外科" in shown and "完整版" in shown
    assert page.post("/admin/campuses", {"code": "east", "name": "又一个"}).status_code == 409
    taken = page.post("/admin/campuses", {"code": "WEST", "name": "西院区", "section": "HEM"})
    assert taken.status_code == 422 and "EAST院区" in taken.text
    station = {"code": "W-9", "name": "东院台"}
    assert page.post("/workstations", station | {"campus": "NONE"}).status_code == 422
    assert page.post("/workstations", station | {"campus": "EAST"}).status_code == 200
    assert page.post(f"/admin/campuses/{number}/close").status_code == 409  # a workstation stands there
    with lab.uow() as uow:
        found = uow.s.execute(text("SELECT id, campus FROM workstation WHERE code = 'W-9'")).one()
    assert found.campus == "EAST"
    assert page.post(f"/workstations/{found.id}", {"name": "东院台", "campus": ""}).status_code == 303
    assert page.post(f"/admin/campuses/{number}/close").status_code == 303
    assert page.post(f"/admin/campuses/{number}/close").status_code == 409
    assert lab.client("sysadmin", lab.b).post(f"/admin/campuses/{number}/close").status_code == 404
    assert lab.client("tester").get("/admin/campuses").status_code == 403


@pytest.mark.parametrize("edition", rules.EDITIONS)
def test_an_edition_is_whole(edition: str) -> None:
    """Nothing it has is reached by the permission of a module it lacks, and every module named exists."""
    without, names = rules.EDITIONS[edition], {m.name for m in MODULES}
    owners = {str(p): m.name for m in MODULES for p in m.permissions}
    assert without < names and not without & {"platform", "catalog", "orders", "specimens", "bench", "reports", "qc", "critical", "edge"}
    for module in MODULES:
        for item in module.menu:
            assert (module.name in without) == (owners[str(item.permission)] in without), item.url


def test_a_module_outside_the_edition_is_not_in_the_menu_and_answers_in_words(lab: Lab) -> None:
    clinician, tester = lab.client("clinician"), lab.client("tester")
    assert clinician.get("/clinic").status_code == 200 and "/bench/handover" in tester.get("/me").text
    admin.set_edition(lab.settings, "a", "basic")
    refused = clinician.get("/clinic")
    assert refused.status_code == 403 and "本院使用的版本不含“临床查询”" in refused.text
    assert tester.get("/bench/handover").status_code == 403 and "/bench/handover" not in tester.get("/me").text
    assert tester.get("/bench").status_code < 400
    assert "不含" in lab.client("sysadmin").get("/admin/campuses").text
    assert lab.client("clinician", lab.b).get("/clinic").status_code == 200  # another hospital's edition is its own
    admin.set_edition(lab.settings, "a", "full")
    assert clinician.get("/clinic").status_code == 200
    for code, to in (("a", "gold"), ("nobody", "full")):
        with pytest.raises(UserError):
            admin.set_edition(lab.settings, code, to)


def test_a_module_outside_the_edition_works_at_nothing_by_itself_either(lab: Lab) -> None:
    """Nobody there could open what its jobs tell; what only takes old things away goes on."""
    ran: list[int] = []
    job = jobs.Loaded("handover.watch", "15m", lambda uow: ran.append(uow.tenant_id), "handover")
    purge = jobs.Loaded("queue.purge_tickets", "03:25", lambda uow: ran.append(-uow.tenant_id), "queue", cleans=True)
    admin.set_edition(lab.settings, "a", "basic")
    assert jobs.run_job(lab.db, job) == 0 and jobs.run_job(lab.db, job, [lab.a]) == 0 and jobs.run_job(lab.db, purge) == 0
    assert ran == [lab.b, -lab.a, -lab.b]
    ran.clear()
    admin.set_edition(lab.settings, "a", "standard")  # it has handovers
    assert jobs.run_job(lab.db, job) == 0 and ran == [lab.a, lab.b]


def test_only_jobs_of_modules_that_an_edition_lacks_may_rest() -> None:
    """What a result, its checks and its report rest on watches in every edition."""
    lacked = frozenset().union(*rules.EDITIONS.values())
    resting = {job.name for job in jobs.all_jobs().values() if job.module in lacked and not job.cleans}
    assert resting == {"handover.watch", "servicedesk.watch"}


def test_the_right_matrix_on_file_says_where_each_role_counts(world: World) -> None:
    lab = world.lab
    campus(lab, "EAST", "HEM")
    assert give(lab, "verifier", {"verifier": "campus:EAST", "tester": "tenant"}) == 200
    assert give(lab, "tester", {"tester": "section"}, sections="HEM") == 200
    book = openpyxl.load_workbook(io.BytesIO(lab.client("secadmin").post("/admin/roles/export").data))
    told = {row[0]: str(row[5]) for row in book["人员与角色"].iter_rows(values_only=True) if row[0]}
    assert told["verifier1"] == "检验者、审核者（EAST院区）" and told["tester1"] == "检验者（本人专业组）" and told["leader1"] == "专业组长"
