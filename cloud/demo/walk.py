"""The steps that people of the demo's hospitals take, through the same verbs as the pages: label, collect, receive, sign."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from cloud.config import Settings
from cloud.db.session import Actor, Database, UnitOfWork
from cloud.demo.state import Account
from cloud.modules.bench import queries as bench_queries
from cloud.modules.bench import service as bench
from cloud.modules.critical import queries as critical_queries
from cloud.modules.critical import service as critical
from cloud.modules.orders.models import OrderItem
from cloud.modules.platform import service as platform
from cloud.modules.platform import signing
from cloud.modules.platform.identity import SessionIdentity
from cloud.modules.platform.models import User
from cloud.modules.reports import service as reports
from cloud.modules.specimens import facts
from cloud.modules.specimens import service as specimens
from cloud.modules.specimens.models import Specimen
from cloud.web.principal import Principal

IDENTIFIERS = ("name", "birth")


@dataclass(frozen=True)
class Ward:
    """One hospital and who acts in it."""

    db: Database
    tenant_id: int
    nurse: Actor
    receiver: Actor


def actor(uow: UnitOfWork, number: str, place: str) -> Actor:
    """A person of the staff as the audit names them."""
    user = uow.s.execute(select(User).where(User.employee_no == number)).scalar_one()
    return Actor(user.name, user_id=user.id, ip="127.0.0.1", workstation=place)


def ward(db: Database, tenant_id: int) -> Ward:
    """The nurse and the receiver that both hospitals have."""
    with db.tenant(tenant_id) as uow:
        return Ward(db, tenant_id, actor(uow, "n4001", "W-BLOOD-1"), actor(uow, "r5001", "W-RECV-1"))


def label(where: Ward, patient_id: int, only: Collection[int] | None = None) -> list[int]:
    """Print what can be printed for a patient, or only these requests of it; the tubes' ids."""
    with where.db.tenant(where.tenant_id, where.nurse) as uow:
        person = facts.person(uow, patient_id)
        assert person is not None
        plan = specimens.plan_tubes(uow, person)
        refused = {item.order_item_id for item, _why in plan.refused}
        wanted = sorted(i for i in set(plan.items) - refused if only is None or i in only)
        if not wanted:
            return []
        specimens.print_labels(uow, patient_id, wanted, IDENTIFIERS, "采血窗口")
        rows = uow.s.execute(select(OrderItem.specimen_id).where(OrderItem.id.in_(wanted)).distinct())
        return sorted(row.specimen_id for row in rows)


def collect(where: Ward, specimen_ids: list[int]) -> None:
    """Scan the tubes closed."""
    with where.db.tenant(where.tenant_id, where.nurse) as uow:
        for tube in tubes(uow, specimen_ids):
            specimens.collect(uow, tube.barcode, tube.patient_id, "采血窗口")


def receive(where: Ward, specimen_ids: list[int]) -> None:
    """Scan the tubes in at the laboratory's desk."""
    with where.db.tenant(where.tenant_id, where.receiver) as uow:
        for tube in tubes(uow, specimen_ids):
            specimens.receive(uow, tube.barcode, frozenset(), "标本接收台")


def tubes(uow: UnitOfWork, specimen_ids: list[int]) -> list[Specimen]:
    return list(uow.s.execute(select(Specimen).where(Specimen.id.in_(specimen_ids)).order_by(Specimen.id)).scalars())


def log_in(where: Ward, account: Account, settings: Settings) -> Principal:
    """Come in as the login page lets one, with the second factor when there is one."""
    with where.db.tenant(where.tenant_id) as uow:
        code = _code(account, uow)
        entered = platform.log_in(uow, account.username, account.password, code, settings.secret, workstation="W-XY-1")
        if not isinstance(entered, platform.Entered):
            raise entered
        token = entered.token
    with where.db.tenant(where.tenant_id) as uow:
        who = SessionIdentity().authenticate(uow, token, "127.0.0.1")
        assert isinstance(who, Principal)
        return who


def enter(where: Ward, who: Principal, specimen_id: int, values: Mapping[str, str]) -> None:
    """Type a tube's values, critical ones twice."""
    with where.db.tenant(where.tenant_id, acting(who)) as uow:
        for test in bench_queries.tests_of(uow, [specimen_id])[specimen_id]:
            text = values[test.item.code]
            bench.enter_result(uow, bench.Entry(test.id, test.version, text, again=text, sure=True))


def review(where: Ward, who: Principal, specimen_id: int) -> int:
    """The tester has looked at the tube; the report's id."""
    with where.db.tenant(where.tenant_id, acting(who)) as uow:
        report_id = reports.review(uow, specimen_id, None, who)
        for line in critical_queries.of_specimen(uow, specimen_id):
            critical.confirm(uow, line.event.id, line.event.version)
        return report_id


def release(where: Ward, who: Principal, account: Account, report_ids: list[int], settings: Settings) -> None:
    """Open a signing window and sign a batch."""
    desk = reports.Desk(signing.open_signer(settings.cloud_key, settings.secret), settings.base_url)
    with where.db.tenant(where.tenant_id, acting(who)) as uow:
        platform.open_signing(uow, who, account.password)
    with where.db.tenant(where.tenant_id, acting(who)) as uow:
        for specimen_id in reports.specimens_of(uow, report_ids).values():
            for line in critical_queries.of_specimen(uow, specimen_id):
                _tell(uow, line.event.id)
        reports.release(uow, report_ids, who, desk)


def _tell(uow: UnitOfWork, event_id: int) -> None:
    """The second look at a critical value, the call with its read-back, what was done, and the closed line of the register."""

    def version() -> int:
        uow.s.flush()
        line = critical_queries.one(uow, event_id)
        assert line is not None
        return line.event.version

    line = critical_queries.one(uow, event_id)
    if line is None or line.event.state != "detected":
        return
    event = line.event
    critical.confirm(uow, event_id, version())
    call = critical.Call("值班护士", event.ward or event.dept or "门诊", event.value_text, True, uow.now)
    critical.tell(uow, event_id, version(), call)
    critical.handle(uow, event_id, version(), "已报告医生并处理（演示）")
    critical.close(uow, event_id, version())


def acting(who: Principal) -> Actor:
    return Actor(who.name, user_id=who.user_id, ip="127.0.0.1", workstation=who.workstation)


def _code(account: Account, uow: UnitOfWork) -> str:
    import pyotp

    return pyotp.TOTP(account.totp).at(uow.now) if account.totp else ""
