"""Platform (M01): tenancy, identity, permissions, sessions, audit."""

from cloud.modules.platform.rules import Perm
from cloud.web.module import Job, MenuItem, Module

MODULE = Module(
    name="platform",
    title="平台",
    views=("views:VIEWS", "views_me:VIEWS", "views_admin:VIEWS", "views_records:VIEWS"),
    permissions={
        Perm.USERS: ("secadmin",),
        Perm.ROLES: ("secadmin",),
        Perm.MATRIX: ("secadmin", "auditadmin", "infogroup", "director", "quality"),
        Perm.SESSIONS: ("secadmin",),
        Perm.WORKSTATIONS: ("sysadmin",),
        Perm.AUDIT: ("auditadmin",),
        Perm.OPERATE: ("sysadmin",),
        Perm.GRANTS: ("infogroup",),
        Perm.SSO: ("secadmin",),
        Perm.SENSITIVE: ("tester", "verifier", "senior", "leader", "director", "clinician"),
        Perm.BREAKS: ("quality", "director"),
        Perm.MLPS: ("secadmin", "auditadmin", "director", "infogroup"),
        Perm.EXPORTS: ("quality", "director", "infogroup"),
    },
    menu=(
        MenuItem("用户", "/admin/users", Perm.USERS, "管理", 900),
        MenuItem("权限矩阵", "/admin/roles", Perm.MATRIX, "管理", 910),
        MenuItem("会话", "/sessions", Perm.SESSIONS, "管理", 920),
        MenuItem("工作站", "/workstations", Perm.WORKSTATIONS, "管理", 930),
        MenuItem("院区", "/admin/campuses", Perm.WORKSTATIONS, "管理", 925),
        MenuItem("临时访问", "/admin/grants", Perm.GRANTS, "管理", 935),
        MenuItem("单点登录", "/admin/sso", Perm.SSO, "管理", 938),
        MenuItem("院内网段", "/admin/networks", Perm.ROLES, "管理", 937),
        MenuItem("破例查看", "/admin/breaks", Perm.BREAKS, "管理", 939),
        MenuItem("导出审批", "/admin/exports", Perm.EXPORTS, "管理", 939),
        MenuItem("等保自查", "/mlps", Perm.MLPS, "管理", 950),
        MenuItem("审计", "/audit", Perm.AUDIT, "管理", 940),
        MenuItem("安全报表", "/admin/reports", Perm.AUDIT, "管理", 945),
    ),
    jobs=(
        Job("audit_verify", "00:30", "service:verify_chain"),
        Job("platform.dormant", "08:00", "watch:dormant"),
        Job("platform.bulk_views", "15m", "watch:bulk_views"),
        Job("platform.certificates", "15m", "certificates:look"),
        Job("platform.end_grants", "1m", "watch:end_grants"),
        Job("signing.countersign", "1m", "signing:countersign"),
        Job("audit_archive", "00:30", "archive:archive"),
        Job("platform.mlps", "08:00", "mlps:due"),
        Job("platform.breaks", "08:00", "glass:overdue"),
        Job("lists.purge", "00:30", "lists:purge"),
    ),
    handlers={"list.render": ("lists:render",)},
    starts={"*login": "start:unanswered"},
)
