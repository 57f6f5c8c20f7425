"""Who looked at which patient (M01: DataAccessLog), read back: behind an alert of many looks, for an outside engineer's recorded hours
(R7), and for the monthly review of sensitive items (R8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, text

from cloud.db.audit import AuditLog
from cloud.db.session import UnitOfWork
from cloud.modules.platform.models import AccessGrant, User
from cloud.modules.platform.rules import GrantState, Perm
from cloud.reports.documents import Column, ListDocument
from cloud.web.faults import NotFound
from common.say import Said, say, word

PAGE = 100
MOST = 5000
MONTH = timedelta(days=30)
ZONE = ZoneInfo("Asia/Shanghai")
WORDS: dict[str, Said] = {
    "attach": say("认领无主结果"),
    "autoverify": say("自动审核判定"),
    "bench": say("检验台"),
    "critical": say("危急值"),
    "interface": say("接口消息"),
    "lookup_failed": say("没有找到"),
    "merge": say("患者合并"),
    "mismatch": say("身份不符"),
    "order": say("申请单"),
    "replay": say("重放报文"),
    "report": say("报告"),
    "review": say("审核"),
    "support": say("外部工程师操作"),
    "treatment": say("诊疗查询"),
}
BY_ITSELF = ("GET /alerts/count", "GET /live")
"""What an open page asks for by itself: on record, and left out where a person reads what an engineer did."""
GLASS = "break_glass: "
"""How the purpose of a look past a wall begins; the stated reason follows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the page searches by; an empty field does not restrict."""

    who: str = ""
    patient: str = ""
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """A look as the list shows it; the patient by number alone, for who reads this list sees no patients."""

    id: int
    at: datetime
    actor: str
    employee_no: str
    dept: str
    patient_no: str
    purpose: str
    path: str

    @property
    def why(self) -> str:
        """The purpose in words."""
        if self.purpose.startswith(GLASS):
            return say("破例查看：{why}", why=self.purpose.removeprefix(GLASS))
        return WORDS.get(self.purpose, word(self.purpose))


# Numbers of patients as the orders module keeps them; records read as one person's are looked at together (M03 R7).
_LOOKS = text("""
SELECT a.id, a.at, a.actor, coalesce(u.employee_no, ''), coalesce(u.dept, ''), coalesce(p.patient_no, ''), a.purpose, a.path
FROM access_log a
LEFT JOIN app_user u ON u.tenant_id = a.tenant_id AND u.id = a.user_id
LEFT JOIN patient p ON p.tenant_id = a.tenant_id AND p.id = a.patient_id
WHERE a.tenant_id = :t AND a.at >= :since AND a.at < :until AND a.id < :before
  AND (:who = '' OR a.user_id = (SELECT id FROM app_user WHERE tenant_id = :t AND employee_no = :who))
  AND (:patient = '' OR a.patient_id IN (WITH one AS (
    SELECT coalesce(merged_into, id) AS id FROM patient WHERE tenant_id = :t AND patient_no = :patient)
    SELECT id FROM one UNION ALL SELECT x.id FROM patient x JOIN one ON x.merged_into = one.id WHERE x.tenant_id = :t))
ORDER BY a.id DESC LIMIT :n
""")


def page(uow: UnitOfWork, asked: Asked, limit: int = PAGE) -> Sequence[Look]:
    """Looks, the newest first; without a beginning those of thirty days."""
    params = {
        "t": uow.tenant_id,
        "since": asked.since or uow.now - MONTH,
        "until": asked.until or uow.now + timedelta(minutes=1),
        "before": asked.before or 2**62,
        "who": asked.who,
        "patient": asked.patient,
        "n": limit,
    }
    return [Look(*row) for row in uow.s.execute(_LOOKS, params)]


@dataclass(frozen=True, slots=True)
class Reader:
    """How many patients with sensitive items somebody to whom these are open has looked at."""

    user_id: int
    name: str
    employee_no: str
    dept: str
    patients: int
    pages: int
    last: datetime
    by_reason: int
    """Of the patients, those seen only for a stated reason: the person's roles do not see sensitive items."""


