"""What a permission allows, in words: for whoever gives roles, lends rights or reads what the own role may do. Pure.

Both languages stand side by side as in ``audit_words.py``; a test holds that every permission of every module has its words here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Words = Mapping[str, tuple[str, str]]
"""Code → (Chinese, English)."""

AREAS: Words = {
    "autoverify": ("自动审核", "Autoverification"), "catalog": ("基础数据", "Master data"), "changes": ("变更控制", "Change control"),
    "critical": ("危急值", "Critical values"), "edge": ("仪器接入", "Analyzers"), "equipment": ("设备", "Equipment"),
    "handover": ("交接班", "Handover"), "interfaces": ("接口", "Interfaces"), "orders": ("申请", "Orders"),
    "personnel": ("人员", "Personnel"),
    "platform": ("平台与安全", "Platform and security"), "portal": ("临床查询", "Clinical portal"), "qc": ("室内质控", "Internal QC"),
    "quality": ("不符合项", "Nonconformities"), "queue": ("采血排队", "Queue"), "reagents": ("试剂", "Reagents"),
    "reports": ("报告", "Reports"), "results": ("检验结果", "Results"), "scheduling": ("值班", "Duty"),
    "servicedesk": ("服务台", "Service desk"), "specimens": ("标本", "Specimens"),
}  # fmt: skip

PERMISSIONS: Words = {
    "autoverify:approve": ("批准自动审核规则", "approve rule sets"),
    "autoverify:audit": ("复核自动审核抽样", "double-check the audit sample"),
    "autoverify:read": ("查看自动审核", "see autoverification"),
    "autoverify:stop": ("一键停用自动审核", "stop autoverification"),
    "autoverify:write": ("编制自动审核规则", "write rule sets"),
    "catalog:map": ("对照 HIS 项目代码", "map HIS codes"),
    "catalog:read": ("查看基础数据", "see master data"),
    "changes:approve": ("信息管理组批准变更", "approve changes for the information group"),
    "changes:approve_av": ("批准自动审核范围的变更", "approve changes of autoverification"),
    "changes:approve_section": ("专业组批准变更", "approve changes for the section"),
    "changes:emergency": ("紧急变更，先生效后批准", "make an emergency change"),
    "changes:propose": ("提出变更", "propose changes"),
    "changes:read": ("查看变更", "see changes"),
    "changes:test": ("试算变更", "put changes to the test"),
    "critical:clinic": ("确认病区危急值", "answer critical values on the ward"),
    "critical:handle": ("复核、通知危急值", "check and tell critical values"),
    "critical:read": ("查看危急值", "see critical values"),
    "critical:setup": ("设置危急值联系人与免报", "set contacts and repeats of critical values"),
    "edge:approve": ("批准仪器映射", "approve mappings"),
    "edge:attach": ("认领无主结果", "attach results without a tube"),
    "edge:consent": ("同意采集端更新", "consent to agent updates"),
    "edge:install": ("登记、停用仪器", "install and retire analyzers"),
    "edge:manage": ("管理采集端与连接", "manage agents and connections"),
    "edge:map": ("对照仪器代码，切换连接", "map analyzer codes, switch connections"),
    "edge:propose": ("接入新仪器，提出映射", "bring in analyzers, propose mappings"),
    "edge:raw": ("查看仪器原始报文", "see raw analyzer messages"),
    "edge:read": ("查看仪器状态", "see the analyzers"),
    "equipment:calibrate": ("登记校准", "record calibrations"),
    "equipment:fault": ("登记、解除设备故障", "record and lift faults"),
    "equipment:read": ("查看校准与故障", "see calibrations and faults"),
    "handover:read": ("查看交接班", "see handovers"),
    "handover:write": ("交班、接班、记日志", "give and receive handovers, keep the log"),
    "interfaces:board": ("查看接口看板", "see the interface board"),
    "interfaces:maps": ("维护接口对照", "keep interface mappings"),
    "interfaces:messages": ("查看接口消息", "see interface messages"),
    "interfaces:raw": ("查看接口消息原文", "see messages as sent"),
    "interfaces:resend": ("重发、放行接口消息", "resend and release messages"),
    "orders:figures": ("查看申请统计", "see figures of orders"),
    "orders:merge": ("合并、拆分患者", "merge patients and part them again"),
    "orders:read": ("查看申请", "see orders"),
    "orders:refund": ("答复退费申请", "answer refund requests"),
    "orders:register": ("登记申请与口头医嘱", "register orders and verbal requests"),
    "personnel:grant": ("授予、暂停岗位授权", "grant and suspend authorisations"),
    "personnel:read": ("查看岗位授权", "see authorisations"),
    "platform:audit": ("查看审计与安全报表", "read the audit and security reports"),
    "platform:breaks": ("复核破例查看", "review break-glass looks"),
    "platform:exports": ("批准患者数据导出", "approve exports that name patients"),
    "platform:grants": ("批准外部工程师临时访问", "approve access of outside engineers"),
    "platform:matrix": ("查看权限矩阵", "see the rights matrix"),
    "platform:mlps": ("查看等保自查", "see the MLPS checklist"),
    "platform:operate": ("系统运维", "operate the system"),
    "platform:roles": ("组合角色", "compose roles"),
    "platform:sensitive": ("查看敏感项目结果", "see results of sensitive items"),
    "platform:sessions": ("查看、结束登录会话", "see and end sessions"),
    "platform:sso": ("管理单点登录来源", "manage sign-on sources"),
    "platform:users": ("管理账号", "manage accounts"),
    "platform:workstations": ("登记工作站", "register workstations"),
    "portal:read": ("查看本人患者的报告", "see reports of the own patients"),
    "qc:approve": ("批准质控靶值", "approve QC targets"),
    "qc:bypass": ("限时放行质控拦截", "lift a QC block for a time"),
    "qc:close": ("关闭失控，签月总结", "close out-of-control work, sign the month"),
    "qc:enter": ("录入质控，处理失控", "enter QC, work off rejections"),
    "qc:plan": ("设置质控计划与靶值", "set QC plans and targets"),
    "qc:read": ("查看质控", "see QC"),
    "quality:close": ("关闭、重开不符合项", "close and reopen nonconformities"),
    "quality:read": ("查看不符合项", "see nonconformities"),
    "quality:report": ("上报不符合项", "report nonconformities"),
    "quality:work": ("处理不符合项", "work on nonconformities"),
    "queue:board": ("查看排队概况", "see how the queue stands"),
    "queue:guide": ("导诊：签到、改优先级", "guide: check in, change priority"),
    "queue:screen": ("显示大厅屏幕", "show the hall screen"),
    "queue:window": ("采血窗口叫号", "call patients at a window"),
    "reagents:accept": ("验收、停用试剂批号", "accept and stop reagent lots"),
    "reagents:keep": ("登记、启用试剂", "register and open reagents"),
    "reagents:read": ("查看试剂批号", "see reagent lots"),
    "reports:amend": ("修改已发布的报告", "amend released reports"),
    "reports:layouts": ("设计报告格式", "design report layouts"),
    "reports:notify": ("处理传染病阳性", "handle notifiable findings"),
    "reports:read": ("查看报告", "see reports"),
    "reports:recall": ("召回报告", "recall reports"),
    "reports:test": ("初审结果", "review results"),
    "results:decide": ("裁定复查差异，确证加做", "decide reruns that differ, end confirmations"),
    "results:enter": ("录入、选用结果", "enter and choose results"),
    "results:read": ("查看检验工作台", "see the bench"),
    "results:release": ("审核发布报告", "verify and release reports"),
    "scheduling:alone": ("安排单人值班", "plan single-person duty"),
    "scheduling:publish": ("排班", "plan duty"),
    "scheduling:read": ("查看值班", "see duty"),
    "servicedesk:ask": ("提交自己的工单并跟进", "open own tickets and follow them"),
    "servicedesk:confirm": ("确认工单解决", "confirm that a ticket is solved"),
    "servicedesk:open": ("提交工单", "open tickets"),
    "servicedesk:read": ("查看工单", "see tickets"),
    "servicedesk:work": ("处理工单", "work on tickets"),
    "specimens:archive": ("归档、取出标本", "archive tubes and take them out"),
    "specimens:collect": ("采集标本", "collect specimens"),
    "specimens:conditional": ("让步接收标本", "accept specimens conditionally"),
    "specimens:discard": ("签字销毁标本", "sign for discarding"),
    "specimens:figures": ("查看标本统计", "see figures of specimens"),
    "specimens:label": ("打印标本标签", "print labels"),
    "specimens:lost": ("登记标本遗失", "record a lost specimen"),
    "specimens:notice": ("查看本病区拒收通知", "read rejections of the own ward"),
    "specimens:number": ("手工改样本号", "set sample numbers by hand"),
    "specimens:read": ("查找标本", "find specimens"),
    "specimens:receive": ("核收标本，加做", "receive specimens, add tests"),
    "specimens:refer": ("外送标本", "refer specimens out"),
    "specimens:register": ("登记核收无申请的标本", "register specimens without an order"),
    "specimens:reject": ("拒收标本", "reject specimens"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Area:
    """Permissions of one area: its word, and (code, word) of each."""

    word: str
    permissions: tuple[tuple[str, str], ...]


def word(code: str, english: bool) -> str:
    """What it allows; the code itself where a release before this one has no words for it."""
    found = PERMISSIONS.get(code)
    return code if found is None else found[english]


def by_area(codes: Iterable[str], english: bool) -> list[Area]:
    """The permissions grouped as people look for them, in the order of their codes."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for code in sorted(codes):
        groups.setdefault(code.split(":")[0], []).append((code, word(code, english)))
    return [Area(AREAS[area][english] if area in AREAS else area, tuple(held)) for area, held in groups.items()]
