"""The link layer as conversations: LIS01-A2 section 6, and what bad wires do to it."""

from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.protocol.astm import link as core
from common.protocol.astm.effects import Effect, MessageDone, Notice, Persist, Problem, SendFailed, Sent, SessionStart, StartTimer, Write
from common.protocol.astm.framing import build_frames
from common.protocol.astm.link import Link, Role
from common.protocol.astm.table import TABLE, Do, Event, State
from tests.support.agent_links import Conversation, bytewise, lossy, texts, whole

RECORDS = b"H|\\^&|||X\rP|1\rO|1|S1\r" + b"".join(b"R|%d|^^^T%d|%d.5|g/L||N||F\r" % (i, i, i) for i in range(1, 12)) + b"L|1|N\r"
FRAMES = build_frames(RECORDS, per_record=True)
ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"


def writes(effects: list[Effect]) -> bytes:
    return b"".join(effect.data for effect in effects if isinstance(effect, Write))


def accept(link: Link, data: bytes) -> bytes:
    """Feed data, store every frame at once; return what was written."""
    effects = link.receive(data)
    out = b""
    while True:
        out += writes(effects)
        if not any(isinstance(effect, Persist) for effect in effects):
            return out
        effects = link.persisted()


# --- receiver


def test_a_frame_is_acknowledged_only_after_it_is_stored() -> None:
    link = Link()
    assert link.receive(ENQ) == [SessionStart(), Write(ACK), StartTimer(30.0)]
    assert link.receive(FRAMES[0]) == [Persist(FRAMES[0])]
    assert link.receive(FRAMES[1]) == []
    assert link.persisted() == [Write(ACK), StartTimer(30.0), Persist(FRAMES[1])]


def test_a_session_ends_with_its_bytes_as_accepted() -> None:
    link = Link()
    accept(link, ENQ + b"".join(FRAMES))
    done = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert done == [MessageDone(ENQ + b"".join(FRAMES) + EOT, len(FRAMES), True, ())]
    assert link.state is State.NEUTRAL


@pytest.mark.parametrize("cut", range(len(b"".join(FRAMES[:3])) + 2))
def test_every_cut_gives_the_same_session(cut: int) -> None:
    data = ENQ + b"".join(FRAMES[:3]) + EOT
    link = Link()
    out = accept(link, data[:cut])
    effects = link.receive(data[cut:])
    bodies = []
    while True:
        out += writes(effects)
        bodies += [e.body for e in effects if isinstance(e, MessageDone)]
        if not any(isinstance(e, Persist) for e in effects):
            break
        effects = link.persisted()
    assert bodies == [data]
    assert out == ACK * 4


def test_eot_and_the_next_enq_in_one_read() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    effects = link.receive(EOT + ENQ)
    assert [type(e) for e in effects if isinstance(e, MessageDone | SessionStart)] == [MessageDone, SessionStart]
    assert writes(effects) == ACK


def test_ac_ed_1_checksums() -> None:
    for text, end, digits in (
        (b"1H|\\^&\r", b"\x03", b"E5"),
        (b"3R|1|^^^GLU|5.60|mmol/L||N||F\r", b"\x03", b"35"),
        (b"1H|\\^&|||LIS\r", b"\x17", b"55"),
    ):
        link = Link()
        link.receive(ENQ)
        if text[:1] == b"3":
            accept(link, FRAMES[0] + FRAMES[1])
        good = b"\x02" + text + end + digits + b"\r\n"
        assert writes(link.receive(good.replace(digits + b"\r", b"00\r"))) == NAK
        assert accept(link, good) == ACK


def test_ac_ed_2_a_resent_frame_is_acknowledged_and_stored_once() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0] + FRAMES[1])
    assert link.receive(FRAMES[1]) == [Write(ACK), StartTimer(30.0)]
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert done.body == ENQ + FRAMES[0] + FRAMES[1] + EOT


