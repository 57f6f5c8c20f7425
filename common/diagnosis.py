"""Which layer is at fault, told from what an agent says about itself. Pure: the same for `doctor` on the lab PC and the board in the cloud.

Input is the heartbeat (agent/status.py) and the time; counters in `recent` are those of the last ten minutes, so a trouble that is over
goes away by itself. Of several signs the one nearest to the wire decides: without a cable nothing can be said about a mapping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from common.say import say

RECEIPT_SECONDS = 45  # a connected agent with something to send hears from the cloud within this time
SILENCE_FACTOR = 3  # M06: no result for more than three times the usual gap
SILENCE_LEAST = 60.0
CHECKSUM_SHARE = 0.01  # M06
NOISE_BYTES = 24  # so much that is no frame, in a row, is no accident
SKEW_MS = 30_000


class Layer(StrEnum):
    """From the wire upwards."""

    CABLE = "cable"
    PORT = "port"
    LINK = "link"
    PROTOCOL = "protocol"
    MAPPING = "mapping"
    COMPUTER = "computer"
    NETWORK = "network"
    BROKER = "broker"
    CLOUD = "cloud"


WORDS = {
    Layer.CABLE: say("电缆或仪器电源"),
    Layer.PORT: say("端口参数"),
    Layer.LINK: say("链路层"),
    Layer.PROTOCOL: say("协议"),
    Layer.MAPPING: say("解析与对照"),
    Layer.COMPUTER: say("采集端"),
    Layer.NETWORK: say("网络"),
    Layer.BROKER: say("消息服务器"),
    Layer.CLOUD: say("云端"),
}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One fault: where it is, what is seen, what to do. `conn` is empty for the agent as a whole."""

    layer: Layer
    conn: str
    text: str
    advice: str


_PULLED = ("ENOENT", "ENODEV", "EIO", "ENXIO")
_UNREACHABLE = ("ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN")


def connection(row: Mapping[str, Any], now: datetime) -> Trouble | None:
    """What is wrong with one connection, by its row of the heartbeat; None when nothing shows."""
    if row.get("state") == "disabled":
        return None
    for judge in (_fault, _absent, _noise, _framing, _content, _silence):
        found = judge(row, now)
        if found is not None:
            layer, text, advice = found
            return Trouble(layer, str(row.get("conn", "")), text, advice)
    return None


_Said = tuple[Layer, str, str] | None


def _fault(row: Mapping[str, Any], _now: datetime) -> _Said:
    """The port cannot be opened, or broke."""
    code, kind = str(row.get("errno") or ""), str(row.get("transport", ""))
    if not code or row.get("state") != "fault":
        return None
    if kind == "serial":
        if code in _PULLED:
            return Layer.CABLE, say("串口设备不在或已拔出"), say("检查 USB 转串口线是否插好、指示灯是否亮。")
        return Layer.PORT, say("串口被占用或设置不被接受"), say("关闭占用串口的其他程序；核对串口号和波特率。")
    if kind == "tcp-dial" and code in _UNREACHABLE:
        return Layer.CABLE, say("仪器的网络地址没有回应"), say("检查仪器电源、网线和交换机。")
    if kind == "tcp-dial":
        return Layer.PORT, say("仪器拒绝连接"), say("核对仪器的地址和端口，并在仪器上打开 LIS 通讯。")
    if kind == "tcp-listen":
        return Layer.PORT, say("本机端口无法监听"), say("换一个端口，或关闭占用它的程序。")
    return Layer.PORT, say("文件夹或数据源无法使用"), say("核对路径和权限。")


def _absent(row: Mapping[str, Any], now: datetime) -> _Said:
    """Nobody is connected, and that is not this analyzer's habit between two messages."""
    if row.get("links") or row.get("transport") not in ("tcp-listen", "tcp-dial"):
        return None
    if _recent(row, "peer_refused"):
        return Layer.PORT, say("来自未登记地址的连接被拒绝"), say("核对仪器的地址，或把它加入本连接的允许地址。")
    if row.get("errno") in _UNREACHABLE:
        return Layer.CABLE, say("连接中断且对方没有回应"), say("检查网线、交换机和仪器电源。")
    if row.get("on_demand") and _overdue(row, now) is None:
        return None
    return Layer.CABLE, say("仪器未连接"), say("检查仪器是否开机、网线，以及仪器上的主机地址。")


def _noise(row: Mapping[str, Any], _now: datetime) -> _Said:
    """Bytes come that are no frames."""
    seen, protocol = str(row.get("seen") or ""), str(row.get("protocol", ""))
    if protocol not in ("astm", "hl7") or int(row.get("unread") or 0) < NOISE_BYTES:
        return None
    if seen == "garbage":
        return Layer.PORT, say("收到的字节不成文字"), say("核对波特率、数据位、校验位和停止位。")
    if seen in ("astm", "hl7") and seen != protocol:
        return (
            Layer.PROTOCOL,
            say("仪器发来的是 {seen}，本连接设为 {protocol}", seen=seen.upper(), protocol=protocol.upper()),
            say("修改本连接的协议。"),
        )
    if seen == "text":
        return Layer.PROTOCOL, say("收到的是文字，但没有本协议的起止符"), say("核对协议；单向仪器请选相应的单向格式。")
    return None


