"""What the driver library says of a driver's evidence, in both languages: a driver carries each sentence in one of them."""

from __future__ import annotations

from collections.abc import Mapping

from cloud.modules.edge import library_notes
from common.instruments.driver import Driver

CHINESE: Mapping[str, str] = {
    "A recorded message of this model (public repository), read by hand.": "本型号的真实报文（公开代码库），人工读过。",
    "A recorded message of this model (public repository senaite.astm, abbott_architect.txt), read by hand.": (
        "本型号的真实报文（公开代码库 senaite.astm，abbott_architect.txt），人工读过。"
    ),
    "A recorded message of this model (public repository senaite.astm, dca_vantage.txt), read by hand.": (
        "本型号的真实报文（公开代码库 senaite.astm，dca_vantage.txt），人工读过。"
    ),
    "An example of the maker's manual, read by hand.": "厂家手册中的示例，人工读过。",
    "An example of the maker's interface specification, read by hand.": "厂家接口规范中的示例，人工读过。",
    "A message of a public simulator, read by hand.": "公开模拟器的报文，人工读过。",
    "Messages of a public simulator, read by hand.": "公开模拟器的多条报文，人工读过。",
    "A complete example message in a public simulator, read by hand.": "公开模拟器中的完整示例报文，人工读过。",
    "Sessions of DxI 800 and Access in public drivers (query, order, result), read by hand.": (
        "公开驱动中 DxI 800 与 Access 的会话（查询、申请、结果），人工读过。"
    ),
    "Frames with their checksums and headers in public drivers and their tests, read by hand.": (
        "公开驱动及其测试中带校验和与头记录的帧，人工读过。"
    ),
    "A real serial log of this model, read by hand.": "本型号的真实串口记录，人工读过。",
    "The layout of the maker's host interface manual as quoted in public sources; no recording seen.": (
        "公开资料转述的厂家主机接口手册版式；没有见过真实记录。"
    ),
    "The maker's layout with invented values (public fixture), read by hand.": "厂家版式、数值虚构的公开样例，人工读过。",
    "A recorded ABL80 session and a control order in public drivers; the ABL9 envelope as a public driver describes it.": (
        "公开驱动中 ABL80 的真实会话与质控申请；ABL9 的外层格式按公开驱动的描述。"
    ),
    "A message in a public driver, read by hand.": "公开驱动中的报文，人工读过。",
    "Blocks in a public driver; the checksum rule was found on both and holds.": "公开驱动中的数据块；校验和规则由两块推出，均成立。",
    "Recorded uploads and the maker's example of this model (public repositories), read by hand.": (
        "本型号的真实上传与厂家示例（公开代码库），人工读过。"
    ),
    "Recorded messages and the maker's example, read by hand; decimals of 041, 043, 044, 051 only are confirmed.": (
        "真实报文与厂家示例，人工读过；小数位只确认了 041、043、044、051。"
    ),
    "Column positions of a public driver; no recording seen, decimals must be confirmed on site.": (
        "列位置来自公开驱动；没有见过真实记录，小数位须在现场核对。"
    ),
    "A remark in public sources; no recording seen.": "公开资料中的一句说明；没有见过真实记录。",
}
ENGLISH: Mapping[str, str] = {
    "没有见过这种模式的真实记录；版式来自公开资料转述的厂家手册": (
        "No recording of this mode was seen; the layout is the maker's manual's as public sources quote it"
    ),
    "没有见过真实记录；列位置来自公开的驱动程序，小数位须在现场核对": (
        "No recording was seen; the columns are a public driver's, decimals must be confirmed on site"
    ),
    "没有见过真实记录；只在公开资料中提到代码在 OBX-4": "No recording was seen; public sources only mention that the code is in OBX-4",
    "申请报文 mtmpr 的格式未见录制或说明书，未在仪器上试过。(Only results were recorded.)": (
        "The form of the order message mtmpr was seen in no recording or manual and not tried on an analyzer; only results were recorded."
    ),
    "应答格式未见录制或说明书，未在仪器上试过：重复查询的各列作 S 报文，每项为代码加六个空格。"
    "(The recorded inquiries came without their answers.)": (
        "The form of the answer was seen in no recording or manual and not tried on an analyzer: the columns of the inquiry are "
        "repeated as an S message, each item its code and six spaces; the recorded inquiries came without their answers."
    ),
}


def told(text: str, english: bool) -> str:
    """A sentence of a driver in the reader's language; as it stands in the driver where nobody has put it into the other."""
    return (ENGLISH if english else CHINESE).get(text, text)


def notes(driver: Driver, english: bool) -> str:
    """What is particular to a driver, in the reader's language."""
    return driver.notes if english else library_notes.CHINESE.get(driver.id, driver.notes)
