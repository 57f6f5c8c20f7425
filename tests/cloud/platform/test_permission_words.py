"""Rights are told in words, in the reader's language, with their code beside."""

from __future__ import annotations

from cloud.modules.platform import permission_words as words
from tests.support.database import TestDatabase
from tests.support.lab import Clock, all_permissions, make


def test_every_permission_has_its_words_in_both_languages_and_no_word_names_two() -> None:
    assert all_permissions().keys() == words.PERMISSIONS.keys()
    assert {code.split(":")[0] for code in words.PERMISSIONS} == words.AREAS.keys()
    for table in (words.AREAS, words.PERMISSIONS):
        for language in (0, 1):
            said = [both[language] for both in table.values()]
            assert all(said) and len(set(said)) == len(said)
        assert [code for code, (_, english) in table.items() if not english.isascii()] == []


def test_a_permission_of_another_release_is_told_by_its_code() -> None:
    assert words.word("future:fly", english=False) == "future:fly"
    assert [(a.word, a.permissions) for a in words.by_area(["qc:read", "future:fly", "qc:close"], english=True)] == [
        ("future", (("future:fly", "future:fly"),)),
        ("Internal QC", (("qc:close", "close out-of-control work, sign the month"), ("qc:read", "see QC"))),
    ]


def test_the_pages_say_what_a_right_allows(fresh_db: TestDatabase) -> None:
    lab = make(fresh_db, Clock())
    tester, secadmin = lab.client("tester"), lab.client("secadmin")
    user = f"/admin/users/{lab.users[(lab.a, 'tester')]}"
    for client, url in ((tester, "/me"), (secadmin, "/admin/roles"), (secadmin, user)):
        assert "录入、选用结果" in client.get(url).text and "results:enter" in client.get(url).text, url
    for client in (tester, secadmin):
        client.post("/lang/en")
    for client, url in ((tester, "/me"), (secadmin, "/admin/roles"), (secadmin, user)):
        page = client.get(url).text
        assert "enter and choose results" in page and "录入、选用结果" not in page, url
    lab.db.dispose()
