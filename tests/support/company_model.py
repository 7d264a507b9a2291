"""A model of a company's life that knows no segments.

It keeps the history: which state of the company was applied when. It is asked for one instant at a
time, and finds the answer in the state that was in force then.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.company.model import Company, Segment, Subscription, SubscriptionStatus

Status = SubscriptionStatus


class Step(msgspec.Struct):
    """A state of the company, applied at an instant, maybe with a reset."""

    at_us: int
    company: Company
    resets: bool = False


class FreshStarts(NamedTuple):
    """Instants, with repetition, at which all counters and those of anchored windows start anew."""

    all_us: list[int]
    anchored_us: list[int]


def in_force(history: list[Step], at_us: int) -> Company:
    """The state that was applied last; before the first one was applied, that one."""
    return [history[0], *(step for step in history[1:] if step.at_us <= at_us)][-1].company


def state_at(company: Company, at_us: int) -> Segment:
    """What holds at an instant by a state of the company, but for generations and bounds."""
    overrides = {
        override.entitlement.feature: override.entitlement
        for override in company.overrides
        if override.expires_us > at_us
    }
    common = Segment(
        overrides=tuple(overrides[feature] for feature in sorted(overrides)),
        time_zone=company.time_zone,
    )
    subscription = company.subscription
    if subscription is None:
        return common
    status, after_trial, past_grace = _status(subscription, at_us)
    plan, add_ons = subscription.plan, subscription.add_ons
    for change in subscription.changes:
        if change.at_us > at_us:
            break
        plan = change.plan or plan
        add_ons = add_ons if change.add_ons is None else change.add_ons
    return msgspec.structs.replace(
        common,
        status=status,
        after_trial=after_trial,
        past_grace=past_grace,
        plan=plan,
        add_ons=add_ons,
        anchor_us=_anchor(subscription, at_us),
    )


def fresh_starts(history: list[Step]) -> FreshStarts:
    """Every fresh start that takes place by the whole history."""
    starts = FreshStarts([], [])
    until = [*(step.at_us for step in history[1:]), FOREVER_US]
    since_us = BEGINNING_US
    for number, (step, until_us) in enumerate(zip(history, until, strict=True)):
        if number:
            _start_now(starts, history[number - 1].company, step)
            since_us = step.at_us
        starts.all_us.extend(at_us for at_us in _resets(step) if since_us < at_us <= until_us)
        starts.anchored_us.extend(
            at_us for at_us in _resets(step) + _moves(step) if since_us < at_us <= until_us
        )
    return starts


def _start_now(starts: FreshStarts, before: Company, step: Step) -> None:
    last_us = max(starts.all_us, default=BEGINNING_US)
    anchors = [
        None if company.subscription is None else _anchor(company.subscription, step.at_us)
        for company in (before, step.company)
    ]
    if step.resets or any(last_us < at_us <= step.at_us for at_us in _resets(step)):
        starts.all_us.append(step.at_us)
        starts.anchored_us.append(step.at_us)
    elif anchors[0] != anchors[1]:
        starts.anchored_us.append(step.at_us)


def _status(of: Subscription, at_us: int) -> tuple[Status, bool, bool]:
    """The first that is the case; each is tested by itself."""
    pause, late = of.pause, of.past_due
    trial_us = BEGINNING_US if of.trial_ends_us is None else of.trial_ends_us
    cases = [
        ((Status.CANCELED, False, False), of.cancel_us is not None and at_us >= of.cancel_us),
        ((Status.ENDED, False, False), of.ends_us is not None and at_us >= of.ends_us),
        (
            (Status.ENDED, True, False),
            trial_us and at_us >= trial_us and of.trial_end_status is Status.ENDED,
        ),
        (
            (Status.PAUSED, False, False),
            pause and pause.from_us <= at_us < (pause.until_us or FOREVER_US),
        ),
        (
            (Status.PAST_DUE, False, False),
            late and late.from_us <= at_us < (late.grace_ends_us or FOREVER_US),
        ),
        ((Status.PAST_DUE, False, True), late and late.from_us <= at_us),
        ((Status.TRIALING, False, False), at_us < trial_us),
    ]
    return next((status for status, holds in cases if holds), (Status.ACTIVE, False, False))


def _anchor(subscription: Subscription, at_us: int) -> int:
    anchor_us = subscription.anchor_us or 0
    for move_us in sorted(_moves(Step(0, Company("", subscription=subscription)))):
        if move_us <= at_us:
            anchor_us = move_us
    return anchor_us


def _resets(step: Step) -> list[int]:
    subscription = step.company.subscription
    changes = () if subscription is None else subscription.changes
    return [change.at_us for change in changes if change.resets_usage]


def _moves(step: Step) -> list[int]:
    subscription = step.company.subscription
    if subscription is None:
        return []
    moves = [change.at_us for change in subscription.changes if change.moves_anchor]
    pause = subscription.pause
    if pause is not None and pause.until_us is not None and pause.moves_anchor:
        moves.append(pause.until_us)
    return moves
