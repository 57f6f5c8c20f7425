"""Readings are the library's own, for every phrase and every character it knows; and its dictionaries are not loaded."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from cloud.pinyin import first_letters, syllables


def test_readings_are_the_librarys() -> None:
    from pypinyin import Style, lazy_pinyin
    from pypinyin.constants import PHRASES_DICT, PINYIN_DICT

    dice = random.Random(7)
    phrases, characters = list(PHRASES_DICT), [chr(n) for n in PINYIN_DICT]
    common = [c for c in characters if "\u4e00" <= c <= "\u9fa5"]
    asked = dice.sample(phrases, 80) + dice.sample(characters, 80)
    # Names: two to four characters, and two phrases side by side or cut, where only looking for the longest tells what belongs together.
    asked += ["".join(dice.choices(common, k=dice.randint(2, 4))) for _ in range(80)]
    asked += [dice.choice(phrases) + dice.choice(phrases)[: dice.randint(1, 3)] for _ in range(80)]
    wrong = {text: (got, lazy_pinyin(text)) for text in asked if (got := syllables(text)) != lazy_pinyin(text)}
    assert wrong == {}
    assert [first_letters(text) for text in asked] == [lazy_pinyin(text, style=Style.FIRST_LETTER) for text in asked]


@pytest.mark.parametrize(
    "text", ["", "张三", "单雄信", "曾A1 女士", "欧阳·买买提", "Ms. Li", "吕", "\ue863\ue000", "𠮷野", "重庆", "嗯呣", "诶"]
)
def test_whatever_stands_in_a_name(text: str) -> None:
    from pypinyin import lazy_pinyin

    assert syllables(text) == lazy_pinyin(text)


def test_the_dictionaries_are_not_loaded() -> None:
    code = (
        "import sys; from cloud.pinyin import syllables; assert syllables('张三') == ['zhang', 'san']; assert 'pypinyin' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
