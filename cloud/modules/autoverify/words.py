"""Why was this held, and what would clear it: one sentence a reason, in Chinese and English. Pure."""

# ruff: noqa: E501 (a table reads line by line)
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cloud.modules.autoverify.case import Failure
from common import say as common

CATEGORIES = (
    ("停用", "stop"),
    ("申请与患者信息", "order and demographics"),
    ("标本", "specimen"),
    ("仪器状态与报警", "analyzer state and flags"),
    ("校准与试剂", "calibration and reagents"),
    ("室内质控", "quality control"),
    ("测量范围与稀释", "measuring range and dilution"),
    ("自动审核范围", "autoverification range"),
    ("危急值", "critical value"),
    ("差值检查", "delta check"),
    ("项目间逻辑", "logic between items"),
    ("临床情况", "clinical context"),
    ("复查与反射未完成", "rerun or reflex pending"),
    ("标本混淆或污染", "mix-up or contamination"),
    ("值班与授权", "duty and authorisation"),
)

# code → why (zh), what clears it (zh), why (en), what clears it (en). {item} the item's name, {x} the figures, {m} the rule's own message.
_WORDS: dict[str, tuple[str, str, str, str]] = {
    "STOPPED": ("自动审核已停用：{x}", "停用解除后的新结果才会自动审核，本份由人工审核", "autoverification is stopped: {x}", "verify by hand; new results pass after the stop ends"),
    "REVALIDATE": ("规则集须重新验证：{x}", "由管理组重新验证并批准后，新结果才会自动审核", "the rule set must be validated again: {x}", "validate and approve it again; new results pass afterwards"),
    "ENGINE": ("自动审核程序出错：{x}", "由人工审核，并通知信息管理组", "the engine failed: {x}", "verify by hand and tell the information group"),
    "SCOPE_DEPT": ("规则集不用于科室“{x}”", "由人工审核；需要时另建规则集并验证", "the rule set is not meant for the department “{x}”", "verify by hand, or validate a set for it"),
    "SCOPE_ITEM": ("规则集不含 {item}", "由人工审核；需要时把项目加入规则集并重新验证", "the rule set does not cover {item}", "verify by hand, or add the item and validate again"),
    "SCOPE_ANALYZER": ("{item} 由仪器 {x} 测定，不在规则集的适用仪器中", "由人工审核；需要时加入该仪器并重新验证", "{item} was measured on {x}, which the rule set does not cover", "verify by hand, or add the analyzer and validate again"),
    "ORDER": ("没有对应的检验申请", "补登申请后重新核对", "there is no order behind the tube", "register the order"),
    "DEMOG": ("患者信息不完整（{x}）", "补全出生日期、性别、姓名和患者号", "demographics are incomplete ({x})", "complete birth date, sex, name and number"),
    "MISSING": ("必报项目 {item} 没有结果", "补做，或登记“无结果”并写明原因", "mandatory {item} has no result", "measure it or say why there is none"),
    "NO_RESULT": ("没有任何结果", "等待结果", "there is no result at all", "wait for results"),
    "NO_RI": ("{item} 无适用参考区间", "核对年龄和性别，或由管理组补充参考区间", "{item} has no reference interval for this patient", "check age and sex, or add the interval"),
    "SPECIMEN": ("标本状态不合格：{x}", "核对标本，必要时重采", "the specimen is not fit: {x}", "check the specimen, recollect if needed"),
    "CAVEAT": ("标本为让步接收", "由审核者判断让步说明是否影响结果", "the specimen was accepted with a caveat", "judge whether the caveat matters"),
    "FED": ("申请注明采集前未空腹", "由审核者结合进食情况判断，报告会注明；必要时空腹重采", "the request says that the patient had eaten", "a verifier judges it, the report says so; recollect after fasting if needed"),
    "HIL_NONE": ("{item} 需要 {x} 指数，但没有测得", "补测血清指数或目视判断", "{item} needs the {x} index, which is absent", "measure the index or look at the tube"),
    "HIL": ("{item} 受干扰：指数 {x}", "目视确认，重采或加注说明", "{item} is interfered with: index {x}", "look at the tube, recollect or comment"),
    "NO_TIME": ("缺少时间记录（{x}）{item}", "补登时间后由人工审核", "a time is missing ({x}) {item}", "enter the time and verify by hand"),
    "TIME_ORDER": ("{item} 的测定时间早于采集时间", "核对标本与仪器时钟", "{item} was measured before collection", "check tube and clocks"),
    "STABILITY": ("{item} 采集到测定超过稳定期（{x}）", "重采，或加注说明后由人工发布", "{item} was measured past its stability ({x})", "recollect, or comment and release by hand"),
    "STABILITY_NONE": ("{item} 没有登记稳定期", "在项目资料中登记采集后稳定期", "{item} has no stability on file", "register the stability in the catalog"),
    "FAULT": ("仪器故障：{x}", "维修验证后复查，或换机复测", "the analyzer is out of order: {x}", "repeat after the repair or on another analyzer"),
    "FLAG": ("{item} 仪器报警 {x}", "按报警处理（复查、镜检或稀释）后确认", "{item} carries the analyzer's flag {x}", "act on the flag, then confirm"),
    "MANUAL": ("{item} 为手工录入", "由另一人核对原始记录后审核", "{item} was typed by hand", "another person checks it against the record"),
    "NO_ANALYZER": ("{item} 来源仪器不明", "核对仪器连接", "it is unknown which analyzer measured {item}", "check the connection"),
    "FUTURE_TIME": ("{item} 的测定时间晚于现在", "校正仪器时钟", "{item} is dated in the future", "correct the analyzer's clock"),
    "CAL_NONE": ("{item} 没有校准记录", "登记有效校准后复测", "{item} has no calibration on record", "record a valid calibration and repeat"),
    "CAL_EXPIRED": ("{item} 校准已过期", "重新校准后复测", "the calibration of {item} has expired", "calibrate and repeat"),
    "CAL_FAILED": ("{item} 最近一次校准不合格", "重新校准后复测", "the last calibration of {item} failed", "calibrate and repeat"),
    "REAGENT_NONE": ("{item} 没有在机试剂记录", "登记在机批号后由人工审核", "no reagent of {item} is on record on board", "register the lot on board"),
    "REAGENT_EXPIRED": ("{item} 试剂在机过期 {x}", "更换试剂后复测", "the reagent of {item} has expired on board {x}", "change it and repeat"),
    "REAGENT_UNACCEPTED": ("{item} 试剂批号未通过验证 {x}", "完成批间验证，或换用可用批号复测", "the reagent lot of {item} is not accepted {x}", "verify the lot or repeat with an accepted one"),
    "QC": ("{item} 室内质控未在控（{x}）", "失控处理并重测质控在控后复测；此前的结果由人工决定", "QC of {item} is not in control ({x})", "correct, rerun QC, then repeat; earlier results wait for a person"),
    "MA": ("{item} 患者移动均值超限", "查找漂移原因，质控确认后由人工审核", "the patients' moving average of {item} is out", "look for the drift, confirm by QC"),
    "AMR_NONE": ("{item} 没有登记测量范围", "在项目资料中登记测量范围", "{item} has no measuring range on file", "register the range in the catalog"),
    "AMR": ("{item} 超出测量范围 {x}", "低于下限按“<下限”报告，高于上限稀释复测", "{item} is outside the measuring range {x}", "report as below the limit, or dilute and repeat"),
    "DILUTE": ("{item} {x} 未定值", "稀释复测得到定值", "{item} {x} is only a limit", "dilute and repeat"),
    "NOT_NUMERIC": ("{item} 应为数值，现为“{x}”", "复查或改正", "{item} should be a number but is “{x}”", "repeat or correct"),
    "UNSURE": ("{item} {x} 无法与参考区间比较", "由审核者判断", "{item} {x} cannot be compared with its interval", "a verifier judges"),
    "AV_TEXT": ("{item} 为 {x}，不是可自动发布的结果", "按流程确认阳性结果", "{item} is {x}, which is never released by itself", "confirm the finding"),
    "NO_RANGE": ("{item} 没有自动审核范围", "由管理组设定范围并验证", "{item} has no autoverification range", "set and validate one"),
    "AV_RANGE": ("{item} 超出自动审核范围 {x}", "结合临床与复查结果由审核者判断", "{item} is outside the autoverification range {x}", "a verifier judges it with history and repeat"),
    "CRITICAL": ("{item} {x} 为危急值", "复核、电话通知并记录后由审核者发布", "{item} {x} is critical", "confirm, call, record, then release by hand"),
    "CRITICAL_MAYBE": ("{item} {x} 可能为危急值", "稀释或复查后确认", "{item} {x} may be critical", "dilute or repeat"),
    "DELTA_NE": ("{item} 的前次结果无法比较（为界限值或 0）", "由审核者对照历史判断", "the last value of {item} cannot be compared", "a verifier compares with the history"),
    "LOGIC": ("项目间不符合逻辑：{m}", "复查相关项目，确认无误后由审核者发布", "results contradict each other: {m}", "repeat the items concerned"),
    "LOGIC_NE": ("逻辑规则“{m}”无法判断（{x}）", "核对相关项目", "the rule “{m}” cannot be judged ({x})", "check the items concerned"),
    "CONTEXT": ("临床情况需人工判断：{m}", "由审核者结合诊断和用药判断", "the clinical context needs an eye: {m}", "a verifier judges it with diagnosis and drugs"),
    "CONTEXT_NE": ("临床规则“{m}”无法判断（{x}）", "核对相关信息", "the rule “{m}” cannot be judged ({x})", "check the information concerned"),
    "PENDING": ("{item} 等待 {x}", "等待复查或反射检验完成", "{item} waits for {x}", "wait until the rerun or reflex is done"),
    "HELD": ("{item} 有待处理的提示 {x}", "在工作台处理（F6）", "{item} is held on the bench ({x})", "decide it on the bench (F6)"),
    "ID_SUSPECT": ("疑似标本混淆：混淆分 {x}", "核对患者身份、条码和采集记录，必要时重采；身份确认前不看单项差值", "a mix-up is suspected: score {x}", "check identity, barcode and collection, recollect if in doubt"),
    "CONTAM_EDTA": ("疑似 EDTA 污染：{x}", "核对采血顺序和试管，重采", "EDTA contamination is suspected: {x}", "check order of draw and tube, recollect"),
    "CONTAM_DRIP": ("疑似输液侧采血：{x}", "询问采血部位，另侧重采", "drawn from a drip arm, it seems: {x}", "ask for the site, recollect from the other arm"),
    "AUTH_NONE": ("本班没有值班的审核授权人", "在值班页排班，或由有授权者人工审核", "nobody who may verify is on duty", "put an authorised person on duty or verify by hand"),
    "AUTH": ("值班者 {x} 没有全部项目的有效审核授权", "办理授权，或由有授权者人工审核", "{x} on duty lacks the authorisation for all items", "authorise, or verify by hand"),
    "OPERATOR_NONE": ("本班没有另一名值班检验者", "在值班页排班，或由人工审核", "no second person is on duty to answer for the testing", "put one on duty or verify by hand"),
    "OPERATOR": ("值班检验者 {x} 没有全部项目的有效检验授权", "办理授权，或由人工审核", "{x} on duty lacks the authorisation to test all items", "authorise, or verify by hand"),
}  # fmt: skip
# Codes of what a receiver notes about a tube (M05).
_ISSUES = {
    "haemolysis": ("溶血", "haemolysis"),
    "lipaemia": ("脂血", "lipaemia"),
    "icterus": ("黄疸", "icterus"),
    "clot": ("有凝块", "clot"),
    "short": ("标本量不足", "too little"),
    "bubble": ("有气泡", "bubbles"),
    "tube": ("采血管或抗凝比例不当", "wrong tube or anticoagulant ratio"),
    "other": ("其他性状异常", "other"),
}
# How QC stands (qc.rules.GateState) and codes of a missing one.
_QC = {
    "none": ("没有质控", "none"),
    "no_plan": ("没有质控计划", "no plan"),
    "rejected": ("失控", "rejected"),
    "doubtful": ("失控期间的结果", "measured while rejected"),
    "overdue": ("超时未做", "overdue"),
    "bypassed": ("临时放行", "bypassed"),
}
# Where what clears it depends on what it is: out of control is repaired, a missing plan is made.
_CLEARS = {
    ("QC", "no_plan"): (
        "在质控计划页为该项目建立计划和靶值；此前由人工审核",
        "make a plan with targets for the item; until then verify by hand",
    ),
    ("QC", "none"): ("做质控，在控后复测；此前由人工审核", "run QC, repeat once it is in control; until then verify by hand"),
    ("QC", "overdue"): ("补做质控；在控后由人工决定此前的结果", "run the QC that is due; a person decides the results before it"),
    ("QC", "bypassed"): ("由审核者结合临时放行的理由判断", "a verifier judges it with the reason of the bypass"),
}
_CODED: Mapping[str, Mapping[str, tuple[str, str]]] = {"SPECIMEN": _ISSUES, "QC": _QC}
"""Findings whose figures are codes with words of their own."""
_DELTA = (
    "{item} 与前次差值过大（{x}）",
    "核对患者和标本，复查一致后由审核者发布",
    "{item} changed too much ({x})",
    "check patient and tube, repeat, then release by hand",
)


