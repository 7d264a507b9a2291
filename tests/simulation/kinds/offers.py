"""What is sold where seats and levels are simulated."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.domain.catalog.kinds import LevelBilling, LevelMeasure, Swaps
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.simulation.leases.offers import LIFETIME, MINUTE, PLANS, Amounts, Offer, limit_of

LEVEL: Final = WindowSpec(WindowUnit.LEVEL)
TTL_US: Final = 20 * SECOND_US
"""Longest time to live of a job."""
SWAPS: Final = 1
SEATS: Final = (
    Offer("members", "named", LIFETIME),
    Offer("desks", "named", LIFETIME),
    Offer("visitors", "active", MINUTE),
)
LEVELS: Final = (Offer("jobs", "running", LEVEL), Offer("disks", "total", LEVEL))
MEMBERS, DESKS, VISITORS, JOBS, DISKS = range(5)
OFFERS: Final = SEATS + LEVELS
FIRST_AMOUNTS: Final[Amounts] = {
    ("big", "members", "named"): 4,
    ("big", "desks", "named"): 3,
    ("big", "visitors", "active"): 4,
    ("big", "jobs", "running"): 6,
    ("big", "disks", "total"): 30,
    ("small", "members", "named"): 2,
    ("small", "desks", "named"): 2,
    ("small", "visitors", "active"): 2,
    ("small", "jobs", "running"): 3,
    ("small", "disks", "total"): 12,
}
FEATURES: Final = (
    Feature("desks", FeatureKind.SEATS, fail_policy=FailPolicy(no_lease=FailAction.ALLOW)),
    Feature("disks", FeatureKind.LEVEL, billing=LevelBilling(LevelMeasure.PEAK, MINUTE)),
    Feature(
        "jobs",
        FeatureKind.LEVEL,
        ttl_max_us=TTL_US,
        billing=LevelBilling(LevelMeasure.AVERAGE, MINUTE),
    ),
    Feature("members", FeatureKind.SEATS),
    Feature("visitors", FeatureKind.SEATS),
)


def catalog_of(amounts: Amounts) -> Catalog:
    """The catalog with some amounts."""
    plans = []
    for plan in PLANS:
        grants = [
            EntitlementGrant(
                offer.feature, limits=(_limit(offer, amounts[plan, offer.feature, offer.limit]),)
            )
            for offer in sorted(OFFERS)
        ]
        plans.append(Plan(plan, "", tuple(grants)))
    return Catalog(FEATURES, tuple(plans), default_plan=PLANS[0])


def _limit(offer: Offer, amount: int) -> Limit:
    limit = limit_of(offer, amount)
    return replace(limit, swaps=Swaps(SWAPS, MINUTE)) if offer == OFFERS[DESKS] else limit


def offer_of(feature: str) -> Offer:
    """The one limit of a feature."""
    return next(offer for offer in OFFERS if offer.feature == feature)
