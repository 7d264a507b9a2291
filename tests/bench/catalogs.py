"""Catalogs of their own for sections such as "limits", "credits", "seats" and "change"."""

from __future__ import annotations

from typing import Final

from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import (
    Catalog,
    Dimension,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
    Scope,
)
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit

ONE_LIMIT: Final = "one"
TEN_LIMITS: Final = "ten"
LIMIT_AND_RATE: Final = "rated"
PRICED: Final = "priced"
PRICED_ALONE: Final = "priced_alone"
BALANCE: Final = "credits"
MEMBERS: Final = "members"
TOKENS: Final = "tokens"
MODELS: Final = ("model-small", "model-medium", "model-large")

PLAN: Final = "plan-00"
LARGER_PLAN: Final = "plan-01"
COUNTED: Final = "feature-00"
"""What a light load counts on."""
PROBED: Final = "feature-01"
"""What changes are about. Nothing is counted on it, so that its limit alone decides."""

_DIMENSIONS: Final = tuple(map(Dimension, ("model", "tier", "user", "workspace")))
_AMPLE: Final = 1_000_000_000_000
_ANCHOR_US: Final = 1_736_899_200_000_000  # 2025-01-15T00:00:00Z
_PLANS: Final = 10
_FEATURES: Final = 20


PER_USER: Final = "per_user"
USERS_LIMIT: Final = Limit("daily", WindowSpec(WindowUnit.DAY), _AMPLE, scope=Scope(("user",)))


def company(company_id: str) -> Company:
    """A company on the first plan."""
    return Company(company_id, subscription=Subscription(PLAN, _ANCHOR_US))


def limits_catalog() -> Catalog:
    """Features with one limit, with ten, and with a limit and a rate.

    A request with a value for each of `user`, `model`, `workspace` and `tier: large` is subject to
    all of them, and all are far above what a benchmark counts.
    """
    one = _limit("monthly", WindowUnit.MONTH)
    ten = (
        one,
        _limit("daily", WindowUnit.DAY),
        _limit("hourly", WindowUnit.HOUR),
        _limit("ever", WindowUnit.LIFETIME),
        _limit("user_monthly", WindowUnit.MONTH, "user"),
        _limit("user_daily", WindowUnit.DAY, "user"),
        _limit("user_model_hourly", WindowUnit.HOUR, "user", "model"),
        _limit("model_daily", WindowUnit.DAY, "model"),
        _limit("workspace_cycle", WindowUnit.MONTH, "workspace", alignment=Alignment.ANCHORED),
        Limit(
            "large_weekly",
            WindowSpec(WindowUnit.WEEK),
            _AMPLE,
            scope=Scope((), (("tier", "large"),)),
        ),
    )
    rate = RateLimit("steady", Rate(1_000_000, SECOND_US, 1_000_000))
    grants = (
        EntitlementGrant(ONE_LIMIT, limits=(one,)),
        EntitlementGrant(LIMIT_AND_RATE, limits=(one,), rates=(rate,)),
        EntitlementGrant(TEN_LIMITS, limits=ten),
    )
    features = tuple(Feature(grant.feature, FeatureKind.METERED) for grant in grants)
    return Catalog(features, (Plan(PLAN, entitlements=grants),))


def credits_catalog() -> Catalog:
    """Two features with one limit, of which one costs credits, and one that has no limit and does.

    The balance has two sources.
    """
    monthly, spare = _limit("monthly", WindowUnit.MONTH), _limit("spare", WindowUnit.LIFETIME)
    grants = (
        EntitlementGrant(BALANCE, limits=(monthly, spare)),
        EntitlementGrant(ONE_LIMIT, limits=(monthly,)),
        EntitlementGrant(PRICED, limits=(monthly,)),
        EntitlementGrant(PRICED_ALONE),
    )
    table = CostTable(Price(1), "model", {model: Price(2, 3) for model in MODELS})
    features = (
        Feature(BALANCE, FeatureKind.CREDITS),
        Feature(ONE_LIMIT, FeatureKind.METERED, dimensions=_DIMENSIONS),
        *(
            Feature(
                key,
                FeatureKind.METERED,
                dimensions=_DIMENSIONS,
                costs=(FeatureCost(BALANCE, table),),
            )
            for key in (PRICED, PRICED_ALONE)
        ),
    )
    return Catalog(features, (Plan(PLAN, entitlements=grants),))


def seats_catalog() -> Catalog:
    """A feature with seats, and one with a limit to compare it with."""
    grants = (
        EntitlementGrant(MEMBERS, limits=(_limit("named", WindowUnit.LIFETIME),)),
        EntitlementGrant(TOKENS, limits=(_limit("monthly", WindowUnit.MONTH),)),
    )
    features = (
        Feature(MEMBERS, FeatureKind.SEATS),
        Feature(TOKENS, FeatureKind.METERED),
    )
    return Catalog(features, (Plan(PLAN, entitlements=grants),))


def users_catalog() -> Catalog:
    """A feature with an exact limit of each user, `USERS_LIMIT`."""
    grant = EntitlementGrant(PER_USER, limits=(USERS_LIMIT,))
    features = (Feature(PER_USER, FeatureKind.METERED),)
    return Catalog(features, (Plan(PLAN, entitlements=(grant,)),))


def change_catalog(probed_max: int, spare_plan: str = "spare") -> Catalog:
    """Ten plans of twenty features. On `PLAN` the probed feature is limited to `probed_max`.

    `spare_plan`: key of one more, which nobody has.
    """
    keys = [f"feature-{number:02d}" for number in range(_FEATURES)]
    plans = []
    for number in range(_PLANS):
        plan = f"plan-{number:02d}"
        grants = []
        for key in keys:
            amount = probed_max if (plan, key) == (PLAN, PROBED) else _AMPLE
            limit = Limit("monthly", WindowSpec(WindowUnit.MONTH), amount)
            grants.append(EntitlementGrant(key, limits=(limit,)))
        plans.append(Plan(plan, entitlements=tuple(grants)))
    plans.append(Plan(spare_plan))
    return Catalog(tuple(Feature(key, FeatureKind.METERED) for key in keys), tuple(plans))


def _limit(
    name: str, unit: WindowUnit, *dimensions: str, alignment: Alignment = Alignment.CALENDAR
) -> Limit:
    return Limit(
        name, WindowSpec(unit, 1, alignment), _AMPLE, scope=Scope(tuple(sorted(dimensions)))
    )