@dataclass(frozen=True, slots=True)
class Said:
    """A reason in words."""

    code: str
    item: str
    zh: str
    en: str


class InBoth(common.Said):
    """A reason as a value of another sentence: it carries its English itself and is looked up nowhere."""

    __slots__ = ("en",)
    en: str

    def in_words_of(self, translate: Callable[[str], str], english: bool = True) -> str:
        """The reason in the reader's language."""
        return self.en if english else str(self)


def sentences(said: Iterable[Said]) -> common.Listed:
    """Reasons inside a message, a line each."""
    out = []
    for each in said:
        made = InBoth(each.zh)
        made.key, made.values, made.en = each.zh, {}, each.en
        out.append(made)
    return common.Listed(out, "\n")


def explain(failure: Failure, names: Mapping[str, str], messages: Mapping[str, str] | None = None) -> Said:
    """One sentence a reason: ``names`` item code → name, ``messages`` code of an expression → its own words."""
    code = failure.code
    why, clear, why_en, clear_en = _WORDS.get(code, _DELTA if code.startswith("DELTA_") else _contamination(code))
    clear, clear_en = _CLEARS.get((code, failure.figures), (clear, clear_en))
    given = {"item": names.get(failure.item, failure.item), "x": failure.figures, "m": (messages or {}).get(failure.item, failure.item)}
    zh_x, en_x = _CODED.get(code, {}).get(failure.figures, (failure.figures, failure.figures))
    zh = f"{why.format(**given | {'x': zh_x})}；{clear.format(**given)}。"
    en = f"{why_en.format(**given | {'x': en_x})}; {clear_en.format(**given)}."
    return Said(failure.text, failure.item, zh, en[0].upper() + en[1:])


