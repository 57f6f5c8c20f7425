"""Rules of requests, exhaustively."""

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest

from cloud.modules.orders.messages import Action, Charge, PatientData, PatientId, Priority, Sex, VisitType, gestation_said
from cloud.modules.orders.rules import (
    BEFORE_LABEL,
    BEFORE_RECEIPT,
    ENDED,
    PATH,
    REFUND_MOVES,
    STATUS_TEXT,
    TRANSITIONS,
    CancelAnswer,
    Change,
    ItemStatus,
    Known,
    RefundState,
    SamePerson,
    ended_as,
    expired,
    first_status,
    fit_problem,
    judge_cancel,
    judge_update,
    label_problem,
    may_move,
    person_problems,
    recognises,
    same_person,
    shares_card,
    wants_cancel,
)

S = ItemStatus


def test_every_status_has_transitions_and_a_chinese_word() -> None:
    assert set(TRANSITIONS) == set(STATUS_TEXT) == set(ItemStatus)


def test_the_path_of_the_specification_is_possible_step_by_step() -> None:
    assert all(may_move(a, b) for a, b in zip(PATH, PATH[1:], strict=False))


@pytest.mark.parametrize("ended", [S.CANCELLED, S.REFUNDED])
def test_what_is_cancelled_or_refunded_stays_so(ended: ItemStatus) -> None:
    assert TRANSITIONS[ended] == frozenset()


def test_a_reported_item_is_never_cancelled_or_refunded() -> None:
    for status in (S.REPORTED, S.PARTLY_REPORTED):
        assert judge_cancel(status) is CancelAnswer.REFUSED
        assert not {S.CANCELLED, S.REFUNDED} & TRANSITIONS[status]


@pytest.mark.parametrize("status", list(ItemStatus))
def test_cancelling_is_free_until_receipt_then_asks_then_never(status: ItemStatus) -> None:
    expected = (
        CancelAnswer.ALREADY
        if status in ENDED
        else CancelAnswer.DONE
        if status in BEFORE_RECEIPT
        else CancelAnswer.REFUSED
        if status in (S.PARTLY_REPORTED, S.REPORTED)
        else CancelAnswer.PENDING
    )
    assert judge_cancel(status) is expected
    if expected is CancelAnswer.DONE:
        assert may_move(status, S.CANCELLED)
        assert may_move(status, S.REFUNDED)


@pytest.mark.parametrize("status", list(ItemStatus))
@pytest.mark.parametrize("code", [None, "CBC", "GLU"])
@pytest.mark.parametrize("charge", [None, *Charge])
def test_what_an_update_may_change(status: ItemStatus, code: str | None, charge: Charge | None) -> None:
    found = judge_update(Known(status, "CBC", Charge.UNPAID), code, charge)
    if status in ENDED:
        assert found is Change.ENDED
    elif code == "GLU" and status not in BEFORE_LABEL:
        assert found is Change.LOCKED
    elif code == "GLU" or charge not in (None, Charge.UNPAID):
        assert found is Change.APPLY
    else:
        assert found is Change.NOTHING


@pytest.mark.parametrize(
    ("charge", "kind", "priority", "status", "problem"),
    [
        (Charge.PAID, VisitType.OUTPATIENT, Priority.ROUTINE, S.CONFIRMED, None),
        (Charge.UNPAID, VisitType.OUTPATIENT, Priority.ROUTINE, S.REQUESTED, "未收费，请先缴费"),
        (Charge.UNPAID, None, Priority.ROUTINE, S.REQUESTED, "未收费，请先缴费"),
        (Charge.UNPAID, VisitType.OUTPATIENT, Priority.STAT, S.CONFIRMED, None),
        (Charge.UNPAID, VisitType.EMERGENCY, Priority.GREEN, S.CONFIRMED, None),
        (Charge.UNPAID, VisitType.EMERGENCY, Priority.ROUTINE, S.REQUESTED, "未收费，请先缴费"),
        (Charge.UNPAID, VisitType.INPATIENT, Priority.ROUTINE, S.CONFIRMED, None),
        (Charge.UNPAID, VisitType.EXAM, Priority.ROUTINE, S.CONFIRMED, None),
    ],
)
def test_who_pays_before_the_label(
    charge: Charge, kind: VisitType | None, priority: Priority, status: ItemStatus, problem: str | None
) -> None:
    assert first_status(charge, kind, priority) is status
    assert label_problem(status, charge, kind, priority, True) == problem


