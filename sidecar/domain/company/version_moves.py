"""Moves of subscriptions to another version of the plan that they have, which the seller decides.

Rules
- A move takes effect at the end of the billing period that holds the instant of the decision, or at
  once where that is past. It follows the billing cycle, as all that is meant for a period's end.
- A change to the plan that is planned gets the new version, whenever it takes effect.
- Whoever has the version already, or a later one, stays as is.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import ScheduledChange, Subscription
from sidecar.domain.company.period_end import period_end_us
from sidecar.domain.company.scheduled import joined
from sidecar.domain.company.subscription_lifecycle import settled

_replace = msgspec.structs.replace


def moved_to_version(
    subscription: Subscription,
    plan: str,
    version: int,
    decided_us: int,
    now_us: int,
    time_zone: str,
) -> Subscription:
    """A subscription whose companies get a version of a plan, if it has an earlier one of it."""
    if not _is_before(subscription, plan, version):
        return subscription
    after = settled(subscription, now_us, time_zone)
    changes = tuple(
        _replace(change, plan_version=version)
        if change.plan == plan and change.plan_version < version
        else change
        for change in after.changes
    )
    after = _replace(after, changes=changes)
    if after.plan != plan or after.plan_version >= version:
        return after
    end_us = period_end_us(after, decided_us, time_zone)
    if end_us <= now_us:
        return _replace(after, plan_version=version)
    if bought_at(after, end_us).plan_version >= version and bought_at(after, end_us).plan == plan:
        return after
    return joined(after, ScheduledChange(end_us, plan_version=version, at_period_end=True))


def _is_before(subscription: Subscription, plan: str, version: int) -> bool:
    return (subscription.plan == plan and subscription.plan_version < version) or any(
        change.plan == plan and change.plan_version < version for change in subscription.changes
    )
