"""Whom and what a scan or a typed word finds: patients, requests, tubes."""

from sqlalchemy import text

from cloud.modules.specimens import service
from cloud.modules.specimens.rules import Finding
from tests.cloud.specimens.test_service import act, collected, ordered, receive
from tests.support.hospital import Hospital


def test_a_patient_is_found_by_whatever_is_scanned(hospital: Hospital) -> None:
    order = ordered(hospital, "1001", card="C-778899", visit_no="MZ-1")
    (document,), _ = act(hospital, lambda u: service.print_labels(u, order.patient_id, order.item_ids, ["name", "birth"]))
    for code in ("P100", "c-778899", "MZ-1", document.barcode):
        found = act(hospital, lambda u, c=code: service.find_person(u, c))
        assert found is not None and found.id == order.patient_id, code
    for code in ("", "nobody", "126326000422"):
        assert act(hospital, lambda u, c=code: service.find_person(u, c)) is None


def test_a_patient_is_found_by_the_request_form_but_never_in_the_place_of_a_person(hospital: Hospital) -> None:
    order = ordered(hospital, "1001")
    asked = act(hospital, lambda u: u.s.scalars(text("SELECT placer_no FROM lab_order")).one())
    for code in (asked, f" {asked.lower()} "):
        found = act(hospital, lambda u, c=code: service.find_person(u, c))
        assert found is not None and found.id == order.patient_id, code
    # Somebody else's own number is that person's, whatever request carries the same digits.
    other = ordered(hospital, "1001", patient_no=asked, name="王芳")
    found = act(hospital, lambda u: service.find_person(u, asked))
    assert found is not None and found.id == other.patient_id


def test_a_request_number_of_two_systems_names_nobody(hospital: Hospital) -> None:
    ordered(hospital, "1001")
    other = ordered(hospital, "1001", patient_no="P200", name="王芳")
    first = act(hospital, lambda u: u.s.scalars(text("SELECT placer_no FROM lab_order ORDER BY id")).first())
    same = text("UPDATE lab_order SET placer_no = :n, source = 'OTHER' WHERE patient_id = :p")
    act(hospital, lambda u: u.s.execute(same, {"n": first, "p": other.patient_id}))
    assert act(hospital, lambda u: service.find_person(u, first)) is None


def test_a_card_numbered_in_small_letters_is_found_as_well(hospital: Hospital) -> None:
    order = ordered(hospital, "1001", card="w0x0")
    found = act(hospital, lambda u: service.find_person(u, " w0x0 "))
    assert found is not None and found.id == order.patient_id


def test_a_card_without_a_prefix_of_its_own_is_told_from_an_unknown_tube(hospital: Hospital) -> None:
    ordered(hospital, "1001", card="6299000008115")
    for code, finding in (("6299000008115", Finding.WRONG_KIND), ("P100", Finding.WRONG_KIND), ("6299000008116", Finding.UNKNOWN)):
        answer = receive(hospital, code)
        assert answer.finding is finding, code
    assert "不是标本条码" in receive(hospital, "P100").text


def test_a_tube_is_found_by_barcode_number_name_or_card(hospital: Hospital) -> None:
    (code,) = collected(hospital, "1002", card="C-778899")
    receive(hospital, code)
    for text_ in (code, "C0001", "P100", "张小伟", "C-778899"):
        assert [t.barcode for t in act(hospital, lambda u, t=text_: service.find(u, t))] == [code], text_
    assert act(hospital, lambda u: service.find(u, "不存在")) == []
