"""A trial that goes on for longer; each row is named by its outcome."""

from __future__ import annotations

import pytest

from sidecar.domain.company.model import Pause, ScheduledChange, Subscription
from sidecar.domain.company.subscription_changes import NOW, ExtendTrial
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import ACTIVE, GB, LATER_US, PAST_US, SOON_US, sub

LONG_AGO_US = NOW_US - 30 * DAY_US + 1

EXTENDED: dict[str, tuple[Subscription, Subscription]] = {
    "a trial that runs ends later": (sub(trial_ends_us=SOON_US), sub(trial_ends_us=LATER_US)),
    "what follows it stays": (
        sub(trial_ends_us=SOON_US, trial_end_status=ACTIVE),
        sub(trial_ends_us=LATER_US, trial_end_status=ACTIVE),
    ),
    "one that is over goes on": (sub(trial_ends_us=PAST_US), sub(trial_ends_us=LATER_US)),
    "one that was over for 30 days goes on": (
        sub(trial_ends_us=LONG_AGO_US),
        sub(trial_ends_us=LATER_US),
    ),
    "what was planned for its end moves along": (
        sub(
            trial_ends_us=SOON_US,
            cancel_us=SOON_US,
            ends_us=SOON_US,
            changes=(ScheduledChange(SOON_US, "pro", (GB,)), ScheduledChange(SOON_US + 1, "max")),
        ),
        sub(
            trial_ends_us=LATER_US,
            cancel_us=LATER_US,
            ends_us=LATER_US,
            changes=(ScheduledChange(SOON_US + 1, "max"), ScheduledChange(LATER_US, "pro", (GB,))),
        ),
    ),
    "a pause after it moves along": (
        sub(trial_ends_us=SOON_US, pause=Pause(SOON_US)),
        sub(trial_ends_us=LATER_US, pause=Pause(LATER_US)),
    ),
    "a pause that would have ended before it is none": (
        sub(trial_ends_us=SOON_US, pause=Pause(SOON_US, LATER_US)),
        sub(trial_ends_us=LATER_US),
    ),
    "what is planned for other instants stays": (
        sub(trial_ends_us=SOON_US, cancel_us=SOON_US + 1),
        sub(trial_ends_us=LATER_US, cancel_us=SOON_US + 1),
    ),
    "a billing cycle that was to begin with its end begins with the new one": (
        sub(trial_ends_us=SOON_US, anchor_us=SOON_US),
        sub(
            trial_ends_us=LATER_US,
            anchor_us=SOON_US,
            changes=(ScheduledChange(LATER_US, moves_anchor=True),),
        ),
    ),
}


@pytest.mark.parametrize(("before", "expected"), EXTENDED.values(), ids=EXTENDED)
def test_extended(before: Subscription, expected: Subscription) -> None:
    change = ExtendTrial(LATER_US)
    done = apply_change(before, change, NOW, NOW_US, "UTC")
    assert expected == done.subscription
    assert expected == apply_change(done.subscription, change, NOW, NOW_US, "UTC").subscription


def test_a_billing_cycle_waits_for_a_trial_that_is_extended_twice() -> None:
    before = sub(trial_ends_us=SOON_US, anchor_us=SOON_US)
    once = apply_change(before, ExtendTrial(SOON_US + 1), NOW, NOW_US, "UTC").subscription
    twice = apply_change(once, ExtendTrial(LATER_US), NOW, NOW_US, "UTC").subscription
    assert (ScheduledChange(LATER_US, moves_anchor=True),) == twice.changes
