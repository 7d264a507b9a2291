"""What a subscription holds at an instant: its plan, in which version, and its add-ons.

Rules
- A planned change holds from its instant on.
- A trial that a plan follows ends as a change to that plan, without add-ons: what was planned for
  before does not outlast it, what is planned for then or later does.
- What was bought is one thing, what is in force another: past its grace a late payment leaves the
  plan that follows the grace, without add-ons, until it is paid. Then what was bought is back.
- The plan that follows a trial or a grace is held in whichever version there is.
- A change that names a version alone moves the plan to it, if it is still the plan that was bought
  when the change was planned.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.bounds import PLAN_VERSION_NEWEST
from sidecar.domain.catalog.value import Value
from sidecar.domain.company.model import AddOnSubscription, ScheduledChange, Subscription

_replace = msgspec.structs.replace


class HeldPlan(Value, frozen=True):
    """Plan and add-ons. `after_trial`, `after_grace`: the plan is what followed one of these."""

    plan: str
    plan_version: int = 0
    add_ons: tuple[AddOnSubscription, ...] = ()
    after_trial: bool = False
    after_grace: bool = False


def bought_at(subscription: Subscription, at_us: int) -> HeldPlan:
    """What has been bought by an instant, whether it is paid for or not."""
    held = HeldPlan(subscription.plan, subscription.plan_version, subscription.add_ons)
    since_us, same_plan = None, True
    if falls_back(subscription, at_us):
        since_us, same_plan = subscription.trial_ends_us, False
        held = HeldPlan(subscription.trial_end_plan, PLAN_VERSION_NEWEST, after_trial=True)
    for change in subscription.changes:
        if change.at_us > at_us or (since_us is not None and change.at_us < since_us):
            continue
        if change.plan:
            same_plan = False
            held = HeldPlan(change.plan, change.plan_version, held.add_ons)
        elif change.plan_version and same_plan:
            held = _replace(held, plan_version=change.plan_version)
        if change.add_ons is not None:
            held = _replace(held, add_ons=change.add_ons)
    return held


def held_at(subscription: Subscription, at_us: int) -> HeldPlan:
    """What is in force at an instant."""
    past_due = subscription.past_due
    if past_due is not None and past_due.grace_end_plan:
        ends_us = past_due.grace_ends_us
        if ends_us is not None and ends_us <= at_us:
            return HeldPlan(past_due.grace_end_plan, PLAN_VERSION_NEWEST, after_grace=True)
    return bought_at(subscription, at_us)


def falls_back(subscription: Subscription, at_us: int) -> bool:
    """Whether a trial has ended by an instant that a plan follows."""
    ends_us = subscription.trial_ends_us
    return bool(subscription.trial_end_plan) and ends_us is not None and ends_us <= at_us


def settled_plan(subscription: Subscription, now_us: int) -> Subscription:
    """The same as of now: plan and add-ons are those of today, and changes those to come.

    After a trial that a plan followed what was bought stays, for it to come back, until something
    else is bought.
    """
    past = [change for change in subscription.changes if change.at_us <= now_us]
    to_come = tuple(change for change in subscription.changes if change.at_us > now_us)
    ends_us = subscription.trial_ends_us
    if ends_us is not None and falls_back(subscription, now_us):
        if any(change.at_us >= ends_us and _buys(change) for change in past):
            subscription = _bought(subscription, now_us)
            subscription = _replace(subscription, trial_ends_us=None, trial_end_plan="")
        else:
            moves = [change.plan_version for change in past if change.plan_version]
            subscription = _bought(subscription, ends_us - 1)
            if moves:
                subscription = _replace(subscription, plan_version=moves[-1])
    else:
        subscription = _bought(subscription, now_us)
    if any(change.plan for change in past):
        to_come = without_version_moves(to_come)
    return _replace(subscription, changes=to_come)


def without_version_moves(changes: tuple[ScheduledChange, ...]) -> tuple[ScheduledChange, ...]:
    """Changes without those that move the plan of before to another version of it."""
    kept = []
    for change in changes:
        moves = change.plan_version and not change.plan
        rest = _replace(change, plan_version=0) if moves else change
        if rest != ScheduledChange(rest.at_us, at_period_end=rest.at_period_end):
            kept.append(rest)
    return tuple(kept)


def version_moves(changes: tuple[ScheduledChange, ...]) -> tuple[ScheduledChange, ...]:
    """The moves of the plan of before to another version of it alone, which nobody asked for."""
    return tuple(
        ScheduledChange(
            change.at_us, plan_version=change.plan_version, at_period_end=change.at_period_end
        )
        for change in changes
        if change.plan_version and not change.plan
    )


def _bought(subscription: Subscription, at_us: int) -> Subscription:
    held = bought_at(subscription, at_us)
    return _replace(
        subscription,
        plan=held.plan,
        plan_version=held.plan_version,
        add_ons=held.add_ons,
    )


def _buys(change: ScheduledChange) -> bool:
    return bool(change.plan) or change.add_ons is not None
