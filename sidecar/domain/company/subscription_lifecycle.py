"""What becomes of a subscription that is changed, now or at a later instant.

Rules
- First it is settled: what was planned and is past becomes what is. So a subscription does not grow
  with its history. What is and will be in force stays the same by that.
- A change for now changes what is; a change for later is planned. Changes planned for one instant
  are one (`scheduled`).
- A change for the end of the period is an intent, which follows the billing cycle (`period_end`).
- A change that touches what was planned before (`planned`) asks what becomes of that: it is kept,
  or dropped. Where nobody says, the change is refused. What changes nothing asks and drops nothing,
  so a call that is repeated does no harm.
- There is one cancellation and one pause at a time: the one that is planned gives way to another.
- A pause's end moves the anchor where the pause or what resumed it asks for it.
- A payment is late since it was first said to be; saying it again changes the grace alone.
- A renewal takes back a cancellation and an end of the term, past or planned, and a trial that has
  ended: it is as bought then. One that runs goes on (`trials`). It keeps the billing cycle unless
  that is to start anew.
- What needs a live subscription is refused for one that is over; a change of the plan may renew it.
  While it is paused, or past its grace, it may be changed, and stays paused or late.
- What is asked for twice changes nothing the second time, or is refused. Only a reset and a move of
  the anchor that are asked for now happen each time.
"""

from __future__ import annotations

from typing import Final, assert_never

import msgspec