def _framing(row: Mapping[str, Any], _now: datetime) -> _Said:
    """Frames come, and not as the link layer wants them, or as we can store them."""
    if _recent(row, "refused"):
        return Layer.COMPUTER, say("本机无法保存，仪器的数据被拒收"), say("立即清理磁盘；有空间后自动恢复。")
    wrong, frames, run = _recent(row, "checksum"), _recent(row, "frames"), int(row.get("bad_run") or 0)
    if run >= 4:
        return Layer.LINK, say("每一帧的校验和都不对"), say("在仪器上核对校验方式；必要时更换驱动的校验设置。")
    if wrong >= 2 and run < wrong and wrong > CHECKSUM_SHARE * (wrong + frames):
        return (
            Layer.CABLE,
            say("校验错误 {wrong} 次（{share}）", wrong=wrong, share=f"{wrong / (wrong + frames):.0%}"),
            say("检查电缆、屏蔽、接地和线长。"),
        )
    if _recent(row, "timeout"):
        return Layer.LINK, say("仪器在会话中途停住"), say("查看仪器是否报错或死机；它会自行重发。")
    if _recent(row, "not-accepted") or _recent(row, "no-reply"):
        return Layer.LINK, say("仪器不接收下发的申请"), say("核对仪器是否打开双向通讯。")
    if _recent(row, "frame-number") >= 3 or _recent(row, "outside-session") >= 3 or _recent(row, "restarted") >= 3:
        return Layer.LINK, say("帧的顺序不合协议"), say("在仪器上核对通讯协议版本。")
    return None


def _content(row: Mapping[str, Any], _now: datetime) -> _Said:
    """What came whole and could not be read."""
    if _recent(row, "unreadable"):
        return Layer.MAPPING, say("报文中没有读出任何结果或查询"), say("核对驱动和列设置，可在网页回放台上比对。")
    if _recent(row, "undecodable"):
        return Layer.MAPPING, say("报文中有读不出的字符"), say("核对本连接的字符集。")
    if row.get("orders_refused"):
        return Layer.MAPPING, say("仪器拒收了下发的申请"), say("在连接页查看被拒的标本、项目和原因；核对项目代码和仪器的测试菜单。")
    return None


def _overdue(row: Mapping[str, Any], now: datetime) -> tuple[float, float] | None:
    """Seconds of silence and the usual gap, where it is longer than this analyzer ever is."""
    usual, last = row.get("usual_gap"), row.get("last_result")
    if not usual or not last:
        return None
    silent = (now - datetime.fromisoformat(str(last))).total_seconds()
    return (silent, float(usual)) if silent > max(SILENCE_LEAST, SILENCE_FACTOR * float(usual)) else None


def _silence(row: Mapping[str, Any], now: datetime) -> _Said:
    """Silent for longer than this analyzer ever is."""
    found = _overdue(row, now)
    if found is None:
        return None
    silent, usual = found
    return (
        Layer.LINK,
        say("已 {silent} 分钟没有结果，平时约 {usual} 分钟一次", silent=f"{silent / 60:.0f}", usual=f"{usual / 60:.0f}"),
        say("查看仪器是否空闲，或自动传输是否被关闭。"),
    )


def _recent(row: Mapping[str, Any], name: str) -> int:
    recent = row.get("recent")
    value = recent.get(name) if isinstance(recent, Mapping) else 0
    return value if isinstance(value, int) else 0


def agent(status: Mapping[str, Any], now: datetime) -> list[Trouble]:
    """What is wrong with the agent's PC and its way to the cloud."""
    found = []
    cloud = status.get("cloud")
    cloud = cloud if isinstance(cloud, Mapping) else {}
    skew = cloud.get("skew_ms")
    if status.get("clock_plausible") is False or (isinstance(skew, int | float) and abs(skew) > SKEW_MS):
        told = f"{skew / 1000:.0f}" if isinstance(skew, int | float) else ""
        wrong = say("本机时钟相差 {skew} 秒", skew=told) if told else say("本机时钟相差很多")
        found.append(Trouble(Layer.COMPUTER, "", wrong, say("打开系统的自动对时（NTP），或手工校正时间。")))
    if status.get("refusing"):
        found.append(Trouble(Layer.COMPUTER, "", say("磁盘将满，已停止接收"), say("立即清理磁盘；有空间后自动恢复。")))
    if status.get("journal_error"):
        found.append(Trouble(Layer.COMPUTER, "", say("日志库写入失败"), say("检查磁盘；重新启动代理后仍有问题请联系工程师。")))
    if not status.get("standalone", False):
        found += _uplink(cloud, status, now)
    return found


_ROADS: dict[str, tuple[Layer, str, str]] = {
    "dns": (Layer.NETWORK, say("找不到消息服务器的地址"), say("检查本机的 DNS 和网络。")),
    "network": (Layer.NETWORK, say("网络到不了消息服务器"), say("检查本机网线、路由和防火墙；数据先保存在本机。")),
    "closed": (Layer.BROKER, say("消息服务器没有运行"), say("请信息科检查消息服务器；数据先保存在本机。")),
    "tls": (Layer.BROKER, say("与消息服务器的加密连接失败"), say("核对时钟和证书；必要时重新登记。")),
    "refused": (Layer.BROKER, say("消息服务器拒绝本代理"), say("在网页上核对本代理是否被吊销；必要时重新登记。")),
}


def _uplink(cloud: Mapping[str, Any], status: Mapping[str, Any], now: datetime) -> list[Trouble]:
    if not cloud.get("connected"):
        layer, text, advice = _ROADS.get(str(cloud.get("road") or ""), _ROADS["network"])
        return [Trouble(layer, "", text, advice)]
    heard = [datetime.fromisoformat(str(at)) for at in (cloud.get("since"), cloud.get("last_receipt")) if at]
    quiet = (now - max(heard)).total_seconds() if heard else 0.0
    if status.get("pending") and quiet > RECEIPT_SECONDS:
        mute = say("云端 {quiet} 秒没有确认收到数据", quiet=f"{quiet:.0f}")
        return [Trouble(Layer.CLOUD, "", mute, say("请信息科检查云端接收服务；数据保存在本机，恢复后自动补传。"))]
    return []