def test_other_text_under_the_last_number_is_kept_and_told() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    again = build_frames(b"P|1|other\r")[0]
    assert accept(link, again) == ACK
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert done.frames == 2
    assert done.problems == (Problem.NUMBER_REUSED,)


@pytest.mark.parametrize("number", [0, 2, 3, 7])
def test_a_skipped_frame_number_is_refused(number: int) -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    wrong = build_frames(b"R|9|x\r", start=number)[0]
    assert (accept(link, wrong) == ACK) is (number == 2)


def test_a_first_frame_is_one_or_zero() -> None:
    for number in range(8):
        link = Link()
        link.receive(ENQ)
        assert accept(link, build_frames(b"H|\\^&\r", start=number)[0]) == (ACK if number in (0, 1) else NAK)


@pytest.mark.parametrize("tail", [b"\r\n", b"\n", b"\r", b"", b"\r\n\n", b"\n\r"])
def test_line_ends_after_the_checksum_are_tolerated(tail: bytes) -> None:
    link = Link()
    link.receive(ENQ)
    for item in FRAMES[:4]:
        answer = accept(link, item[:-2] + tail)
        if not answer:  # the line end may still come: decided when the grace timer runs out
            assert tail in (b"", b"\r")
            answer = writes(link.timer()) + writes(link.persisted())
        assert answer == ACK
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert texts(cut_frames(done.body)) == texts(FRAMES[:4])
    assert done.complete


def test_lower_case_checksum_is_taken() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    digits = FRAMES[1][-4:-2]
    assert accept(link, FRAMES[1][:-4] + digits.lower() + b"\r\n") == ACK


@pytest.mark.parametrize("size", [1, 240, 7_000, 63_993, 1_000_000])
def test_frames_of_any_size(size: int) -> None:
    text = b"x" * size
    (frame,) = build_frames(text, limit=size)
    link = Link()
    link.receive(ENQ)
    for at in range(0, len(frame), 997):
        effects = link.receive(frame[at : at + 997])
    assert effects == [Persist(frame)]


def test_a_message_above_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_SESSION", 300)
    link = Link()
    accept(link, ENQ)
    frames = build_frames(b"R" * 1000, limit=200)
    assert accept(link, frames[0]) == ACK
    effects = link.receive(frames[1])
    assert writes(effects) == NAK
    assert Notice(Problem.TOO_LARGE) in effects


def test_an_endless_frame_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MAX_SESSION", 5_000)
    link = Link()
    accept(link, ENQ)
    answers = b"".join(writes(link.receive(b"\x02" + b"x" * 999)) if i == 0 else writes(link.receive(b"x" * 999)) for i in range(20))
    assert answers == NAK
    assert len(link._buffer) < 7_000


def test_a_refused_frame_may_be_sent_again() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    link.receive(FRAMES[1])
    assert writes(link.refused()) == NAK
    assert accept(link, FRAMES[1] + FRAMES[2]) == ACK * 2
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert done == MessageDone(ENQ + b"".join(FRAMES[:3]) + EOT, 3, True, ())


def test_enq_is_refused_while_the_disk_is_full() -> None:
    link = Link()
    link.busy(True)
    assert writes(link.receive(ENQ)) == NAK
    link.busy(False)
    assert writes(link.receive(ENQ)) == ACK


def test_silence_for_thirty_seconds_keeps_the_half_session() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0] + FRAMES[1][:5])
    effects = link.timer()
    (done,) = [e for e in effects if isinstance(e, MessageDone)]
    assert (done.body, done.complete, done.problems) == (ENQ + FRAMES[0], False, (Problem.TIMEOUT,))
    assert link.state is State.NEUTRAL
    assert writes(link.receive(ENQ)) == ACK


def test_a_lost_link_keeps_the_half_session_even_while_storing() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    link.receive(FRAMES[1])
    assert link.lost() == []
    (done,) = [e for e in link.persisted() if isinstance(e, MessageDone)]
    assert done == MessageDone(ENQ + FRAMES[0] + FRAMES[1], 2, False, (Problem.LINK_LOST,))


