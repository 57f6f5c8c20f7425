"""Merging patients (M03 R7): asked before a second record is made, decided side by side, taken back whole; nothing moves."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.bench import queries as bench
from cloud.modules.orders import merge, queries, rules, service
from cloud.modules.orders.models import LabOrder, Patient, PatientMerge
from cloud.modules.orders.rules import MergeState
from tests.support.lab import Lab
from tests.support.orders import SOURCE, START, item, message, person, seed_catalog

FORM = {
    "patient_no": "", "name": "张三丰", "sex": "F", "birth": "1990-03-07", "phone": "", "kind": "exam", "dept": "", "doctor": "",
    "priority": "routine", "note": "", "order_set": ["CBC"],
}  # fmt: skip


@pytest.mark.parametrize("state", list(MergeState))
@pytest.mark.parametrize("to", list(MergeState))
def test_only_the_listed_steps_are_taken(state: MergeState, to: MergeState) -> None:
    problem = rules.merge_problem(state, to, "身份证核对", 2)
    assert (problem is None) == ((state, to) in {("proposed", "merged"), ("proposed", "declined"), ("merged", "undone")})


def test_a_merge_needs_two_points_of_identity_and_its_grounds() -> None:
    P, M = MergeState.PROPOSED, MergeState.MERGED
    for reason, checked, field in ((" ", 2, "reason"), ("核对", 1, "checked"), ("核对", 0, "checked")):
        found = rules.merge_problem(P, M, reason, checked)
        assert found is not None and found[0] == field
    assert rules.merge_problem(P, M, "核对", 2) is None
    assert rules.merge_problem(P, MergeState.DECLINED, "两人", 0) is None


def two(lab: Lab) -> tuple[int, int]:
    lab.clock.set(START)
    with lab.uow() as uow:
        seed_catalog(uow)
        one = service.place_order(uow, message(item("I1")), SOURCE)
    with lab.uow() as uow:
        other = service.place_order(uow, message(item("I2"), who=person("P002"), form="F2"), SOURCE)
        assert [p.text for p in other.problems] == ["可能与已有患者 P001 是同一人，已列入患者合并核对"]
    return one.patient_id, other.patient_id


def listed(uow: UnitOfWork, typed: str) -> set[str]:
    return {row.item.order_item_no for row in queries.order_list(uow, queries.Filter(text=typed))}


def open_row(lab: Lab) -> tuple[int, int]:
    with lab.uow() as uow:
        row = uow.s.scalars(select(PatientMerge).order_by(PatientMerge.id.desc()).limit(1)).one()
        return row.id, row.version


def test_a_message_that_looks_like_somebody_known_is_put_on_the_list_once(lab: Lab) -> None:
    one, other = two(lab)
    with lab.uow() as uow:
        (row,) = merge.listed(uow, True)
        assert (row.keep_no, row.other_no, row.why) == ("P001", "P002", merge.AUTO)
        merge.watch(uow)
        assert uow.s.execute(text("SELECT fields FROM alert WHERE kind = 'orders.merge' AND cleared_at IS NULL")).scalar_one() == {"n": 1}
        # Another sex, another birthday, no birthday: nobody's double.
        from tests.support.orders import Sex

        for n, who in enumerate((person("P3", sex=Sex.MALE), person("P4", birth=None))):
            assert service.place_order(uow, message(item(f"X{n}"), who=who, form=f"X{n}"), SOURCE).problems == []
        assert len(merge.listed(uow, True)) == 1
        # Two people after all: the system does not ask again.
        merge.decline(uow, row.id, 1, "双胞胎重名，身份证不同")
        assert merge.propose_like(uow, uow.s.get_one(Patient, (lab.a, other))) == ["P001"]
        assert merge.listed(uow, True) == []
        merge.watch(uow)
        assert uow.s.execute(text("SELECT count(*) FROM alert WHERE kind = 'orders.merge' AND cleared_at IS NULL")).scalar_one() == 0
    with lab.uow(lab.b) as uow:
        assert merge.listed(uow, False) == []


def test_merged_records_are_read_together_and_undone_without_a_trace_of_one_in_the_other(lab: Lab) -> None:
    one, other = two(lab)
    leader, nurse = lab.client("leader"), lab.client("nurse")
    merge_id, version = open_row(lab)
    page = leader.get(f"/patients/merge/{merge_id}").text
    assert "P001" in page and "P002" in page and "同一人吗？" in page
    assert nurse.get("/patients/merge").status_code == 403
    form = {"version": version, "keep": one, "reason": "身份证原件核对", "checked": ["name", "card"]}
    url = f"/patients/merge/{merge_id}"
    assert "两项" in leader.post(f"{url}/merge", form | {"checked": ["name"]}, htmx=True).text
    assert "依据" in leader.post(f"{url}/merge", form | {"reason": ""}, htmx=True).text
    assert leader.post(f"{url}/merge", form | {"version": 9}, htmx=True).status_code == 409
    assert leader.post(f"{url}/merge", form, htmx=True).status_code == 204
    assert leader.post(f"{url}/merge", form, htmx=True).status_code == 409
    with lab.uow() as uow:
        assert queries.people(uow, [one, other]) == {one: [one, other], other: [one, other]}
        assert {i.order_item_no for i in queries.open_items(uow, one)} == {"I1", "I2"}
        known = queries.patient_by_code(uow, "P002")
        assert known is not None and known.id == one
        # What comes for the merged number stays under it.
        later = service.place_order(uow, message(item("I3"), who=person("P002"), form="F3"), SOURCE)
        assert later.patient_id == other
        assert {i.order_item_no for i in queries.open_items(uow, one)} == {"I1", "I2", "I3"}
        # Whichever number is searched (the merged one stands on its tubes), the person and all the requests are found.
        for typed in ("P001", "P002", "张三", "zsf", "13800000000"):
            assert [p.id for p in queries.search_patients(uow, typed)] == [one], typed
            assert listed(uow, typed) == {"I1", "I2", "I3"}, typed
        owners = dict(uow.s.execute(select(LabOrder.placer_no, LabOrder.patient_id)).all())
        assert owners == {"F1": one, "F2": other, "F3": other}
        _, version = 0, uow.s.get_one(PatientMerge, (lab.a, merge_id)).version
    assert leader.post(f"{url}/undo", {"version": version, "reason": ""}, htmx=True).status_code == 422
    assert leader.post(f"{url}/undo", {"version": version, "reason": "病区来电：两人"}, htmx=True).status_code == 204
    with lab.uow() as uow:
        assert {i.order_item_no for i in queries.open_items(uow, one)} == {"I1"}
        assert {i.order_item_no for i in queries.open_items(uow, other)} == {"I2", "I3"}
        assert [p.id for p in queries.search_patients(uow, "P002")] == [other]
        assert (listed(uow, "P001"), listed(uow, "P002")) == ({"I1"}, {"I2", "I3"})
        acts = list(uow.s.execute(text("SELECT action FROM audit_log WHERE entity = 'patient_merge' ORDER BY seq")).scalars())
        assert acts == ["proposed", "merged", "undone"]
    shown = leader.get("/patients/merge?done=1").text
    assert "已撤销合并" in shown and "病区来电：两人" in leader.get(url).text
    english = lab.client("leader")
    english.post("/lang/en")
    assert "The same person?" in english.get(url).text and "Merge undone" in english.get("/patients/merge?done=1").text


def test_a_record_merged_along_goes_back_where_it_was(lab: Lab) -> None:
    one, other = two(lab)
    with lab.uow() as uow:
        third = service.place_order(uow, message(item("I9"), who=person("P9", "张三风"), form="F9"), SOURCE).patient_id

        def join(keep: int, into: int) -> PatientMerge:
            row = merge.propose(uow, keep, into, "病区来电")
            uow.s.flush()
            merge.merge(uow, row.id, row.version, keep, "核对", ["name", "card"])
            uow.s.flush()
            return row

        first = join(other, third)
        second = join(one, other)
        assert queries.person_ids(uow, third) == [one, other, third]
        with pytest.raises(Exception, match="先撤销后来的"):
            merge.undo(uow, first.id, first.version, "错")
        merge.undo(uow, second.id, second.version, "错")
        uow.s.flush()
        uow.s.expire_all()
        assert queries.person_ids(uow, third) == [other, third] and queries.person_ids(uow, one) == [one]
        merge.undo(uow, first.id, first.version, "错")
        uow.s.flush()
        assert queries.person_ids(uow, third) == [third]
        assert bench.history(uow, one, [1], 3) == {}


def test_a_second_record_is_asked_about_before_it_is_made(lab: Lab) -> None:
    two(lab)
    desk = lab.client("receiver")
    look = "/patients/like?" + "&".join(f"{k}={v}" for k, v in (("name", "张三丰"), ("birth", "1990-03-07"), ("sex", "F")))
    told = desk.fragment(look).text
    assert 'data-fill-value="P001"' in told and "确为另一人" in told
    assert desk.fragment(look + "&patient_no=P001").text.strip() == "" and desk.fragment(look.replace("1990", "19x0")).text.strip() == ""
    form: dict[str, Any] = FORM | {"key": uuid.uuid4().hex}
    refused = desk.post("/orders/manual", form, htmx=True)
    assert refused.status_code == 409 and "P001" in refused.text and "确为另一人" in refused.text
    with lab.uow() as uow:
        before = uow.s.execute(text("SELECT count(*) FROM patient")).scalar_one()
    assert desk.post("/orders/manual", form | {"patient_no": "P001"}, htmx=True).status_code == 204
    assert desk.post("/orders/manual", FORM | {"key": uuid.uuid4().hex, "other_person": "1"}, htmx=True).status_code == 204
    with lab.uow() as uow:
        assert uow.s.execute(text("SELECT count(*) FROM patient")).scalar_one() == before + 1
        assert lab.clock() - START < timedelta(minutes=1)


def test_what_neither_record_has_is_not_called_the_same(lab: Lab) -> None:
    two(lab)
    leader, (merge_id, _) = lab.client("leader"), open_row(lab)

    def line(label: str) -> str:
        return leader.get(f"/patients/merge/{merge_id}").text.split(f"<th>{label}</th>")[1].split("</tr>")[0]

    with lab.uow() as uow:
        uow.s.execute(text("UPDATE patient SET phone = NULL, phone_key = NULL, phone_sealed = NULL"))
    assert "＝" in line("姓名") and "＝" not in line("电话") and "≠" not in line("电话")
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE patient SET phone = '13800000000'"))
    assert "＝" in line("电话")


def test_who_merges_is_told_that_each_record_is_judged_by_its_own_sex_and_birthday(lab: Lab) -> None:
    """Nothing moves: the other record's tubes keep their interval, so a wrong registration has to be corrected, not merged away."""
    two(lab)
    leader, said = lab.client("leader"), "各按自己登记的性别和出生日期判断"
    merge_id, version = open_row(lab)
    url = f"/patients/merge/{merge_id}"
    assert said not in leader.get(url).text
    with lab.uow() as uow:
        uow.s.execute(text("UPDATE patient SET sex = 'U' WHERE patient_no = 'P002'"))
        keep = uow.s.scalars(select(Patient.id).where(Patient.patient_no == "P001")).one()
    assert said in leader.get(url).text
    form = {"version": version, "keep": keep, "reason": "身份证原件核对", "checked": ["name", "card"]}
    assert leader.post(f"{url}/merge", form, htmx=True).status_code == 204
    assert said in leader.get(url).text
