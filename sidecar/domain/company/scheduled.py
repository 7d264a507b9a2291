"""The changes that are planned for a subscription: how one joins them, leaves them, and moves.

Rules
- Changes for one instant are one. One that is meant for the end of a period stays apart from one
  that is meant for the very instant: the first moves with the period, and has the say there.
- A planned list of add-ons names all that are held from then on. What is changed of one add-on goes
  on in the lists behind it, up to the first that changes the same add-on itself; so it does where
  a change is taken out.
- A change that moves takes along what it does, not the list that came of it: what others do in
  between stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import AddOnSubscription, ScheduledChange, Subscription

_replace = msgspec.structs.replace


def joined(subscription: Subscription, planned: ScheduledChange) -> Subscription:
    """The subscription with one more change, which joins the one of the same instant."""
    changes = {order_of(change): change for change in subscription.changes}
    earlier = changes.get(order_of(planned))
    if earlier is not None:
        planned = ScheduledChange(
            planned.at_us,
            planned.plan or earlier.plan,
            earlier.add_ons if planned.add_ons is None else planned.add_ons,
            planned.resets_usage or earlier.resets_usage,
            planned.moves_anchor or earlier.moves_anchor,
            planned.plan_version
            if planned.plan or (planned.plan_version and not earlier.plan)
            else earlier.plan_version,
            planned.at_period_end,
        )
    changes[order_of(planned)] = planned
    return _with_changes(subscription, changes.values())


def order_of(change: ScheduledChange) -> tuple[int, bool]:
    """The order of changes, and what tells them apart."""
    return change.at_us, change.at_period_end


def with_add_on(
    subscription: Subscription, wanted: AddOnSubscription, at_us: int, *, at_period_end: bool
) -> Subscription:
    """The subscription that holds an add-on so many times from an instant on; 0 is not at all."""
    planned = ScheduledChange(at_us, at_period_end=at_period_end)
    position = sum(order_of(change) <= order_of(planned) for change in subscription.changes)
    held = _held_after(subscription, position, at_us)
    before = quantity_of(held, wanted.add_on)
    if before == wanted.quantity:
        return subscription
    planned = _replace(planned, add_ons=_with(held, wanted))
    subscription = joined(subscription, planned)
    return _carried_on(subscription, planned, before, wanted)


def add_on_changes(subscription: Subscription, position: int) -> Iterator[AddOnSubscription]:
    """What the change at a position does to add-ons: each with how many are held from then on."""
    add_ons = subscription.changes[position].add_ons
    if add_ons is None:
        return
    before = _held_after(subscription, position, subscription.changes[position].at_us)
    for key in sorted({held.add_on for held in (*before, *add_ons)}):
        quantity = quantity_of(add_ons, key)
        if quantity != quantity_of(before, key):
            yield AddOnSubscription(key, quantity)


def without_add_on_changes(
    subscription: Subscription, position: int, add_ons: Sequence[str]
) -> Subscription:
    """The subscription without what the change at a position does to some add-ons."""
    change = subscription.changes[position]
    before = _held_after(subscription, position, change.at_us)
    for done in list(add_on_changes(subscription, position)):
        if done.add_on in add_ons:
            undone = AddOnSubscription(done.add_on, quantity_of(before, done.add_on))
            changes = list(subscription.changes)
            changes[position] = change = _replace(change, add_ons=_with(change.add_ons, undone))
            subscription = _replace(subscription, changes=tuple(changes))
            subscription = _carried_on(subscription, change, done.quantity, undone)
    if change.add_ons == before:
        return replaced(subscription, position, _replace(change, add_ons=None))
    return subscription


def replaced(subscription: Subscription, position: int, change: ScheduledChange) -> Subscription:
    """The subscription with another change at a position; with none where that does nothing."""
    changes = list(subscription.changes)
    changes[position] = change
    return _with_changes(subscription, changes)


def moved(subscription: Subscription, position: int, at_us: int) -> Subscription:
    """The subscription whose change at a position takes effect at another instant."""
    done = list(add_on_changes(subscription, position))
    change = subscription.changes[position]
    at_period_end = change.at_period_end
    subscription = without_add_on_changes(subscription, position, [each.add_on for each in done])
    changes = [each for each in subscription.changes if order_of(each) != order_of(change)]
    subscription = _replace(subscription, changes=tuple(changes))
    subscription = joined(subscription, _replace(change, at_us=at_us, add_ons=None))
    for wanted in done:
        subscription = with_add_on(subscription, wanted, at_us, at_period_end=at_period_end)
    return subscription


def quantity_of(held: Sequence[AddOnSubscription], add_on: str) -> int:
    """How many of an add-on are among those that are held."""
    return sum(each.quantity for each in held if each.add_on == add_on)


def does_nothing(change: ScheduledChange) -> bool:
    """Whether a planned change leaves everything as it is."""
    return change == ScheduledChange(change.at_us, at_period_end=change.at_period_end)


def _held_after(
    subscription: Subscription, count: int, at_us: int
) -> tuple[AddOnSubscription, ...]:
    """The add-ons that are held at an instant once so many of the changes have taken effect."""
    changes = subscription.changes[:count]
    return bought_at(_replace(subscription, changes=changes), at_us).add_ons


def _carried_on(
    subscription: Subscription, change: ScheduledChange, before: int, wanted: AddOnSubscription
) -> Subscription:
    """The same add-on in the lists behind a change, up to the first that changes it itself."""
    changes = list(subscription.changes)
    for position, later in enumerate(changes):
        if order_of(later) <= order_of(change) or later.add_ons is None:
            continue
        if quantity_of(later.add_ons, wanted.add_on) != before:
            break
        changes[position] = _replace(later, add_ons=_with(later.add_ons, wanted))
    return _replace(subscription, changes=tuple(changes))


def _with_changes(subscription: Subscription, changes: Iterable[ScheduledChange]) -> Subscription:
    kept = [change for change in changes if not does_nothing(change)]
    return _replace(subscription, changes=tuple(sorted(kept, key=order_of)))


def _with(
    held: Sequence[AddOnSubscription] | None, wanted: AddOnSubscription
) -> tuple[AddOnSubscription, ...]:
    """A list of add-ons with one of them set; sorted by key."""
    quantities = {each.add_on: each.quantity for each in held or ()}
    quantities[wanted.add_on] = wanted.quantity
    return tuple(
        AddOnSubscription(key, quantities[key]) for key in sorted(quantities) if quantities[key]
    )