from sidecar.domain.company.change_notes import change_notes
from sidecar.domain.company.held_plans import settled_plan
from sidecar.domain.company.model import (
    AddOnSubscription,
    PastDue,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.pauses import normal_pause, paused, resumed
from sidecar.domain.company.period_end import following_period_end, period_end_us
from sidecar.domain.company.planned import (
    PlannedChange,
    given_way,
    planned_text,
    touched,
    without_named,
    without_touched,
)
from sidecar.domain.company.scheduled import joined, with_add_on
from sidecar.domain.company.subscription_changes import (
    CancelSubscription,
    ChangeForNow,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    Effect,
    EndTrial,
    ExtendTrial,
    MarkPaid,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.timeline import anchor_at
from sidecar.domain.company.trials import HOW_TO_END, ended, ended_as_bought, extended, runs
from sidecar.domain.errors import FailedPrecondition, InvalidInput

_NEEDS_LIFE: Final = (
    ChangePlan,
    SetAddOn,
    ResetUsage,
    PauseSubscription,
    ResumeSubscription,
    CancelSubscription,
    EndTrial,
    MarkPastDue,
)
_NAMED_MAX: Final = 10
"""Most planned changes that a refusal names."""

_replace = msgspec.structs.replace


class ChangeResult(msgspec.Struct, frozen=True):
    """A subscription after a change that takes effect at `effective_us`.

    `resets_usage`: every counter starts again from 0 now, which the subscription does not tell.
    `kept`, `dropped`: what was planned before and the change touched. `notes`: what else to know
    of it, in words.
    """

    subscription: Subscription
    effective_us: int
    resets_usage: bool = False
    kept: tuple[PlannedChange, ...] = ()
    dropped: tuple[PlannedChange, ...] = ()
    notes: tuple[str, ...] = ()


def apply_change(
    subscription: Subscription,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    time_zone: str,
    on_planned: OnPlanned = OnPlanned.ASK,
) -> ChangeResult:
    """Change a subscription. `time_zone` is the company's, in which billing periods end.

    Raises `InvalidInput` for what can never be, and `FailedPrecondition` for what cannot be in the
    subscription's present state. Whether plans and add-ons exist is left to the caller.
    """
    before = settled(subscription, now_us, time_zone)
    done = _applied(before, change, when, now_us, time_zone, on_planned)
    notes = change_notes(before, change, done.subscription, done.effective_us, now_us)
    return msgspec.structs.replace(done, notes=tuple(notes))


def _applied(
    before: Subscription,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    time_zone: str,
    on_planned: OnPlanned,
) -> ChangeResult:
    effect = _effect_of(before, change, when, now_us, time_zone)
    at_us = effect.at_us
    resets = at_us == now_us and (
        isinstance(change, ResetUsage) or (isinstance(change, ChangePlan) and change.resets_usage)
    )
    after = settled(_changed(before, change, effect), now_us, time_zone)
    found = touched(before, change, at_us, now_us)
    if after == before and not resets:
        return ChangeResult(after, at_us, kept=found)
    if found and on_planned is OnPlanned.ASK:
        raise FailedPrecondition(change.field, _question(found), "PLANNED_BEFORE")
    if found and on_planned is OnPlanned.DROP:
        without = without_touched(before, change, at_us, now_us)
        effect = _effect_of(without, change, when, now_us, time_zone)
        after = settled(_changed(without, change, effect), now_us, time_zone)
        return ChangeResult(after, effect.at_us, resets, dropped=found)
    dropped = given_way(before, change, after, effect)
    at_us = _when_it_is(change, effect, after, time_zone)
    kept = touched(after, change, at_us, now_us)
    return ChangeResult(after, at_us, resets, kept=kept, dropped=dropped)


def settled(subscription: Subscription, now_us: int, time_zone: str) -> Subscription:
    """The same as of now: without what is past, and with what is meant for a period's end there."""
    return following_period_end(normalise(subscription, now_us), now_us, time_zone)


def normalise(subscription: Subscription, now_us: int) -> Subscription:
    """The same subscription, told as of now: without what is past and has no effect any more."""
    anchor_us = anchor_at(subscription, now_us)
    subscription = settled_plan(subscription, now_us)
    trial_ends_us, trial_end_status = subscription.trial_ends_us, subscription.trial_end_status
    becomes_paid = trial_end_status is SubscriptionStatus.ACTIVE
    if becomes_paid and not subscription.trial_end_plan and _reached(trial_ends_us, now_us):
        trial_ends_us, trial_end_status = None, SubscriptionStatus.ENDED
    pause = subscription.pause
    return _replace(
        subscription,
        anchor_us=subscription.anchor_us if anchor_us is None else anchor_us,
        trial_ends_us=trial_ends_us,
        trial_end_status=trial_end_status,
        cancel_at_period_end=subscription.cancel_at_period_end
        and not _reached(subscription.cancel_us, now_us),
        pause=None if pause is None else normal_pause(pause, now_us),
    )


def _effect_of(
    subscription: Subscription,
    change: SubscriptionChange,
    when: When,
    now_us: int,
    time_zone: str,
) -> Effect:
    if when.time is ChangeTime.NOW:
        return Effect(now_us, now_us)
    if not change.can_be_planned:
        raise InvalidInput("when", f"{change.field} takes effect now, it cannot be planned")
    if isinstance(change, ChangePlan) and change.renews:
        raise InvalidInput("plan.renew", "a renewal takes effect now, it cannot be planned")
    if when.time is ChangeTime.PERIOD_END:
        return Effect(period_end_us(subscription, now_us, time_zone), now_us, at_period_end=True)
    if when.at_us <= now_us:
        raise InvalidInput("at", "must be in the future")
    return Effect(when.at_us, now_us)


def _when_it_is(
    change: SubscriptionChange, effect: Effect, after: Subscription, time_zone: str
) -> int:
    """When a change takes effect: what it does itself may move the end of the period."""
    if not effect.at_period_end:
        return effect.at_us
    if isinstance(change, ResumeSubscription) and after.pause is not None:
        return after.pause.until_us or effect.at_us
    return period_end_us(after, effect.now_us, time_zone)


def _question(found: tuple[PlannedChange, ...]) -> str:
    planned = "; ".join(map(planned_text, found[:_NAMED_MAX]))
    if len(found) > _NAMED_MAX:
        planned += f"; and {len(found) - _NAMED_MAX} more"
    return (
        f"planned before: {planned}. Say whether that is kept or dropped: `planned` in the request,"
        " --planned keep or --planned drop on the command line"
    )


def _changed(
    subscription: Subscription, change: SubscriptionChange, effect: Effect
) -> Subscription:
    """The subscription with a change at an instant; what is for now is not settled yet."""
    at_us, now_us, at_period_end = effect.at_us, effect.now_us, effect.at_period_end
    if isinstance(change, ChangePlan) and change.renews and _over(subscription, now_us):
        subscription = _renewed(subscription, RenewSubscription(), now_us)
    if isinstance(change, _NEEDS_LIFE):
        _refuse_over(subscription, change, now_us)
    if isinstance(change, ExtendTrial):
        _refuse_over(_replace(subscription, trial_ends_us=None), change, now_us)
    match change:
        case ChangePlan(plan, resets_usage, moves_anchor):
            planned = ScheduledChange(
                at_us, plan, None, resets_usage, moves_anchor, change.plan_version, at_period_end
            )
            return joined(subscription, planned)
        case SetAddOn(add_on, quantity):
            wanted = AddOnSubscription(add_on, quantity)
            return with_add_on(subscription, wanted, at_us, at_period_end=at_period_end)
        case ResetUsage():
            planned = ScheduledChange(at_us, resets_usage=True, at_period_end=at_period_end)
            return joined(subscription, planned)
        case PauseSubscription():
            return paused(subscription, change, effect)
        case ResumeSubscription():
            return resumed(subscription, change, effect)
        case CancelSubscription():
            return _replace(subscription, cancel_us=at_us, cancel_at_period_end=at_period_end)
        case _:
            return _changed_now(subscription, change, now_us)


def _changed_now(
    subscription: Subscription,
    change: ChangeForNow,
    now_us: int,
) -> Subscription:
    """The same for the changes that cannot be planned."""
    match change:
        case RenewSubscription():
            return _renewed(subscription, change, now_us)
        case ExtendTrial():
            return extended(subscription, change, now_us)
        case EndTrial():
            return ended(subscription, change, now_us)
        case MarkPastDue():
            return _past_due(subscription, change, now_us)
        case MarkPaid():
            if subscription.past_due is None:
                how = f": {HOW_TO_END}" if runs(subscription, now_us) else ""
                raise FailedPrecondition(change.field, f"no payment is late{how}")
            return _replace(subscription, past_due=None)
        case DropPlannedChanges():
            return without_named(subscription, change, now_us)
        case _:
            assert_never(change)


def _renewed(subscription: Subscription, change: RenewSubscription, now_us: int) -> Subscription:
    if _reached(change.ends_us, now_us):
        raise InvalidInput(f"{change.field}.ends_at", "must be in the future")
    renewed = _replace(
        subscription, cancel_us=None, cancel_at_period_end=False, ends_us=change.ends_us
    )
    if not runs(renewed, now_us):
        renewed = ended_as_bought(renewed, now_us)
    if change.moves_anchor:
        renewed = joined(renewed, ScheduledChange(now_us, moves_anchor=True))
    return renewed


def _past_due(subscription: Subscription, change: MarkPastDue, now_us: int) -> Subscription:
    before, grace_ends_us = subscription.past_due, change.grace_ends_us
    since_us = now_us if before is None else min(before.from_us, now_us)
    if grace_ends_us is not None:
        since_us = min(since_us, grace_ends_us)  # a grace does not end before it begins
    past_due = PastDue(since_us, grace_ends_us, change.grace_end_plan)
    return _replace(subscription, past_due=past_due)


def _refuse_over(subscription: Subscription, change: SubscriptionChange, now_us: int) -> None:
    """Refuse what makes no sense any more; only a renewal brings the subscription back."""
    over = _over(subscription, now_us)
    if over:
        how = ", or with the change (`renew` in the request, --renew on the command line)"
        how = how if isinstance(change, ChangePlan) else ""
        raise FailedPrecondition(change.field, f"{over}: renew it first{how}")


def _over(subscription: Subscription, now_us: int) -> str:
    """How a subscription came to its end, for people; empty while it has not."""
    if _reached(subscription.cancel_us, now_us):
        return "the subscription is canceled"
    if _reached(subscription.ends_us, now_us):
        return "the subscription has ended"
    # A trial that turned into a paid subscription is settled: what is left has ended.
    ended = _reached(subscription.trial_ends_us, now_us) and not subscription.trial_end_plan
    return "the trial is over" if ended else ""


def _reached(instant_us: int | None, now_us: int) -> bool:
    return instant_us is not None and instant_us <= now_us
