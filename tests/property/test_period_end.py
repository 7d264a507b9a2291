"""Months of any length, in any time zone: what is meant for a period's end cuts none."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.company.model import ScheduledChange, Subscription
from sidecar.domain.company.period_end import following_period_end
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    OnPlanned,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.company.timeline import anchor_at
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit, window_at
from tests.support.build import MIDNIGHT_US

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
PERIODS = st.sampled_from(
    [
        WindowSpec(unit, interval, Alignment.ANCHORED)
        for unit, interval in (
            (WindowUnit.MONTH, 1),
            (WindowUnit.MONTH, 3),
            (WindowUnit.WEEK, 2),
            (WindowUnit.YEAR, 1),
        )
    ]
)
ANCHORS = st.integers(-700, 0).map(lambda days: MIDNIGHT_US + days * DAY_US)
HOURS = st.integers(1, 24 * 40)


@settings(deadline=None)
@given(
    anchor_us=ANCHORS,
    period=PERIODS,
    zone=ZONES,
    planned_at=st.lists(HOURS, max_size=4, unique=True).map(sorted),
    steps=st.lists(st.tuples(HOURS, st.booleans()), min_size=1, max_size=6),
)
def test_a_cancellation_at_the_period_end_cuts_no_period(
    anchor_us: int,
    period: WindowSpec,
    zone: str,
    planned_at: list[int],
    steps: list[tuple[int, bool]],
) -> None:
    changes = tuple(
        ScheduledChange(MIDNIGHT_US + hours * HOUR_US, moves_anchor=True) for hours in planned_at
    )
    subscription = Subscription("basic", anchor_us, changes=changes, billing_period=period)
    subscription = apply_change(
        subscription, CancelSubscription(), PERIOD_END, MIDNIGHT_US, zone
    ).subscription
    now_us = MIDNIGHT_US
    for hours, planned in steps:
        now_us += hours * HOUR_US
        canceled_us = subscription.cancel_us
        assert canceled_us is not None
        assert subscription == following_period_end(subscription, now_us, zone)
        if canceled_us <= now_us:
            break
        when = When(ChangeTime.AT, now_us + HOUR_US) if planned else NOW
        upgrade = ChangePlan("pro", moves_anchor=True)
        subscription = apply_change(
            subscription, upgrade, when, now_us, zone, OnPlanned.KEEP
        ).subscription
        _cuts_no_period(subscription, now_us, zone)


def _cuts_no_period(subscription: Subscription, now_us: int, zone: str) -> None:
    """Every period that begins before the cancellation has its end by then."""
    cancel_us = subscription.cancel_us
    assert cancel_us is not None
    moves = [change.at_us for change in subscription.changes if change.moves_anchor]
    for since_us in (now_us, *(move_us for move_us in moves if move_us < cancel_us)):
        anchor_us = anchor_at(subscription, since_us)
        window = window_at(
            subscription.billing_period, since_us, time_zone=zone, anchor_us=anchor_us
        )
        cut_by_a_new_one = any(since_us < move_us < window.end_us for move_us in moves)
        assert cut_by_a_new_one or window.end_us == cancel_us
