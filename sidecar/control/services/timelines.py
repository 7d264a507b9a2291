"""Goes on with a company's timeline where the company changes."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import FieldOwner, StoredCompany, Tombstone
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company
from sidecar.domain.company.period_end import following_period_end
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.entitlement.proration import Prorating
from sidecar.domain.time.units import MINUTE_US

CLOCK_BACK_US_MAX: Final = MINUTE_US
"""How far the clock may have been set back, or differ between planes, without a change noticing."""

Held: TypeAlias = StoredCompany | Tombstone


def time_of_change(held: Held, now_us: int) -> int:
    """The instant of a change that is made now: not before the last change.

    A timeline goes on from what was in force at that instant, so that a reset after it would be
    lost. A clock that was far ahead once is not followed: what it did has never been in force.
    """
    if 0 < held.changed_us - now_us <= CLOCK_BACK_US_MAX:
        return held.changed_us
    return now_us


def prorating_of(transaction: ReadTransaction) -> Prorating:
    """What becomes of windows in which plans change, by the catalog in force."""
    stored = transaction.catalog()
    return Prorating(Catalog() if stored is None else stored.catalog)


def with_timeline(
    company: Company,
    revision: int,
    now_us: int,
    held: Held | None,
    prorating: Prorating,
    *,
    resets_usage: bool = False,
    owners: tuple[FieldOwner, ...] | None = None,
) -> StoredCompany:
    """A company as it is to be stored. `held`: what is stored of it, `None` for nothing.

    A company that was removed and comes back goes on where it was, with its usage. What is meant
    for the end of its billing period is where that ends now, whatever has moved it. `prorating`: by
    the catalog, of what windows grant in which its plan changes. `owners`: of its fields, `None`
    leaves them as they are.
    """
    if owners is None:
        owners = held.owners if isinstance(held, StoredCompany) else ()
    at_us = now_us if held is None else time_of_change(held, now_us)
    subscription = company.subscription
    if subscription is not None:
        subscription = following_period_end(subscription, at_us, company.time_zone)
        company = msgspec.structs.replace(company, subscription=subscription)
    if held is None:
        begun = prorating.prorated(compile_snapshot(company, revision))
        return StoredCompany(company, begun, now_us, owners)
    snapshot = continue_snapshot(held.snapshot, company, revision, at_us, resets_usage=resets_usage)
    return StoredCompany(company, prorating.prorated(snapshot, at_us), at_us, owners)
