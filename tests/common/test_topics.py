"""The topic grammar: both ways, and nothing that could widen an ACL."""

import pytest

from common import topics
from common.topics import Direction, TopicError


def test_topics_go_both_ways() -> None:
    text = topics.up("h1", "6a1c-77", "raw")
    assert text == "t/h1/a/6a1c-77/up/raw"
    found = topics.parse(text)
    assert (found.tenant, found.agent, found.direction, found.kind) == ("h1", "6a1c-77", Direction.UP, "raw")
    assert str(topics.parse("t/h1/a/x/down/receipt")) == "t/h1/a/x/down/receipt"


def test_filters_name_one_agent_or_all() -> None:
    assert topics.down_filter("h1", "x") == "t/h1/a/x/down/+"
    assert topics.up_filter() == "t/+/a/+/up/+"
    assert topics.client_name("h1", "x") == "h1/a/x"


@pytest.mark.parametrize("name", ["", "+", "#", "a/b", "a+", "$SYS", "医院", "a b", "a\n", "x" * 65])
def test_a_name_that_could_widen_a_topic_is_refused(name: str) -> None:
    with pytest.raises(TopicError):
        topics.up(name, "x", "raw")
    with pytest.raises(TopicError):
        topics.client_name("h1", name)


@pytest.mark.parametrize("topic", ["", "t/h1/a/x/up", "t/h1/a/x/up/raw/x", "t/h1/b/x/up/raw", "t/h1/a/x/side/raw", "t/h1/a/x/up/receipt"])
def test_a_topic_outside_the_grammar_is_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        topics.parse(topic)
