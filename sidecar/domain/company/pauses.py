"""Pauses of a subscription: their start, and their end."""

from __future__ import annotations

import msgspec

from sidecar.domain.company.model import Pause, Subscription
from sidecar.domain.company.subscription_changes import (
    Effect,
    PauseSubscription,
    ResumeSubscription,
)
from sidecar.domain.errors import FailedPrecondition, InvalidInput

_replace = msgspec.structs.replace


def paused(subscription: Subscription, change: PauseSubscription, effect: Effect) -> Subscription:
    """The subscription with a pause; one that was planned gives way."""
    pause = subscription.pause
    if pause is not None and pause.from_us <= effect.now_us:
        raise FailedPrecondition(change.field, "the subscription is paused already")
    if change.until_us is not None and change.until_us <= effect.at_us:
        raise InvalidInput(f"{change.field}.resumes_at", "must be after the start of the pause")
    if change.until_us is None and change.moves_anchor:
        message = "needs resumes_at, at which the anchor moves"
        raise InvalidInput(f"{change.field}.move_anchor", message)
    pause = Pause(
        effect.at_us,
        change.until_us,
        change.moves_anchor,
        starts_at_period_end=effect.at_period_end,
    )
    return _replace(subscription, pause=pause)


def resumed(subscription: Subscription, change: ResumeSubscription, effect: Effect) -> Subscription:
    """The subscription whose pause ends."""
    pause = subscription.pause
    if pause is None or (pause.from_us > effect.now_us and pause.from_us >= effect.at_us):
        raise FailedPrecondition(change.field, "the subscription is not paused")
    pause = _replace(
        pause,
        until_us=effect.at_us,
        moves_anchor=pause.moves_anchor or change.moves_anchor,
        ends_at_period_end=effect.at_period_end,
    )
    return _replace(subscription, pause=pause)


def normal_pause(pause: Pause, now_us: int) -> Pause | None:
    """The same pause as of now; `None` for one that is over."""
    if pause.until_us is not None and pause.until_us <= now_us:
        return None
    if pause.starts_at_period_end and pause.from_us <= now_us:
        return _replace(pause, starts_at_period_end=False)
    return pause
