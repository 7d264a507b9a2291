"""Hypothesis strategies of domain values, for the property tests that share them."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.catalog.model import (
    Enforcement,
    EntitlementGrant,
    Limit,
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
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import DAY, LIFETIME, MONTH

AMOUNTS: Final = st.none() | st.integers(0, 9) | st.sampled_from([INT64_MAX - 1, INT64_MAX])
"""Amounts of limits: small ones, unlimited, and some at the bound."""

ZONES: Final = st.sampled_from(
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Sao_Paulo",  # midnights that are skipped, until 2019
        "Australia/Lord_Howe",  # half an hour
        "Pacific/Kiritimati",  # 25 hours from the next
        "Pacific/Pago_Pago",
    ]
)

_SCOPES: Final = st.sampled_from(
    [Scope(), Scope(("user",)), Scope(match=(("model", "large"),)), Scope(("user", "zone"))]
)
_NAMES: Final = st.sampled_from(["a", "b", "c", "boost.a"])
_RATES: Final = st.builds(
    Rate, st.integers(1, 9), st.sampled_from([1_000, 60_000_000]), st.integers(1, 9)
)


@st.composite
def window_specs(draw: st.DrawFn, units: st.SearchStrategy[WindowUnit]) -> WindowSpec:
    """Window layouts, as the rules allow them."""
    unit, alignment = draw(units), draw(st.sampled_from(Alignment))
    weekly = unit is WindowUnit.WEEK and alignment is Alignment.CALENDAR
    weekday = draw(st.integers(0, 6)) if weekly else 0
    return WindowSpec(unit, draw(st.sampled_from([1, 2, 3])), alignment, weekday)


@st.composite
def limits(draw: st.DrawFn) -> Limit:
    """Limits on few windows and scopes, so that they meet; at times they roll over."""
    amount = draw(AMOUNTS)
    return Limit(
        draw(_NAMES),
        draw(st.sampled_from([DAY, MONTH, LIFETIME])),
        amount,
        draw(st.sampled_from([Enforcement.HARD, Enforcement.SOFT, Enforcement.SHADOW])),
        draw(_SCOPES),
        rollover=None if amount is None else draw(st.sampled_from([None, Rollover(2)])),
    )


@st.composite
def metered_grants(draw: st.DrawFn, feature: str) -> EntitlementGrant:
    """Grants of a METERED feature; they hold at most one limit of each window and scope."""
    held = draw(
        st.lists(
            limits(),
            max_size=3,
            unique_by=(lambda limit: limit.id, lambda limit: (limit.window, limit.scope)),
        )
    )
    free = _NAMES.filter(lambda name: name not in {limit.id for limit in held})
    rates = draw(
        st.lists(
            st.builds(RateLimit, free, _RATES, scope=_SCOPES),
            max_size=4 - len(held),
            unique_by=(lambda limit: limit.id, lambda limit: (limit.scope, limit.rate.period_us)),
        )
    )
    return EntitlementGrant(feature, limits=tuple(held), rates=tuple(rates))


@st.composite
def subscriptions(draw: st.DrawFn, instants: st.SearchStrategy[int]) -> Subscription:
    """Subscriptions in which anything may be planned, for any of the instants."""
    maybe = st.none() | instants
    plans = st.sampled_from(["basic", "pro"])
    add_ons = st.sampled_from([(), (AddOnSubscription("boost"),), (AddOnSubscription("boost", 2),)])
    changes = st.builds(
        ScheduledChange,
        instants,
        st.just("") | plans,
        st.none() | add_ons,
        st.booleans(),
        st.booleans(),
    )
    return Subscription(
        draw(plans),
        draw(instants),
        draw(maybe),
        draw(st.sampled_from([SubscriptionStatus.ACTIVE, SubscriptionStatus.ENDED])),
        draw(maybe),
        draw(add_ons),
        draw(maybe),
        draw(st.none() | st.builds(PastDue, instants, maybe)),
        draw(st.none() | st.builds(Pause, instants, maybe, st.booleans())),
        tuple(sorted(draw(st.lists(changes, max_size=3)), key=lambda change: change.at_us)),
    )


def companies(instants: st.SearchStrategy[int]) -> st.SearchStrategy[Company]:
    """States of one company."""
    overrides = st.builds(
        Override,
        st.builds(EntitlementGrant, st.sampled_from("abc"), st.booleans()),
        instants | st.just(FOREVER_US),
    )
    return st.builds(
        Company,
        st.just("acme"),
        time_zone=ZONES,
        subscription=st.none() | subscriptions(instants),
        overrides=st.lists(
            overrides, max_size=2, unique_by=lambda override: override.entitlement.feature
        ).map(tuple),
    )
