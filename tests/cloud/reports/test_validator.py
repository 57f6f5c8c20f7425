"""The template validator: the standard template passes, and each removed element is named."""

from __future__ import annotations

import re

import pytest

from cloud.reports.documents import Paper
from cloud.reports.renderer import TEMPLATES, Renderer
from cloud.reports.validator import _ELEMENTS, _ROW_ELEMENTS, missing_elements, probes, require_valid
from common.errors import UserError

STANDARD = (TEMPLATES / "report.typ").read_text(encoding="utf-8")
A5 = list(probes([Paper.A5_LANDSCAPE]))
SHORT = A5[:1]  # one page, everything on it

# What a hospital might take out of the template, and what the validator must then miss: (text, replacement, element).
FIELDS = [
    (name, f"d.{name}", '""')
    for name in (
        *("hospital", "lab", "title", "patient_name", "sex", "age", "patient_no", "department", "doctor", "bed", "diagnosis", "barcode"),
        *("specimen_type", "sample_no", "collected_at", "received_at", "reported_at", "specimen_note", "tester", "verifier"),
        *("signature_note", "auto_word", "referral_lab", "mutual_recognition_scope", "accreditation_no", "kind_word", "placeholder_notice"),
        "report_no",
    )
]
OTHERS = [
    *((name, f"d.words.{name}", '""') for name in ("amended", "statement", "end", "recognised", "accredited", "referral")),
    ("original_reported_at", "d.amendment.original_reported_at", '""'),
    ("reason", "d.amendment.reason", '""'),
    ("changes", "修改项：#item", "修改项："),
    ("before", "#before →", "→"),
    ("after", 'text(weight: "bold", after)', '""'),
    ("comments", "#comment]", "]"),
    ("name", "name: row.name +", 'name: "" +'),
    ("result", 'text(weight: "bold", row.result)', '""'),
    ("unit", "for (style, part) in row.unit", "for (style, part) in ()"),
    ("interval", ", row.interval)", ', "")'),
    ("mark", ", row.mark)", ', "")'),
    ("method", ", row.method)", ', "")'),
    ("group", ", row.group)", ', "")'),
    ("page", "page-of()", '""'),
]


def test_the_standard_template_may_be_published_on_every_paper(renderer: Renderer) -> None:
    assert missing_elements(STANDARD, renderer) == []


@pytest.mark.parametrize(("element", "text", "replacement"), FIELDS + OTHERS, ids=[each[0] for each in FIELDS + OTHERS])
def test_each_removed_element_is_named(renderer: Renderer, element: str, text: str, replacement: str) -> None:
    assert text in STANDARD
    changed = _without(text, replacement)
    found = [missing.element for missing in missing_elements(changed, renderer, SHORT)]
    assert element in found
    assert "error" not in found


def test_the_probe_of_the_removals_finds_nothing_in_the_standard_template(renderer: Renderer) -> None:
    assert missing_elements(STANDARD, renderer, SHORT) == []


def test_the_list_above_covers_every_requirement() -> None:
    assert {element for element, _, _ in FIELDS + OTHERS} == {*_ELEMENTS, *_ROW_ELEMENTS, "report_no", "page"}


def test_no_probe_value_hides_in_another() -> None:
    values = {name: value for name, (_, value) in _ELEMENTS.items()}
    hiding = [(one, other) for one in values for other in values if one != other and values[one] in values[other]]
    assert hiding == []


def test_an_element_that_stands_on_the_first_page_only_is_missed_on_the_second(renderer: Renderer) -> None:
    first_only = STANDARD.replace("[#d.report_no#h(1em)#page-of()]", "context if here().page() == 1 [#d.report_no#h(1em)#page-of()]")
    assert first_only != STANDARD
    first_only = first_only.replace('field("报告编号", d.report_no)', 'context if here().page() == 1 { field("报告编号", d.report_no) }')
    found = missing_elements(first_only, renderer, A5)
    assert {missing.element for missing in found} == {"report_no", "page"}
    assert all("第 2 页" in missing.message for missing in found)


def test_an_element_that_is_hidden_is_missing(renderer: Renderer) -> None:
    hidden = STANDARD.replace('field("性别", d.sex)', 'hide(field("性别", d.sex))')
    assert [missing.element for missing in missing_elements(hidden, renderer, A5)] == ["sex"]


def test_a_column_missing_on_one_paper_is_named_with_the_paper(renderer: Renderer) -> None:
    portrait = STANDARD.replace('(key: "unit", title: "单位", width: 19mm, align: left), ', "")
    assert portrait != STANDARD
    found = missing_elements(portrait, renderer, probes([Paper.A5_LANDSCAPE, Paper.A5_PORTRAIT]))
    assert [missing.element for missing in found] == ["unit"] and "a5-portrait" in found[0].message


def test_refusing_lists_all_that_is_missing(renderer: Renderer) -> None:
    with pytest.raises(UserError) as caught:
        require_valid(STANDARD.replace("d.tester,", '"",').replace("d.verifier +", '"" +'), renderer)
    assert caught.value.fields["elements"] == ["tester", "verifier"]
    assert "检验者" in str(caught.value) and "审核者" in str(caught.value)


@pytest.mark.parametrize("template", ["", "#let", '#import "lib.typ": *\n#d.nothing'])
def test_a_template_that_does_not_compile_or_shows_nothing_is_refused(renderer: Renderer, template: str) -> None:
    assert missing_elements(template, renderer, A5)


def test_packages_from_the_network_are_refused(renderer: Renderer) -> None:
    found = missing_elements('#import "@preview/cetz:0.3.4": *\n' + STANDARD, renderer, A5)
    assert [missing.element for missing in found] == ["package"]


def _without(text: str, replacement: str) -> str:
    """The standard template without a value; where the value was a condition or a title, those keep standing."""
    if text.startswith("d."):
        return re.sub(rf"{re.escape(text)}(?![a-z_])(?! *[!=]=)", replacement, STANDARD)
    return STANDARD.replace(text, replacement)