def test_eot_after_etb_is_incomplete() -> None:
    link = Link()
    frames = build_frames(RECORDS, limit=50)
    accept(link, ENQ + frames[0])
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert (done.complete, done.problems) == (False, (Problem.NO_END,))


def test_eot_after_a_refused_frame_is_incomplete() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    accept(link, FRAMES[1].replace(b"P", b"Q"))
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert not done.complete


def test_an_empty_session_is_no_message() -> None:
    link = Link()
    accept(link, ENQ)
    assert not [e for e in link.receive(EOT) if isinstance(e, MessageDone)]


def test_a_sender_that_starts_anew_without_eot() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    assert link.receive(ENQ) == [StartTimer(core.GRACE_SECONDS)]
    effects = link.timer()
    assert [type(e).__name__ for e in effects] == ["MessageDone", "SessionStart", "Write", "StartTimer"]
    assert accept(link, FRAMES[0]) == ACK


def test_an_enq_from_noise_is_never_answered() -> None:
    """An ACK to it would be taken for the ACK of the frame on the way, which would then be lost."""
    link = Link()
    accept(link, ENQ + FRAMES[0])
    assert writes(link.receive(FRAMES[1][:4] + ENQ + FRAMES[1][4:])) == NAK
    assert accept(link, ENQ + FRAMES[1]) == ACK


@pytest.mark.parametrize("cut", [1, 5, 8])
@pytest.mark.parametrize("stored", [0, 1])
def test_an_analyzer_switched_off_inside_a_frame_may_ask_again(cut: int, stored: int) -> None:
    """It asks every few seconds for ever; answered with silence until the timer it would never be heard again on a serial line."""
    frames = build_frames(b"H|\\^&|||A\rP|1|||X\rL|1|N\r", per_record=True)
    link = Link(Role.HOST)
    assert accept(link, b"\x05" + b"".join(frames[:stored])) == b"\x06" * (stored + 1)
    link.receive(frames[stored][:cut])
    for _ in range(3):
        assert link.receive(b"\x05")[-1] == StartTimer(core.ASKED_SECONDS), "no answer while it may be noise"
    effects = link.timer()
    assert writes(effects) == b"\x06" and SessionStart() in effects and Notice(Problem.FRAME_CUT) in effects
    assert [e.complete for e in effects if isinstance(e, MessageDone)] == [False] * stored, "what was acknowledged is kept"
    assert accept(link, b"".join(frames)) == b"\x06" * 3, "and the whole session is taken"


def test_a_frame_whose_end_is_lost_gets_one_answer() -> None:
    link = Link()
    accept(link, ENQ + FRAMES[0])
    assert accept(link, FRAMES[1][:4] + FRAMES[1]) == ACK
    assert writes(link.receive(FRAMES[2][:-5] + FRAMES[2][-4:])) == b""
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert not done.complete


def test_frames_outside_a_session_are_told_and_not_answered() -> None:
    effects = Link().receive(FRAMES[0])
    assert effects == [Notice(Problem.OUTSIDE_SESSION)]


# --- sender


def test_a_transfer_from_enq_to_eot() -> None:
    link = Link()
    frames = FRAMES[:2]
    assert link.send(frames, "t") == [Write(ENQ), StartTimer(15.0)]
    assert writes(link.receive(ACK)) == frames[0]
    assert writes(link.receive(ACK + b"\r\n")) == frames[1]
    effects = link.receive(ACK)
    assert writes(effects) == EOT
    assert effects[-1] == Sent("t")


def test_a_refused_frame_is_sent_six_times_then_given_up() -> None:
    link = Link()
    link.send(FRAMES[:1], "t")
    out = writes(link.receive(ACK))
    for _ in range(5):
        out += writes(link.receive(NAK))
    assert out == FRAMES[0] * 6
    effects = link.receive(NAK)
    assert writes(effects) == EOT
    assert SendFailed("t", Problem.NOT_ACCEPTED) in effects