_SEEN = """
WITH seen AS (
  SELECT a.user_id, a.patient_id, count(*) AS pages, max(a.at) AS last FROM access_log a
  WHERE a.tenant_id = :t AND a.at >= :since AND a.patient_id IS NOT NULL AND a.user_id IS NOT NULL GROUP BY 1, 2
), tested AS (
  SELECT b.patient_id FROM (SELECT DISTINCT patient_id FROM seen) b
  WHERE EXISTS (SELECT 1 FROM specimen sp JOIN test x ON x.tenant_id = sp.tenant_id AND x.specimen_id = sp.id
    JOIN test_item i ON i.tenant_id = x.tenant_id AND i.id = x.item_id AND i.sensitive
    WHERE sp.tenant_id = :t AND sp.patient_id = b.patient_id)
), holders AS (
  SELECT DISTINCT ur.user_id FROM user_role ur JOIN role_permission rp ON rp.tenant_id = ur.tenant_id AND rp.role_id = ur.role_id
  WHERE ur.tenant_id = :t AND rp.permission = :right
), open AS (
  SELECT s.*, h.user_id IS NULL AS by_reason FROM seen s JOIN tested x ON x.patient_id = s.patient_id
  LEFT JOIN holders h ON h.user_id = s.user_id
  WHERE h.user_id IS NOT NULL OR EXISTS (SELECT 1 FROM break_glass g WHERE g.tenant_id = :t AND g.user_id = s.user_id
    AND g.patient_id = s.patient_id AND g.kind = 'sensitive' AND g.until >= :since)
)
"""
_READERS = text(
    _SEEN
    + """
SELECT u.id, u.name, u.employee_no, u.dept, count(*), sum(o.pages)::int, max(o.last), count(*) FILTER (WHERE o.by_reason)
FROM open o JOIN app_user u ON u.tenant_id = :t AND u.id = o.user_id GROUP BY u.id, u.name, u.employee_no, u.dept
ORDER BY count(*) FILTER (WHERE o.by_reason) DESC, count(*) DESC, u.id LIMIT :n
"""
)
_OF_ONE = text(
    _SEEN
    + """
SELECT p.patient_no, p.name, o.pages, o.last, o.by_reason FROM open o JOIN patient p ON p.tenant_id = :t AND p.id = o.patient_id
WHERE o.user_id = :user ORDER BY o.last DESC LIMIT :n
"""
)


def readers(uow: UnitOfWork, limit: int = MOST) -> Sequence[Reader]:
    """Within thirty days, whoever saw patients with sensitive items: for a stated reason first, then the most."""
    params = {"t": uow.tenant_id, "since": uow.now - MONTH, "right": str(Perm.SENSITIVE), "n": limit}
    return [Reader(*row) for row in uow.s.execute(_READERS, params)]


def of_reader(uow: UnitOfWork, user_id: int, limit: int = MOST) -> Sequence[Any]:
    """Which patients one of them looked at: the list behind the number."""
    params = {"t": uow.tenant_id, "since": uow.now - MONTH, "right": str(Perm.SENSITIVE), "user": user_id, "n": limit}
    return uow.s.execute(_OF_ONE, params).all()


@dataclass(frozen=True, slots=True)
class Visit:
    """An outside engineer's hours: who, when, every step, and what was changed."""

    grant: AccessGrant
    user: User
    until: datetime
    steps: Sequence[Look]
    changes: Sequence[AuditLog]


def visit(uow: UnitOfWork, grant_id: int) -> Visit:
    """What was done under one access; raises NotFound."""
    grant = uow.s.execute(select(AccessGrant).where(AccessGrant.id == grant_id)).scalar_one_or_none()
    if grant is None:
        raise NotFound("这份申请")
    user = uow.s.execute(select(User).where(User.id == grant.user_id)).scalar_one()
    since, until = grant.decided_at or grant.asked_at, grant.until or uow.now
    if grant.state in (GrantState.ASKED, GrantState.REFUSED):
        return Visit(grant, user, until, (), ())
    found = page(uow, Asked(user.employee_no, since=since, until=until), MOST)
    steps = [step for step in found if not step.path.startswith(BY_ITSELF)]
    query = select(AuditLog).where(AuditLog.actor_id == user.id, AuditLog.at >= since, AuditLog.at < until)
    return Visit(grant, user, until, steps, uow.s.execute(query.order_by(AuditLog.seq.desc()).limit(MOST)).scalars().all())


# --- on paper ---------------------------------------------------------------------------------------------------------


def register(looks: Sequence[Look], asked: Asked, hospital: str, by: str, now: datetime) -> ListDocument:
    """患者信息访问登记: who looked at which patient, when, for what."""
    columns = (Column("时间", 3), Column("人员", 4), Column("患者编号", 3), Column("目的", 4), Column("页面", 5))
    rows = tuple(
        (f"{k.at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}", f"{k.actor} {k.employee_no} {k.dept}".strip(), k.patient_no, str(k.why), k.path)
        for k in looks
    )
    subtitle = "　".join(x for x in (asked.who and f"工号 {asked.who}", asked.patient and f"患者 {asked.patient}") if x)
    made = ListDocument(hospital, "患者信息访问登记", columns, rows, now, by)
    return replace(made, subtitle=subtitle, landscape=True)


def sensitive_register(found: Sequence[Reader], hospital: str, by: str, now: datetime) -> ListDocument:
    """敏感项目查看登记: who has seen how many patients with sensitive items within thirty days."""
    columns = (Column("人员", 4), Column("科室", 4), Column("患者数", 2, "right"), Column("其中破例", 2, "right"),
               Column("打开页数", 2, "right"), Column("最近", 3))  # fmt: skip
    rows = tuple(
        (f"{r.name} {r.employee_no}", r.dept, str(r.patients), str(r.by_reason), str(r.pages), f"{r.last.astimezone(ZONE):%Y-%m-%d %H:%M}")
        for r in found
    )
    made = ListDocument(hospital, "敏感项目查看登记（近 30 天）", columns, rows, now, by)
    return replace(made, signatures=("复核人", "科主任"))


__all__ = ["MONTH", "PAGE", "Asked", "Look", "Reader", "Visit", "of_reader", "page", "readers", "register", "sensitive_register", "visit"]
