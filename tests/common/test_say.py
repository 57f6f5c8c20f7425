"""Sentences that are filled again in another language."""

import json
from decimal import Decimal

import pytest

from common.say import Listed, Said, kept, said_again, say

EN = {
    "报告目前为“{state}”，不能改为“{to}”。": "The report is “{state}” and cannot become “{to}”.",
    "已发布": "released",
    "待初审": "to review",
    "缺少：{items}。": "Missing: {items}.",
    "未发布任何报告。{problems}": "Nothing was released. {problems}",
}


def english(text: str) -> str:
    return EN.get(text, text)


def test_a_sentence_is_a_chinese_text_and_remembers_its_values() -> None:
    said = say("报告目前为“{state}”，不能改为“{to}”。", state=say("已发布"), to=say("待初审"))
    assert said == "报告目前为“已发布”，不能改为“待初审”。" and isinstance(said, str)
    assert said.in_words_of(english) == "The report is “released” and cannot become “to review”."


def test_what_somebody_typed_is_never_translated_nor_read_as_a_form() -> None:
    said = say("缺少：{items}。", items=["已发布", "{state}"])
    assert said == "缺少：已发布、{state}。" and said.in_words_of(english) == "Missing: 已发布, {state}."


def test_sentences_inside_sentences() -> None:
    inner = Listed([say("缺少：{items}。", items=("钾",)), say("待初审")], "；")
    assert say("未发布任何报告。{problems}", problems=inner).in_words_of(english) == "Nothing was released. Missing: 钾.; to review"
    assert say("未发布任何报告。{problems}", problems=inner) == "未发布任何报告。缺少：钾。；待初审"


def test_a_sentence_without_values_may_hold_braces() -> None:
    assert isinstance(say("{}"), Said) and say("{}") == "{}"


def test_a_value_that_is_missing_is_a_bug() -> None:
    with pytest.raises(KeyError):
        say("{a}", b=1)


def test_a_sentence_kept_as_data_is_said_again_in_every_language() -> None:
    said = say("未发布任何报告。{problems}", problems=Listed([say("缺少：{items}。", items=["K", Decimal("1.50")]), "原文"], "；"))
    again = said_again(json.loads(json.dumps(kept(said), ensure_ascii=False)))
    assert again == said == "未发布任何报告。缺少：K、1.50。；原文"
    assert again.in_words_of(english) == said.in_words_of(english) == "Nothing was released. Missing: K, 1.50.; 原文"
    assert [said_again(kept(each)) for each in ("原文", 0, None, {"a": 1})] == ["原文", 0, None, {"a": 1}]