def test_anything_else_counts_as_nak_and_eot_as_ack() -> None:
    link = Link()
    link.send(FRAMES[:2], "t")
    link.receive(ACK)
    assert writes(link.receive(b"??")) == FRAMES[0]
    assert writes(link.receive(EOT)) == FRAMES[1]


def test_no_reply_ends_in_eot() -> None:
    link = Link()
    link.send(FRAMES, "t")
    effects = link.timer()
    assert writes(effects) == EOT
    assert SendFailed("t", Problem.NO_REPLY) in effects


def test_a_busy_receiver_is_asked_again_after_ten_seconds() -> None:
    link = Link()
    link.send(FRAMES, "t")
    assert link.receive(NAK) == [StartTimer(10.0)]
    assert writes(link.timer()) == ENQ


def test_contention_the_instrument_wins() -> None:
    host, instrument = Link(Role.HOST), Link(Role.INSTRUMENT)
    host.send(FRAMES[:1], "order")
    instrument.send(FRAMES[:2], "result")
    assert host.receive(ENQ) == [StartTimer(20.0)]
    assert instrument.receive(ENQ) == [StartTimer(1.0)]
    assert writes(instrument.timer()) == ENQ
    assert writes(host.receive(ENQ)) == ACK
    accept(host, FRAMES[0] + FRAMES[1])
    effects = host.receive(EOT)
    assert writes(effects) == ENQ, "its own message follows when the line is neutral again"
    assert writes(host.receive(ACK)) == FRAMES[0]


def test_contention_without_the_instrument_coming_back() -> None:
    host = Link(Role.HOST)
    host.send(FRAMES[:1], "order")
    host.receive(ENQ)
    assert writes(host.timer()) == ENQ


def test_what_waits_is_given_back_when_the_link_is_lost() -> None:
    host = Link(Role.HOST)
    accept(host, ENQ + FRAMES[0])
    host.send(FRAMES[:1], "a")
    host.send(FRAMES[:1], "b")
    effects = host.lost()
    assert [e.tag for e in effects if isinstance(e, SendFailed)] == ["a", "b"]


# --- both ends over wires


@pytest.mark.parametrize("wire", [whole, bytewise])
@pytest.mark.parametrize("limit", [20, 240, 64_000])
def test_a_good_wire_carries_the_message(wire: object, limit: int) -> None:
    talk = Conversation(wire, wire)  # type: ignore[arg-type]
    talk.send(build_frames(RECORDS, limit=limit), "m")
    talk.talk()
    assert talk.instrument.sent == ["m"]
    assert [texts(talk.host.stored)] == [RECORDS]
    assert [done.complete for done in talk.host.done] == [True]


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), rate=st.sampled_from([0.002, 0.01, 0.05, 0.2]), both=st.booleans())
def test_a_bad_wire_never_hangs_nor_invents(seed: int, rate: float, both: bool) -> None:
    """Whatever the instrument believes sent was stored with every frame (an 8-bit checksum can hide a change inside one)."""
    talk = Conversation(lossy(seed, rate), whole)
    if both:
        talk.down = lossy(seed + 1, rate / 10)
    for number in range(3):
        talk.send(FRAMES, number)
    talk.talk(seconds=4000)
    assert not talk.instrument.link.sending, "it hangs"
    if not both:  # a byte of noise that reads as ACK is beyond what this protocol can notice
        stored = [done for done in talk.host.done if done.frames == len(FRAMES)]
        assert len(stored) >= len(talk.instrument.sent)


def cut_frames(body: bytes) -> list[bytes]:
    return [b"\x02" + part for part in body[1:].split(b"\x02")[1:]]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60) | st.sampled_from([ENQ, ACK, NAK, EOT, *FRAMES[:4]]), max_size=40))
def test_noise_never_raises(pieces: list[bytes]) -> None:
    link = Link()
    for piece in pieces:
        for effect in link.receive(piece):
            if isinstance(effect, Persist):
                link.persisted()
    link.timer()
    link.lost()


