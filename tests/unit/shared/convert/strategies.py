"""Catalogs and companies that the rules let pass, of every form."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from sidecar.domain import bounds
from sidecar.domain.catalog.model import (
    Across,
    AddOn,
    AddOnEntitlement,
    Catalog,
    Enforcement,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Merge,
    Plan,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US, UNENDING, Alignment
from sidecar.domain.time.windows import WindowSpec as Spec
from sidecar.domain.time.windows import WindowUnit as Unit

_KINDS: Final = {
    "calls": FeatureKind.METERED,
    "sso": FeatureKind.BOOLEAN,
    "days": FeatureKind.CONFIG,
    "tökens": FeatureKind.METERED,
}
_PLANS: Final = ("free", "pro", "ü")
_ADD_ONS: Final = ("extra", "seats")
SOLD: Final = Catalog(
    tuple(Feature(key, kind) for key, kind in _KINDS.items()),
    tuple(map(Plan, _PLANS)),
    tuple(map(AddOn, _ADD_ONS)),
)
"""All that the companies refer to."""
_NAMES: Final = st.sampled_from(["a", "b", "model", "ü", "%"])
_TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_BILLING_UNITS: Final = [Unit.DAY, Unit.WEEK, Unit.MONTH, Unit.QUARTER, Unit.YEAR]

amounts = st.sampled_from([0, 1, bounds.INT64_MAX]) | st.integers(0, 1_000)
instants = st.sampled_from([FIRST_INSTANT_US, -1, 0, 1, END_INSTANT_US - 1]) | st.integers(
    FIRST_INSTANT_US, END_INSTANT_US - 1
)
percents = st.sets(st.integers(1, bounds.WARNING_PERCENT_MAX), min_size=1, max_size=4).map(
    lambda found: tuple(sorted(found))
)


@st.composite
def scopes(draw: st.DrawFn) -> Scope:
    match = draw(st.dictionaries(_NAMES, _NAMES | st.just(""), max_size=2))
    dimensions = draw(st.sets(_NAMES, max_size=2)) - match.keys()
    return Scope(tuple(sorted(dimensions)), tuple(sorted(match.items())))


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    period_us = draw(st.integers(bounds.RATE_PERIOD_US_MIN, bounds.RATE_PERIOD_US_MAX))
    most = st.integers(1, bounds.RATE_PRODUCT_MAX // period_us)
    return Rate(draw(most), period_us, draw(most))


@st.composite
def windows(draw: st.DrawFn) -> Spec:
    unit = draw(st.sampled_from([unit for unit in Unit if unit is not Unit.LEVEL]))
    alignments = [Alignment.CALENDAR] if unit is Unit.REQUEST else list(Alignment)
    alignment = draw(st.sampled_from(alignments))
    weekly = unit is Unit.WEEK and alignment is Alignment.CALENDAR
    return Spec(unit, draw(st.integers(1, 1_000)), alignment, draw(st.integers(0, 6)) * weekly)


rollovers = st.builds(
    Rollover,
    st.integers(1, bounds.ROLLOVER_WINDOWS_MAX),
    st.none() | amounts,
    st.none() | st.integers(0, bounds.ROLLOVER_PERCENT_MAX),
)


@st.composite
def limits(draw: st.DrawFn, name: str) -> Limit:
    window, scope = draw(windows()), draw(scopes())
    throttles = window.unit is not Unit.REQUEST and draw(st.booleans())
    others = set(Enforcement) - {Enforcement.THROTTLE}
    enforcement = Enforcement.THROTTLE if throttles else draw(st.sampled_from(sorted(others)))
    amount = draw(amounts if throttles else st.none() | amounts)
    shared = enforcement is Enforcement.HARD and window.unit is not Unit.REQUEST
    rolls = amount is not None and window.unit not in UNENDING and not scope.dimensions
    return Limit(
        name,
        window,
        amount,
        enforcement,
        scope,
        draw(percents),
        throttle=draw(rates()) if throttles else None,
        rollover=draw(st.none() | rollovers) if rolls else None,
        across=draw(st.sampled_from(Across)) if shared else Across.EXACT,
    )


@st.composite
def rate_limits(draw: st.DrawFn, name: str) -> RateLimit:
    enforcement = draw(st.sampled_from([Enforcement.HARD, Enforcement.SHADOW]))
    return RateLimit(name, draw(rates()), enforcement, draw(scopes()))


@st.composite
def grants(draw: st.DrawFn, feature: str) -> EntitlementGrant:
    kind = _KINDS[feature]
    if kind is FeatureKind.BOOLEAN:
        return EntitlementGrant(feature, enabled=draw(st.booleans()))
    if kind is FeatureKind.CONFIG:
        return EntitlementGrant(feature, config_value=draw(_TEXTS))
    limit_names = draw(st.sets(st.sampled_from(["l", "m"])))
    rate_names = draw(st.sets(st.sampled_from(["r", "s"])))
    return EntitlementGrant(
        feature,
        limits=tuple(draw(limits(name)) for name in sorted(limit_names)),
        rates=tuple(draw(rate_limits(name)) for name in sorted(rate_names)),
    )


@st.composite
def grant_lists(draw: st.DrawFn) -> tuple[EntitlementGrant, ...]:
    features = draw(st.sets(st.sampled_from(sorted(_KINDS)), max_size=3))
    return tuple(draw(grants(feature)) for feature in sorted(features))


@st.composite
def fail_policies(draw: st.DrawFn) -> FailPolicy:
    deny, allow = FailAction.DENY, FailAction.ALLOW
    stale = draw(st.sampled_from([FailAction.KEEP, deny, allow]))
    times = st.integers(bounds.STALE_AFTER_US_MIN, bounds.STALE_AFTER_US_MAX)
    return FailPolicy(
        draw(st.sampled_from([deny, allow, FailAction.DEFAULT_PLAN])),
        stale,
        draw(st.none() | times if stale is FailAction.KEEP else times),
        draw(st.sampled_from([deny, allow])),
        draw(st.sampled_from([deny, allow])),
    )


@st.composite
def add_ons(draw: st.DrawFn, key: str) -> AddOn:
    merges = st.sampled_from(Merge)
    given = [AddOnEntitlement(grant, draw(merges)) for grant in draw(grant_lists())]
    rank = draw(st.integers(-bounds.ADD_ON_RANK_MAX, bounds.ADD_ON_RANK_MAX))
    return AddOn(key, draw(_TEXTS), rank, tuple(given))


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    return Catalog(
        tuple(
            Feature(key, kind, draw(_TEXTS), draw(_TEXTS)[:10], draw(fail_policies()))
            for key, kind in sorted(_KINDS.items())
        ),
        tuple(Plan(key, draw(_TEXTS), draw(grant_lists())) for key in _PLANS),
        tuple(draw(add_ons(key)) for key in _ADD_ONS),
        draw(st.sampled_from(_PLANS)),
    )


@st.composite
def bought(draw: st.DrawFn) -> tuple[AddOnSubscription, ...]:
    keys = sorted(draw(st.sets(st.sampled_from(_ADD_ONS))))
    quantities = st.integers(1, bounds.ADD_ON_QUANTITY_MAX)
    return tuple(AddOnSubscription(key, draw(quantities)) for key in keys)


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int | None]:
    start_us, end_us = sorted(draw(st.lists(instants, min_size=2, max_size=2, unique=True)))
    return start_us, draw(st.sampled_from([end_us, None]))


@st.composite
def pauses(draw: st.DrawFn) -> Pause:
    start_us, end_us = draw(spans())
    return Pause(start_us, end_us, end_us is not None and draw(st.booleans()))


@st.composite
def changes(draw: st.DrawFn, at_us: int) -> ScheduledChange:
    change = ScheduledChange(
        at_us,
        draw(st.sampled_from(["", *_PLANS])),
        draw(st.none() | bought()),
        draw(st.booleans()),
        draw(st.booleans()),
    )
    return ScheduledChange(at_us, "pro") if change == ScheduledChange(at_us) else change


@st.composite
def subscriptions(draw: st.DrawFn) -> Subscription:
    changes_at = sorted(draw(st.sets(instants, max_size=3)))
    period = Spec(
        draw(st.sampled_from(_BILLING_UNITS)), draw(st.integers(1, 1_000)), Alignment.ANCHORED
    )
    return Subscription(
        draw(st.sampled_from(_PLANS)),
        draw(instants),
        draw(st.none() | instants),
        draw(st.sampled_from([SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED])),
        draw(st.none() | instants),
        draw(bought()),
        draw(st.none() | instants),
        draw(st.none() | spans().map(lambda span: PastDue(*span))),
        draw(st.none() | pauses()),
        tuple(draw(changes(at_us)) for at_us in changes_at),
        period,
    )


@st.composite
def companies(draw: st.DrawFn) -> Company:
    subscription = draw(st.none() | subscriptions())
    overrides = tuple(
        Override(grant, draw(st.just(bounds.FOREVER_US) | instants))
        for grant in draw(grant_lists())
        if subscription is not None
        or all(limit.window.alignment is Alignment.CALENDAR for limit in grant.limits)
    )
    zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Apia"]))
    return Company("acme", draw(_TEXTS), zone, subscription, overrides)