def test_no_label_for_what_is_unmapped_ended_or_labelled() -> None:
    def why(status: ItemStatus, charge: Charge = Charge.PAID, mapped: bool = True) -> str | None:
        return label_problem(status, charge, VisitType.INPATIENT, Priority.ROUTINE, mapped)

    assert why(S.CONFIRMED, mapped=False) == "项目未对照，请先在接口对照页对照"
    assert why(S.CANCELLED) == "项目已取消"
    assert why(S.COLLECTED) == "项目已采集，不能再打条码"
    assert why(S.CONFIRMED, Charge.REFUNDED) == "已退费"
    assert why(S.REJECTED) is None


def test_what_is_held_is_asked_about_only_while_there_is_no_label() -> None:
    for status in S:
        said = str(label_problem(status, Charge.PAID, VisitType.INPATIENT, Priority.ROUTINE, True, "用药"))
        assert ("已挂起：用药" in said) is (status in (S.REQUESTED, S.CONFIRMED, S.REJECTED)), status


def test_a_value_that_left_a_moment_ago_is_not_taken_back_whatever_its_status_says() -> None:
    for status in S:
        found = judge_cancel(status, told=True)
        assert found is (CancelAnswer.ALREADY if status in ENDED else CancelAnswer.REFUSED), status
    free = {status for status in S if judge_cancel(status) is CancelAnswer.DONE}
    assert free == {S.REQUESTED, S.CONFIRMED, S.REJECTED, S.LABELLED, S.COLLECTED}


def test_what_nobody_asks_for_holds_nothing() -> None:
    """A sex or age that is not known matters only where the item is limited by it."""
    assert fit_problem("", None, None, None, None) is None and fit_problem("", 30, None, 18, 60) is None
    assert "性别未知" in str(fit_problem("", 30, "F", None, None)) and "年龄未知" in str(fit_problem("F", None, None, None, 18))
    assert [fit_problem("F", age, None, 18, 60) is None for age in (17, 18, 59, 60)] == [False, True, True, False]


def test_a_result_of_elsewhere_counts_by_its_mark_and_within_the_interval() -> None:
    day = datetime(2026, 5, 4, tzinfo=UTC)
    assert [recognises("HR,京津冀HR", "hr ", day - timedelta(hours=h), day, 24) for h in (-1, 0, 23.9, 24)] == [False, True, True, False]
    assert not recognises("HR", "沪HR", day, day, 24) and not recognises("", "", day, day, 24)


def test_refund_is_wanted_by_control_code_or_charge_state() -> None:
    assert wants_cancel(Action.CANCEL, None)
    assert wants_cancel(Action.CHANGE, Charge.REFUNDED)
    assert not wants_cancel(Action.CHANGE, Charge.PAID)
    assert (ended_as(Charge.PAID), ended_as(Charge.UNPAID)) == (S.REFUNDED, S.CANCELLED)


def person(name: str, sex: Sex, birth: date | None) -> PatientData:
    return PatientData((PatientId("patient_no", "1"),), name, sex, birth)


BORN = date(1990, 3, 7)


@pytest.mark.parametrize(
    ("name", "sex", "birth", "shared"),
    [
        ("张三", Sex.MALE, BORN, True),
        ("张三", Sex.UNKNOWN, None, True),
        ("张三", Sex.FEMALE, BORN, False),
        ("张三", Sex.MALE, date(2015, 3, 7), False),  # the father's card in the son's hand
        ("张叁", Sex.MALE, BORN, False),
    ],
)
def test_a_shared_card_makes_one_person_only_where_nothing_is_against_it(name: str, sex: Sex, birth: date | None, shared: bool) -> None:
    assert shares_card("张三", "M", BORN, person(name, sex, birth)) is shared


