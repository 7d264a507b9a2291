"""A trial that goes on for longer.

Rules
- One that runs is extended, and one that ended without a paid subscription, for 30 days after it.
- What was planned for the instant of its old end moves to the new one: changes, a cancellation, a
  pause, the end of the term. What took effect when it ended stays.
- Where the billing cycle was to begin with the end of the trial, it begins with the new one.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.company.model import ScheduledChange, Subscription
from sidecar.domain.company.scheduled import joined, moved
from sidecar.domain.company.subscription_changes import ExtendTrial
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.formatting import instant_text
from sidecar.domain.time.units import DAY_US

EXTENDABLE_US: Final = 30 * DAY_US
"""How long after its end a trial can be extended."""

_replace = msgspec.structs.replace


def extended(subscription: Subscription, change: ExtendTrial, now_us: int) -> Subscription:
    """The subscription whose trial ends later.

    Raises `InvalidInput` for an end that is no later one, and `FailedPrecondition` where there is
    no trial to extend.
    """
    ends_us, until_us = subscription.trial_ends_us, change.until_us
    if ends_us is None:
        message = "no trial runs, and none has ended without a paid subscription"
        raise FailedPrecondition(change.field, message)
    if ends_us <= now_us - EXTENDABLE_US:
        message = "the trial ended more than 30 days ago: renew the subscription instead"
        raise FailedPrecondition(change.field, message)
    if until_us <= now_us:
        raise InvalidInput(f"{change.field}.ends_at", "must be in the future")
    if until_us < ends_us:
        message = f"must not be before the trial's present end, {instant_text(ends_us)}"
        raise InvalidInput(f"{change.field}.ends_at", message)
    if until_us == ends_us:
        return subscription
    return _moved_along(_replace(subscription, trial_ends_us=until_us), ends_us, until_us)


def _moved_along(subscription: Subscription, ends_us: int, until_us: int) -> Subscription:
    """The same with what was planned for the old end at the new one."""
    for position, planned in enumerate(subscription.changes):
        if planned.at_us == ends_us and not planned.at_period_end:
            subscription = moved(subscription, position, until_us)
            break
    if subscription.cancel_us == ends_us and not subscription.cancel_at_period_end:
        subscription = _replace(subscription, cancel_us=until_us)
    if subscription.ends_us == ends_us:
        subscription = _replace(subscription, ends_us=until_us)
    pause = subscription.pause
    if pause is not None and pause.from_us == ends_us and not pause.starts_at_period_end:
        late = pause.until_us is not None and pause.until_us <= until_us
        pause = None if late else _replace(pause, from_us=until_us)
        subscription = _replace(subscription, pause=pause)
    if subscription.anchor_us == ends_us:
        subscription = joined(subscription, ScheduledChange(until_us, moves_anchor=True))
    return subscription
