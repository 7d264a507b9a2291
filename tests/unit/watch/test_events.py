"""What is told to those who watch: from two states of a feature to events."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from sidecar.domain.catalog.model import Enforcement, Feature, FeatureKind, Rate, RateLimit
from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Window
from sidecar.watch.events import EventKind, FeatureState, LimitState, WatchEvent, changes, current
from tests.support.build import (
    DAY,
    HARD,
    LIFETIME,
    NOW_US,
    SHADOW,
    SOFT,
    limit,
    usage,
)

THROTTLE: Final = Enforcement.THROTTLE
APRIL: Final = Window(NOW_US + 20 * DAY_US, NOW_US + 50 * DAY_US)
MARCH: Final = usage(limit()).window
CALLS: Final = Feature("calls", FeatureKind.METERED)


def state(*usages: QuotaUsage, generation: int = 0, **fields: Any) -> FeatureState:
    """A state of the feature `calls` with these limits."""
    entitlement = Entitlement(
        CALLS, Reason.ALLOWED, limits=tuple(usage.limit for usage in usages), granted=True
    )
    limits = tuple(LimitState(usage, generation) for usage in usages)
    known: dict[str, Any] = {"status": SubscriptionStatus.ACTIVE, "plan": "basic", **fields}
    return FeatureState("calls", entitlement, limits=limits, **known)


def used(amount: int | None, so_much: int, kind: Enforcement = HARD, **fields: Any) -> QuotaUsage:
    """A limit of so much, and usage on it."""
    made = QuotaUsage(limit("monthly", amount, kind), MARCH, so_much)
    return msgspec.structs.replace(made, **fields)


def told(events: list[WatchEvent]) -> list[str]:
    """Events as short texts, such as `THRESHOLD monthly 50`; of a change that there was one."""
    return [
        " ".join(
            [event.kind.name]
            + [usage.limit.id for usage in event.usages if event.kind is not EventKind.CHANGED]
            + ([str(event.percent)] if event.percent else [])
        )
        for event in events
    ]


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        pytest.param(used(100, 7), used(100, 7), [], id="nothing-happened"),
        pytest.param(used(100, 7), used(100, 49), [], id="below-a-threshold"),
        pytest.param(used(100, 49), used(100, 50), ["THRESHOLD monthly 50"], id="at-a-threshold"),
        pytest.param(used(100, 50), used(100, 79), [], id="a-threshold-is-told-once"),
        pytest.param(
            used(100, 7),
            used(100, 85),
            ["THRESHOLD monthly 50", "THRESHOLD monthly 80"],
            id="two-thresholds-at-once-ascending",
        ),
        pytest.param(
            used(100, 80),
            used(100, 100),
            ["THRESHOLD monthly 100", "EXHAUSTED monthly"],
            id="used-up",
        ),
        pytest.param(used(100, 100), used(100, 130), [], id="used-up-is-told-once"),
        pytest.param(
            used(100, 90, SOFT),
            used(100, 150, SOFT),
            ["THRESHOLD monthly 100", "EXHAUSTED monthly"],
            id="soft-past-its-amount",
        ),
        pytest.param(
            used(100, 90, THROTTLE),
            used(100, 100, THROTTLE),
            ["THRESHOLD monthly 100", "EXHAUSTED monthly"],
            id="throttle-used-up",
        ),
        pytest.param(
            used(100, 90, SHADOW),
            used(100, 100, SHADOW),
            ["THRESHOLD monthly 100"],
            id="shadow-is-never-exhausted",
        ),
        pytest.param(used(None, 7), used(None, 10**9), [], id="unlimited"),
        pytest.param(
            used(100, 90, carried=50),
            used(100, 120, carried=50),
            ["THRESHOLD monthly 80"],
            id="percent-of-what-was-carried-too",
        ),
        pytest.param(
            used(100, 100, carried=50), used(100, 100, carried=60), [], id="more-was-carried"
        ),
        pytest.param(
            used(100, 120, carried=50),
            used(100, 120),
            ["THRESHOLD monthly 100", "EXHAUSTED monthly"],
            id="less-was-carried-than-thought",
        ),
        pytest.param(used(100, 90), used(100, 40), [], id="usage-taken-back"),
        pytest.param(used(100, 100), used(200, 100), ["CHANGED"], id="raised"),
        pytest.param(
            used(200, 90),
            used(100, 90),
            ["CHANGED", "THRESHOLD monthly 50", "THRESHOLD monthly 80"],
            id="lowered",
        ),
        pytest.param(
            used(200, 120),
            used(100, 120),
            ["CHANGED", "THRESHOLD monthly 80", "THRESHOLD monthly 100", "EXHAUSTED monthly"],
            id="lowered-below-usage",
        ),
        pytest.param(
            used(None, 60),
            used(100, 60),
            ["CHANGED", "THRESHOLD monthly 50"],
            id="no-more-unlimited",
        ),
        pytest.param(used(100, 99), used(None, 99), ["CHANGED"], id="unlimited-from-now-on"),
        pytest.param(
            used(100, 100), used(100, 0, window=APRIL), ["RESET monthly"], id="a-new-window"
        ),
        pytest.param(
            used(100, 90),
            used(100, 100, window=APRIL),
            [
                "RESET monthly",
                "THRESHOLD monthly 50",
                "THRESHOLD monthly 80",
                "THRESHOLD monthly 100",
                "EXHAUSTED monthly",
            ],
            id="a-new-window-used-up-at-once",
        ),
        pytest.param(
            used(100, 60),
            used(100, 60, window=Window(MARCH.start_us, MARCH.end_us + HOUR_US)),
            [],
            id="the-window-ends-later",
        ),
        pytest.param(
            used(0, 0), used(0, 0, window=APRIL), ["RESET monthly"], id="nothing-is-allowed-ever"
        ),
        pytest.param(
            used(0, 3, SOFT),
            used(0, 1, SOFT, window=APRIL),
            ["RESET monthly"],
            id="all-of-it-is-overage",
        ),
        pytest.param(
            used(100, 60),
            QuotaUsage(limit("monthly", 100, window=DAY), usage(limit(window=DAY)).window, 60),
            ["CHANGED", "THRESHOLD monthly 50"],
            id="another-layout-is-another-limit",
        ),
        pytest.param(
            used(100, 60),
            QuotaUsage(limit("new", 100), MARCH, 60),
            ["CHANGED", "THRESHOLD new 50"],
            id="a-limit-that-is-new",
        ),
        pytest.param(
            used(100, 60),
            used(100, 60, limit=limit(warn=(55, 70))),
            ["CHANGED"],
            id="other-thresholds-that-usage-had-passed",
        ),
    ],
)
def test_usage_of_one_limit(before: QuotaUsage, now: QuotaUsage, expected: list[str]) -> None:
    assert expected == told(list(changes(state(before), state(now))))


def test_a_reset_of_usage_is_told_though_the_window_goes_on() -> None:
    before, now = state(used(100, 60)), state(used(100, 0), generation=NOW_US)
    assert ["RESET monthly"] == told(list(changes(before, now)))


def test_a_lifetime_limit_starts_again_with_its_generation() -> None:
    ever = limit("ever", 100, window=LIFETIME)
    before, now = state(usage(ever, 100)), state(usage(ever, 55), generation=NOW_US)
    assert ["RESET ever", "THRESHOLD ever 50"] == told(list(changes(before, now)))


@pytest.mark.parametrize(
    "now",
    [
        pytest.param(state(used(100, 7), plan="pro"), id="plan"),
        pytest.param(state(used(100, 7), status=SubscriptionStatus.PAST_DUE), id="status"),
        pytest.param(state(), id="a-limit-is-gone"),
        pytest.param(FeatureState("calls"), id="the-catalog-lacks-it"),
    ],
)
def test_a_change_of_rights(now: FeatureState) -> None:
    before = state(used(100, 7))
    assert ["CHANGED"] == told(list(changes(before, now)))
    assert ["CHANGED"] == told(list(changes(now, before)))
    assert [] == list(changes(now, now))


def test_a_change_tells_all_limits_as_they_now_are() -> None:
    before, now = state(used(100, 7)), state(used(200, 7), usage(limit("daily", 10, window=DAY)))
    (event,) = changes(before, now)
    assert (EventKind.CHANGED, tuple(held.usage for held in now.limits)) == (
        event.kind,
        event.usages,
    )


def test_each_limit_is_told_by_itself() -> None:
    daily, shadow = limit("daily", 10, window=DAY), limit("trial", 200, SHADOW)
    before = state(used(100, 40), usage(daily, 9), usage(shadow, 0))
    now = state(used(100, 50), usage(daily, 10), usage(shadow, 100))
    assert [
        "THRESHOLD monthly 50",
        "THRESHOLD daily 100",
        "EXHAUSTED daily",
        "THRESHOLD trial 50",
    ] == told(list(changes(before, now)))


def test_rates_are_told_at_the_start_alone() -> None:
    fast = RateLimit("fast", Rate(10, HOUR_US, 10))
    empty, full = (
        state(used(100, 7), rates=(RateUsage(fast, level, NOW_US),)) for level in (0, 10 * HOUR_US)
    )
    assert [] == list(changes(empty, full))
    assert ["CURRENT monthly fast"] == told([current(full)])
