"""Builders of domain values: a test names what it is about, the rest has a plain default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    Catalog,
    CatalogSnapshot,
    Enforcement,
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
from sidecar.domain.limits.counters import CounterRef, CounterTotal, slot_of
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import NO_ATTRIBUTES, Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit, window_at

NOW_US: Final = 1_773_576_000_000_000
"""2026-03-15T12:00:00Z, a Sunday."""
MIDNIGHT_US: Final = NOW_US - DAY_US // 2
MONTH: Final = WindowSpec(WindowUnit.MONTH)
DAY: Final = WindowSpec(WindowUnit.DAY)
LIFETIME: Final = WindowSpec(WindowUnit.LIFETIME)
LIFETIME_WINDOW: Final = Window(0, FOREVER_US)

HARD: Final = Enforcement.HARD
SOFT: Final = Enforcement.SOFT
SHADOW: Final = Enforcement.SHADOW
THROTTLE: Final = Enforcement.THROTTLE


TEN_A_SECOND: Final = Rate(10, SECOND_US, 20)
"""And 20 at once."""


def limit(
    name: str = "monthly",
    amount: int | None = 100,
    enforcement: Enforcement = HARD,
    window: WindowSpec = MONTH,
    *,
    each: Sequence[str] = (),
    match: Mapping[str, str] = NO_ATTRIBUTES,
    warn: tuple[int, ...] = DEFAULT_WARNING_PERCENTS,
) -> Limit:
    """A limit; HARD, 100 a calendar month, unless told otherwise."""
    scope = Scope(tuple(each), tuple(sorted(match.items())))
    return Limit(name, window, amount, enforcement, scope, warn)


def throttled(
    name: str = "throttled",
    amount: int | None = 100,
    rate: Rate = TEN_A_SECOND,
    window: WindowSpec = MONTH,
    *,
    each: Sequence[str] = (),
) -> Limit:
    """A THROTTLE limit; 100 a calendar month, then 10 a second, unless told otherwise."""
    scope = Scope(tuple(each))
    return Limit(name, window, amount, THROTTLE, scope, throttle=rate)


def rate_limit(
    name: str = "burst",
    rate: Rate = TEN_A_SECOND,
    enforcement: Enforcement = HARD,
    *,
    each: Sequence[str] = (),
    match: Mapping[str, str] = NO_ATTRIBUTES,
) -> RateLimit:
    """A rate; HARD, 10 a second and 20 at once, unless told otherwise."""
    return RateLimit(name, rate, enforcement, Scope(tuple(each), tuple(sorted(match.items()))))


def usage(
    of: Limit,
    used: int = 0,
    values: tuple[str, ...] = (),
    *,
    carried: int = 0,
    throttled: int = 0,
) -> QuotaUsage:
    """A limit with usage, in the window that holds `NOW_US`.

    `throttled`: units in the bucket of the rate past it.
    """
    level = 0 if of.throttle is None else throttled * of.throttle.period_us
    return QuotaUsage(of, window_at(of.window, NOW_US), used, values, carried, level)


def rate_usage(of: RateLimit, in_use: int = 0) -> RateUsage:
    """A rate with so many units in its bucket at `NOW_US`."""
    return RateUsage(of, in_use * of.rate.period_us, NOW_US)


def check(
    company: str = "acme",
    feature: str = "calls",
    quantity: int = 1,
    *,
    mode: GrantMode = GrantMode.ALL_OR_NOTHING,
    key: str = "",
    at_us: int = NOW_US,
    dimensions: Mapping[str, str] = NO_ATTRIBUTES,
    metadata: Mapping[str, str] = NO_ATTRIBUTES,
) -> Check:
    """A check at `NOW_US`."""
    return Check(company, feature, quantity, at_us, mode, key, dimensions, metadata)


def metered(feature: str, *limits: Limit) -> EntitlementGrant:
    """A grant of a METERED feature."""
    return EntitlementGrant(feature, limits=limits)


def catalog(
    plans: Mapping[str, Sequence[EntitlementGrant]], kinds: Mapping[str, FeatureKind] | None = None
) -> Catalog:
    """A catalog of plans; features are METERED unless `kinds` says otherwise."""
    found = {grant.feature: FeatureKind.METERED for grants in plans.values() for grant in grants}
    found.update(kinds or {})
    return Catalog(
        features=tuple(Feature(key, found[key]) for key in sorted(found)),
        plans=tuple(Plan(key, "", tuple(plans[key])) for key in sorted(plans)),
    )


def catalog_snapshot(content: Catalog, version: int = 1) -> CatalogSnapshot:
    """A catalog as of a revision."""
    return CatalogSnapshot(version, content)


def company(name: str = "acme", plan: str = "basic", *, time_zone: str = "UTC") -> Company:
    """A company that pays for a plan since 1 January 2026."""
    return Company(name, "", time_zone, Subscription(plan, 1_767_225_600_000_000))


def counter_ref(of: Limit, values: tuple[str, ...] = (), at_us: int = NOW_US) -> CounterRef:
    """The counter of a limit."""
    return CounterRef(slot_of(of), values, window_at(of.window, at_us))


def total(
    of: CounterRef,
    total: int,
    own: int,
    version: int,
    *,
    company: str = "acme",
    corrections: int | None = 0,
) -> CounterTotal:
    """What the plane says of a counter of the feature `calls`."""
    return CounterTotal(company, "calls", of, total, own, version, corrections=corrections)


ANCHORED_MONTH: Final = WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED)
