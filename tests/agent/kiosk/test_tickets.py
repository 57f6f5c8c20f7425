"""Numbers a kiosk gives by itself, the paper they stand on, and the bytes for printer and PDF."""

from datetime import UTC, datetime, timedelta
from typing import Any

import barcode
import pypdfium2
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from agent.kiosk import code128, tickets
from agent.kiosk.pdf import ticket_pdf
from agent.kiosk.printer import PrintFailed, escpos, send
from agent.kiosk.tickets import Book, Paper
from common import ids

AT = datetime(2026, 11, 22, 0, 30, tzinfo=UTC)
TODAY = "2026-11-22"


def book(*blocks: tuple[int, int]) -> Book:
    return Book("甲医院（虚构）", 1, {TODAY: blocks})


def test_numbers_come_in_order_across_blocks_and_end() -> None:
    here, given = book((800, 801), (860, 860)), []
    for n in range(4):
        here, ticket, repeated = tickets.take(here, f"C{n}", f"k{n}", AT)
        given.append(None if ticket is None else ticket.number)
        assert not repeated
    assert given == [800, 801, 860, None]
    assert here.left(AT.date()) == 0


def test_the_same_card_gets_the_same_ticket() -> None:
    here, first, _ = tickets.take(book((800, 810)), "c-1", "k1", AT)
    again, second, repeated = tickets.take(here, " Ｃ-1 ", "k2", AT + timedelta(hours=1))
    assert first == second and repeated and again == here


def test_a_new_day_has_its_own_numbers() -> None:
    tomorrow = AT + timedelta(days=1)
    here = Book("甲", 1, {TODAY: ((800, 800),), "2026-11-23": ((900, 905),)})
    here, _, _ = tickets.take(here, "C1", "k1", AT)
    here, ticket, repeated = tickets.take(here, "C1", "k2", tomorrow)
    assert ticket is not None and ticket.number == 900 and not repeated


def test_the_card_itself_is_not_kept() -> None:
    here, _, _ = tickets.take(book((800, 810)), "6222020200112230", "k1", AT)
    assert "6222020200112230" not in here.to_json()


def test_a_clock_that_jumps_back_gives_no_number_twice() -> None:
    here, seen = book((800, 810)), []
    for n, minutes in enumerate((0, 30, -120, 5)):
        here, ticket, _ = tickets.take(here, f"C{n}", f"k{n}", AT + timedelta(minutes=minutes))
        assert ticket is not None
        seen.append(ticket.number)
    assert seen == [800, 801, 802, 803]


def test_a_lease_adds_blocks_and_forgets_old_days() -> None:
    here, _, _ = tickets.take(book((800, 849)), "C1", "k1", AT)
    answer: dict[str, Any] = {"hospital": "甲", "site": 2, "days": {TODAY: [[800, 849], [900, 949]], "2026-11-23": [[800, 849]]}}
    more = tickets.leased(here, answer, AT.date())
    assert more.days[TODAY] == ((800, 849), (900, 949)) and more.left(AT.date()) == 99 and more.site == 2
    later = tickets.leased(more, {**answer, "days": {"2026-11-24": [[800, 810]]}}, (AT + timedelta(days=1)).date())
    assert set(later.days) == {"2026-11-23", "2026-11-24"} and not later.given and not later.used


def test_a_lease_in_another_order_never_moves_numbers_in_use() -> None:
    here, first, _ = tickets.take(book((900, 905)), "C1", "k1", AT)
    more = tickets.leased(here, {"hospital": "甲", "site": 1, "days": {TODAY: [[800, 805], [900, 905]]}}, AT.date())
    _, second, _ = tickets.take(more, "C2", "k2", AT)
    assert first is not None and second is not None and (first.number, second.number) == (900, 901)


CARDS = st.lists(st.integers(1, 12), max_size=30)


@given(CARDS, st.lists(st.booleans(), min_size=30, max_size=30))
def test_no_number_twice_whatever_happens(cards: list[int], restarts: list[bool]) -> None:
    here, by_card = book((800, 804), (860, 863)), {}
    for n, card in enumerate(cards):
        if restarts[n]:
            here = tickets.from_json(here.to_json())
        here, ticket, repeated = tickets.take(here, f"C{card}", f"k{n}", AT)
        assert repeated is (card in by_card)
        if ticket is not None:
            assert by_card.setdefault(card, ticket) == ticket
    numbers = [t.number for t in by_card.values()]
    assert len(set(numbers)) == len(numbers) == min(9, len(set(cards)))


