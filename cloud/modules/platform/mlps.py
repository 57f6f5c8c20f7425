"""等保2.0 third level as a check of oneself (M01 R11): each control with how it is met, what is measured now, and where the evidence is.

What this software cannot see (the server room, the network, backups of the deployment) says so instead of a tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, text

from cloud.config import Settings
from cloud.db.audit import AuditLog
from cloud.db.session import UnitOfWork
from cloud.modules.platform import alerts, patches, rules
from cloud.modules.platform.models import MlpsAssessment
from cloud.web.faults import Invalid
from common.say import Said, say


class Mark(StrEnum):
    """How a control stands: measured and met, measured and wanting, or not for this software to say."""

    MET = "met"
    WANTING = "wanting"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class Control:
    """A line of the checklist; ``found`` is what was measured just now."""

    area: Said
    how: Said
    found: Said
    mark: Mark
    url: str = ""


_FACTS = text("""
SELECT
  (SELECT count(*) FROM app_user u WHERE u.tenant_id = :t AND u.status = 'active') AS users,
  (SELECT count(DISTINCT u.id) FROM app_user u JOIN user_role ur ON ur.tenant_id = u.tenant_id AND ur.user_id = u.id
     JOIN role r ON r.tenant_id = ur.tenant_id AND r.id = ur.role_id AND r.second_factor
     WHERE u.tenant_id = :t AND u.status = 'active' AND u.totp_sealed IS NULL AND u.cert_sha256 IS NULL
       AND (u.wework_id IS NULL OR NOT EXISTS (SELECT 1 FROM wework_app w WHERE w.tenant_id = :t AND w.active))) AS no_factor,
  (SELECT count(*) FROM near_network n WHERE n.tenant_id = :t) AS networks,
  (SELECT count(*) FROM login_event e WHERE e.tenant_id = :t AND e.at > :month AND e.outcome = 'remote') AS kept_out,
  (SELECT count(*) FROM app_user u WHERE u.tenant_id = :t AND u.status = 'active' AND u.password_set_at < :old) AS old_passwords,
  (SELECT count(*) FROM (SELECT ur.user_id FROM user_role ur JOIN role r ON r.tenant_id = ur.tenant_id AND r.id = ur.role_id
     WHERE ur.tenant_id = :t AND r.code = ANY(:admins) GROUP BY ur.user_id HAVING count(*) > 1) x) AS two_admins,
  (SELECT count(*) FROM app_user u WHERE u.tenant_id = :t AND u.locked_until > :now) AS locked,
  (SELECT count(*) FROM login_event e WHERE e.tenant_id = :t AND e.at > :month AND e.outcome NOT IN ('ok', 'sso')) AS failed,
  (SELECT count(*) FROM access_grant g WHERE g.tenant_id = :t AND g.state = 'approved' AND g.until > :now) AS grants,
  (SELECT count(*) FROM break_glass b WHERE b.tenant_id = :t AND b.reviewed_at IS NULL) AS looks,
  (SELECT count(*) FROM break_glass b WHERE b.tenant_id = :t AND b.reviewed_at IS NULL AND b.at < :month) AS late_looks,
  (SELECT count(*) FROM signature s WHERE s.tenant_id = :t AND s.ca_state = 'pending') AS pending,
  (SELECT max(a.last_seq) FROM audit_archive a WHERE a.tenant_id = :t) AS archived,
  (SELECT count(*) FROM audit_archive a WHERE a.tenant_id = :t AND a.problem <> '') AS bad_archives,
  (SELECT count(*) FROM patient p WHERE p.tenant_id = :t AND p.phone IS NOT NULL)
    + (SELECT count(*) FROM patient_identifier i WHERE i.tenant_id = :t AND i.kind = 'id_card' AND i.sealed IS NULL) AS plain
""")


def controls(uow: UnitOfWork, settings: Settings) -> list[Control]:
    """The checklist with today's figures."""
    month = uow.now - timedelta(days=30)
    params = {"t": uow.tenant_id, "now": uow.now, "old": uow.now - rules.PASSWORD_LIFE, "month": month, "admins": list(rules.ADMIN_ROLES)}
    f = uow.s.execute(_FACTS, params).one()
    return [*_identity(f), _patches(uow), *_audit(uow, f), *_data(f, settings), *_outside()]


def _mark(good: bool) -> Mark:
    return Mark.MET if good else Mark.WANTING


