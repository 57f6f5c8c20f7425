"""The layer at fault with what to do next, and a connection's traffic light. Pure; what is known comes from signals.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from cloud.modules.edge.signals import BACKLOG, OFFLINE, AgentFacts, LinkFacts, noisy, silent, whole_minutes


class Layer(StrEnum):
    """Where a connection fails, from the analyzer to us."""

    CABLE = "cable"
    PORT = "port"
    LINK = "link"
    PROTOCOL = "protocol"
    MAPPING = "mapping"
    DISK = "disk"
    AGENT = "agent"
    NETWORK = "network"
    BROKER = "broker"
    CLOUD = "cloud"
    NONE = "ok"


LAYER_WORDS = {
    Layer.CABLE: "电缆或仪器电源",
    Layer.PORT: "端口参数",
    Layer.LINK: "链路层",
    Layer.PROTOCOL: "协议",
    Layer.MAPPING: "解析与对照",
    Layer.DISK: "采集端磁盘",
    Layer.AGENT: "采集端",
    Layer.NETWORK: "网络",
    Layer.BROKER: "消息服务器",
    Layer.CLOUD: "云端",
    Layer.NONE: "正常",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with a connection and what to do next.

    ``why`` takes ``args`` as the page's translator does; ``said`` are the agent's own words.
    """

    layer: Layer
    why: str
    do: str = ""
    args: Mapping[str, str | int] = field(default_factory=dict)
    said: str = ""


MUTE = frozenset({Layer.AGENT, Layer.NETWORK, Layer.DISK})

FINE = Verdict(Layer.NONE, "没有发现问题")


def diagnose(link: LinkFacts, agent: AgentFacts) -> Verdict:
    """The layer at fault: what keeps bytes from coming is named before what happens to them."""
    return everything(link, agent)[0]


def everything(link: LinkFacts, agent: AgentFacts) -> list[Verdict]:
    """All that is wrong, the cause of the most first; of a connection that cannot speak only why it cannot."""
    found = list(_faults(link, agent))
    mute = next((n for n, v in enumerate(found) if v.layer in MUTE), None)
    return found[: mute + 1] if mute is not None else found or [FINE]


def _faults(link: LinkFacts, agent: AgentFacts) -> Iterator[Verdict]:
    if not link.enabled:
        yield Verdict(Layer.AGENT, "该连接已停用", "需要使用时在本页启用。")
    if not agent.enrolled:
        yield Verdict(Layer.AGENT, "采集端还没有登记或已吊销", "在采集端页面生成登记码，到仪器旁的电脑上登记。")
    if not link.online:
        yield _away(agent)
    if agent.behind and not link.judged and not link.state:
        yield Verdict(Layer.AGENT, "采集端还没有收到这条连接的配置", "几秒后自动生效；一直不变时在采集端页面看它是否在线、取日志。")
    if agent.refusing:
        yield Verdict(Layer.DISK, "采集端磁盘将满，已停止接收，仪器端保留数据", "清理采集端电脑的磁盘，空间恢复后自动继续。")
    if link.agent_layer in {str(layer) for layer in Layer} - {str(Layer.NONE)}:
        why = link.agent_why or "采集端报告该层有故障"
        yield Verdict(Layer(link.agent_layer), why, link.agent_advice, said=link.last_error)
    if not link.judged:
        yield from _line(link)
        yield from _bytes(link)
    yield from _silence(link)
    yield from _content(link)
    if agent.pending > BACKLOG and agent.pending_age is not None and agent.pending_age > OFFLINE:
        args = {"n": agent.pending}
        yield Verdict(Layer.CLOUD, "采集端在线，但有 %(n)s 条没有收到云端回执", "查看接收进程与数据库；数据保存在采集端，不会丢失。", args)


def _away(agent: AgentFacts) -> Verdict:
    if agent.offline_for is None:
        return Verdict(Layer.AGENT, "采集端从未连上", "确认采集端程序已安装并运行，再运行 jianlian-agent doctor。")
    if agent.others_online is False:
        return Verdict(Layer.BROKER, "全院采集端都没有心跳", "先查消息服务器和医院出口网络，再查单台电脑。")
    why = "采集端没有心跳，其他采集端正常" if agent.others_online else "采集端没有心跳"
    do = "查看该电脑是否开机、网线是否插好，再运行 jianlian-agent doctor；数据保存在该电脑，联网后自动补传。"
    return Verdict(Layer.NETWORK, why, do)


NOT_OPEN = {
    "tcp-dial": ("连不上仪器", "确认仪器开机、网线插好、LIS 通讯已打开，地址和端口与仪器设置一致。"),
    "tcp-listen": ("端口已打开，仪器没有连上来", "在仪器上核对 LIS 地址（采集端电脑的 IP）和端口，查看网线和通讯开关。"),
    "serial": ("串口没有打开", "检查串口线是否插好、设备名是否正确。"),
}


