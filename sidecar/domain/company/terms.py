"""What a subscription takes over from its plan, and from its start, where it says nothing itself.

Rules
- The billing cycle starts with the subscription; where the plan gives it a trial, with the end of
  that, so that the first period that is paid for is a whole one.
- A trial is for subscriptions that begin: one whose billing cycle has begun before has begun, too.
  One that changes to the plan later gets none.
- A late payment has the grace of the plan that was bought, unless it has a grace of its own. One
  that is late already keeps the grace that it has, whatever becomes of the plan.
- A plan is bought in the version that is sold when it is bought, and one that is planned in that
  which is sold when it is planned. Who has the plan already keeps the version.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sidecar.domain.bounds import PLAN_VERSION_NEWEST
from sidecar.domain.catalog.model import Plan
from sidecar.domain.company.held_plans import bought_at, version_moves
from sidecar.domain.company.model import PastDue, ScheduledChange, Subscription, SubscriptionStatus
from sidecar.domain.company.scheduled import joined
from sidecar.domain.company.timeline import anchor_at

_replace = msgspec.structs.replace


def begun(
    subscription: Subscription, plans: Mapping[str, Plan], now_us: int, *, with_trial: bool = True
) -> Subscription:
    """A subscription that begins now, with anchor and trial where it says none. `plans`: by key."""
    plan = plans.get(subscription.plan)
    trial = None if plan is None else plan.trial
    if trial is not None and with_trial and subscription.trial_ends_us is None:
        anchor_us = subscription.anchor_us
        if anchor_us is None or anchor_us >= now_us:
            paid = trial.becomes_active or bool(trial.end_plan)
            subscription = _replace(
                subscription,
                trial_ends_us=now_us + trial.length_us,
                trial_end_status=SubscriptionStatus.ACTIVE if paid else SubscriptionStatus.ENDED,
                trial_end_plan=trial.end_plan,
                anchor_us=now_us + trial.length_us if anchor_us is None else anchor_us,
            )
    if subscription.anchor_us is None:
        subscription = _replace(subscription, anchor_us=now_us)
    return subscription


def with_anchor_of(subscription: Subscription, held: Subscription, now_us: int) -> Subscription:
    """A subscription that goes on, with the billing cycle that it has where it says none."""
    if subscription.anchor_us is not None:
        return subscription
    return _replace(subscription, anchor_us=anchor_at(held, now_us))


def with_grace(
    subscription: Subscription, plans: Mapping[str, Plan], held: Subscription | None = None
) -> Subscription:
    """A subscription whose late payment has the plan's grace, or that it has, where it says none.

    `held`: as it was before.
    """
    past_due = subscription.past_due
    if past_due is None or past_due.grace_ends_us is not None:
        return subscription
    late = None if held is None else held.past_due
    if late is not None and late.from_us == past_due.from_us:
        return _replace(subscription, past_due=late)
    filled = grace_of(past_due.from_us, bought_at(subscription, past_due.from_us).plan, plans)
    return _replace(subscription, past_due=filled)


def grace_of(since_us: int, plan: str, plans: Mapping[str, Plan]) -> PastDue:
    """A payment that is late since an instant, with the grace of a plan, if it has one."""
    bought = plans.get(plan)
    grace = None if bought is None else bought.grace
    if grace is None or grace.length_us is None:
        return PastDue(since_us)
    return PastDue(since_us, since_us + grace.length_us, grace.end_plan)


def with_bought_versions(
    subscription: Subscription, held: Subscription | None, plans: Mapping[str, Plan]
) -> Subscription:
    """A subscription with the versions of its plans where it says none. `held`: as it was before.

    A plan that was held, or planned for the same instant, keeps its version; what moves the plan
    that is held to another version goes on.
    """
    before = () if held is None else held.changes
    versions = {(each.at_us, each.plan): each.plan_version for each in before if each.plan}

    def planned(change: ScheduledChange) -> ScheduledChange:
        if not change.plan or change.plan_version:
            return change
        version = versions.get((change.at_us, change.plan))
        if version is None:
            version = sold_version(change.plan, plans)
        return _replace(change, plan_version=version)

    changes = tuple(map(planned, subscription.changes))
    version = subscription.plan_version
    if held is None or held.plan != subscription.plan:
        version = version or sold_version(subscription.plan, plans)
        return _replace(subscription, plan_version=version, changes=changes)
    after = _replace(subscription, plan_version=version or held.plan_version, changes=changes)
    if not version and not version_moves(changes):
        for move in version_moves(before):
            after = joined(after, move)
    return after


def with_versions_sold(subscription: Subscription, plans: Mapping[str, Plan]) -> Subscription:
    """A subscription that goes on with the plan that followed its trial: bought as it is sold now.

    Until then whichever version there is of it was in force.
    """
    if subscription.plan_version != PLAN_VERSION_NEWEST:
        return subscription
    return _replace(subscription, plan_version=sold_version(subscription.plan, plans))


def sold_version(plan: str, plans: Mapping[str, Plan]) -> int:
    """The version of a plan that is sold now."""
    sold = plans.get(plan)
    return 0 if sold is None else sold.version
