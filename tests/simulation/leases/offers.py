"""What is sold in the simulation, and the names by which schedules speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Plan,
    Rollover,
    Scope,
)
from sidecar.domain.company.model import Company, Override, Subscription
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.time.windows import WindowSpec, WindowUnit

COMPANIES: Final = ("acme", "bolt", "cato")
KNOWN: Final = COMPANIES[:2]
"""Those that the plane has from the start; for the others the default plan stands in."""
PLANS: Final = ("big", "small")
MINUTE: Final = WindowSpec(WindowUnit.MINUTE)
HOUR: Final = WindowSpec(WindowUnit.HOUR)
LIFETIME: Final = WindowSpec(WindowUnit.LIFETIME)
USERS: Final = ("ann", "ben", "cyd", "dee")


class Offer(NamedTuple):
    """One limit: its feature, its name, its window, and whether it is of each user."""

    feature: str
    limit: str
    window: WindowSpec
    each: tuple[str, ...] = ()
    rollover: Rollover | None = None


OFFERS: Final = (
    Offer("calls", "minute", MINUTE),
    Offer("exports", "hour", HOUR),
    Offer("exports", "user", MINUTE, ("user",)),
    Offer("storage", "total", LIFETIME),
    Offer("mails", "minute", MINUTE, rollover=Rollover(1)),
)
FEATURES: Final = tuple(dict.fromkeys(offer.feature for offer in OFFERS))
Amounts = Mapping[tuple[str, str, str], int]
"""By plan, feature and limit."""
FIRST_AMOUNTS: Final[Amounts] = {
    ("big", "calls", "minute"): 25,
    ("big", "exports", "hour"): 30,
    ("big", "exports", "user"): 6,
    ("big", "storage", "total"): 40,
    ("big", "mails", "minute"): 12,
    ("small", "calls", "minute"): 10,
    ("small", "exports", "hour"): 15,
    ("small", "exports", "user"): 3,
    ("small", "storage", "total"): 20,
    ("small", "mails", "minute"): 5,
}
PACK: Final = 10
PACKS: Final = AddOn(
    "mail-pack",
    entitlements=(
        AddOnEntitlement(
            EntitlementGrant("mails", limit_changes=(LimitChange("minute", PACK, adds=True),))
        ),
    ),
    once=True,
)


def limit_of(offer: Offer, amount: int, priority: int = 0) -> Limit:
    """The limit of an offer."""
    return Limit(
        offer.limit,
        offer.window,
        amount,
        scope=Scope(offer.each),
        rollover=offer.rollover,
        priority=priority,
    )


def catalog_of(amounts: Amounts) -> Catalog:
    """The catalog with some amounts."""
    plans = []
    for plan in PLANS:
        grants = []
        for feature in sorted(FEATURES):
            limits = tuple(
                limit_of(offer, amounts[plan, feature, offer.limit])
                for offer in OFFERS
                if offer.feature == feature
            )
            grants.append(EntitlementGrant(feature, limits=limits))
        plans.append(Plan(plan, "", tuple(grants)))
    features = tuple(Feature(key, FeatureKind.METERED) for key in sorted(FEATURES))
    return Catalog(features, tuple(plans), add_ons=(PACKS,), default_plan=PLANS[0])


def company_of(name: str, now_us: int) -> Company:
    """A company on the first plan."""
    return Company(name, subscription=Subscription(PLANS[0], now_us))


def override_of(offer: Offer, amount: int, until_us: int, name: str) -> Override:
    """Another amount for a company, until an instant."""
    change = LimitChange(offer.limit, amount)
    grant = EntitlementGrant(offer.feature, limit_changes=(change,), id=name)
    return Override(grant, until_us)


def offer_of_slot(feature: str, slot: str) -> Offer:
    """The offer that a counter's slot is of, whatever its generation."""
    counted = "|".join(slot.split("|")[:3])
    return _BY_SLOT[feature, counted]


_BY_SLOT: Final = {(offer.feature, slot_of(limit_of(offer, 1))): offer for offer in OFFERS}