def _identity(f: Any) -> list[Control]:
    return [
        Control(
            say("身份鉴别"),
            say("密码至少 10 位、四类中三类、90 天更换、不重复最近 5 次；5 次错误锁定 30 分钟"),
            say("在用账号 {users} 个，密码超过 90 天未换 {old} 个（下次登录必须更换）", users=f.users, old=f.old_passwords),
            Mark.MET,
            "/admin/users",
        ),
        Control(
            say("身份鉴别"),
            say("管理和审核角色用两种鉴别方式（密码 + 动态口令、UKey 或企业微信扫码）"),
            say("应有而没有第二种鉴别方式的账号 {n} 个（不能登录）", n=f.no_factor),
            _mark(f.no_factor == 0),
            "/admin/users",
        ),
        Control(
            say("身份鉴别"),
            say("从院外登录的人无论什么角色都用两种鉴别方式"),
            say("院内网段 {n} 个，近 30 天因此拒绝 {kept} 次", n=f.networks, kept=f.kept_out)
            if f.networks
            else say("还没有登记院内网段，无法区分院外登录"),
            _mark(f.networks > 0),
            "/admin/networks",
        ),
        Control(
            say("访问控制"),
            say("系统、安全、审计三个管理员分设；岗位权限与检验授权同时具备才能审核"),
            say("一人兼任两个管理员角色的 {n} 人", n=f.two_admins),
            _mark(f.two_admins == 0),
            "/admin/roles",
        ),
        Control(
            say("访问控制"),
            say("外部工程师经信息管理组批准才能登录，最长 8 小时，逐步记录，无变更工单只读"),
            say("现有效的临时访问 {n} 个", n=f.grants),
            Mark.MET,
            "/admin/grants",
        ),
        Control(
            say("入侵防范"),
            say("登录限速、来源校验、会话空闲锁定"),
            say("近 30 天登录失败 {failed} 次，现锁定账号 {locked} 个", failed=f.failed, locked=f.locked),
            Mark.MET,
            "/admin/reports",
        ),
    ]


def _patches(uow: UnitOfWork) -> Control:
    now = patches.running(uow)
    ends = {"postgres": patches.mended_until("PostgreSQL", now.postgres), "python": patches.mended_until("Python", now.python)}
    words = {f"{name}_end": say("未知") if end is None else end.isoformat() for name, end in ends.items()}
    return Control(
        say("入侵防范"),
        say("运行所依赖的数据库和语言环境仍由厂商修补；操作系统补丁由服务器侧安装"),
        say(
            "PostgreSQL {postgres}（修补至 {postgres_end}），Python {python}（修补至 {python_end}），{tls}",
            postgres=now.postgres,
            python=now.python,
            tls=now.tls,
            **words,
        ),
        _mark(patches.mended(now, uow.now.astimezone(rules.ZONE).date())),
    )


def _audit(uow: UnitOfWork, f: Any) -> list[Control]:
    query = select(AuditLog.at, AuditLog.action).where(AuditLog.entity == "audit", AuditLog.action.in_(("verified", "chain_broken")))
    last = uow.s.execute(query.order_by(AuditLog.seq.desc()).limit(1)).one_or_none()
    fresh = last is not None and last.action == "verified" and last.at > uow.now - timedelta(days=2)
    when = say("还没有校验过") if last is None else say("最近一次校验 {at}：{how}", at=f"{last.at.astimezone(rules.ZONE):%Y-%m-%d %H:%M}",
                                                       how=say("完整") if last.action == "verified" else say("断裂"))  # fmt: skip
    return [
        Control(say("安全审计"), say("每次变更一条记录，前后哈希相连，任何角色都不能改；每日校验"), when, _mark(fresh), "/audit"),
        Control(
            say("安全审计"),
            say("180 天以上的记录写成不再改变的归档文件，轮流复核"),
            say("已归档到第 {n} 条，有问题的归档 {bad} 个", n=f.archived or 0, bad=f.bad_archives),
            _mark(f.bad_archives == 0),
            "/audit#archives",
        ),
    ]


