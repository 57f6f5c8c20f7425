"""The link's problem words as sentences for a person."""

from __future__ import annotations

from common.protocol.astm.effects import Problem
from common.protocol.hl7.mllp import BlockProblem

ASTM: dict[Problem, str] = {
    Problem.CHECKSUM: "校验和错误，已要求仪器重发 (wrong checksum, NAK)",
    Problem.FRAME_NUMBER: "帧号不连续，已要求仪器重发 (frame number skipped, NAK)",
    Problem.FRAME_CUT: "一帧没有结束符 (frame cut)",
    Problem.NUMBER_REUSED: "两帧帧号相同而内容不同，都已保存 (frame number reused)",
    Problem.TOO_LARGE: "报文超过 16 MB，已拒收 (message above 16 MB refused)",
    Problem.OUTSIDE_SESSION: "会话之外的帧，未应答 (frame outside a session)",
    Problem.TIMEOUT: "仪器 30 秒无数据，会话不完整 (no data for 30 s, session incomplete)",
    Problem.RESTARTED: "仪器未结束上一会话就重新开始，上一会话不完整 (session restarted without EOT)",
    Problem.LINK_LOST: "连接中断，会话不完整 (link lost, session incomplete)",
    Problem.NO_END: "会话在报文结束之前终止 (session ended before its message did)",
    Problem.REFUSED: "本机无法保存，已拒收 (cannot store, refused)",
    Problem.NO_REPLY: "仪器不应答 (no reply)",
    Problem.NOT_ACCEPTED: "仪器六次拒收同一帧 (frame refused six times)",
    Problem.BUSY: "仪器一直忙 (instrument busy)",
}
MLLP: dict[BlockProblem, str] = {
    BlockProblem.NO_START: "报文缺少起始符 VT (VT missing)",
    BlockProblem.NO_END: "报文缺少结束符 FS，可能不完整 (FS missing, may be cut)",
    BlockProblem.STRAY: "报文之外的文字 (text outside a block)",
    BlockProblem.TOO_LARGE: "报文超过 16 MB，已拒收 (message above 16 MB refused)",
}
POWER = "代理在会话中途停止，会话不完整 (agent stopped in mid-session)"
DAMAGED = "{n} 帧在磁盘上已损坏，无法取回 (frames damaged on disk)"
