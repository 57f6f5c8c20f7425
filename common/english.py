"""English for sentences that agent and cloud both say, and the choice of a command's language.

Pages have their ``en.po``; a command on a lab PC has no catalogue, so what it says in English stands in dictionaries: here what both sides
say, in ``agent/english.py`` and ``cloud/doctor_english.py`` what only one says. A test holds that no sentence is without its English.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from common.say import Said

LANGUAGES = ("zh", "en")

ENGLISH: dict[str, str] = {
    "归档文件解开后过大，不是本系统写的。": "The archive is too large when unpacked: it is not ours.",
    "归档文件读不出来：{why}": "The archive cannot be read: {why}",
    "归档文件中第 {seq} 号报文的字节与其哈希不符。": "The bytes of message {seq} in the archive do not agree with their hash.",
    # what a person typed as a result
    "{name}没有填写，请输入结果；确实没有结果时请选“无结果”并写明原因。": (
        "{name} is empty: enter a result, or choose “no result” and say why."
    ),
    "{name}只能从列表中选择：{choices}。“{text}”没有保存。": "{name} is chosen from its list: {choices}. “{text}” was not saved.",
    "{name}“{text}”不是滴度，请写成 1:160 的形式。": "{name}: “{text}” is no titre; write it like 1:160.",
    "{name}“{text}”是滴度，这个项目要填数值。": "{name}: “{text}” is a titre; this item takes a number.",
    "{name}“{text}”用了逗号：若是千位请填 {whole}，若是小数点请用“.”。没有保存。": (
        "{name} “{text}” has a comma: for thousands enter {whole}, for a decimal point “.”. Nothing was saved."
    ),
    "{name}“{text}”用了逗号，小数点请用“.”，例如 {right}。": (
        "{name}: “{text}” has a comma; write the decimal point as “.”, for example {right}."
    ),
    "{name}“{text}”里的“{wrong}”不是数字，请改正后再保存。": "{name}: “{wrong}” in “{text}” is no digit; correct it and save again.",
    "{name}“{text}”不是一个数，请改正后再保存。": "{name}: “{text}” is no number; correct it and save again.",
    # layers
    "电缆或仪器电源": "Cable or analyzer power",
    "端口参数": "Port settings",
    "链路层": "Link layer",
    "协议": "Protocol",
    "解析与对照": "Reading and mapping",
    "采集端": "Agent",
    "网络": "Network",
    "消息服务器": "Message broker",
    "云端": "Cloud",
    # what is seen at a connection, and what to do
    "串口设备不在或已拔出": "the serial device is not there or was pulled out",
    "检查 USB 转串口线是否插好、指示灯是否亮。": "Check that the USB serial cable is plugged in and its lamp is on.",
    "串口被占用或设置不被接受": "the serial port is taken, or does not accept these settings",
    "关闭占用串口的其他程序；核对串口号和波特率。": "Close the other program that uses the port; compare port number and baud rate.",
    "仪器的网络地址没有回应": "the analyzer's network address does not answer",
    "检查仪器电源、网线和交换机。": "Check the analyzer's power, the network cable and the switch.",
    "仪器拒绝连接": "the analyzer refuses the connection",
    "核对仪器的地址和端口，并在仪器上打开 LIS 通讯。": "Compare the analyzer's address and port, and switch LIS communication on at "
    "the analyzer.",
    "本机端口无法监听": "this PC cannot listen on the port",
    "换一个端口，或关闭占用它的程序。": "Choose another port, or close the program that uses it.",
    "文件夹或数据源无法使用": "the folder or data source cannot be used",
    "核对路径和权限。": "Check path and permissions.",
    "来自未登记地址的连接被拒绝": "a connection from an address not on the list was refused",
    "核对仪器的地址，或把它加入本连接的允许地址。": "Check the analyzer's address, or add it to the addresses this connection allows.",
    "连接中断且对方没有回应": "the connection broke and the other side does not answer",
    "检查网线、交换机和仪器电源。": "Check the network cable, the switch and the analyzer's power.",
    "仪器未连接": "the analyzer is not connected",
    "检查仪器是否开机、网线，以及仪器上的主机地址。": "Check that the analyzer is on, its network cable, and the host address set at "
    "the analyzer.",
    "收到的字节不成文字": "the bytes that come are no text",
    "核对波特率、数据位、校验位和停止位。": "Compare baud rate, data bits, parity and stop bits.",
    "仪器发来的是 {seen}，本连接设为 {protocol}": "the analyzer sends {seen}, this connection is set to {protocol}",
    "修改本连接的协议。": "Change this connection's protocol.",
    "收到的是文字，但没有本协议的起止符": "text comes, without the begin and end marks of this protocol",
    "核对协议；单向仪器请选相应的单向格式。": "Check the protocol; for a one-way analyzer choose its one-way format.",
    "本机无法保存，仪器的数据被拒收": "this PC cannot store, data of the analyzer was refused",
    "立即清理磁盘；有空间后自动恢复。": "Free disk space now; work goes on by itself once there is room.",
    "每一帧的校验和都不对": "every frame has a wrong checksum",
    "在仪器上核对校验方式；必要时更换驱动的校验设置。": "Check the checksum setting at the analyzer; if need be change the driver's.",
    "校验错误 {wrong} 次（{share}）": "{wrong} wrong checksums ({share})",
    "检查电缆、屏蔽、接地和线长。": "Check cable, shield, ground and length.",
    "仪器在会话中途停住": "the analyzer stopped in the middle of a session",
    "查看仪器是否报错或死机；它会自行重发。": "See whether the analyzer shows an error or hangs; it will send again by itself.",
    "仪器不接收下发的申请": "the analyzer takes no orders",
    "核对仪器是否打开双向通讯。": "Check that two-way communication is switched on at the analyzer.",
    "仪器拒收了下发的申请": "the analyzer refused orders sent to it",
    "在连接页查看被拒的标本、项目和原因；核对项目代码和仪器的测试菜单。": "See the refused specimens, tests and reasons on the "
    "connection's page; "
    "compare the test codes with the analyzer's menu.",
    "帧的顺序不合协议": "frames come in an order the protocol does not allow",
    "在仪器上核对通讯协议版本。": "Check the protocol version at the analyzer.",
    "报文中没有读出任何结果或查询": "no result and no query was found in a message",
    "核对驱动和列设置，可在网页回放台上比对。": "Check driver and columns; the replay page shows both readings side by side.",
    "报文中有读不出的字符": "a message has characters that cannot be read",
    "核对本连接的字符集。": "Check this connection's character set.",
    "已 {silent} 分钟没有结果，平时约 {usual} 分钟一次": "no result for {silent} minutes; usually one comes about every {usual} minutes",
    "查看仪器是否空闲，或自动传输是否被关闭。": "See whether the analyzer is idle, or its automatic transfer was switched off.",
    # the lab PC and its way to the cloud
    "本机时钟相差 {skew} 秒": "this PC's clock is wrong by {skew} seconds",
    "本机时钟相差很多": "this PC's clock is far wrong",
    "打开系统的自动对时（NTP），或手工校正时间。": "Switch automatic time (NTP) on, or set the clock by hand.",
    "磁盘将满，已停止接收": "the disk is nearly full, nothing more is taken",
    "日志库写入失败": "the journal cannot be written",
    "检查磁盘；重新启动代理后仍有问题请联系工程师。": "Check the disk; if a restart of the agent does not help, call the engineer.",
    "找不到消息服务器的地址": "the message broker's name does not resolve",
    "检查本机的 DNS 和网络。": "Check this PC's DNS and network.",
    "网络到不了消息服务器": "the network does not reach the message broker",
    "检查本机网线、路由和防火墙；数据先保存在本机。": "Check network cable, route and firewall; data is kept on this PC meanwhile.",
    "消息服务器没有运行": "the message broker does not run",
    "请信息科检查消息服务器；数据先保存在本机。": "Ask IT to look at the message broker; data is kept on this PC meanwhile.",
    "与消息服务器的加密连接失败": "the encrypted connection to the message broker fails",
    "核对时钟和证书；必要时重新登记。": "Check clock and certificate; enrol again if need be.",
    "消息服务器拒绝本代理": "the message broker refuses this agent",
    "在网页上核对本代理是否被吊销；必要时重新登记。": "See on the web page whether this agent was revoked; enrol again if need be.",
    "云端 {quiet} 秒没有确认收到数据": "the cloud has confirmed nothing for {quiet} seconds",
    "请信息科检查云端接收服务；数据保存在本机，恢复后自动补传。": "Ask IT to look at the cloud's intake; data is kept on this PC and "
    "sent once it is back.",
}


def add_switch(parser: argparse.ArgumentParser) -> None:
    """``--lang``."""
    parser.add_argument("--lang", choices=LANGUAGES, help="语言，默认按 LANG (language; default by LANG)")


def language(given: str | None, environ: Mapping[str, str]) -> str:
    """``zh`` or ``en``: what was asked for, else the locale's, and Chinese where that says neither."""
    told = given or next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return "en" if told.lower().startswith("en") else "zh"


def in_language(text: str, lang: str, *more: Mapping[str, str]) -> str:
    """A sentence in a language; one that is no ``say`` (a name, an operating system's words) as it is. ``more``: further dictionaries."""
    if lang != "en" or not isinstance(text, Said):
        return str(text)
    known = {key: english for words in more for key, english in words.items()} | ENGLISH
    return text.in_words_of(lambda key: known.get(key, key))
