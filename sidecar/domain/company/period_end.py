"""Where a billing period ends, and what is meant for its end: an intent, no instant.

Rules
- A period ends where the one after it begins: at the next step of the billing cycle.
- While a trial runs, the trial is the period that was given: it ends with it, wherever the billing
  cycle is, so that nothing is paid for that was given up before. It moves with the trial's end.
- Where the billing cycle is planned to start anew before that, a period is bought there, and what
  is meant for the end of a period waits for the end of that one: as it would if the cycle were
  started anew by a change that is made then.
- What is meant for the end of a period moves with it, whatever moved it: the anchor, the billing
  period, the time zone. Once it has taken effect it stays.
- A pause that would begin after its own end by that, is none.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.company.model import Pause, Subscription
from sidecar.domain.company.scheduled import moved
from sidecar.domain.company.timeline import anchor_at
from sidecar.domain.company.trials import runs
from sidecar.domain.time.windows import Window, window_at

_replace = msgspec.structs.replace


def billing_period(subscription: Subscription, at_us: int, time_zone: str) -> Window:
    """The billing period that holds an instant, counted from the anchor in force then."""
    return window_at(
        subscription.billing_period,
        at_us,
        time_zone=time_zone,
        anchor_us=anchor_at(subscription, at_us),
    )


def period_end_us(subscription: Subscription, at_us: int, time_zone: str) -> int:
    """Where what is asked for at an instant takes effect if it is meant for the period's end."""
    if runs(subscription, at_us) and subscription.trial_ends_us is not None:
        return subscription.trial_ends_us
    fixed = _replace(
        subscription,
        changes=tuple(change for change in subscription.changes if not change.at_period_end),
        pause=_fixed(subscription.pause),
    )
    while True:
        end_us = billing_period(fixed, at_us, time_zone).end_us
        anchor_us = anchor_at(fixed, end_us - 1)
        if anchor_us is None or anchor_us <= at_us:
            return end_us
        at_us = anchor_us


def following_period_end(subscription: Subscription, now_us: int, time_zone: str) -> Subscription:
    """The subscription with what is meant for a period's end where that is, as of now."""
    if not _has_intents(subscription, now_us):
        return subscription
    end_us = period_end_us(subscription, now_us, time_zone)
    if subscription.cancel_at_period_end and _is_ahead(subscription.cancel_us, now_us):
        subscription = _replace(subscription, cancel_us=end_us)
    if subscription.pause is not None:
        pause = _following(subscription, subscription.pause, now_us, time_zone)
        subscription = _replace(subscription, pause=pause)
    while True:
        astray = (
            position
            for position, change in enumerate(subscription.changes)
            if change.at_period_end and now_us < change.at_us != end_us
        )
        position = next(astray, None)
        if position is None:
            return subscription
        subscription = moved(subscription, position, end_us)


def _has_intents(subscription: Subscription, now_us: int) -> bool:
    pause = subscription.pause
    return (
        (subscription.cancel_at_period_end and _is_ahead(subscription.cancel_us, now_us))
        or (pause is not None and (pause.starts_at_period_end or pause.ends_at_period_end))
        or any(change.at_period_end and change.at_us > now_us for change in subscription.changes)
    )


def _following(
    subscription: Subscription, pause: Pause, now_us: int, time_zone: str
) -> Pause | None:
    if pause.starts_at_period_end and pause.from_us > now_us:
        pause = _replace(pause, from_us=period_end_us(subscription, now_us, time_zone))
    if pause.ends_at_period_end and _is_ahead(pause.until_us, now_us):
        since_us = max(now_us, pause.from_us)
        pause = _replace(pause, until_us=period_end_us(subscription, since_us, time_zone))
    if pause.until_us is not None and pause.until_us <= pause.from_us:
        return None
    return pause


def _fixed(pause: Pause | None) -> Pause | None:
    """A pause, if it may end before the period does: not if either is meant for a period's end."""
    if pause is None or pause.starts_at_period_end or pause.ends_at_period_end:
        return None
    return pause


def _is_ahead(instant_us: int | None, now_us: int) -> bool:
    return instant_us is not None and instant_us > now_us
