"""A trial that goes on for longer, or ends before its time, and what to know of one that runs.

Rules
- One that runs is extended, and one that ended without a paid subscription, for 30 days after it.
- What was planned for the instant of its old end moves to the new one: changes, a cancellation, a
  pause, the end of the term. What took effect when it ended stays.
- Where the billing cycle was to begin with the end of the trial, it begins with the new one.
- One that runs is ended as bought, whatever was to follow, by a change of its own. What is planned
  stays planned, a cancellation too.
- Nothing else ends it: who buys in a trial, or renews, is told what becomes of it when it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import ScheduledChange, Subscription, SubscriptionStatus
from sidecar.domain.company.scheduled import joined, moved, replaced
from sidecar.domain.company.subscription_changes import (
    ChangePlan,
    EndTrial,
    ExtendTrial,
    RenewSubscription,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.formatting import instant_text
from sidecar.domain.time.units import DAY_US

EXTENDABLE_US: Final = 30 * DAY_US
"""How long after its end a trial can be extended."""

HOW_TO_END: Final = (
    "to end the trial at once, as bought: `end_trial` in the request, `tallyd subscription trial"
    " end` on the command line"
)

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


def runs(subscription: Subscription, now_us: int) -> bool:
    """Whether there is a trial that has not ended."""
    return subscription.trial_ends_us is not None and subscription.trial_ends_us > now_us


def ended(subscription: Subscription, change: EndTrial, now_us: int) -> Subscription:
    """The subscription that is paid for from now on, as bought.

    Raises `FailedPrecondition` where no trial runs.
    """
    if not runs(subscription, now_us):
        fell_back = subscription.trial_ends_us is not None
        how = ", it has ended: a renewal brings back what was bought" if fell_back else ""
        raise FailedPrecondition(change.field, f"no trial runs{how}")
    return ended_as_bought(subscription, now_us)


def ended_as_bought(subscription: Subscription, now_us: int) -> Subscription:
    """The subscription without its trial, if it has one: what was bought is paid for."""
    ends_us = subscription.trial_ends_us
    if ends_us is None:
        return subscription
    bought = _replace(
        subscription,
        trial_ends_us=None,
        trial_end_status=SubscriptionStatus.ENDED,
        trial_end_plan="",
    )
    return _cycle_begun(bought, ends_us, now_us) if ends_us > now_us else bought


def trial_notes(
    before: Subscription,
    change: SubscriptionChange,
    after: Subscription,
    at_us: int,
    now_us: int,
) -> Iterator[str]:
    """What a change has to do with a trial, in words. `at_us`: when it takes effect."""
    if runs(before, now_us) and after.trial_ends_us is None:
        assert before.trial_ends_us is not None
        yield (
            f"the trial, which was to run until {instant_text(before.trial_ends_us)}, is over:"
            " ended now, as bought: it is paid for from now on"
        )
        if after.cancel_us is not None:
            yield (
                f"it is canceled at {instant_text(after.cancel_us)} all the same:"
                " a renewal takes that back"
            )
    if isinstance(change, RenewSubscription) and after == before:
        yield (
            "a renewal takes back a cancellation, an end of the term, or an ended trial:"
            " there is none"
        )
    if not isinstance(change, (ChangePlan, SetAddOn, RenewSubscription)) or not runs(after, at_us):
        return
    ends_us = after.trial_ends_us
    ended = (after.cancel_us, after.ends_us)
    if ends_us is None or any(over_us is not None and over_us <= ends_us for over_us in ended):
        return
    yield (
        f"the trial goes on until {instant_text(ends_us)}: {_what_follows(after, ends_us)};"
        f" {HOW_TO_END}"
    )


def _what_follows(subscription: Subscription, ends_us: int) -> str:
    denied = subscription.trial_end_status is SubscriptionStatus.ENDED
    if denied and not subscription.trial_end_plan:
        return "then all is denied"
    then, held = bought_at(subscription, ends_us), bought_at(subscription, ends_us - 1)
    if (then.plan, then.add_ons) == (held.plan, held.add_ons):
        return "then it is paid for, as bought"
    add_ons = ", ".join(f"{each.add_on} x {each.quantity}" for each in then.add_ons)
    return f"then plan {then.plan} follows, " + (
        f"with {add_ons}" if add_ons else "without add-ons"
    )


def _cycle_begun(subscription: Subscription, ends_us: int, now_us: int) -> Subscription:
    """The same with a billing cycle that was to begin with the trial's end beginning now."""
    begins = subscription.anchor_us == ends_us
    for position, planned in enumerate(subscription.changes):
        if planned == ScheduledChange(ends_us, moves_anchor=True):
            subscription = replaced(subscription, position, _replace(planned, moves_anchor=False))
            begins = True
            break
    if not begins:
        return subscription
    return joined(subscription, ScheduledChange(now_us, moves_anchor=True))


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
