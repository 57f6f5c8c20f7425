"""The MQTT topic grammar, both ways: `t/{tenant}/a/{agent}/up|down/{kind}`.

A topic is only routing: who sent a message is told by the envelope's signature (RELIABILITY R7), never by its topic.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from common.errors import PeerError

UP_KINDS = frozenset({"raw", "status", "query", "ticket", "pending", "tail", "lwt"})
DOWN_KINDS = frozenset({"receipt", "worklist", "config", "command", "time"})
LAST_WILL = "lwt"

# One path level; excludes the MQTT wildcards and separators, so that no name can widen a topic or an ACL.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Direction(StrEnum):
    """Seen from the agent: up goes to the cloud."""

    UP = "up"
    DOWN = "down"


class TopicError(PeerError):
    """A topic, tenant or agent name outside the grammar."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic taken apart."""

    tenant: str
    agent: str
    direction: Direction
    kind: str

    def __str__(self) -> str:
        """The topic as MQTT spells it."""
        return f"t/{self.tenant}/a/{self.agent}/{self.direction.value}/{self.kind}"


def up(tenant: str, agent: str, kind: str) -> str:
    """The topic an agent publishes `kind` on. Raises TopicError for a name or kind outside the grammar."""
    return str(_checked(Topic(tenant, agent, Direction.UP, kind)))


def down(tenant: str, agent: str, kind: str) -> str:
    """The topic the cloud publishes `kind` for one agent on. Raises TopicError."""
    return str(_checked(Topic(tenant, agent, Direction.DOWN, kind)))


def up_filter() -> str:
    """What the intake subscribes to: everything every agent sends."""
    return "t/+/a/+/up/+"


def down_filter(tenant: str, agent: str) -> str:
    """What one agent subscribes to: everything meant for it, and nothing else."""
    return down(tenant, agent, "receipt").rsplit("/", 1)[0] + "/+"


def parse(topic: str) -> Topic:
    """Take a topic apart. Raises TopicError when it is outside the grammar."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[0] != "t" or parts[2] != "a" or parts[4] not in ("up", "down"):
        raise TopicError("topic.shape", "topic outside the grammar", topic=topic)
    return _checked(Topic(parts[1], parts[3], Direction(parts[4]), parts[5]))


def client_name(tenant: str, agent: str) -> str:
    """The agent's one name: certificate CN, MQTT user name and client id; `t/` + it + `/up/#` is its ACL pattern."""
    check_name(tenant)
    check_name(agent)
    return f"{tenant}/a/{agent}"


def check_name(name: str) -> str:
    """Return `name` when it may stand in a topic, else raise TopicError."""
    if _NAME.fullmatch(name) is None:
        raise TopicError("topic.name", "name not allowed in a topic", name=name)
    return name


def _checked(topic: Topic) -> Topic:
    check_name(topic.tenant)
    check_name(topic.agent)
    kinds = UP_KINDS if topic.direction is Direction.UP else DOWN_KINDS
    if topic.kind not in kinds:
        raise TopicError("topic.kind", "unknown kind of message", kind=topic.kind)
    return topic