def together(failures: Sequence[Failure], names: Mapping[str, str], messages: Mapping[str, str] | None = None) -> tuple[Said, ...]:
    """The same with one sentence for all items that have the same reason: seven times the same line is read by nobody."""
    alike: dict[tuple[int, str, str, str], list[Failure]] = {}
    for each in failures:
        of_items = "{item}" in _WORDS.get(each.code, _DELTA)[0] and each.item in names
        alike.setdefault((each.category, each.code, each.figures, "" if of_items else each.item), []).append(each)
    out = []
    for same in alike.values():
        listed = {same[0].item: "、".join(dict.fromkeys(names.get(f.item, f.item) for f in same))} if len(same) > 1 else {}
        said = explain(same[0], {**names, **listed}, messages)
        codes = " ".join(dict.fromkeys(f.item for f in same))
        out.append(said if len(same) == 1 else replace(said, code=f"{same[0].code} {codes} {same[0].figures}".strip()))
    return tuple(out)


def short(code: str, english: bool) -> str:
    """A finding's reason without item and figures, for counts of many."""
    words = _WORDS.get(code, _DELTA if code.startswith("DELTA_") else _contamination(code))
    plain = re.sub(r"[（(：:,，]?\s*\{[xm]\}[）)]?|( of)? ?\{item\}", "", words[2 if english else 0])
    return " ".join(plain.split())


def _contamination(code: str) -> tuple[str, str, str, str]:
    return (
        f"疑似污染 {code}：{{x}}",
        "核对采血过程，重采",
        f"contamination {code} is suspected: {{x}}",
        "check how it was drawn, recollect",
    )
