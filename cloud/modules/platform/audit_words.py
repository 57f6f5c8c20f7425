"""The field's words for what the audit keeps as codes: objects, actions, and the columns of before and after. Pure.

Both languages stand side by side, as nowhere else: an auditor compares them. A test reads every ``uow.audit(…)`` of the code and holds
that each object and each action has its word here (``tests/cloud/platform/test_audit_words.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Words = Mapping[str, tuple[str, str]]
"""Code → (Chinese, English)."""

OBJECTS: Words = {
    "access_grant": ("临时授权", "Access grant"), "agent": ("采集端", "Agent"), "agent_consent": ("更新同意书", "Update consent"),
    "agent_release": ("采集端版本", "Agent release"), "alert": ("提醒", "Alert"), "analyzer": ("仪器", "Analyzer"),
    "analyzer_item_map": ("仪器通道对照", "Analyzer channel"), "audit": ("审计", "Audit"), "authorization": ("岗位授权", "Authorisation"),
    "av_case": ("自动审核用例", "Autoverification case"), "av_decision": ("自动审核判定", "Autoverification decision"),
    "av_rule_set": ("自动审核规则集", "Rule set"), "av_simulation": ("规则试运行", "Rule trial"),
    "av_suspension": ("自动审核停用", "Autoverification stop"), "av_range": ("自动审核范围", "Autoverification range"),
    "av_policy": ("自动审核策略", "Autoverification policy"), "bag": ("运送袋", "Transport bag"),
    "breakpoint": ("折点", "Breakpoint"), "breakpoint_set": ("折点版本", "Edition of breakpoints"),
    "break_glass": ("越权查看", "Break-glass look"), "calc_formula": ("计算公式", "Formula"), "calibration": ("校准", "Calibration"),
    "catalog_change": ("目录变更", "Catalog change"), "catalog_trial": ("变更试算", "Change trial"),
    "connection": ("仪器连接", "Connection"), "comment_template": ("备注模板", "Comment template"), "container": ("容器", "Container"),
    "critical": ("危急值", "Critical value"), "critical_contact": ("危急值联系人", "Critical contact"),
    "critical_limit": ("危急值界限", "Critical limit"), "critical_quiet": ("危急值免报设置", "Critical repeat setting"),
    "day_entry": ("交班事项", "Handover entry"), "delegation": ("代理授权", "Delegation"), "delivery": ("外发消息", "Outgoing message"),
    "delta_rule": ("差值检查规则", "Delta rule"), "digest": ("今日摘要", "Morning digest"),
    "discard_batch": ("销毁批次", "Discard batch"), "duty": ("值班", "Duty"),
    "edge_archive": ("原始报文归档", "Archive of raw messages"), "edge_alarm": ("采集端报警", "Agent alarm"),
    "edge_mapping": ("仪器映射", "Mapping"), "edge_recording": ("录制报文", "Recording"),
    "edge_report": ("采集端报表", "Agent report"), "endpoint": ("接口", "Interface"), "equipment_fault": ("设备故障", "Equipment fault"),
    "handover": ("交班记录", "Handover"), "hil_limit": ("HIL 阈值", "HIL limit"), "his_item_map": ("HIS 项目对照", "HIS item mapping"),
    "ignored_code": ("忽略的代码", "Ignored code"), "inbox_message": ("收到的消息", "Incoming message"),
    "infectious": ("传染病报告", "Infectious finding"), "interface_issue": ("接口问题", "Interface issue"),
    "judge_formula": ("判定公式", "Judging formula"), "lab_order": ("检验申请单", "Order"), "list": ("清单导出", "List export"),
    "logic_rule": ("逻辑关系规则", "Logic rule"), "mlps": ("等保测评", "MLPS assessment"), "nonconformity": ("不符合项", "Nonconformity"),
    "number_lease": ("离线号段", "Leased numbers"), "open_pack": ("在用试剂", "Opened reagent"), "order_item": ("申请项目", "Order item"),
    "near_network": ("院内网段", "Own network"), "campus": ("院区", "Campus"),
    "wework_app": ("企业微信应用", "WeChat-Work application"),
    "confirmation": ("确证送检", "Confirmation elsewhere"),
    "outside_report": ("外院互认报告", "Report of another hospital"),
    "order_set": ("组合项目", "Order set"), "parked_cancel": ("待匹配的撤销", "Parked cancellation"), "patient": ("患者", "Patient"),
    "patient_merge": ("患者合并", "Patient merge"), "qc_material": ("质控品", "Control material"), "qc_month": ("质控月报", "Monthly QC"),
    "qc_moving": ("患者移动均值", "Moving average"), "qc_note": ("质控图备注", "QC note"), "qc_ooc": ("失控处理", "Out-of-control record"),
    "qc_plan": ("质控方案", "QC plan"), "qc_result": ("质控结果", "Control result"), "qc_run": ("质控批", "QC run"),
    "qc_robot": ("失控通知群", "Group told of rejections"), "critical_robot": ("危急值通知群", "Group told of critical values"),
    "qc_target": ("质控靶值", "QC target"), "queue_ticket": ("排队号", "Queue ticket"), "queue_window": ("采血窗口", "Window"),
    "raw_message": ("仪器报文", "Analyzer message"), "reagent_lot": ("试剂批号", "Reagent lot"),
    "reflex_rule": ("反射检验", "Reflex rule"), "ref_interval": ("参考区间", "Reference interval"), "referral": ("外送", "Referral"),
    "refund_request": ("退费申请", "Refund request"), "reject_reason": ("拒收原因", "Rejection reason"),
    "rejection": ("拒收通知", "Rejection notice"), "report": ("报告", "Report"), "report_layout": ("报告版式", "Report layout"),
    "report_logo": ("报告院标", "Report logo"), "role": ("角色", "Role"), "section": ("专业组", "Section"),
    "session": ("登录会话", "Session"), "setting": ("参数", "Setting"), "shift": ("班次", "Shift"), "signature": ("签名", "Signature"),
    "specimen": ("标本", "Specimen"), "specimen_type": ("标本类型", "Specimen type"), "sso_source": ("单点登录来源", "Sign-on source"),
    "storage_rack": ("标本架", "Rack"), "stray_tube": ("无主标本", "Stray tube"), "tenant": ("医院", "Hospital"),
    "test_item": ("检验项目", "Test item"), "ticket": ("工单", "Service ticket"), "user": ("用户", "User"),
    "verbal_order": ("口头医嘱", "Verbal order"), "visit": ("就诊", "Visit"), "workstation": ("工作站", "Workstation"),
    "wst886": ("WS/T 886 代码表", "WS/T 886 codes"),
}  # fmt: skip

ACTIONS: Words = {
    "accept": ("确认", "accepted"), "accepted": ("同意", "accepted"), "acked": ("已送达", "delivered"),
    "acknowledge": ("知悉", "acknowledged"), "acting": ("纠正中", "correcting"), "activate": ("生效", "activated"),
    "activation_failed": ("生效失败", "activation failed"), "active": ("启用", "made active"), "add": ("新增", "added"),
    "add_on": ("加做", "added on"), "aliquot": ("分杯", "aliquot made"), "aliquoted": ("已分杯", "aliquoted"),
    "amend": ("修改报告", "amended"), "analysed": ("已分析原因", "cause analysed"), "approve": ("批准", "approved"),
    "approve:av": ("批准（自动审核）", "approved (autoverification)"),
    "approve:group": ("批准（信息管理组）", "approved (information group)"), "approve:section": ("批准（专业组）", "approved (section)"),
    "approved": ("批准", "approved"), "archive": ("归档", "archived"), "archived": ("归档", "archived"), "arrived": ("送达", "arrived"),
    "ask": ("申请", "asked"), "asked": ("申请", "asked"), "assessed": ("登记测评", "assessed"), "assign": ("排班", "assigned"),
    "rerun_waived": ("不复查", "rerun waived"),
    "attach_results": ("归入标本", "results attached"), "audit": ("抽查", "spot-checked"),
    "auto_release": ("自动审核发布", "released by rules"), "balance": ("清点", "counted"),
    "begin": ("开始", "begun"), "bench:accept": ("批量确认结果", "results accepted"), "bench:cancel": ("取消检验", "tests cancelled"),
    "bench:choose": ("选定结果", "result chosen"), "bench:dismiss_late": ("不采用迟到的结果", "late result dismissed"),
    "bench:enter": ("录入结果", "result entered"), "bench:follow_up": ("安排后续检验", "follow-up ordered"),
    "bench:no_result": ("登记无结果", "marked as no result"), "bench:reflex": ("反射加做", "reflex test"),
    "bench:to_confirm": ("报待复检，送确证", "told as to be confirmed, sent on"),
    "bench:reflex_added": ("反射加做已申请", "reflex test ordered"), "bench:reflex_refused": ("反射加做未执行", "reflex test refused"),
    "bench:rerun": ("复查", "rerun"), "bench:review_part": ("部分初审", "part reviewed"), "bench:review": ("初审", "reviewed"),
    "bench:send_back": ("退回检验", "sent back to the bench"), "bench:withdraw": ("撤销后续检验", "follow-up withdrawn"),
    "booked": ("已预约", "booked"), "break_glass": ("越权查看", "looked past the wall"), "busy": ("采血中", "busy"),
    "bypass": ("临时放行", "bypassed"), "called": ("叫号", "called"), "cancel": ("取消", "cancelled"), "cancelled": ("取消", "cancelled"),
    "capture": ("录制报文", "captured"), "carded": ("填报传染病卡", "card filed"), "centrifuged": ("离心", "centrifuged"),
    "chain_broken": ("链条断裂", "chain broken"), "change": ("修改", "changed"), "change_password": ("修改密码", "changed the password"),
    "changed": ("修改", "changed"), "charged": ("计费", "charged"), "credited": ("冲账", "credited"),
    "check_in": ("签到取号", "checked in"),
    "checked_in": ("已签到", "checked in"), "checklist": ("上线检查", "checklist"), "choose": ("选用", "chosen"),
    "clear": ("解除", "cleared"), "close": ("关闭", "closed"), "closed": ("关闭", "closed"),
    "cocheck": ("复核", "checked by a second person"), "collected": ("采集", "collected"), "compare": ("对比", "compared"),
    "compose": ("调整权限", "permissions changed"), "conditional": ("让步接收", "accepted with a caveat"),
    "confirm": ("复核", "confirmed"), "confirmed": ("确认", "confirmed"), "consent": ("同意", "consented"),
    "contained": ("已控制", "contained"), "corrected": ("已纠正", "corrected"), "countersigned": ("加盖电子签名", "countersigned"),
    "create": ("新建", "created"), "created": ("新建", "created"), "dead_letter": ("投递失败", "undeliverable"),
    "decide": ("处理决定", "decided"), "declined": ("判定不是同一人", "not the same person"), "detect": ("发现", "detected"),
    "diagnosing": ("诊断中", "diagnosing"), "difficulty": ("记录困难", "difficulty noted"),
    "discard_results": ("作废结果", "results discarded"), "discarded": ("销毁", "discarded"),
    "doctor_acknowledged": ("医生确认", "acknowledged by the doctor"), "done": ("完成", "done"), "draft": ("起草", "drafted"),
    "download": ("下载", "downloaded"),
    "edit": ("修改", "edited"), "emergency": ("紧急变更", "emergency change"), "end": ("结束", "ended"), "ended": ("结束", "ended"),
    "enrol": ("接入", "enrolled"), "enrol_code": ("发放登记码", "enrolment code issued"), "escalate": ("升级", "escalated"),
    "examine": ("复测", "examined again"), "exclude": ("剔除", "excluded"), "expire": ("到期", "expired"), "expired": ("过期", "expired"),
    "corrected_told": ("告知更正", "correction told"), "in_full": ("改为立即通知", "to be told at once"),
    "export": ("导出", "exported"), "extra": ("袋中多出", "extra tube in the bag"), "fail": ("中止", "ended by itself"),
    "false_alarm": ("判为非危急值", "not critical"),
    "fits": ("核对相符", "fits"), "found": ("发现", "found"), "give": ("交出", "given"), "grant": ("授权", "granted"),
    "certificate": ("登记证书", "certificate registered"), "certificate_revoked": ("证书被吊销", "certificate revoked"),
    "remove_certificate": ("取消证书登记", "certificate taken away"),
    "bind_wework": ("登记企业微信", "WeChat-Work bound"), "edition": ("更换版本", "edition changed"),
    "gone_outside": ("离开院内网络，结束", "ended: gone outside"),
    "grant_role": ("授予角色", "role granted"),
    "hand_over": ("转交", "handed over"), "handle": ("处置", "handled"),
    "held": ("暂挂", "held"), "hold": ("暂挂", "held"), "hold_cleared": ("解除暂挂", "hold cleared"), "ignore": ("忽略", "ignored"),
    "in_test": ("检验中", "in test"), "investigating": ("查找原因", "investigating"), "issues": ("登记标本状态", "condition noted"),
    "judged": ("判断", "judged"), "judged_again": ("改判", "judged again"), "keep": ("留下不销毁", "kept"),
    "key": ("登记密钥", "key registered"), "extended": ("时段提前", "began earlier"),
    "kick": ("强制下线", "session ended"), "labelled": ("打印标签", "labelled"), "lease": ("领取号段", "numbers leased"),
    "left": ("离职", "left"), "limits_reviewed": ("界限复核", "limits reviewed"),
    "load": ("载入", "loaded"), "lock": ("锁定", "locked"), "locked": ("锁定", "locked"),
    "login": ("登录", "logged in"), "logout": ("退出", "logged out"), "lost": ("丢失", "lost"), "make": ("生成", "made"),
    "map": ("对照", "mapped"), "mapped": ("对照", "mapped"), "measured": ("测定", "measured"), "merged": ("合并", "merged"),
    "move_addresses": ("更新地址", "addresses moved"), "nag": ("再次催办", "urged again"), "new": ("新建", "new"),
    "no_answer": ("无人接听", "no answer"), "not_rendered": ("报告未能生成", "could not be printed"),
    "offer_update": ("下发更新", "update offered"), "offline": ("离线取号", "ticket given offline"),
    "on_analyzer": ("上机检测", "on the analyzer"), "onsite": ("已到场", "on site"), "onsite_scheduled": ("已约上门", "visit scheduled"),
    "open": ("打开", "opened"), "opened": ("打开", "opened"), "orders": ("重新下发申请", "orders sent anew"), "pack": ("装袋", "packed"),
    "packing": ("装袋中", "packing"), "parked": ("暂存", "parked"), "partly_reported": ("部分报告", "partly reported"),
    "passed": ("过号", "passed over"), "paused": ("暂停", "paused"), "pending": ("待处理", "pending"),
    "pending_verify": ("待批间验证", "awaiting lot check"), "placed": ("开单", "ordered"), "planned": ("待打印", "planned"),
    "preliminary": ("预报告", "preliminary"), "priority": ("改为优先", "given priority"), "propose": ("提出", "proposed"),
    "proposed": ("提出", "proposed"), "publish": ("发布", "published"), "purpose": ("填写用途", "purpose given"),
    "quarantine": ("隔离", "quarantined"), "queued": ("排队发送", "queued"), "raise": ("发出", "raised"), "read": ("阅知", "read"),
    "read_only": ("只读", "read only"), "readback_refused": ("回读不符", "read-back refused"), "recall": ("召回", "recalled"),
    "recalled": ("召回", "recalled"), "receive": ("接收", "received"), "received": ("核收", "received"), "record": ("登记", "recorded"),
    "referred": ("外送", "referred"), "reflex": ("反射加做", "reflex test"), "refunded": ("退费", "refunded"),
    "refuse": ("退回", "refused"), "refused": ("拒绝", "refused"), "register": ("登记", "registered"),
    "reinterpret": ("重新解读", "read again"), "rejected": ("拒收", "rejected"), "release": ("审核发布", "released"),
    "released": ("审核发布", "released"), "remind": ("提醒", "reminded"), "remove": ("移除", "removed"),
    "render_again": ("重新生成报告", "printed anew"), "rendered": ("生成报告", "rendered"), "renew": ("换发证书", "certificate renewed"),
    "renumbered": ("改样本号", "renumbered"), "reopened": ("重新打开", "reopened"), "report": ("报修", "reported"),
    "reported": ("已报告", "reported"), "reprint": ("补打", "reprinted"), "reprocessed": ("重新处理", "processed again"),
    "requested": ("申请", "requested"), "resend": ("要求补传", "asked to send again"), "resent": ("人工重发", "sent again"),
    "reset_password": ("重设密码", "password reset"), "reset_second_factor": ("重设动态口令", "second factor reset"),
    "resolved": ("已解决", "resolved"), "results": ("结果到达", "results arrived"), "restore": ("恢复使用", "used again"),
    "retire": ("停用", "retired"),
    "retired": ("停用", "retired"), "retrying": ("重试中", "retrying"), "returned": ("结果返回", "returned"),
    "review": ("评价", "reviewed"), "reviewed": ("已审核", "reviewed"), "revoke": ("吊销", "revoked"), "revoked": ("撤销", "revoked"),
    "roles": ("调整角色", "roles changed"), "sample": ("抽中复核", "drawn for the sample"),
    "save": ("保存", "saved"), "saved": ("保存", "saved"), "schedule": ("排期", "scheduled"),
    "scheduled": ("已排期", "scheduled"), "scrapped": ("报废", "scrapped"), "seed_demo": ("写入演示数据", "demo data written"),
    "seed_fitness": ("写入演示数据", "demo data written"), "seed_formulas": ("写入演示数据", "demo data written"),
    "sent": ("送出", "sent"), "sent_back": ("退回", "sent back"), "settled": ("处理漏费", "settled"),
    "serving": ("开始采血", "being served"),
    "set_pin": ("设置 PIN", "PIN set"), "shadow": ("影子运行", "shadow run"),
    "shorten": ("缩短", "shortened"), "sign": ("签名", "signed"), "signed": ("签名", "signed"),
    "signing_opened": ("打开签名窗口", "signing window opened"), "site": ("现场差异", "site difference"),
    "solution_given": ("已给方案", "solution given"), "standard_roles": ("更新标准角色", "standard roles updated"),
    "start": ("开始", "started"), "state": ("改变状态", "state changed"), "stop": ("停用", "stopped"), "stored": ("上架", "stored"),
    "suspended": ("暂停", "suspended"), "switch": ("切换", "switched"), "tail": ("查看线路", "line watched"),
    "take_back": ("撤回", "taken back"), "taken": ("接听", "taken"), "taken_out": ("取出", "taken out"),
    "temperature": ("记录温度", "temperature read"), "test": ("测试", "tested"), "tested": ("检测完成", "tested"),
    "told": ("已通知", "told"), "trial": ("试用", "trial"), "undone": ("撤销", "undone"), "unschedule": ("取消排期", "schedule cancelled"),
    "unhold": ("解除暂挂", "released from hold"), "unpack": ("出袋扫描", "scanned out of the bag"),
    "unlock": ("解锁", "unlocked"), "unmerged": ("撤销合并", "unmerged"), "update": ("更新", "updated"), "upload": ("上传", "uploaded"),
    "validate": ("验证", "validated"), "validated": ("已验证", "validated"), "verified": ("核实", "verified"),
    "verifying": ("验证中", "verifying"), "waiting": ("等候", "waiting"), "withdraw": ("撤回", "withdrawn"),
    "unsent": ("没有发出", "not sent"), "withdrawn": ("撤回", "withdrawn"), "write": ("书写", "written"),
    "amended": ("已修改", "amended"), "available": ("可用", "available"),
    "deferred": ("待后台解读", "to be read later"), "enrolled": ("已接入", "enrolled"), "handled": ("已处置", "handled"),
    "in_control": ("在控", "in control"), "incomplete": ("水平不全", "levels missing"), "interpreted": ("已解读", "interpreted"),
    "notifying": ("通知中", "being told"), "quarantined": ("隔离", "quarantined"), "unreachable": ("联系不上", "cannot be reached"),
    "warning": ("警告", "warning"), "escalated": ("已升级", "escalated"), "detected": ("待复核", "detected"),
    # What a word means on one object only.
    "open_pack.open": ("开封", "opened"), "queue_ticket.recall": ("重呼", "called again"),
    "queue_ticket.held": ("暂离", "away for a moment"), "queue_window.open": ("开窗", "opened"), "queue_window.closed": ("关窗", "closed"),
    "order_item.held": ("暂挂待核对", "held for a check"), "session.switch": ("换人", "person switched"),
    "connection.switch": ("启停", "switched on or off"), "qc_run.trial": ("只积累，不判断", "collected, not judged"),
    "qc_run.rejected": ("失控", "out of control"), "qc_ooc.verified": ("复测在控", "verified in control"),
    "raw_message.clear": ("原文过期清除", "bytes cleared"),
    "audit.archive": ("写入归档", "archive written"), "audit.verified": ("校验链条", "chain verified"),
    "edge_mapping.accept": ("验收", "accepted"), "edge_mapping.tested": ("已试验", "tested"), "ticket.accepted": ("已受理", "taken on"),
    "reagent_lot.available": ("可用", "available"), "user.active": ("启用", "enabled"), "user.suspended": ("停用", "suspended"),
    "report.acknowledge": ("阅读", "read"), "order_item.rejected": ("拒收待重采", "rejected, to be recollected"),
}  # fmt: skip

COLUMNS: Words = {
    "action": ("处置", "action"), "active": ("在用", "active"), "added": ("增加", "added"), "again": ("复测值", "again"),
    "age_high": ("年龄上限", "age to"), "age_low": ("年龄下限", "age from"), "age_unit": ("年龄单位", "age unit"),
    "agent_id": ("采集端", "agent"), "agrees": ("一致", "agrees"), "alone": ("单独值班", "alone"), "analyzer": ("仪器", "analyzer"),
    "analyzer_id": ("仪器", "analyzer"), "answer": ("应答", "answer"), "approvals": ("批准人数", "approvals"), "at": ("时间", "at"),
    "auto": ("自动", "automatic"), "barcode": ("条码", "barcode"), "below": ("下级标本", "below"), "birth": ("出生日期", "birth"),
    "box": ("检查项", "check"), "by": ("经手人", "by"), "bytes": ("字节数", "bytes"), "called": ("致电", "called"),
    "caller": ("来电人", "caller"), "calls": ("呼叫次数", "calls"), "card_no": ("卡号", "card"), "cases": ("用例数", "cases"),
    "charge": ("收费", "charge"), "charge_state": ("收费", "charge"), "charged_at": ("计费时间", "charged at"),
    "credited_at": ("冲账时间", "credited at"),
    "check": ("复核次数", "checks"), "class": ("类别", "class"), "code": ("代码", "code"), "codes": ("代码", "codes"),
    "cols": ("列数", "columns"), "comment": ("意见", "comment"), "config_version": ("配置版本", "configuration version"),
    "confusion": ("比对结果", "comparison"), "conn": ("连接", "connection"), "consent": ("同意书", "consent"),
    "contact": ("联系人", "contact"), "count": ("次数", "count"), "days": ("天数", "days"), "decimals": ("小数位", "decimals"),
    "decision": ("决定", "decision"), "dept": ("科室", "department"), "detail": ("说明", "detail"), "device": ("设备", "device"),
    "differences": ("差异", "differences"), "difficulty": ("困难", "difficulty"), "dilution": ("稀释倍数", "dilution"),
    "doctor": ("医生", "doctor"), "done": ("已完成", "done"), "driver": ("驱动", "driver"), "due": ("期限", "due"),
    "edition": ("版本", "edition"), "effective": ("生效时间", "effective"), "effective_at": ("生效时间", "effective at"),
    "employee_no": ("工号", "employee no."),
    "enabled": ("启用", "enabled"), "encoding": ("编码", "encoding"), "end": ("结束", "end"), "endpoint": ("接口", "interface"),
    "entries": ("条数", "entries"), "exceeds": ("超出允许", "exceeds"), "expires": ("到期", "expires"),
    "expires_at": ("到期时间", "expires at"), "expiry": ("效期", "expiry"), "extra": ("多出", "extra"), "factor": ("系数", "factor"),
    "fates": ("去向", "where results went"), "file": ("文件", "file"), "first": ("首条", "first"), "from": ("来自", "from"),
    "hall": ("采血厅", "hall"), "hash": ("摘要", "hash"), "held_back": ("未增加", "held back"), "here": ("在袋中", "here"),
    "high": ("上限", "high"), "his_code": ("HIS 代码", "HIS code"), "hold": ("暂挂原因", "held because"), "hospital": ("医院", "hospital"),
    "host_query": ("双向查询", "host query"), "hostname": ("计算机名", "host name"), "issues": ("标本状态", "condition"),
    "activate_at": ("启用时间", "in use from"),
    "item": ("项目", "item"), "item_id": ("项目", "item"), "items": ("项目", "items"), "keep": ("保留患者", "kept patient"),
    "key": ("编号", "key"), "kind": ("类型", "kind"), "kiosk": ("自助机", "kiosk"), "last": ("末条", "last"), "late": ("迟到", "late"),
    "left_ml": ("剩余毫升", "ml left"), "level": ("级别", "level"), "lines": ("行", "lines"), "locked_until": ("锁定至", "locked until"),
    "lost": ("放弃的报文", "messages given up"),
    "lot": ("批号", "lot"), "logger": ("温度记录仪", "logger"), "low": ("下限", "low"), "mean": ("均值", "mean"),
    "merged_into": ("并入患者", "merged into"), "message": ("内容", "message"), "mfa": ("二次验证", "second factor"),
    "missing": ("缺少", "missing"), "model": ("型号", "model"), "msg_id": ("消息号", "message id"), "name": ("名称", "name"),
    "name_en": ("英文名", "English name"), "no": ("号码", "number"), "not_after": ("有效期至", "valid until"), "note": ("备注", "note"),
    "notified_at": ("通知时间", "notified at"), "notify": ("需上报", "notifiable"), "number": ("编号", "number"),
    "observations": ("结果记录", "observations"), "offset": ("偏移", "offset"), "on": ("日期或开关", "on"), "open": ("打开", "open"),
    "order_id": ("申请单", "order"), "order_item": ("申请项目", "order item"), "order_item_id": ("申请项目", "order item"),
    "order_set": ("组合", "order set"), "order_set_id": ("组合", "order set"), "other": ("另一患者", "other patient"),
    "out": ("超出范围", "out of range"), "outcome": ("结果", "outcome"), "parent": ("母管", "parent tube"), "passed": ("通过", "passed"),
    "patient": ("患者", "patient"), "patient_id": ("患者", "patient"), "patient_no": ("患者号", "patient no."),
    "permissions": ("权限", "permissions"), "person": ("同意人", "person"), "phone": ("电话", "telephone"), "place": ("地点", "place"),
    "placeholder": ("占位值", "placeholder"), "plan": ("方案", "plan"), "position": ("位置", "position"),
    "print_order": ("打印顺序", "print order"), "prints": ("打印次数", "prints"), "priority": ("优先级", "priority"),
    "product": ("产品", "product"), "proof": ("凭证", "proof"), "protocol": ("协议", "protocol"), "purpose": ("用途", "purpose"),
    "rack": ("标本架", "rack"), "raw": ("报文", "messages"), "raw_message": ("仪器报文", "analyzer message"),
    "read_back": ("已回读", "read back"), "reason": ("原因", "reason"), "recording": ("录制", "recording"), "remark": ("备注", "remark"),
    "reports": ("报告数", "reports"), "result": ("结果", "result"), "results": ("结果", "results"), "roles": ("角色", "roles"),
    "row": ("行", "row"), "rows": ("行数", "rows"), "rule_set": ("规则集", "rule set"), "rules": ("规则", "rules"),
    "sample_no": ("样本号", "sample no."), "scope": ("范围", "scope"), "sd": ("标准差", "SD"), "seconds": ("秒数", "seconds"),
    "section": ("专业组", "section"), "section_id": ("专业组", "section"), "serial": ("证书序列号", "certificate serial"),
    "sessions": ("结束的会话", "sessions ended"),
    "severity": ("严重程度", "severity"), "sex": ("性别", "sex"), "sha256": ("摘要 SHA-256", "SHA-256"), "shift": ("班次", "shift"),
    "signer": ("签名者", "signer"), "signing": ("签名窗口", "signing window"), "simulator": ("模拟模式", "simulator"),
    "since": ("起始时间", "since"), "source": ("来源", "source"), "specimen": ("标本", "specimen"), "specimen_id": ("标本", "specimen"),
    "specimen_text": ("标本标识", "specimen text"), "stamp": ("补打标记", "stamp"), "start": ("开始", "start"), "state": ("状态", "state"),
    "status": ("状态", "status"), "subject": ("主题", "subject"), "summaries": ("汇总数", "summaries"), "target": ("对象", "target"),
    "tat_minutes": ("时限（分钟）", "TAT minutes"), "tester": ("检验者", "tester"), "text": ("内容", "text"), "ticket": ("工单", "ticket"),
    "title": ("标题", "title"), "to": ("去向", "to"), "total": ("总数", "total"), "transport": ("线路", "line"),
    "tubes": ("管数", "tubes"), "unit": ("单位", "unit"), "until": ("截止", "until"), "user": ("人员", "person"), "uuid": ("标识", "UUID"),
    "validation": ("验证记录", "validation"), "value": ("值", "value"), "values": ("值", "values"), "verdict": ("结论", "verdict"),
    "version": ("版本", "version"), "version_no": ("报告版本", "report version"), "visit_no": ("就诊号", "visit no."),
    "whole": ("完整条数", "whole entries"), "why": ("原因", "why"), "window": ("窗口", "window"), "words": ("内容", "words"),
    "workstation": ("工作站", "workstation"), "worse_percent": ("恶化百分比", "worse by %"), "written": ("书面医嘱", "written order"),
    "written_at": ("书写时间", "written at"), "z": ("z 分数", "z-score"),
}  # fmt: skip

STATES = ("state", "status")
"""Columns whose values are states: the words of the actions that lead to them."""


def objects(english: bool) -> list[tuple[str, str]]:
    """Every object with its word, for a choice."""
    return sorted(((code, words[english]) for code, words in OBJECTS.items()), key=lambda each: each[1])


def object_word(code: str, english: bool) -> str:
    """What kind of thing it is."""
    return _word(OBJECTS, code, english)


def action_word(entity: str, action: str, english: bool) -> str:
    """What was done to it."""
    return _word(ACTIONS, f"{entity}.{action}" if f"{entity}.{action}" in ACTIONS else action, english)


def changes(body: Mapping[str, Any], english: bool) -> list[tuple[str, str, str]]:
    """(column, before, after) of an entry, in words; a column that stands on one side only has "" on the other. What stayed is left out."""
    before, after = _columns(body.get("before")), _columns(body.get("after"))
    entity = str(body.get("entity"))
    names = [n for n in dict.fromkeys((*before, *after)) if before.get(n) != after.get(n)]
    laid = ((_word(COLUMNS, n, english), _said(entity, n, before.get(n), english), _said(entity, n, after.get(n), english)) for n in names)
    return [each for each in laid if each[1] or each[2]]


def _columns(side: Any) -> Mapping[str, Any]:
    if isinstance(side, Mapping):
        return side
    return {} if side is None else {"value": side}


def _word(words: Words, code: str, english: bool) -> str:
    """The code itself where there is no word: what is recorded is never hidden."""
    found = words.get(code)
    return code if found is None else found[english]


def _said(entity: str, column: str, value: Any, english: bool) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return ("yes" if value else "no") if english else ("是" if value else "否")
    if isinstance(value, str):
        return action_word(entity, value, english) if column in STATES else value
    if isinstance(value, list):
        return (", " if english else "、").join(_said(entity, column, each, english) for each in value)
    if isinstance(value, Mapping):
        parts = (f"{_word(COLUMNS, k, english)} {_said(entity, k, v, english)}" for k, v in value.items() if v is not None)
        return ("; " if english else "；").join(parts)
    return str(value)