def _line(link: LinkFacts) -> Iterator[Verdict]:
    if link.state in ("fault", "error"):
        if link.transport == "serial":
            do = "检查 USB 串口线是否插好、设备名是否改变、端口是否被别的程序占用。"
            yield Verdict(Layer.CABLE, "串口打不开或已消失", do, said=link.last_error)
        else:
            do = "核对地址和端口，确认没有别的程序占用该端口、防火墙放行。"
            yield Verdict(Layer.PORT, "端口打不开", do, said=link.last_error)
    if link.state in ("connecting", "waiting", "closed", "") and link.transport in NOT_OPEN:
        why, do = NOT_OPEN[link.transport]
        yield Verdict(Layer.CABLE, why, do, said=link.last_error)


def _bytes(link: LinkFacts) -> Iterator[Verdict]:
    if noisy(link):
        layer = Layer.LINK if link.checksum_errors * 2 < link.frames else Layer.PORT
        args = {"n": link.frames, "bad": link.checksum_errors}
        yield Verdict(layer, "%(n)s 帧中有 %(bad)s 帧校验错误", "检查电缆、屏蔽和接地；串口核对波特率、数据位、校验位。", args)
    if link.silent_for is None and link.transport in NOT_OPEN:
        do = "在仪器上手工传送一个结果；仍无数据时检查电缆（直连或交叉）、端口号和仪器的发送开关。"
        yield Verdict(Layer.CABLE, "连接后没有收到任何字节", do)
    if link.silent_for is not None and not link.messages and link.incomplete:
        yield Verdict(Layer.PORT, "有字节但没有一条完整报文", "核对波特率、校验位和协议；乱码多为参数不符。")


def _silence(link: LinkFacts) -> Iterator[Verdict]:
    if silent(link):
        assert link.result_ago is not None and link.usual_gap is not None
        args = {"quiet": whole_minutes(link.result_ago), "usual": whole_minutes(link.usual_gap)}
        do = "确认仪器是否在做样本；在做时检查仪器的自动发送开关和通讯报警。"
        yield Verdict(Layer.CABLE, "%(quiet)s 分钟没有结果，平常 %(usual)s 分钟内有一条", do, args)


def _content(link: LinkFacts) -> Iterator[Verdict]:
    if link.unread:
        do = "打开“待解析报文”核对协议、驱动和字符集，可在“接入新仪器”中用这些报文试读。"
        yield Verdict(Layer.PROTOCOL, "近 24 小时有 %(n)s 条报文读不懂", do, {"n": link.unread})
    if not link.has_analyzer:
        yield Verdict(Layer.MAPPING, "该连接没有指定仪器", "在采集端页面给该连接选择仪器。")
    if link.unmapped:
        do = "打开“未对照代码”，对照启用后已收到的结果会自动补上。"
        yield Verdict(Layer.MAPPING, "有 %(n)s 个结果的通道代码未对照", do, {"n": link.unmapped})
    if link.received and link.orphans * 2 > link.received:
        do = "核对仪器发送的标本号是条码还是样本号，必要时修改标本号位置。"
        yield Verdict(Layer.MAPPING, "多数结果对不上标本（%(n)s 个无主）", do, {"n": link.orphans})


class Light(StrEnum):
    """A connection's traffic light; every colour comes with its word."""

    GREEN = "ok"
    AMBER = "warn"
    RED = "bad"
    GREY = "off"


def light(link: LinkFacts, agent: AgentFacts) -> tuple[Light, str]:
    """Light and word (a message of the page) of one connection: the worst that holds."""
    if not link.enabled:
        return Light.GREY, "已停用"
    if not link.online:
        return Light.RED, "采集端离线"
    if agent.refusing:
        return Light.RED, "磁盘满，拒收"
    if link.state in ("fault", "error"):
        return (Light.GREY, "备用，未连接") if link.spare else (Light.RED, "故障")
    if link.simulator:
        return Light.AMBER, "模拟模式"
    if link.state not in ("idle", "transferring"):
        if link.spare:
            return Light.GREY, "备用，未连接"
        if not link.on_demand:
            return Light.AMBER, "等待仪器连接"
    if agent.pending > BACKLOG:
        return Light.AMBER, "有积压"
    if noisy(link):
        return Light.AMBER, "有校验错误"
    if silent(link):
        return Light.AMBER, "久无结果"
    if link.unread or link.unmapped or link.agent_layer:
        return Light.AMBER, "有待处理"
    return Light.GREEN, "正常，按需连接" if link.on_demand else "正常"
