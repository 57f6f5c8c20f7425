"""The hospital's own networks (M01 R2, SR10): who logs in from elsewhere is remote and shows a second factor whatever the role."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, text

from cloud.db.session import UnitOfWork
from cloud.modules.platform import rules
from cloud.modules.platform.models import NearNetwork
from cloud.web.faults import Conflict, Invalid, NotFound
from common.say import say

MOST = 50
_NEAR = text("SELECT cidr FROM near_network WHERE tenant_id = :t")


def known(uow: UnitOfWork) -> Sequence[NearNetwork]:
    """Those on record."""
    return uow.s.execute(select(NearNetwork).order_by(NearNetwork.cidr).limit(MOST)).scalars().all()


def remote(uow: UnitOfWork, ip: str) -> bool:
    """Whether this address is outside all of them."""
    return rules.is_remote(ip, uow.s.scalars(_NEAR, {"t": uow.tenant_id}).all())


def add(uow: UnitOfWork, cidr: str, name: str) -> NearNetwork:
    """Put one on record. Raises Invalid naming the field, Conflict where it stands already."""
    found = rules.network(cidr)
    if found is None:
        raise Invalid(say("网段请写成 10.20.0.0/16 或单个地址，最大为 /8。"), "cidr")
    if not name.strip():
        raise Invalid(say("请写明这是哪里的网段，例如：检验楼、东院区。"), "name")
    there = known(uow)
    if any(row.cidr == found for row in there):
        raise Conflict(say("网段 {cidr} 已经登记。", cidr=found))
    if len(there) >= MOST:
        raise Conflict(say("最多登记 {n} 个网段，请合并相邻的网段。", n=MOST))
    row = NearNetwork(cidr=found, name=name.strip()[:60], at=uow.now, by_name=uow.actor.name)
    uow.s.add(row)
    uow.s.flush()
    uow.audit("near_network", row.id, "add", after={"cidr": row.cidr, "name": row.name})
    return row


def remove(uow: UnitOfWork, network_id: int) -> None:
    """Take one off: from now on its people are remote (where others are left on record)."""
    row = uow.s.execute(select(NearNetwork).where(NearNetwork.id == network_id).with_for_update()).scalar_one_or_none()
    if row is None:
        raise NotFound("这个网段")
    uow.audit("near_network", row.id, "remove", before={"cidr": row.cidr, "name": row.name})
    uow.s.delete(row)
