"""Catalogs of credits, seats and levels that the rules let pass, and what costs credits."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from sidecar.domain import bounds
from sidecar.domain.catalog.kinds import (
    LIMIT_PRIORITY_MAX,
    FeatureCost,
    LevelBilling,
    LevelMeasure,
    OverdraftChange,
    Swaps,
)
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Dimension,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Plan,
    Rollover,
    Scope,
)
from sidecar.domain.catalog.plan_terms import Proration, UnusedCredits
from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.credits.costs import price_of
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.time.windows import Alignment, WindowUnit
from sidecar.domain.time.windows import WindowSpec as Spec

MODELS: Final = ("large", "small", "ü")
LEVEL: Final = Spec(WindowUnit.LEVEL)
_DIMENSIONS: Final = (
    Dimension("model", required=True, values=MODELS),
    Dimension("user"),
)
_UNITS: Final = (WindowUnit.DAY, WindowUnit.WEEK, WindowUnit.MONTH, WindowUnit.YEAR)
_ENFORCED: Final = (Enforcement.HARD, Enforcement.SOFT, Enforcement.SHADOW)

amounts = st.sampled_from([0, 1, bounds.INT64_MAX]) | st.integers(0, 1_000)
windows = st.builds(Spec, st.sampled_from(_UNITS), st.integers(1, 3), st.sampled_from(Alignment))
units = st.sampled_from([1, 3, 1_000, 2**61 - 1, bounds.INT64_MAX]) | st.integers(1, 10_000)
prices: st.SearchStrategy[Price] = st.builds(price_of, st.just("price"), amounts, units)
overdrafts = st.just(0) | amounts


@st.composite
def tables(draw: st.DrawFn) -> CostTable:
    if draw(st.booleans()):
        return CostTable(draw(prices))
    otherwise = draw(st.none() | prices)
    priced = MODELS if otherwise is None else sorted(draw(st.sets(st.sampled_from(MODELS))))
    return CostTable(otherwise, "model", {value: draw(prices) for value in priced or MODELS[:1]})


@st.composite
def credit_limits(draw: st.DrawFn, name: str, window: Spec) -> Limit:
    ends = window.unit is not WindowUnit.LIFETIME
    rollover = draw(st.none() | st.builds(Rollover, st.integers(1, 3))) if ends else None
    return Limit(
        name,
        window,
        draw(amounts),
        rollover=rollover,
        priority=draw(st.integers(0, LIMIT_PRIORITY_MAX)),
        credit_kind=draw(st.sampled_from(GrantKind)),
    )


@st.composite
def seat_limits(draw: st.DrawFn, name: str) -> Limit:
    window = draw(windows | st.just(Spec(WindowUnit.LIFETIME)))
    swaps = draw(st.none() | st.builds(Swaps, amounts, windows))
    amount, enforcement = draw(st.none() | amounts), draw(st.sampled_from(_ENFORCED))
    return Limit(name, window, amount, enforcement, swaps=swaps)


@st.composite
def level_limits(draw: st.DrawFn, name: str) -> Limit:
    scope = draw(st.sampled_from([Scope(), Scope(("user",)), Scope((), (("model", "small"),))]))
    amount, enforcement = draw(st.none() | amounts), draw(st.sampled_from(_ENFORCED))
    return Limit(name, LEVEL, amount, enforcement, scope)


@st.composite
def grants(draw: st.DrawFn, feature: str) -> EntitlementGrant:
    """What a plan grants of a feature of `features`."""
    names = sorted(draw(st.sets(st.sampled_from(["l", "m"]))))
    if feature == "money":
        layouts = [Spec(WindowUnit.LIFETIME), *draw(st.lists(windows, max_size=2, unique=True))]
        limits = tuple(
            draw(credit_limits(f"{name}", window))
            for name, window in zip("lmn", layouts, strict=False)
        )
        low = tuple(sorted(draw(st.sets(amounts, max_size=3)), reverse=True))
        return EntitlementGrant(feature, limits=limits, overdraft=draw(overdrafts), low_balance=low)
    if feature == "seats":
        return EntitlementGrant(feature, limits=tuple(draw(seat_limits(name)) for name in names))
    if feature == "jobs":
        return EntitlementGrant(feature, limits=tuple(draw(level_limits(name)) for name in names))
    return EntitlementGrant(feature)


@st.composite
def features(draw: st.DrawFn) -> tuple[Feature, ...]:
    ttls = st.integers(bounds.LEVEL_TTL_US_MIN, bounds.LEVEL_TTL_US_MAX)
    billings = st.builds(
        LevelBilling,
        st.sampled_from(LevelMeasure),
        st.builds(Spec, st.sampled_from(_UNITS), st.integers(1, 3), st.just(Alignment.ANCHORED)),
    )
    money = [FeatureCost("money", draw(tables()))]
    points = [FeatureCost("points", draw(tables()))] if draw(st.booleans()) else []
    level = Feature(
        "jobs",
        FeatureKind.LEVEL,
        dimensions=_DIMENSIONS,
        ttl_max_us=draw(st.none() | ttls),
        billing=draw(st.none() | billings),
    )
    return (
        level,
        Feature("money", FeatureKind.CREDITS),
        Feature("points", FeatureKind.CREDITS),
        Feature("seats", FeatureKind.SEATS),
        Feature("tokens", FeatureKind.METERED, dimensions=_DIMENSIONS, costs=tuple(money + points)),
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    keys = ("jobs", "money", "seats", "tokens")
    granted = tuple(draw(grants(key)) for key in keys)
    more = LimitChange("l", draw(amounts), adds=True)
    owed = draw(st.none() | st.builds(OverdraftChange, amounts, st.just(True)))
    change = EntitlementGrant("money", limit_changes=(more,), overdraft_change=owed)
    pack = EntitlementGrant("money", limit_changes=(LimitChange("l", 5, adds=True),))
    kept = tuple(draw(grants(key)) for key in ("jobs", "seats"))
    unused = draw(st.sampled_from(UnusedCredits))
    proration = draw(st.sampled_from(Proration))
    return Catalog(
        draw(features()),
        (
            Plan("bare"),
            Plan("pro", "", granted, unused_credits=unused, proration=proration),
        ),
        (
            AddOn("brings", "", 0, tuple(map(AddOnEntitlement, kept)), plans=("bare",)),
            AddOn("more", "", 0, (AddOnEntitlement(change),), plans=("pro",)),
            AddOn("top_up", "", 0, (AddOnEntitlement(pack),), plans=("pro",), once=True),
        ),
    )


@st.composite
def company_grants(draw: st.DrawFn, name: str) -> CompanyGrant:
    """A one-off grant with a name of its own."""
    effective_us = draw(st.integers(0, 10**12))
    ends = st.just(bounds.FOREVER_US) | st.integers(effective_us + 1, 10**13)
    grant = CreditGrant(
        name,
        draw(st.integers(1, 100) | st.just(bounds.INT64_MAX)),
        draw(st.integers(0, 3) | st.just(2**31 - 1)),
        draw(st.sampled_from(GrantKind)),
        effective_us,
        draw(ends),
    )
    return CompanyGrant(draw(st.sampled_from(["money", "points"])), grant)
