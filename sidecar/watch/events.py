"""What those who watch a company are told: its state, and what has changed since they were told.

Rules
- CHANGED: the entitlement, the status or the plan is another.
- RESET: a limit's usage starts again, in another window or under another generation.
- THRESHOLD: usage has reached a percentage of what may be used; one event for each, ascending.
- EXHAUSTED: nothing is left where something was. Not for SHADOW, which denies nothing.
- A limit is the same while its name, its window's layout and its scope are. On one that is new, and
  after a reset, usage counts from 0.
- Rates come and go too quickly for events; the state alone shows them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Enforcement
from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.usage import QuotaUsage, remaining


class EventKind(enum.IntEnum):
    """Kind of an event. Numbers as in the API."""

    CURRENT = 1
    CHANGED = 2
    THRESHOLD = 3
    EXHAUSTED = 4
    RESET = 5


class LimitState(msgspec.Struct, frozen=True):
    """A limit with its usage, and the generation of its counter."""

    usage: QuotaUsage
    generation: int


class FeatureState(msgspec.Struct, frozen=True):
    """What a company may do with a feature and has used of it, at an instant.

    `entitlement` is `None` where the catalog lacks the feature. `until_us`: when the first of its
    windows ends.
    """

    feature: str
    entitlement: Entitlement | None = None
    status: SubscriptionStatus = SubscriptionStatus.NONE
    plan: str = ""
    limits: tuple[LimitState, ...] = ()
    rates: tuple[RateUsage, ...] = ()
    until_us: int = FOREVER_US


class WatchEvent(msgspec.Struct, frozen=True):
    """Something to tell.

    `usages`: with CURRENT and CHANGED all limits and rates that apply, else the one limit.
    `percent`: the threshold that was reached.
    """

    kind: EventKind
    state: FeatureState
    usages: tuple[QuotaUsage | RateUsage, ...] = ()
    percent: int = 0


def current(state: FeatureState) -> WatchEvent:
    """The event that tells a state for the first time."""
    return WatchEvent(EventKind.CURRENT, state, _usages(state))


def changes(before: FeatureState, now: FeatureState) -> Iterator[WatchEvent]:
    """What to tell about a feature to those who were told the state before."""
    if (before.entitlement, before.status, before.plan) != (now.entitlement, now.status, now.plan):
        yield WatchEvent(EventKind.CHANGED, now, _usages(now))
    known = {_identity(limit.usage): limit for limit in before.limits}
    for limit in now.limits:
        yield from _limit_changes(known.get(_identity(limit.usage)), limit, now)


def _usages(state: FeatureState) -> tuple[QuotaUsage | RateUsage, ...]:
    return (*(limit.usage for limit in state.limits), *state.rates)


def _identity(usage: QuotaUsage) -> tuple[object, ...]:
    return usage.limit.id, usage.limit.window, usage.limit.scope


def _limit_changes(
    before: LimitState | None, now: LimitState, state: FeatureState
) -> Iterator[WatchEvent]:
    usage = now.usage
    earlier = msgspec.structs.replace(usage, used=0)
    if before is not None:
        if _counter_start(before) == _counter_start(now):
            earlier = before.usage
        else:
            yield WatchEvent(EventKind.RESET, state, (usage,))
    for percent in usage.limit.warning_percents:
        if _has_reached(usage, percent) and not _has_reached(earlier, percent):
            yield WatchEvent(EventKind.THRESHOLD, state, (usage,), percent)
    shadow = usage.limit.enforcement is Enforcement.SHADOW
    if not shadow and remaining(usage) == 0 and remaining(earlier) != 0:
        yield WatchEvent(EventKind.EXHAUSTED, state, (usage,))


def _counter_start(limit: LimitState) -> tuple[int, int]:
    """What tells one counter of a limit from the next; a window's end alone may move."""
    return limit.generation, limit.usage.window.start_us


def _has_reached(usage: QuotaUsage, percent: int) -> bool:
    ceiling = usage.ceiling
    return ceiling is not None and usage.used * 100 >= ceiling * percent
