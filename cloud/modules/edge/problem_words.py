"""Problems of messages in the reader's language. Pure.

A decoder's sentence is Chinese with the English term in brackets and the instrument's own text behind a colon
(``common.protocol.problem``): a Chinese page shows it without the term, an English one the term with the same values.
"""

from __future__ import annotations

import re

# The term is the first bracket of plain words that ends the sentence or stands before the instrument's text.
_TERM = re.compile(r"^(?P<said>.*?)\((?P<term>[A-Za-z][A-Za-z0-9 ,.'_-]*)\)(?P<text>:.*|)$", re.S)
_HAN = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
# Sentences whose values mean nothing without the words around them, and those that carry no term.
_WHOLE = tuple(
    (re.compile(pattern, re.S), english)
    for pattern, english in (
        (r"第 (\d+) 块校验和错误:发来 (.*),应为 (.*)", "wrong checksum in block {0}: sent {1}, should be {2}"),
        (r"第 (\d+) 帧\(FN (\d+)\)校验和错误:发来 (.*),应为 (.*)", "wrong checksum in frame {0} (FN {1}): sent {2}, should be {3}"),
        (r"第 (\d+) 帧校验和错误:发来 (.*),应为 (.*)", "wrong checksum in frame {0}: sent {1}, should be {2}"),
        (r"校验错误:发来 (.*),应为 (.*)", "wrong checksum: sent {0}, should be {1}"),
        (r"第 (\d+) 帧\(FN (\d+)\)没有 ETX/ETB 结束符,可能被截断", "no ETX or ETB at the end of frame {0} (FN {1}), it may be cut"),
        (r"第 (\d+) 帧没有 ETX/ETB 结束符,可能被截断", "no ETX or ETB at the end of frame {0}, it may be cut"),
        (r"第 (\d+) 块(?:不完整|没有校验和或结束符)", "block {0} is cut"),
        (r"第 (\d+) 行不像结果行,可能是损坏的表头行,其后的结果不归入任何标本", "line {0} is no result, perhaps a heading"),
        (r"帧号 (\S+) 重复而内容不同", "frame number {0} repeated, text differs"),
        (r"帧号不连续:(\S+) 之后是 (\S+),可能缺 (\S+) 帧", "frame number {1} after {0}, {2} frames may be missing"),
        (r"(\d+) 帧没有校验和,内容无法核对", "{0} frames without a checksum, their content cannot be checked"),
        (r"声明的字符集 (.*) 与内容不符,已按 (.*) 解码", "declared charset {0} does not fit, decoded as {1}"),
        (r"有 (\d+) 个字节不能按 (.*) 解码,已按 \\xNN 原样保留", "{0} bytes could not be decoded as {1} and are kept as \\xNN"),
        (r"批次声明 (.*) 条消息,实有 (\d+) 条", "the batch says {0} messages, {1} came"),
        (r"发送方中止了本消息\((.*)\),(\d+) 个结果未读取", "message aborted by the sender ({0}), {1} results not read"),
        (r"消息以 L\|(.) 结束:接收方要求中止", "the message ends with L|{0}: the receiver asked to stop"),
        (r"消息以 L\|(.) 结束:发送方报告未知错误", "the message ends with L|{0}: unknown error of the sender"),
        (r"消息以 L\|(.) 结束:上次请求有错误", "the message ends with L|{0}: the last request was wrong"),
        (r"同类问题另有 (\d+) 处", "{0} more of the same kind not listed"),
        (r"没有驱动 (.*),按通用方式读取", "no driver {0}, read by the protocol alone"),
        (r"未识别的格式,(\d+) 字节整体保留", "unknown format, {0} bytes kept whole"),
        (r"一组结果之后有多个标本\((.*)\),结果未归入任何标本", "several specimens ({0}) for one group of results, which belongs to none"),
        (r"一个服务里有多个患者,标本 (.*) 不能确定是谁的,结果不归入标本", "several patients in one service, whose {0} is remains unknown"),
        (
            r"序号 (\d+) 已有另一条内容不同的报文（(.*)），可能有两台采集端在使用同一身份",
            "another message under number {0} ({1}): two agents with one identity?",
        ),
        (r"解析失败：(.*)", "reading failed: {0}"),
        (r"报文中没有可以识别的内容", "nothing in the message could be recognised"),
    )
)  # fmt: skip


def told(problem: str, english: bool) -> str:
    """The sentence in one language; one that is in neither form stays as it is."""
    found = _TERM.match(problem)
    said, term, text = (problem, "", "") if found is None else (found["said"], found["term"], found["text"])
    if not english:
        error = term.removeprefix("decoder error ")  # the one term that says more than its sentence
        return said + (f"（{error}）" if error != term else "") + text
    for pattern, words in _WHOLE:
        if (fits := pattern.fullmatch(said)) is not None:
            return words.format(*fits.groups()) + text
    if not term:
        return problem
    values = [piece for each in _HAN.split(said) if (piece := each.strip(" ,:;()"))]
    return term + (f" ({', '.join(values)})" if values else "") + text
