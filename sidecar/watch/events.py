"""What those who watch a company are told: its state, and what has changed since they were told.

Rules
- CHANGED: the entitlement, the status or the plan is another.
- RESET: a limit's usage starts again, in another window or under another generation.
- THRESHOLD: usage has reached a percentage of what may be used; one event for each, ascending.
- EXHAUSTED: nothing is left where something was. Not for SHADOW, which denies nothing.
- LOW_BALANCE: a balance of credits has fallen to what is a low one, or below; one event for each,
  descending. BALANCE_EXHAUSTED: nothing of it can be burned any more.
- TOPPED_UP: more is granted on a balance: a source has come in, or one that was there grants more.
  A new window that grants what the last one did is a RESET alone.
- A limit is the same while its name, its window's layout and its scope are. On one that is new, and
  after a reset, usage counts from 0.
- Rates come and go too quickly for events; the state alone shows them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Enforcement
from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.credits.low_balance import reached
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
    LOW_BALANCE = 6
    BALANCE_EXHAUSTED = 7
    TOPPED_UP = 8


class LimitState(msgspec.Struct, frozen=True):
    """A limit with its usage, and the generation of its counter."""

    usage: QuotaUsage
    generation: int


class BalanceState(msgspec.Struct, frozen=True):
    """A balance of credits at an instant, in micro-credits.

    `left`: in force, less what is owed. `available`: what can be burned, with what may be owed
    still. `granted`: by each source, the overdraft aside; a limit has the same name in each window.
    """

    left: int
    available: int
    granted: Mapping[tuple[bool, str], int]


class FeatureState(msgspec.Struct, frozen=True):
    """What a company may do with a feature and has used of it, at an instant.

    `entitlement` is `None` where the catalog lacks the feature. `until_us`: when the first of its
    windows ends. `balance`: of CREDITS alone.
    """

    feature: str
    entitlement: Entitlement | None = None
    status: SubscriptionStatus = SubscriptionStatus.NONE
    plan: str = ""
    limits: tuple[LimitState, ...] = ()
    rates: tuple[RateUsage, ...] = ()
    until_us: int = FOREVER_US
    balance: BalanceState | None = None


class WatchEvent(msgspec.Struct, frozen=True):
    """Something to tell.

    `usages`: with CURRENT and CHANGED all limits and rates that apply, else the one limit.
    `percent`: the threshold that was reached; `low_balance`: the low balance that was.
    """

    kind: EventKind
    state: FeatureState
    usages: tuple[QuotaUsage | RateUsage, ...] = ()
    percent: int = 0
    low_balance: int = 0


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
    if before.balance is not None and now.balance is not None:
        yield from _balance_changes(before.balance, now.balance, now)


def _balance_changes(
    before: BalanceState, now: BalanceState, state: FeatureState
) -> Iterator[WatchEvent]:
    if any(granted > before.granted.get(source, 0) for source, granted in now.granted.items()):
        yield WatchEvent(EventKind.TOPPED_UP, state)
    thresholds = () if state.entitlement is None else state.entitlement.low_balance
    for threshold in reached(thresholds, before.left, now.left):
        yield WatchEvent(EventKind.LOW_BALANCE, state, low_balance=threshold)
    if now.available <= 0 < before.available:
        yield WatchEvent(EventKind.BALANCE_EXHAUSTED, state)


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