def test_nothing_kept_is_an_empty_book() -> None:
    assert tickets.from_json(None) == Book() and Book().left(AT.date()) == 0


# --- paper -------------------------------------------------------------------------------------------------------------------------------


def paper(**more: Any) -> Paper:
    return Paper(
        **{"hospital": "甲医院（虚构）", "number": "N001", "code": ids.ticket_code(1, AT.date(), "N", 1), "at": AT, "hall": "1F", **more}
    )


def test_an_offline_ticket_says_so_and_carries_our_code() -> None:
    here, given, _ = tickets.take(book((800, 810)), "C1", "k1", AT)
    assert given is not None
    made = tickets.offline_paper(here, given, "1F")
    assert made.number == "N800" and any("【离线】" in line for line in made.lines())
    scan = ids.recognise(made.code)
    assert scan.kind is ids.CodeKind.TICKET and scan.ok
    assert not any("【离线】" in line for line in paper().lines())


def test_nothing_is_said_about_the_line_that_nobody_knows() -> None:
    assert not any("前面" in line for line in paper(ahead=None).lines())
    assert any("前面还有 0 人" in line for line in paper(ahead=0).lines())
    assert any("约 5–10 分钟" in line for line in paper(ahead=3, eta=(5, 10)).lines())


@pytest.mark.parametrize("text", ["126326000422", "Q126326N08001", "ABC", "A1234", "12345", "Q1", "AB12C3456DE", "~ !", "00", "1"])
def test_bars_are_those_of_the_standard(text: str) -> None:
    """python-barcode may choose other code sets, so the check is a reader's."""
    import numpy as np

    bars = np.array([False] * 12 + code128.modules(text) + [False] * 12)
    picture = np.where(np.repeat(np.tile(bars, (60, 1)), 3, axis=1), 0, 255).astype(np.uint8)
    assert [found.text for found in zxingcpp.read_barcodes(picture)] == [text]


def test_bars_of_plain_letters_equal_another_maker() -> None:
    other = barcode.get("code128", "HELLO").build()[0]
    assert "".join("1" if dark else "0" for dark in code128.modules("HELLO")) == other


@pytest.mark.parametrize("text", ["", "中", "A\n"])
def test_what_code_128_cannot_carry(text: str) -> None:
    with pytest.raises(ValueError):
        code128.modules(text)


def test_the_pdf_reads_back() -> None:
    made = paper(name="欧*𠮷", ahead=12, eta=(5, 10), offline=True)
    page = pypdfium2.PdfDocument(ticket_pdf(made))[0]
    assert round(page.get_width() / 72 * 25.4) == 80
    assert [found.text for found in zxingcpp.read_barcodes(page.render(scale=4).to_pil())] == [made.code]
    text = page.get_textpage().get_text_range()
    assert "N001" in text and "甲医院（虚构）" in text and "前面还有 12 人" in text and "𠮷" in text


def test_escpos_has_the_number_the_bars_and_a_cut() -> None:
    made = paper(name="张*伟", offline=True)
    data = escpos(made)
    assert data.startswith(b"\x1b@") and data.endswith(b"\x1dVB\x00")
    assert b"N001" in data and "【离线】".encode("gb18030") in data and "张*伟".encode("gb18030") in data
    at = data.index(b"\x1dkI")
    length = data[at + 3]
    assert data[at + 4 : at + 4 + length] == b"{B" + made.code.encode()


def test_printers(tmp_path: Any) -> None:
    assert send(b"x", None) is False and send(b"x", {"type": "none"}) is False
    assert send(b"one", {"type": "file", "folder": str(tmp_path)}) and send(b"two", {"type": "file", "folder": str(tmp_path)})
    assert sorted(each.read_bytes() for each in tmp_path.iterdir()) == [b"one", b"two"]
    with pytest.raises(PrintFailed):
        send(b"x", {"type": "tcp", "host": "127.0.0.1", "port": 1})
