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
from sidecar.domain.limits.decision import Gauge, RateGauge, remaining


class EventKind(enum.IntEnum):
    """Kind of an event. Numbers as in the API."""

    CURRENT = 1
    CHANGED = 2
    THRESHOLD = 3
    EXHAUSTED = 4
    RESET = 5


class LimitState(msgspec.Struct, frozen=True):
    """A limit with its usage, and the generation of its counter."""

    gauge: Gauge
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
    rates: tuple[RateGauge, ...] = ()
    until_us: int = FOREVER_US


class Event(msgspec.Struct, frozen=True):
    """Something to tell.

    `gauges`: with CURRENT and CHANGED all limits and rates that apply, else the one limit.
    `percent`: the threshold that was reached.
    """

    kind: EventKind
    state: FeatureState
    gauges: tuple[Gauge | RateGauge, ...] = ()
    percent: int = 0


def current(state: FeatureState) -> Event:
    """The event that tells a state for the first time."""
    return Event(EventKind.CURRENT, state, _gauges(state))


def changes(before: FeatureState, now: FeatureState) -> Iterator[Event]:
    """What to tell about a feature to those who were told the state before."""
    if (before.entitlement, before.status, before.plan) != (now.entitlement, now.status, now.plan):
        yield Event(EventKind.CHANGED, now, _gauges(now))
    known = {_identity(limit.gauge): limit for limit in before.limits}
    for limit in now.limits:
        yield from _limit_changes(known.get(_identity(limit.gauge)), limit, now)


def _gauges(state: FeatureState) -> tuple[Gauge | RateGauge, ...]:
    return (*(limit.gauge for limit in state.limits), *state.rates)


def _identity(gauge: Gauge) -> tuple[object, ...]:
    return gauge.limit.id, gauge.limit.window, gauge.limit.scope


def _limit_changes(
    before: LimitState | None, now: LimitState, state: FeatureState
) -> Iterator[Event]:
    gauge = now.gauge
    earlier = msgspec.structs.replace(gauge, used=0)
    if before is not None:
        if _counter_start(before) == _counter_start(now):
            earlier = before.gauge
        else:
            yield Event(EventKind.RESET, state, (gauge,))
    for percent in gauge.limit.warning_percents:
        if _has_reached(gauge, percent) and not _has_reached(earlier, percent):
            yield Event(EventKind.THRESHOLD, state, (gauge,), percent)
    shadow = gauge.limit.enforcement is Enforcement.SHADOW
    if not shadow and remaining(gauge) == 0 and remaining(earlier) != 0:
        yield Event(EventKind.EXHAUSTED, state, (gauge,))


def _counter_start(limit: LimitState) -> tuple[int, int]:
    """What tells one counter of a limit from the next; a window's end alone may move."""
    return limit.generation, limit.gauge.window.start_us


def _has_reached(gauge: Gauge, percent: int) -> bool:
    ceiling = gauge.ceiling
    return ceiling is not None and gauge.used * 100 >= ceiling * percent