@pytest.mark.parametrize(
    ("name", "sex", "birth", "expected"),
    [
        ("张三", Sex.MALE, BORN, SamePerson.YES),
        ("张三", Sex.FEMALE, date(2000, 1, 1), SamePerson.YES),
        ("张叁", Sex.MALE, BORN, SamePerson.RENAMED),
        ("张叁", Sex.UNKNOWN, None, SamePerson.RENAMED),
        ("李四", Sex.FEMALE, BORN, SamePerson.NO),
        ("李四", Sex.MALE, date(2000, 1, 1), SamePerson.NO),
    ],
)
def test_one_number_two_descriptions(name: str, sex: Sex, birth: date | None, expected: SamePerson) -> None:
    assert same_person("张三", "M", BORN, person(name, sex, birth)) is expected


@pytest.mark.parametrize(("sex", "birth"), [("M", None), ("O", BORN), ("U", BORN)])
def test_what_nobody_knows_contradicts_nothing(sex: str, birth: date | None) -> None:
    given = person("张叁", Sex.MALE, BORN)
    assert same_person("张三", sex, birth, given) is SamePerson.RENAMED
    assert shares_card("张叁", sex, birth, given)
    assert same_person("张三", "F", None, person("张叁", Sex("O"), BORN)) is SamePerson.RENAMED


@pytest.mark.parametrize(
    ("birth", "flagged"),
    [(None, 0), (date(2026, 5, 6), 0), (date(2026, 5, 7), 1), (date(1877, 1, 1), 0), (date(1876, 5, 7), 0), (date(1876, 5, 6), 1)],
)
def test_odd_birthdays_are_told(birth: date | None, flagged: int) -> None:
    assert len(person_problems(person("张三", Sex.MALE, birth), date(2026, 5, 6))) == flagged


@pytest.mark.parametrize(
    ("said", "unit", "days"),
    [
        ("24", "", 168), ("24", "周", 168), ("24周", "", 168), ("孕24周", "", 168), ("24+3", "", 171), ("24＋3", "", 171),
        ("24 + 3 周", "", 171), ("24周+3天", "", 171), ("24周3天", "", 171), ("24w3d", "", 171), ("24+周", "", 168), ("24 Weeks", "", 168),
        ("171", "d", 171), ("171 天", "天", 171), ("1", "", 7), ("45+6", "", 321), ("321", "d", 321), ("7", "d", 7),
        # What nobody can be in, and what cannot be read
        ("0", "", None), ("0+6", "", None), ("6", "d", None), ("46", "", None), ("322", "d", None), ("24+7", "", None), ("171", "", None),
        ("24.5", "", None), ("早孕", "", None), ("", "", None), (None, "", None), ("+3", "", None),
    ],
)  # fmt: skip
def test_what_is_written_of_a_pregnancy(said: str | None, unit: str, days: int | None) -> None:
    assert gestation_said(said, unit) == days


@pytest.mark.parametrize("status", list(ItemStatus))
def test_a_request_nobody_collected_runs_out_after_its_days(status: ItemStatus) -> None:
    made = datetime(2026, 5, 6, 8, tzinfo=UTC)
    planned, end = made + timedelta(days=3), timedelta(days=30)
    may = status in (S.REQUESTED, S.CONFIRMED, S.LABELLED)
    for day_of, at in ((None, made), (made - timedelta(days=9), made), (planned, planned)):
        assert not expired(status, made, day_of, 30, at + end - timedelta(seconds=1))
        assert expired(status, made, day_of, 30, at + end) is may


@pytest.mark.parametrize(("state", "to"), list(product(RefundState, RefundState)))
def test_a_refund_is_decided_once(state: RefundState, to: RefundState) -> None:
    assert (to in REFUND_MOVES[state]) is (state is RefundState.WAITING and to is not RefundState.WAITING)
