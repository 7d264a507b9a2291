"""What is sold in the simulation of credits: a balance, and features whose usage burns it.

Amounts in micro-credits, small ones, so that balances end often.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Dimension,
    EntitlementGrant,
    Feature,
    FeatureKind,
    LimitChange,
    Plan,
    Rollover,
)
from sidecar.domain.credits.costs import price_of
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.limits.counters import slot_of
from tests.simulation.leases.offers import (
    HOUR,
    MINUTE,
    PACK,
    PLANS,
    Amounts,
    Offer,
    limit_of,
)

CREDITS: Final = "credits"
CHATS: Final = "chats"
TOKENS: Final = "tokens"
IMAGES: Final = "images"
OFFERS: Final = (
    Offer(CREDITS, "minute", MINUTE, rollover=Rollover(1)),
    Offer(CREDITS, "hour", HOUR),
    Offer(TOKENS, "minute", MINUTE),
    Offer(IMAGES, "hour", HOUR),
)
FIRST_AMOUNTS: Final[Amounts] = {
    ("big", CREDITS, "minute"): 40,
    ("big", CREDITS, "hour"): 60,
    ("big", TOKENS, "minute"): 25_000,
    ("big", IMAGES, "hour"): 40,
    ("small", CREDITS, "minute"): 15,
    ("small", CREDITS, "hour"): 25,
    ("small", TOKENS, "minute"): 8_000,
    ("small", IMAGES, "hour"): 15,
}
OVERDRAFTS: Final = {"big": 20, "small": 0}
PRIORITIES: Final = {"minute": 1, "hour": 3}
TOP_UP: Final = AddOn(
    "top-up",
    entitlements=(
        AddOnEntitlement(
            EntitlementGrant(CREDITS, limit_changes=(LimitChange("minute", PACK, adds=True),))
        ),
    ),
    once=True,
)


class Use(NamedTuple):
    """What costs something: a feature, and the model by which it has its price; empty for any."""

    feature: str
    model: str = ""


USES: Final = (Use(CHATS, "small"), Use(CHATS, "large"), Use(TOKENS), Use(IMAGES))
Prices = Mapping[Use, tuple[int, int]]
"""So many micro-credits for so many units."""
FIRST_PRICES: Final[Prices] = {
    USES[0]: (1, 1),
    USES[1]: (10, 1),
    USES[2]: (7, 1_000),
    USES[3]: (3, 1),
}


def catalog_of(amounts: Amounts, prices: Prices) -> Catalog:
    """The catalog with some amounts and prices."""
    plans = tuple(_plan(plan, amounts) for plan in PLANS)
    features = [Feature(CREDITS, FeatureKind.CREDITS)]
    for key in (CHATS, IMAGES, TOKENS):
        by = {use.model: _price(prices[use]) for use in USES if use.feature == key}
        is_by_model = "" not in by
        table = CostTable(None, "model", by) if is_by_model else CostTable(by[""])
        dimensions = (Dimension("model", required=True),) if is_by_model else None
        cost = FeatureCost(CREDITS, table)
        features.append(Feature(key, FeatureKind.METERED, dimensions=dimensions, costs=(cost,)))
    features.sort(key=lambda feature: feature.key)
    return Catalog(tuple(features), plans, add_ons=(TOP_UP,), default_plan=PLANS[0])


def _plan(plan: str, amounts: Amounts) -> Plan:
    grants = []
    for key in sorted((CREDITS, CHATS, TOKENS, IMAGES)):
        limits = tuple(
            limit_of(offer, amounts[plan, key, offer.limit], _priority(offer))
            for offer in OFFERS
            if offer.feature == key
        )
        overdraft = OVERDRAFTS[plan] if key == CREDITS else 0
        grants.append(EntitlementGrant(key, limits=limits, overdraft=overdraft))
    return Plan(plan, "", tuple(grants))


def _priority(offer: Offer) -> int:
    return PRIORITIES[offer.limit] if offer.feature == CREDITS else 0


def _price(price: tuple[int, int]) -> Price:
    return price_of("price", *price)


def offer_of_slot(feature: str, slot: str) -> Offer:
    """The offer that a counter's slot is of, whatever its generation."""
    counted = "|".join(slot.split("|")[:3])
    return _BY_SLOT[feature, counted]


_BY_SLOT: Final = {(offer.feature, slot_of(limit_of(offer, 1))): offer for offer in OFFERS}
