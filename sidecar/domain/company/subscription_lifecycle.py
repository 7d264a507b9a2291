"""What becomes of a subscription that is changed, now or at a later instant.

Rules
- First it is settled: what was planned and is past becomes what is. So a subscription does not grow
  with its history. What is and will be in force stays the same by that.
- A change for now changes what is; a change for later is planned. Both leave what is planned for
  other instants as it is. Changes planned for one instant are one.
- A change of an add-on goes on in the lists of add-ons that are planned for later, up to the first
  one that changes the same add-on itself.
- There is one cancellation and one pause at a time: the one that is planned gives way to another.
- A pause's end moves the anchor where the pause or what resumed it asks for it.
- A payment is late since it was first said to be; saying it again changes the grace alone.
- A renewal takes back a cancellation and an end of the term, past or planned, and an ended trial.
  It keeps the billing cycle unless that is to start anew.
- What is asked for twice changes nothing the second time, or is refused. Only a reset and a move of
  the anchor that are asked for now happen each time.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from sidecar.domain.company.model import (
    AddOnSubscription,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.subscription_changes import (
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    MarkPaid,
    MarkPastDue,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.timeline import anchor_at, plan_at
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.time.windows import Window, window_at

_replace = msgspec.structs.replace


class ChangeResult(msgspec.Struct, frozen=True):
    """A subscription after a change that takes effect at `effective_us`.

    `resets_usage`: every counter starts again from 0 now, which the subscription does not tell.
    """

    subscription: Subscription
    effective_us: int
    resets_usage: bool = False


def apply_change(
    subscription: Subscription,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    time_zone: str,
) -> ChangeResult:
    """Change a subscription. `time_zone` is the company's, in which billing periods end.

    Raises `InvalidInput` for what can never be, and `FailedPrecondition` for what cannot be in the
    subscription's present state. Whether plans and add-ons exist is left to the caller.
    """
    before = normalise(subscription, now_us)
    at_us = _effective_us(before, change, when, now_us, time_zone)
    after = normalise(_changed(before, change, at_us, now_us), now_us)
    resets = isinstance(change, ResetUsage) or (
        isinstance(change, ChangePlan) and change.resets_usage
    )
    return ChangeResult(after, at_us, resets and at_us == now_us)


def normalise(subscription: Subscription, now_us: int) -> Subscription:
    """The same subscription, told as of now: without what is past and has no effect any more."""
    plan, add_ons = plan_at(subscription, now_us)
    anchor_us = anchor_at(subscription, now_us)
    trial_ends_us, trial_end_status = subscription.trial_ends_us, subscription.trial_end_status
    if trial_end_status is SubscriptionStatus.ACTIVE and _reached(trial_ends_us, now_us):
        trial_ends_us, trial_end_status = None, SubscriptionStatus.ENDED
    pause = subscription.pause
    return _replace(
        subscription,
        plan=plan,
        add_ons=add_ons,
        anchor_us=subscription.anchor_us if anchor_us is None else anchor_us,
        trial_ends_us=trial_ends_us,
        trial_end_status=trial_end_status,
        pause=None if pause is not None and _reached(pause.until_us, now_us) else pause,
        changes=tuple(change for change in subscription.changes if change.at_us > now_us),
    )


def billing_period(subscription: Subscription, at_us: int, time_zone: str) -> Window:
    """The billing period that holds an instant, counted from the anchor in force then."""
    return window_at(
        subscription.billing_period,
        at_us,
        time_zone=time_zone,
        anchor_us=anchor_at(subscription, at_us),
    )


def _effective_us(
    subscription: Subscription,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    time_zone: str,
) -> int:
    if when.time is ChangeTime.NOW:
        return now_us
    if not change.can_be_planned:
        raise InvalidInput("when", f"{change.field} takes effect now, it cannot be planned")
    if when.time is ChangeTime.PERIOD_END:
        return billing_period(subscription, now_us, time_zone).end_us
    if when.at_us <= now_us:
        raise InvalidInput("at", "must be in the future")
    return when.at_us


def _changed(
    subscription: Subscription, change: SubscriptionChange, at_us: int, now_us: int
) -> Subscription:
    """The subscription with a change at an instant; what is for now is not settled yet."""
    match change:
        case ChangePlan(plan, resets_usage, moves_anchor):
            planned = ScheduledChange(at_us, plan, None, resets_usage, moves_anchor)
            return _planned(subscription, planned)
        case SetAddOn():
            return _with_add_on(subscription, change, at_us)
        case ResetUsage():
            return _planned(subscription, ScheduledChange(at_us, resets_usage=True))
        case PauseSubscription():
            return _paused(subscription, change, at_us, now_us)
        case ResumeSubscription():
            return _resumed(subscription, change, at_us, now_us)
        case CancelSubscription():
            _refuse_over(subscription, change, now_us)
            return _replace(subscription, cancel_us=at_us)
        case _:
            return _changed_now(subscription, change, now_us)


def _changed_now(
    subscription: Subscription,
    change: RenewSubscription | MarkPastDue | MarkPaid | DropPlannedChanges,
    now_us: int,
) -> Subscription:
    """The same for the changes that cannot be planned."""
    match change:
        case RenewSubscription():
            return _renewed(subscription, change, now_us)
        case MarkPastDue():
            return _past_due(subscription, change, now_us)
        case MarkPaid():
            if subscription.past_due is None:
                raise FailedPrecondition(change.field, "no payment is late")
            return _replace(subscription, past_due=None)
        case DropPlannedChanges():
            return _without_plans(subscription, now_us)
        case _:
            assert_never(change)


def _planned(subscription: Subscription, planned: ScheduledChange) -> Subscription:
    """The subscription with one more change, which joins the one of the same instant."""
    changes = {change.at_us: change for change in subscription.changes}
    at_us = planned.at_us
    if at_us in changes:
        earlier = changes[at_us]
        planned = ScheduledChange(
            at_us,
            planned.plan or earlier.plan,
            earlier.add_ons if planned.add_ons is None else planned.add_ons,
            planned.resets_usage or earlier.resets_usage,
            planned.moves_anchor or earlier.moves_anchor,
        )
    changes[at_us] = planned
    return _replace(subscription, changes=tuple(changes[at_us] for at_us in sorted(changes)))


def _with_add_on(subscription: Subscription, change: SetAddOn, at_us: int) -> Subscription:
    _, held = plan_at(subscription, at_us)
    before = _quantity(held, change.add_on)
    if before == change.quantity:
        return subscription
    subscription = _planned(subscription, ScheduledChange(at_us, add_ons=_with(held, change)))
    changes = list(subscription.changes)
    for position, later in enumerate(changes):
        if later.at_us <= at_us or later.add_ons is None:
            continue
        if _quantity(later.add_ons, change.add_on) != before:
            break
        changes[position] = _replace(later, add_ons=_with(later.add_ons, change))
    return _replace(subscription, changes=tuple(changes))


def _paused(
    subscription: Subscription, change: PauseSubscription, at_us: int, now_us: int
) -> Subscription:
    _refuse_over(subscription, change, now_us)
    pause = subscription.pause
    if pause is not None and pause.from_us <= now_us:
        raise FailedPrecondition(change.field, "the subscription is paused already")
    if change.until_us is not None and change.until_us <= at_us:
        raise InvalidInput(f"{change.field}.resumes_at", "must be after the start of the pause")
    if change.until_us is None and change.moves_anchor:
        message = "needs resumes_at, at which the anchor moves"
        raise InvalidInput(f"{change.field}.move_anchor", message)
    return _replace(subscription, pause=Pause(at_us, change.until_us, change.moves_anchor))


def _resumed(
    subscription: Subscription, change: ResumeSubscription, at_us: int, now_us: int
) -> Subscription:
    pause = subscription.pause
    if pause is None or (pause.from_us > now_us and pause.from_us >= at_us):
        raise FailedPrecondition(change.field, "the subscription is not paused")
    moves_anchor = pause.moves_anchor or change.moves_anchor
    return _replace(subscription, pause=Pause(pause.from_us, at_us, moves_anchor))


def _renewed(subscription: Subscription, change: RenewSubscription, now_us: int) -> Subscription:
    if _reached(change.ends_us, now_us):
        raise InvalidInput(f"{change.field}.ends_at", "must be in the future")
    renewed = _replace(subscription, cancel_us=None, ends_us=change.ends_us)
    if _reached(subscription.trial_ends_us, now_us):
        renewed = _replace(renewed, trial_ends_us=None)
    if change.moves_anchor:
        renewed = _planned(renewed, ScheduledChange(now_us, moves_anchor=True))
    return renewed


def _past_due(subscription: Subscription, change: MarkPastDue, now_us: int) -> Subscription:
    _refuse_over(subscription, change, now_us)
    before, grace_ends_us = subscription.past_due, change.grace_ends_us
    since_us = now_us if before is None else min(before.from_us, now_us)
    if grace_ends_us is not None:
        since_us = min(since_us, grace_ends_us)  # a grace does not end before it begins
    return _replace(subscription, past_due=PastDue(since_us, grace_ends_us))


def _without_plans(subscription: Subscription, now_us: int) -> Subscription:
    pause, cancel_us = subscription.pause, subscription.cancel_us
    return _replace(
        subscription,
        changes=(),
        pause=pause if pause is not None and pause.from_us <= now_us else None,
        cancel_us=cancel_us if _reached(cancel_us, now_us) else None,
    )


def _refuse_over(subscription: Subscription, change: SubscriptionChange, now_us: int) -> None:
    """Refuse what makes no sense any more; only a renewal brings the subscription back."""
    if _reached(subscription.cancel_us, now_us):
        raise FailedPrecondition(change.field, "the subscription is canceled: renew it first")
    # A trial that turned into a paid subscription is settled: what is left has ended.
    if _reached(subscription.ends_us, now_us) or _reached(subscription.trial_ends_us, now_us):
        raise FailedPrecondition(change.field, "the subscription has ended: renew it first")


def _reached(instant_us: int | None, now_us: int) -> bool:
    return instant_us is not None and instant_us <= now_us


def _quantity(held: tuple[AddOnSubscription, ...], add_on: str) -> int:
    return sum(
        add_on_subscription.quantity
        for add_on_subscription in held
        if add_on_subscription.add_on == add_on
    )


def _with(held: tuple[AddOnSubscription, ...], change: SetAddOn) -> tuple[AddOnSubscription, ...]:
    """A list of add-ons with one of them set; sorted by key."""
    quantities = {
        add_on_subscription.add_on: add_on_subscription.quantity for add_on_subscription in held
    }
    quantities[change.add_on] = change.quantity
    return tuple(
        AddOnSubscription(key, quantities[key]) for key in sorted(quantities) if quantities[key]
    )
