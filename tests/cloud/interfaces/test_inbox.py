"""Orders over real sockets into a real database: what is stored, what is answered, and whose it is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, func, select

from cloud.config import Settings
from cloud.db.outbox import OutboxEvent
from cloud.db.session import Database
from cloud.modules.interfaces import hl7_ack, queries, service
from cloud.modules.interfaces.hl7_wire import parse
from cloud.modules.interfaces.listener import Gate, open_listeners
from cloud.modules.interfaces.models import InboxMessage, InterfaceIssue
from cloud.modules.orders import queries as orders
from cloud.modules.orders.models import LabOrder, OrderItem, Patient
from cloud.ports.mllp import Limits, MllpServer
from common.errors import LocalError
from tests.cloud.interfaces.messages import order
from tests.support.database import TestDatabase
from tests.support.fake_his import send
from tests.support.orders import hospitals
from tests.support.tls import authority

H1 = {"sender_facility": "H1"}


@pytest.fixture
def db(fresh_db: TestDatabase) -> Iterator[Database]:
    with hospitals(fresh_db) as made:
        with made.tenant(1) as uow:
            service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", H1, source="HIS")
        with made.tenant(2) as uow:
            service.save_endpoint(uow, "HIS-IN", "乙院 HIS", "in", {"sender_facility": "H2"}, source="HIS")
        yield made


@pytest.fixture
def port(db: Database) -> Iterator[int]:
    server = MllpServer(Gate(db).handle, Limits(half_message=0.3))
    yield server.listen("127.0.0.1", 0)
    server.close()


def code(answer: bytes) -> str:
    read = hl7_ack.read(answer)
    assert read is not None
    return read.code


def errors(answer: bytes) -> list[tuple[str, str, str]]:
    """(location, code, severity) of each ERR segment."""
    return [(s.raw(2), s.get(3), s.get(4)) for s in parse(answer).all("ERR")]


def count(db: Database, table: type, tenant: int = 1) -> int:
    with db.tenant(tenant) as uow:
        return uow.s.execute(select(func.count()).select_from(table)).scalar_one()


def inbox(db: Database, tenant: int = 1) -> list[InboxMessage]:
    with db.tenant(tenant) as uow:
        return list(uow.s.scalars(select(InboxMessage).order_by(InboxMessage.id)))


def test_ac_or_1_same_message_three_times_one_order_and_the_same_answer(db: Database, port: int) -> None:
    raw = order([("I1", "CBC", "血常规"), ("I2", "GLU", "葡萄糖")])
    answers = send(port, raw, raw, raw)
    assert len(set(answers)) == 1
    assert code(answers[0]) == "AA"
    assert [count(db, t) for t in (Patient, LabOrder, OrderItem, InboxMessage)] == [1, 1, 2, 1]
    (row,) = inbox(db)
    assert (row.state, row.repeats, bytes(row.raw), bytes(row.answer)) == ("applied", 2, raw, answers[0])


def test_a_repeat_gets_its_first_answer_whatever_happened_to_the_order_since(db: Database, port: int) -> None:
    raw = order()
    first, _, again = send(port, raw, order(action="CA", control="M2"), raw)
    assert again == first
    assert errors(first) == []
    with db.tenant(1) as uow:
        assert uow.s.scalars(select(OrderItem.status)).one() == "refunded"


@pytest.mark.parametrize("kind", ["OML^O21^OML_O21", "ORM^O01"])
@pytest.mark.parametrize(("charset", "encoding"), [("UNICODE UTF-8", "utf-8"), ("GB18030", "gb18030"), ("", "gb18030")])
def test_ac_if_2_rare_names_arrive_whole(db: Database, port: int, kind: str, charset: str, encoding: str) -> None:
    (answer,) = send(port, order(kind=kind, charset=charset, encoding=encoding, name="张㛃䶮"))
    assert code(answer) == "AA"
    with db.tenant(1) as uow:
        assert uow.s.scalars(select(Patient.name)).one() == "张㛃䶮"
        (row,) = orders.order_list(uow, orders.Filter())
        assert (row.item.his_name, row.item.diagnosis, row.item.doctor) == ("血常规", "贫血 & 待查", "李四")


def test_ac_if_5_unmapped_code_is_accepted_with_a_warning_and_an_open_ticket(db: Database, port: int) -> None:
    raw = order([("I1", "9999", "神秘项目"), ("I2", "GLU", "葡萄糖")])
    (answer,) = send(port, raw)
    assert (code(answer), errors(answer)) == ("AA", [("OBR^1^4", "204", "W")])
    send(port, order([("I3", "9999", "神秘项目")], control="M2", form="F2"))
    with db.tenant(1) as uow:
        assert [r.item.order_item_no for r in orders.order_list(uow, orders.Filter(unmapped=True))] == ["I3", "I1"]
        (issue,) = queries.open_issues(uow)
        assert (issue.kind, issue.key, issue.count) == ("unmapped", "HIS/9999", 2)
        assert "神秘项目" in issue.text
        tickets = uow.s.scalars(select(OutboxEvent).where(OutboxEvent.topic == "ticket.open")).all()
        assert len(tickets) == 1


@pytest.mark.parametrize(
    ("raw", "state", "answer_code", "where"),
    [
        (order().replace(b"\rPID|", b"\rZID|"), "quarantined", "AE", ("PID^1", "101", "E")),
        (order().replace(b"P001^^^H1^PI~110101199003077475^^^^NI", b""), "quarantined", "AE", ("PID^1^3", "101", "E")),
        (order().replace("张三丰".encode(), b"\xff\xff\x80"), "quarantined", "AE", ("MSH^1^18", "102", "E")),
        (order(kind="ADT^A01"), "refused", "AR", ("MSH^1^9", "200", "E")),
        (order(action="SC"), "quarantined", "AE", ("ORC^1^1", "103", "E")),
    ],
)
def test_refused_message_is_answered_with_the_field_and_kept_raw(
    db: Database, port: int, raw: bytes, state: str, answer_code: str, where: tuple[str, str, str]
) -> None:
    (answer,) = send(port, raw)
    assert (code(answer), errors(answer)[0]) == (answer_code, where)
    (row,) = inbox(db)
    assert (row.state, bytes(row.raw), row.answer_code) == (state, raw, answer_code)
    assert count(db, LabOrder) == 0
    with db.tenant(1) as uow:
        assert [i.kind for i in queries.open_issues(uow)] == ["quarantined"]


def test_a_cut_message_is_refused_and_kept(db: Database, port: int) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(b"\x0b" + order()[:-40])
        answer = sock.recv(4096)
    assert code(answer.strip(b"\x0b\x1c\r")) == "AE"
    (row,) = inbox(db)
    assert (row.state, row.problem) == ("quarantined", "MSH^1 消息不完整：没有收到结束符，请重发")
    assert code(send(port, order())[0]) == "AA"


def test_a_repaired_cause_lets_the_same_message_in(db: Database, port: int) -> None:
    raw = order(patient="P002", name="李四")
    send(port, order())
    assert code(send(port, raw)[0]) == "AE"  # the item belongs to another patient
    with db.tenant(1) as uow:
        uow.s.scalars(select(OrderItem)).one().order_item_no = "I1-old"
    assert code(send(port, raw)[0]) == "AA"
    assert [(r.state, r.repeats) for r in inbox(db)] == [("applied", 0), ("applied", 1)]


def test_contradicting_order_is_quarantined(db: Database, port: int) -> None:
    assert code(send(port, order())[0]) == "AA"
    (answer,) = send(port, order(control="M2", patient="P002", name="李四"))
    assert (code(answer), errors(answer)) == ("AE", [("OBR^1^2", "205", "E")])
    assert [r.state for r in inbox(db)] == ["applied", "quarantined"]
    assert count(db, Patient) == 1


def test_control_id_used_again_for_another_order_is_another_message(db: Database, port: int) -> None:
    answers = send(port, order([("I1", "CBC", "x")]), order([("I2", "GLU", "y")], form="F2"))
    assert [code(a) for a in answers] == ["AA", "AA"]
    assert (count(db, OrderItem), count(db, InboxMessage)) == (2, 2)


def test_empty_control_id_is_keyed_by_content(db: Database, port: int) -> None:
    raw = order(control="")
    assert len({*send(port, raw, raw)}) == 1
    assert count(db, InboxMessage) == 1


def test_each_hospital_gets_its_own_and_an_unknown_sender_nothing(db: Database, port: int) -> None:
    for_two = order().replace(b"|HIS|H1|", b"|HIS|H2|")
    answers = send(port, order(), for_two, order().replace(b"|HIS|H1|", b"|HIS|H9|"), b"MSH|^~\\&|x")
    assert [code(a) for a in answers] == ["AA", "AA", "AR", "AR"]
    assert errors(answers[2]) == [("MSH^1^4", "204", "E")]
    assert [(count(db, OrderItem, t), count(db, InboxMessage, t)) for t in (1, 2)] == [(1, 1), (1, 1)]


def test_two_hospitals_with_one_name_are_nobody(db: Database, port: int) -> None:
    with db.tenant(2) as uow:
        service.save_endpoint(uow, "OTHER", "重名", "in", H1)
    assert code(send(port, order())[0]) == "AR"
    assert count(db, InboxMessage) + count(db, InboxMessage, 2) == 0


def test_the_more_specific_endpoint_wins(db: Database, port: int) -> None:
    with db.tenant(2) as uow:
        service.save_endpoint(uow, "ANY", "其余全部", "in", {"listener": "any"})
    send(port, order(), order(control="M2").replace(b"|HIS|H1|", b"|X|Y|"))
    assert (count(db, OrderItem, 1), count(db, OrderItem, 2)) == (1, 1)


def test_switched_off_endpoint_takes_nothing(db: Database, port: int) -> None:
    with db.tenant(1) as uow:
        service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", H1, source="HIS", enabled=False)
    assert code(send(port, order())[0]) == "AR"


def test_tls_listener_and_certificate_name_the_hospital(db: Database, fresh_db: TestDatabase) -> None:
    with authority() as pki:
        cert, key = pki.pair("localhost", server=True)
        with db.tenant(1) as uow:
            config = {"certificate": pki.fingerprint("his-1"), "require_tls": True}
            service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", config, source="HIS")
        settings = Settings(
            database_url=fresh_db.app_url, secret="00" * 32, tls_cert=str(cert), tls_key=str(key), ca_cert=str(pki.ca_file),
            mllp_port=_free_port(), mllp_tls_port=_free_port(),
        )  # fmt: skip
        server, ports = open_listeners(db, settings)
        try:
            assert code(send(ports["tls"], order(), tls=pki.client("his-1"))[0]) == "AA"
            assert code(send(ports["tls"], order(control="M2"), tls=pki.client("his-2"))[0]) == "AR"
            assert code(send(ports["tls"], order(control="M3"), tls=pki.client(None))[0]) == "AR"
            assert code(send(ports["plain"], order(control="M4"))[0]) == "AR"
        finally:
            server.close()
    assert count(db, InboxMessage) == 1


def _free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def test_listener_says_what_to_do_when_it_cannot_start(db: Database, fresh_db: TestDatabase, tmp_path: Path) -> None:
    with pytest.raises(LocalError) as no_port:
        open_listeners(db, Settings(database_url="x", secret="x"))
    assert no_port.value.code == "mllp_no_port"
    with pytest.raises(LocalError) as no_cert:
        open_listeners(
            db, Settings(database_url="x", secret="x", mllp_tls_port=_free_port(), tls_cert=str(tmp_path / "none"), tls_key="none")
        )
    assert no_cert.value.code == "mllp_listen"


def test_one_message_over_eight_connections_at_once_is_one_order(db: Database, port: int) -> None:
    raw = order([("I1", "CBC", "血常规"), ("I2", "GLU", "葡萄糖")])
    barrier = threading.Barrier(8)

    def go() -> bytes:
        barrier.wait()
        return send(port, raw)[0]

    with ThreadPoolExecutor(8) as pool:
        answers = {f.result() for f in [pool.submit(go) for _ in range(8)]}
    assert {code(a) for a in answers} == {"AA"}
    assert len(answers) == 1
    assert [count(db, t) for t in (Patient, LabOrder, OrderItem, InboxMessage)] == [1, 1, 2, 1]


def test_no_positive_answer_when_the_commit_fails(db: Database, port: int) -> None:
    def fail(session: Any) -> None:
        raise RuntimeError("planted: COMMIT fails")

    send(port, order(control="M0", form="F0", items=[("I0", "CBC", "x")]))
    event.listen(db._maker, "before_commit", fail)
    try:
        (answer,) = send(port, order())
    finally:
        event.remove(db._maker, "before_commit", fail)
    assert (code(answer), errors(answer)) == ("AE", [("MSH^1", "207", "E")])
    assert count(db, OrderItem) == 1
    assert code(send(port, order())[0]) == "AA"
    assert count(db, OrderItem) == 2


def test_database_away_answers_ae_and_the_repeat_is_taken(db: Database, port: int, fresh_db: TestDatabase) -> None:
    send(port, order(control="M0", form="F0", items=[("I0", "CBC", "x")]))
    with psycopg.connect(fresh_db.admin_conninfo.replace(fresh_db.name, "postgres"), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{fresh_db.name}" ALLOW_CONNECTIONS false')
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [fresh_db.name])
        try:
            (answer,) = send(port, order())
        finally:
            admin.execute(f'ALTER DATABASE "{fresh_db.name}" ALLOW_CONNECTIONS true')
    assert (code(answer), errors(answer)) == ("AE", [("MSH^1", "207", "E")])
    assert code(send(port, order())[0]) == "AA"
    assert count(db, OrderItem) == 2


def test_enhanced_mode_answers_with_commit_codes(db: Database, port: int) -> None:
    with db.tenant(1) as uow:
        service.save_endpoint(uow, "HIS-IN", "甲院 HIS", "in", {**H1, "enhanced": True}, source="HIS")
    assert [code(a) for a in send(port, order(), order(action="ZZ", control="M2"))] == ["CA", "CE"]


def test_a_message_of_ten_megabytes_is_taken(db: Database, port: int) -> None:
    raw = order() + ("NTE|1|L|" + "检" * 3_400_000 + "\r").encode()
    (answer,) = send(port, raw, timeout=60)
    assert code(answer) == "AA"
    (row,) = inbox(db)
    assert bytes(row.raw) == raw


def test_issue_of_a_message_is_closed_once(db: Database, port: int) -> None:
    send(port, order(action="ZZ"))
    with db.tenant(1) as uow:
        (issue,) = queries.open_issues(uow)
        service.close_issue(uow, issue.id, "HIS 已更正")
    with db.tenant(1) as uow:
        assert queries.open_issues(uow) == []
        from cloud.web.faults import Conflict

        with pytest.raises(Conflict):
            service.close_issue(uow, issue.id, "再关一次")
    assert count(db, InterfaceIssue) == 1
