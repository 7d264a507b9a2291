"""What holds at an instant: subscription, limits and their usage; and how two instants differ."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

import msgspec

from sidecar.domain.catalog.model import FeatureKind, Limit, RateLimit
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.company.period_end import billing_period
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.credits.sources import OVERDRAFT
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window
from sidecar.engine.usage_report import USAGES_MAX
from sidecar.sim.told import number_text
from sidecar.sim.world import World

LimitKey: TypeAlias = tuple[str, str]
UsageKey: TypeAlias = tuple[str, str, tuple[str, ...]]

_OVER: Final = (
    SubscriptionStatus.NONE,
    SubscriptionStatus.CANCELED,
    SubscriptionStatus.ENDED,
)


class Present(msgspec.Struct, frozen=True):
    """What holds now. `period`: the billing period, `None` where nothing is billed any more.

    `limits` by feature and name; `usages` also by the values of dimensions, of limits whose windows
    last a day or longer. `values`: of BOOLEAN and CONFIG features, and UNLIMITED ones, as texts.
    `kinds`: of features. `grants_from_us`: when grants of credits that are known begin.
    """

    at_us: int
    segment: Segment
    period: Window | None
    limits: dict[LimitKey, Limit | RateLimit]
    values: dict[str, str]
    usages: dict[UsageKey, QuotaUsage]
    kinds: dict[str, FeatureKind]
    grants_from_us: tuple[int, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether there is no subscription that goes on."""
        return self.segment.status in _OVER

    def next_edge_us(self) -> int:
        """The next instant at which something is known to change."""
        ends = [self.segment.until_us]
        if self.period is not None:
            ends.append(self.period.end_us)
        ends += [usage.window.end_us for usage in self.usages.values()]
        ends += [from_us for from_us in self.grants_from_us if from_us > self.at_us]
        return min(ends)


def present_of(world: World) -> Present:
    """Look at what holds now."""
    now_us = world.now_us
    stored = world.stored()
    segment = segment_at(stored.snapshot, now_us)
    subscription = stored.company.subscription
    period = None
    if subscription is not None and segment.status not in _OVER:
        period = billing_period(subscription, now_us, stored.company.time_zone)
    report = world.queries.entitlements(world.company, "", now_us, now_us)
    limits: dict[LimitKey, Limit | RateLimit] = {}
    values: dict[str, str] = {}
    for entitlement in report.entitlements():
        key = entitlement.feature.key
        if entitlement.feature.kind is FeatureKind.BOOLEAN:
            values[key] = "on" if entitlement.granted else "off"
        elif entitlement.feature.kind is FeatureKind.CONFIG and entitlement.granted:
            values[key] = entitlement.config_value
        elif _is_unlimited(entitlement):
            values[key] = "unlimited"
        if entitlement.granted and entitlement.overdraft:
            values[f"{key} {OVERDRAFT}"] = number_text(entitlement.overdraft)
        limits.update({(key, limit.id): limit for limit in entitlement.limits})
        limits.update({(key, rate.id): rate for rate in entitlement.rates})
    begins = tuple(each.grant.effective_us for each in stored.snapshot.credit_grants)
    return Present(
        now_us, segment, period, limits, values, _usages(world), world.kinds.kinds(), begins
    )


def company_wide(world: World, feature: str) -> Iterator[QuotaUsage | RateUsage]:
    """Usage of a feature on what has one counter alone, also where the feature is denied."""
    report = whole(
        world.queries.usage(world.company, feature, world.now_us, world.now_us, USAGES_MAX)
    )
    for _, usages in report.features:
        yield from (usage for usage in usages if not usage.values)


def _is_unlimited(entitlement: Entitlement) -> bool:
    """Whether it is granted, and nothing bounds it; credits are what was granted of them."""
    bounded = entitlement.limits or entitlement.rates
    return (
        entitlement.granted and not bounded and entitlement.feature.kind is not FeatureKind.CREDITS
    )


def _usages(world: World) -> dict[UsageKey, QuotaUsage]:
    found: dict[UsageKey, QuotaUsage] = {}
    report = whole(world.queries.usage(world.company, "", world.now_us, world.now_us, USAGES_MAX))
    for feature, usages in report.features:
        for usage in usages:
            if isinstance(usage, QuotaUsage):
                window = usage.window
                if window.end_us - window.start_us >= DAY_US - DAY_US // 12:  # a day may be short
                    found[feature, usage.id, usage.values] = usage
    return found
