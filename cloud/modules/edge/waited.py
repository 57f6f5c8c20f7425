"""Analyzers tubes wait for beyond their time while nothing comes from them: one alert an analyzer, by day and by night.

A listening port whose analyzer is away is no fault by itself (it may be switched off, and nobody minds); it becomes one when received
tubes need it and no connected analyzer could take them. The alert goes when it speaks again, or when nobody waits any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from cloud.db.session import UnitOfWork
from cloud.modules.catalog import places
from cloud.modules.catalog import queries as md
from cloud.modules.edge import facts, signals
from cloud.modules.edge.rules import Perm
from cloud.modules.edge.signals import Mute
from cloud.modules.platform import alerts
from cloud.modules.specimens import queries as specimens
from common.say import Said, say

KIND = "edge.waited"
WORDS = "%(name)s（%(why)s）：有 %(n)s 管标本超时在等，最早 %(code)s（%(at)s 核收）"
WHY: Mapping[Mute, Said] = {
    Mute.AGENT: say("采集端离线"),
    Mute.FAULT: say("连接故障"),
    Mute.ABSENT: say("仪器未联机"),
    Mute.SILENT: say("久无结果"),
}


def found(uow: UnitOfWork, views: Sequence[facts.AgentView], at_work: bool) -> Iterator[alerts.Alert]:
    """The alerts that hold now."""
    known = md.catalog(uow)
    links: dict[int, list[facts.LinkView]] = {}
    for link in (each for view in views for each in view.links if signals.counted(each.facts)):
        row = known.analyzers.get(link.connection.analyzer_id or 0)
        if row is not None and row.active:
            links.setdefault(row.id, []).append(link)
    mute = {analyzer: signals.mute([each.facts for each in own]) for analyzer, own in links.items()}
    told = {analyzer: why for analyzer, why in mute.items() if why is not None and not signals.called(why, at_work)}
    taken = {item for analyzer, item in known.item_channels if mute.get(analyzer, Mute.ABSENT) is None}
    needs = {analyzer: {item for a, item in known.item_channels if a == analyzer} - taken for analyzer in told}
    tubes = specimens.lacking(uow, frozenset().union(*needs.values())) if told else []
    for analyzer, why in told.items():
        waiting = [tube for tube in tubes if tube.items & needs[analyzer]]
        if waiting:
            yield _alert(uow, analyzer, why, waiting, links[analyzer][0].connection.id)


def _alert(uow: UnitOfWork, analyzer: int, why: Mute, waiting: Sequence[specimens.Lacking], link: int) -> alerts.Alert:
    oldest = waiting[0]
    given = {"name": md.catalog(uow).analyzers[analyzer].name, "why": WHY[why], "n": len(waiting), "code": oldest.barcode}
    given["at"] = f"{oldest.since.astimezone(md.HOSPITAL_ZONE):%H:%M}"
    at = places.of_analyzer(uow, analyzer)
    return alerts.Alert(KIND, f"analyzer:{analyzer}", alerts.Level.URGENT, WORDS, f"/edge/links/{link}", Perm.READ, given, at=at)