def heard(reads: list[bytes], answers: list[int], short: bool) -> tuple[list[Effect], dict[str, object]]:
    """What a link asks for when given these reads, and how it ends; `answers`: stored (0), refused (1), stored after the next read (2)."""
    link, log, later = Link(), list[Effect](), False
    tries = cycle(answers)

    def run(effects: list[Effect]) -> None:
        nonlocal later
        log.extend(effects)
        if effects and isinstance(effects[-1], Persist):
            answer = next(tries)
            later = answer > 1
            if not later:
                store(answer == 0)

    def store(ok: bool) -> None:
        if ok and short and link.kept():
            run([Write(ACK), StartTimer(core.RECEIVE_SECONDS)])
        else:
            run(link.persisted() if ok else link.refused())

    for read in reads:
        waits = later
        run([Persist(read)] if short and link.take(read) else link.receive(read))
        if waits:
            later = False
            store(True)
    run(link.timer())
    return log, {name: getattr(link, name) for name in Link.__slots__ if name not in ("_role", "_outgoing")}


SHORTER = [FRAMES[0], FRAMES[1], FRAMES[1][:-2], FRAMES[1][:-4] + b"zz\r\n", FRAMES[2].replace(b"\x03", b"\x17"), ENQ, EOT, ENQ + FRAMES[0]]


@st.composite
def wires(draw: st.DrawFn) -> list[bytes]:
    """A session, some frames of it sent again, changed or left out, cut anywhere."""
    sent = [ENQ, *FRAMES[: draw(st.integers(1, len(FRAMES)))], EOT]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(sent) - 1))
        whole = sent[at]
        spot = draw(st.integers(0, len(whole) - 1))
        change = draw(st.sampled_from(["again", "away", "byte", "other"]))
        flipped, other = whole[:spot] + bytes([draw(st.integers(0, 255))]) + whole[spot + 1 :], draw(st.sampled_from(SHORTER))
        sent[at : at + 1] = {"again": [whole, whole], "away": [], "byte": [flipped], "other": [other, whole]}[change]
    data, reads = b"".join(sent), []
    if draw(st.booleans()):  # a read a frame, as most are
        return [part for part in sent if part] * draw(st.integers(1, 2))
    while data:
        size = draw(st.integers(1, 80))
        reads.append(data[:size])
        data = data[size:]
    return reads


@settings(max_examples=120, deadline=None)
@given(wires(), st.lists(st.sampled_from([0, 0, 0, 1, 2]), min_size=1, max_size=8))
def test_the_short_way_says_what_the_state_table_says(reads: list[bytes], answers: list[int]) -> None:
    assert heard(reads, answers, short=True) == heard(reads, answers, short=False)


def test_the_short_way_is_the_usual_one() -> None:
    link = Link()
    link.receive(ENQ)
    assert [link.take(frame) and link.kept() for frame in build_frames(RECORDS, limit=20)] == [True] * len(build_frames(RECORDS, limit=20))
    assert not link.take(EOT)
    (done,) = [e for e in link.receive(EOT) if isinstance(e, MessageDone)]
    assert done.complete


def test_the_table_names_every_state_and_every_method_once() -> None:
    used = {do for entries in TABLE.values() for do, _ in entries.values()}
    assert set(TABLE) == set(State)
    assert used == set(Do)
    assert {f"_do_{do.name.lower()}" for do in Do} == {name for name in vars(Link) if name.startswith("_do_")}


@pytest.mark.parametrize("planted", ["ack-before-store", "no-dedupe"])
def test_the_tests_above_would_notice(planted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two classic mistakes, planted: each is visible in the conversation."""
    link = Link()
    accept(link, ENQ + FRAMES[0])
    if planted == "ack-before-store":
        monkeypatch.setitem(core._STEPS[State.RECEIVING], Event.FRAME, (Link._do_ack, State.RECEIVING))
        assert writes(link.receive(FRAMES[1])) == ACK
    else:
        link._last = b""
        assert any(isinstance(e, Persist) for e in link.receive(FRAMES[0]))