def _data(f: Any, settings: Settings) -> list[Control]:
    tls = settings.base_url.startswith("https://")
    return [
        Control(
            say("数据完整性"),
            say("报告与签名按内容哈希核对，文件一经写入不再改变"),
            say("等待 CA 补签的签名 {n} 个", n=f.pending),
            Mark.MET,
        ),
        Control(
            say("数据保密性"),
            say("页面与接口只经 TLS；动态口令种子与接口密钥加密保存"),
            say("对外地址 {url}", url=settings.base_url or say("未配置")),
            _mark(tls),
        ),
        Control(
            say("数据保密性"),
            say("患者证件号、电话和人员电话加密保存，按带密钥的哈希查找"),
            say("尚未加密的旧记录 {n} 条（每天自动处理）", n=f.plain) if f.plain else say("全部已加密"),
            _mark(f.plain == 0),
        ),
        Control(
            say("数据保密性"),
            say("国密 SM2/3/4"),
            say("本软件用 AES、SHA-256 和 TLS；要求国密时由 CA、加密网关或磁盘加密补足"),
            Mark.OUTSIDE,
        ),
        Control(
            say("剩余信息保护"),
            say("退出时清除浏览器缓存；导出文件保留一天后删除"),
            say("每日 00:30 清理"),
            Mark.MET,
        ),
        Control(
            say("个人信息保护"),
            say("敏感项目按角色可见；破例查看须说明原因、告知负责人并复核；超过 500 行的导出须批准并带水印"),
            say("待复核的破例查看 {n} 次，其中超过一个月 {late} 次", n=f.looks, late=f.late_looks),
            _mark(f.late_looks == 0),
            "/admin/breaks",
        ),
        Control(
            say("恶意代码防范"),
            say("上传只收表格和图像，按内容解析、限大小，单元格不作公式"),
            say("杀毒由服务器与工作站侧承担"),
            Mark.OUTSIDE,
        ),
    ]


def _outside() -> list[Control]:
    return [
        Control(say("备份恢复"), say("每日全备、异地副本、恢复演练"), say("由部署侧执行，见运维手册与演练记录"), Mark.OUTSIDE),
        Control(say("物理与网络环境"), say("机房、网络分区、边界防护、补丁"), say("由医院信息中心负责，附其记录"), Mark.OUTSIDE),
    ]


# --- the yearly assessment ------------------------------------------------------------------------------------------


def record(uow: UnitOfWork, done_on: date, level: int, assessor: str, result: str, report_no: str = "") -> MlpsAssessment:
    """Write a yearly assessment down."""
    if done_on > uow.now.astimezone(rules.ZONE).date():
        raise Invalid(say("测评日期在将来，请核对。"), "done_on")
    if not 1 <= level <= 4:
        raise Invalid(say("等级请填 1 至 4。"), "level")
    if not assessor.strip() or not result.strip():
        raise Invalid(say("请填写测评机构和结论。"), "assessor")
    row = MlpsAssessment(
        done_on=done_on, level=level, assessor=assessor.strip()[:100], result=result.strip()[:300], report_no=report_no.strip()[:100],
        by_name=uow.actor.name, at=uow.now,
    )  # fmt: skip
    uow.s.add(row)
    uow.s.flush()
    uow.audit("mlps", row.id, "assessed", after={"on": done_on.isoformat(), "level": level, "result": row.result})
    due(uow)
    return row


def assessments(uow: UnitOfWork) -> Sequence[MlpsAssessment]:
    """Assessments, the newest first."""
    return uow.s.execute(select(MlpsAssessment).order_by(MlpsAssessment.done_on.desc(), MlpsAssessment.id.desc()).limit(20)).scalars().all()


def next_due(uow: UnitOfWork) -> date | None:
    """When the next one must be done; None where none is on record."""
    last = next(iter(assessments(uow)), None)
    return None if last is None else last.done_on + timedelta(days=rules.MLPS_YEAR)


def due(uow: UnitOfWork) -> None:
    """Calendar job, 08:00: told sixty days before, and while none is on record."""
    at, today = next_due(uow), uow.now.astimezone(rules.ZONE).date()
    found = []
    if at is None or at - today <= timedelta(days=rules.MLPS_SOON):
        words = "还没有登记过等保测评" if at is None else "年度等保测评 %(on)s 前须完成"
        level = alerts.Level.WARNING if at is not None and at < today else alerts.Level.NOTICE
        fields = {} if at is None else {"on": at.isoformat()}
        found = [alerts.Alert("platform.mlps", "yearly", level, words, "/mlps", rules.Perm.MLPS, fields)]
    alerts.sync(uow, "platform.mlps", found)
