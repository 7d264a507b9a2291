"""What is planned for a subscription that a change touches: what would take it back, or hide it.

Rules
- A change of the plan that is made now touches the plans that are planned, and a cancellation.
- A change of an add-on that is made now touches what is planned of the same add-on.
- Whatever is planned for when the subscription will be canceled, touches the cancellation.
- Plans are dropped by what they do, or its first words, and by the second of their instant.
- A plan that is dropped takes the reset and the new billing cycle of its instant along; the add-ons
  of that instant stay.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sidecar.domain.catalog.value import Value
from sidecar.domain.company.model import AddOnSubscription, Pause, ScheduledChange, Subscription
from sidecar.domain.company.scheduled import (
    add_on_changes,
    order_of,
    replaced,
    without_add_on_changes,
)
from sidecar.domain.company.subscription_changes import (
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    Effect,
    PauseSubscription,
    RenewSubscription,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.formatting import instant_text
from sidecar.domain.nearest import did_you_mean
from sidecar.domain.time.units import SECOND_US

_replace = msgspec.structs.replace


class PlannedChange(Value, frozen=True):
    """Something that is planned, in words for people, such as `plan basic`.

    `at_period_end`: it is meant for the end of a billing period, which is at `at_us` as of now.
    """

    what: str
    at_us: int
    at_period_end: bool = False


def planned_text(planned: PlannedChange) -> str:
    """The same as one text, such as `plan basic at the period end (2026-04-03T00:00:00Z)`."""
    instant = instant_text(planned.at_us)
    if planned.at_period_end:
        return f"{planned.what} at the period end ({instant})"
    return f"{planned.what} at {instant}"


def touched(
    subscription: Subscription, change: SubscriptionChange, at_us: int, now_us: int
) -> tuple[PlannedChange, ...]:
    """What is planned that a change touches, in the order of time."""
    found = list(_touched_changes(subscription, change, at_us, now_us))
    if _touches_cancellation(subscription, change, at_us, now_us):
        found += _cancellation_of(subscription, now_us)
    return tuple(sorted(found, key=lambda planned: planned.at_us))


def without_touched(
    subscription: Subscription, change: SubscriptionChange, at_us: int, now_us: int
) -> Subscription:
    """The subscription without what is planned that a change touches."""
    if _touches_cancellation(subscription, change, at_us, now_us):
        subscription = _replace(subscription, cancel_us=None, cancel_at_period_end=False)
    if at_us > now_us:
        return subscription
    # From the last to the first: positions of those before stay.
    for position in reversed(range(len(subscription.changes))):
        planned = subscription.changes[position]
        if isinstance(change, ChangePlan) and planned.plan:
            subscription = replaced(subscription, position, _without_plan(planned))
        elif isinstance(change, SetAddOn):
            subscription = without_add_on_changes(subscription, position, (change.add_on,))
    return subscription


def given_way(
    before: Subscription, change: SubscriptionChange, after: Subscription, effect: Effect
) -> tuple[PlannedChange, ...]:
    """What was planned and gave way to a change, which says so by itself."""
    now_us = effect.now_us
    if isinstance(change, DropPlannedChanges):
        return named(before, change, now_us)
    found: list[PlannedChange] = []
    if isinstance(change, ChangePlan) and effect.at_us > now_us:
        found += [
            _planned_as(_plan_text(planned), planned)
            for planned in before.changes
            if planned.at_us == effect.at_us and planned.plan not in ("", change.plan)
        ]
    if isinstance(change, (CancelSubscription, RenewSubscription)):
        found += _cancellation_of(before, now_us)
    if isinstance(change, PauseSubscription) or after.pause is None:
        found += _pause_of(before, now_us)
    return tuple(found)


def named(
    subscription: Subscription, change: DropPlannedChanges, now_us: int
) -> tuple[PlannedChange, ...]:
    """What is planned that is to be dropped, in the order of time.

    Raises `FailedPrecondition` where nothing is planned that is called so.
    """
    planned = planned_of(subscription, now_us)
    at_us = change.at_us
    if at_us is not None:
        planned = tuple(p for p in planned if p.at_us // SECOND_US == at_us // SECOND_US)
        if not planned:
            message = f"nothing is planned for {instant_text(at_us)}"
            raise FailedPrecondition(f"{change.field}.at", message, "NOT_PLANNED")
    if not change.whats:
        return planned
    for position, what in enumerate(change.whats):
        if not any(_is_called(each, what) for each in planned):
            near = did_you_mean(what, [each.what for each in planned])
            message = f"nothing is planned that is called {what!r}{near}"
            raise FailedPrecondition(f"{change.field}.what[{position}]", message, "NOT_PLANNED")
    return tuple(p for p in planned if any(_is_called(p, what) for what in change.whats))


def without_named(
    subscription: Subscription, change: DropPlannedChanges, now_us: int
) -> Subscription:
    """The subscription without what is planned that is to be dropped; raises as `named`."""
    dropped = set(named(subscription, change, now_us))
    if dropped.intersection(_pause_of(subscription, now_us)):
        subscription = _replace(subscription, pause=None)
    if dropped.intersection(_cancellation_of(subscription, now_us)):
        subscription = _replace(subscription, cancel_us=None, cancel_at_period_end=False)
    # From the last to the first: positions of those before stay.
    for position in reversed(range(len(subscription.changes))):
        planned = subscription.changes[position]
        if planned.at_us <= now_us:
            continue
        add_ons = [
            add_on.add_on
            for add_on in add_on_changes(subscription, position)
            if _planned_as(_add_on_text(add_on), planned) in dropped
        ]
        itself = dropped.intersection(_itself(planned))
        subscription = without_add_on_changes(subscription, position, add_ons)
        at_its_place = subscription.changes[position : position + 1]
        if itself and at_its_place and order_of(at_its_place[0]) == order_of(planned):
            subscription = replaced(subscription, position, _without_plan(at_its_place[0]))
    return subscription


def _is_called(planned: PlannedChange, what: str) -> bool:
    return (
        planned.what == what or planned.what.startswith(f"{what} ") or planned.what == f"no {what}"
    )


def planned_of(subscription: Subscription, now_us: int) -> tuple[PlannedChange, ...]:
    """All that is planned, in the order of time."""
    found: list[PlannedChange] = []
    for position, planned in enumerate(subscription.changes):
        if planned.at_us > now_us:
            found += _parts_of(subscription, position)
    found += _cancellation_of(subscription, now_us)
    found += _pause_of(subscription, now_us)
    return tuple(sorted(found, key=lambda planned: planned.at_us))


def _parts_of(subscription: Subscription, position: int) -> Iterator[PlannedChange]:
    planned = subscription.changes[position]
    yield from _itself(planned)
    for add_on in add_on_changes(subscription, position):
        yield _planned_as(_add_on_text(add_on), planned)


def _itself(planned: ScheduledChange) -> Iterator[PlannedChange]:
    """What a planned change does beside what it does to add-ons."""
    extras = _extras(planned)
    if planned.plan:
        yield _planned_as(_plan_text(planned), planned)
    elif extras:
        yield _planned_as(" and ".join(extras), planned)


def _cancellation_of(subscription: Subscription, now_us: int) -> Iterator[PlannedChange]:
    cancel_us = subscription.cancel_us
    if cancel_us is not None and cancel_us > now_us:
        yield PlannedChange("cancellation", cancel_us, subscription.cancel_at_period_end)


def _pause_of(subscription: Subscription, now_us: int) -> Iterator[PlannedChange]:
    pause = subscription.pause
    if pause is not None and pause.from_us > now_us:
        yield PlannedChange(_pause_text(pause), pause.from_us, pause.starts_at_period_end)


def _touched_changes(
    subscription: Subscription, change: SubscriptionChange, at_us: int, now_us: int
) -> Iterator[PlannedChange]:
    if at_us > now_us:
        return
    for position, planned in enumerate(subscription.changes):
        if isinstance(change, ChangePlan) and planned.plan:
            yield _planned_as(_plan_text(planned), planned)
        elif isinstance(change, SetAddOn):
            for add_on in add_on_changes(subscription, position):
                if add_on.add_on == change.add_on:
                    yield _planned_as(_add_on_text(add_on), planned)


def _touches_cancellation(
    subscription: Subscription, change: SubscriptionChange, at_us: int, now_us: int
) -> bool:
    cancel_us = subscription.cancel_us
    if cancel_us is None or cancel_us <= now_us or isinstance(change, CancelSubscription):
        return False
    return cancel_us <= at_us or (isinstance(change, ChangePlan) and at_us == now_us)


def _planned_as(what: str, planned: ScheduledChange) -> PlannedChange:
    return PlannedChange(what, planned.at_us, planned.at_period_end)


def _without_plan(planned: ScheduledChange) -> ScheduledChange:
    return ScheduledChange(
        planned.at_us,
        add_ons=planned.add_ons,
        plan_version=0 if planned.plan else planned.plan_version,
        at_period_end=planned.at_period_end,
    )


def _plan_text(planned: ScheduledChange) -> str:
    extras = _extras(planned)
    return f"plan {planned.plan}" + (f" with {' and '.join(extras)}" if extras else "")


def _extras(planned: ScheduledChange) -> list[str]:
    extras = ["a reset of usage"] * planned.resets_usage
    return extras + ["a new billing cycle"] * planned.moves_anchor


def _add_on_text(held: AddOnSubscription) -> str:
    if not held.quantity:
        return f"no add-on {held.add_on}"
    return f"add-on {held.add_on} x {held.quantity}"


def _pause_text(pause: Pause) -> str:
    return "pause" if pause.until_us is None else f"pause until {instant_text(pause.until_us)}"
