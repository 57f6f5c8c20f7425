"""Who may say and hear what at the broker: the same rules that `infra/mosquitto/acl.conf` states for Mosquitto. Pure.

An agent publishes under its own `up/` and hears its own `down/`; our own processes the other way round, for everyone.
"""

from enum import StrEnum

from common import topics

CLOUD_FILTERS = frozenset({"t/+/a/+/up/+", "t/+/a/+/up/#"})


class Act(StrEnum):
    """What a client asks for. RECEIVE is asked for each message that is about to be delivered."""

    PUBLISH = "publish"
    SUBSCRIBE = "subscribe"
    RECEIVE = "receive"


def may_connect(name: str, cloud_name: str, client_id: str, will_topic: str | None) -> bool:
    """The client id is the certificate's name (our own processes add a suffix); the last will stays in its own place."""
    if name == cloud_name:
        return client_id.startswith(cloud_name) and will_topic is None
    return client_id == name and is_agent(name) and will_topic in (None, f"t/{name}/up/{topics.LAST_WILL}")


def allowed(name: str, cloud_name: str, act: Act, topic: str) -> bool:
    """Whether the client whose certificate says `name` may do that. `topic` is a filter when it subscribes."""
    if name == cloud_name:
        if act is Act.SUBSCRIBE:
            return topic in CLOUD_FILTERS
        direction = topics.Direction.DOWN if act is Act.PUBLISH else topics.Direction.UP
        return _direction(topic) is direction
    if not is_agent(name):
        return False
    if act is Act.PUBLISH:
        return topic.startswith(f"t/{name}/up/") and not {"+", "#"} & set(topic)
    if act is Act.SUBSCRIBE and topic in (f"t/{name}/down/+", f"t/{name}/down/#"):
        return True
    return topic.startswith(f"t/{name}/down/") and not {"+", "#"} & set(topic)


def is_agent(name: str) -> bool:
    """`{tenant}/a/{agent}` with names that can neither widen a topic nor step out of it."""
    parts = name.split("/")
    if len(parts) != 3 or parts[1] != "a":
        return False
    try:
        topics.check_name(parts[0])
        topics.check_name(parts[2])
    except topics.TopicError:
        return False
    return True


def _direction(topic: str) -> topics.Direction | None:
    try:
        return topics.parse(topic).direction
    except topics.TopicError:
        return None
