"""A limit of 100 a day and packs of 50 for it, on a sidecar whose clock is set."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    LimitChange,
    Rollover,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    PastDue,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.slices import whole
from tests.support.build import DAY, catalog, counter_ref, limit, metered
from tests.support.inside import Inside
from tests.support.rolling import ANCHOR_US, rolling

DAILY: Final = limit("daily", 100, window=DAY)
BROUGHT: Final = metered("calls", limit("own", 50, window=DAY))
NAMED: Final = EntitlementGrant("calls", limit_changes=(LimitChange("daily", 50, adds=True),))


def pack(key: str = "pack", grant: EntitlementGrant = NAMED) -> AddOn:
    """A pack; 50 for the limit of 100 a day, unless told otherwise."""
    return AddOn(key, entitlements=(AddOnEntitlement(grant),), once=True)


CONTENT: Final[Catalog] = msgspec.structs.replace(
    catalog(
        {
            "basic": [metered("calls", DAILY)],
            "large": [metered("calls", limit("daily", 120, window=DAY))],
            "rolling": [metered("calls", rolling(100, Rollover(1)))],
            "unlimited": [metered("calls")],
            "without": [],
        }
    ),
    add_ons=(
        pack("brought", BROUGHT),
        pack(),
        AddOn("usual", entitlements=(AddOnEntitlement(NAMED),)),
    ),
)


def having(
    packs: int, *changes: ScheduledChange, plan: str = "basic", add_on: str = "pack"
) -> Company:
    """A company that holds so many packs."""
    held = (AddOnSubscription(add_on, packs),) if packs else ()
    return Company(
        "acme", subscription=Subscription(plan, ANCHOR_US, add_ons=held, changes=changes)
    )


def fallen_back(packs: int, at_us: int) -> Company:
    """The same, whose late payment falls back to a plan without the limit at an instant."""
    paid = having(packs)
    assert paid.subscription is not None
    late = msgspec.structs.replace(
        paid.subscription, past_due=PastDue(at_us - 1, at_us, grace_end_plan="without")
    )
    return msgspec.structs.replace(paid, subscription=late)


def bought(at_us: int, packs: int, plan: str = "") -> ScheduledChange:
    """The company holds so many packs from an instant on."""
    held = (AddOnSubscription("pack", packs),) if packs else ()
    return ScheduledChange(at_us, plan, add_ons=held)


def begun(acme: Company, *, authority: bool = True) -> Inside:
    """A sidecar without a plane, or of one that has said that nothing was used of packs."""
    sidecar = Inside(CONTENT, acme, authority=authority)
    if not authority:
        for of in (DAILY, *BROUGHT.limits):
            ref = counter_ref(of)
            said = CounterTotal("acme", "calls", ref, 0, 0, sidecar.now_us, ())
            sidecar.opened.counters.hear("life-1", [said])
    return sidecar


def limit_usage(sidecar: Inside) -> QuotaUsage:
    """The limit, as it is told."""
    report = whole(sidecar.queries.usage("acme", "calls", sidecar.now_us, sidecar.now_us))
    ((_, (usage,)),) = report.features
    assert isinstance(usage, QuotaUsage)
    return usage
