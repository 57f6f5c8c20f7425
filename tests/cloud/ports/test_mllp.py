"""The MLLP port over real sockets: framing however the stream is cut, TLS, limits, and answers that must not be mistaken."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from cloud.modules.interfaces import hl7_ack
from cloud.ports.mllp import Limits, MllpClient, MllpServer, Peer, SendFailed
from common.protocol.hl7.mllp import MAX_BLOCK, Block, BlockProblem, Deframer, frame
from tests.support.fake_his import FakeHis, send
from tests.support.tls import Authority, authority


def echo(block: Block, peer: Peer) -> bytes:
    return b"got " + block.message


@pytest.fixture
def pki() -> Iterator[Authority]:
    with authority() as made:
        yield made


@pytest.fixture
def server() -> Iterator[MllpServer]:
    made = MllpServer(echo, Limits(half_message=0.3, connections=5, threads=2))
    yield made
    made.close()


def messages_of(stream: bytes) -> list[bytes]:
    return [block.message for block in Deframer().receive(stream)]


def test_server_answers_several_messages_on_one_connection(server: MllpServer) -> None:
    port = server.listen("127.0.0.1", 0)
    assert send(port, b"one", b"two", b"three") == [b"got one", b"got two", b"got three"]


def test_messages_sent_without_waiting_are_answered_in_order(server: MllpServer) -> None:
    port = server.listen("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(frame(b"1") + frame(b"2") + frame(b"3"))
        data = b""
        while data.count(b"\x1c") < 3:
            data += sock.recv(4096)
    assert messages_of(data) == [b"got 1", b"got 2", b"got 3"]


def closed(sock: socket.socket) -> bool:
    sock.settimeout(5)
    try:
        return sock.recv(10) == b""
    except ConnectionError:
        return True


def test_half_a_message_is_told_as_cut_and_the_connection_ends() -> None:
    handled: list[Block] = []
    made = MllpServer(lambda block, peer: handled.append(block), Limits(half_message=0.2))
    try:
        with socket.create_connection(("127.0.0.1", made.listen("127.0.0.1", 0)), 5) as sock:
            sock.sendall(b"\x0bhalf")
            assert closed(sock)
    finally:
        made.close()
    assert [(b.message, b.problem) for b in handled] == [(b"half", BlockProblem.NO_END)]


def test_a_connection_cut_inside_a_message_is_not_handled() -> None:
    handled: list[Block] = []
    made = MllpServer(lambda block, peer: handled.append(block))
    try:
        port = made.listen("127.0.0.1", 0)
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"\x0bhalf")
        send(port, b"whole", timeout=0.5)
    except TimeoutError:
        pass
    finally:
        made.close()
    assert [b.message for b in handled] == [b"whole"]


def test_stray_bytes_between_messages_are_passed_over(server: MllpServer) -> None:
    port = server.listen("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n" + frame(b"x") + b"\r\n\x06")
        assert messages_of(sock.recv(4096)) == [b"got x"]


def test_an_oversized_message_is_told_with_its_head_and_the_next_is_served(server: MllpServer) -> None:
    handled: list[Block] = []
    made = MllpServer(lambda block, peer: handled.append(block) or b"no")  # type: ignore[func-returns-value]
    try:
        port = made.listen("127.0.0.1", 0)
        assert send(port, b"x" * (MAX_BLOCK + 1_000_000), b"next") == [b"no", b"no"]
    finally:
        made.close()
    assert [b.problem for b in handled] == [BlockProblem.TOO_LARGE, None]
    assert len(handled[0].raw) < MAX_BLOCK


def test_ten_megabytes_arrive_whole() -> None:
    made = MllpServer(lambda block, peer: str(len(block.message)).encode(), Limits())
    try:
        assert send(made.listen("127.0.0.1", 0), b"x" * 10_000_000) == [b"10000000"]
    finally:
        made.close()


def test_a_failing_handler_answers_nothing_and_the_server_lives() -> None:
    def handler(block: Block, peer: Peer) -> bytes:
        if block.message == b"bad":
            raise RuntimeError("planted")
        return b"ok"

    made = MllpServer(handler)
    try:
        port = made.listen("127.0.0.1", 0)
        assert send(port, b"bad") == []
        assert send(port, b"good") == [b"ok"]
    finally:
        made.close()


def test_too_many_connections_are_turned_away(server: MllpServer) -> None:
    port = server.listen("127.0.0.1", 0)
    held = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(5)]
    try:
        for sock in held:
            sock.sendall(frame(b"x"))
            assert sock.recv(100)
        with socket.create_connection(("127.0.0.1", port), 5) as extra:
            assert closed(extra)
    finally:
        for sock in held:
            sock.close()


def test_tls_with_client_certificate_tells_who_is_there(pki: Authority) -> None:
    peers: list[Peer] = []
    made = MllpServer(lambda block, peer: peers.append(peer) or b"ok")  # type: ignore[func-returns-value]
    try:
        port = made.listen("127.0.0.1", 0, pki.server("localhost"))
        assert send(port, b"x", tls=pki.client("his-1")) == [b"ok"]
        assert send(port, b"x", tls=pki.client(None)) == [b"ok"]
        plain = made.listen("127.0.0.1", 0)
        assert send(plain, b"x") == [b"ok"]
    finally:
        made.close()
    assert [(p.tls, p.certificate) for p in peers] == [(True, pki.fingerprint("his-1")), (True, ""), (False, "")]


def test_tls_server_of_another_authority_is_refused(pki: Authority) -> None:
    with authority() as other, FakeHis(tls=other.server("localhost")) as his:
        client = MllpClient("localhost", his.port, tls=pki.client(None), connect_s=2, answer_s=2)
        with pytest.raises(SendFailed) as caught:
            client.send(b"MSH|x", lambda raw: True)
        assert caught.value.reason == "tls"
        assert his.seen == []


def message(number: int) -> bytes:
    return f"MSH|^~\\&|JIANLIAN|LAB|HIS|H1|20260506||ORU^R01|{number}|P|2.5.1\rPID|1||P1\r".encode()


def client_of(his: FakeHis) -> MllpClient:
    return MllpClient("127.0.0.1", his.port, connect_s=1, answer_s=0.3)


def answers(number: int) -> Callable[[bytes], bool]:
    def is_answer(raw: bytes) -> bool:
        found = hl7_ack.read(raw)
        return found is not None and found.control_id == str(number)

    return is_answer


def test_client_keeps_its_connection_between_messages() -> None:
    with FakeHis() as his:
        with client_of(his) as client:
            for number in range(5):
                client.send(message(number), answers(number))
        assert (his.connections, his.ids()) == (1, ["0", "1", "2", "3", "4"])


@pytest.mark.parametrize(
    ("act", "reason"),
    [("silent", "timeout"), ("close", "closed"), ("half", "closed"), ("wrong_id", "timeout"), ("garbage", "timeout"), ("late", "timeout")],
)
def test_no_usable_answer_fails_and_drops_the_connection(act: str, reason: str) -> None:
    with FakeHis([act]) as his:
        client = his.cleanup(client_of(his))
        with pytest.raises(SendFailed) as caught:
            client.send(message(1), answers(1))
        assert caught.value.reason == reason
        client.send(message(1), answers(1))
        assert (his.connections, [s.control_id for s in his.seen]) == (2, ["1", "1"])


@pytest.mark.parametrize("act", ["noise", "twice"])
def test_foreign_blocks_are_passed_over(act: str) -> None:
    with FakeHis([act]) as his:
        client = his.cleanup(client_of(his))
        for number in (1, 2, 3):
            found = hl7_ack.read(client.send(message(number), answers(number)))
            assert found is not None and found.control_id == str(number)


def test_a_late_answer_is_never_taken_for_the_next_message() -> None:
    with FakeHis(["late", "silent", "ack"]) as his:
        client = his.cleanup(client_of(his))
        for number in (1, 2):  # the answer to 1 arrives while 2 waits, and 2 itself is not answered
            with pytest.raises(SendFailed):
                client.send(message(number), answers(number))
        client.send(message(2), answers(2))


def test_nobody_listens() -> None:
    with FakeHis() as his:
        his.down()
        client = his.cleanup(client_of(his))
        with pytest.raises(SendFailed) as caught:
            client.send(message(1), answers(1))
        assert caught.value.reason == "connect"
        his.up()
        client.send(message(1), answers(1))


def test_closing_the_server_ends_everything() -> None:
    before = threading.active_count()
    made = MllpServer(echo)
    port = made.listen("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(frame(b"x"))
        assert sock.recv(100)
        made.close()
        assert closed(sock)
    assert threading.active_count() == before
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_plain_bytes_at_a_tls_port_get_nothing(pki: Authority) -> None:
    made = MllpServer(echo)
    try:
        port = made.listen("127.0.0.1", 0, pki.server("localhost"))
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(frame(b"x") * 3)
            sock.settimeout(5)
            data = b""
            with contextlib.suppress(OSError):
                while chunk := sock.recv(100):
                    data += chunk
        assert b"got x" not in data
    finally:
        made.close()
