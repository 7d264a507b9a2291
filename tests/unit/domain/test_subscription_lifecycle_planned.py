"""Changes of a subscription for later; each row is named by its outcome."""

from __future__ import annotations

import pytest

from sidecar.domain.company.model import AddOnSubscription, Pause, ScheduledChange, Subscription
from sidecar.domain.company.period_end import billing_period
from sidecar.domain.company.subscription_changes import (
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    PauseSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.support.build import ANCHORED_MONTH, NOW_US
from tests.unit.domain.lifecycle_samples import (
    ANCHOR_US,
    GB,
    LATER_US,
    PAID,
    PAST_US,
    PAUSED,
    PERIOD_END_US,
    SEAT,
    SOON_US,
    at,
    planned,
    sub,
)

PLANNED: dict[str, tuple[Subscription, SubscriptionChange, Subscription]] = {
    "another plan": (PAID, ChangePlan("pro"), planned(ScheduledChange(LATER_US, "pro"))),
    "another plan with a reset and a new billing cycle": (
        PAID,
        ChangePlan("pro", resets_usage=True, moves_anchor=True),
        planned(ScheduledChange(LATER_US, "pro", resets_usage=True, moves_anchor=True)),
    ),
    "a reset": (PAID, ResetUsage(), planned(ScheduledChange(LATER_US, resets_usage=True))),
    "changes of one instant are one": (
        planned(ScheduledChange(LATER_US, "pro", (GB,), moves_anchor=True)),
        ResetUsage(),
        planned(ScheduledChange(LATER_US, "pro", (GB,), resets_usage=True, moves_anchor=True)),
    ),
    "the last plan of an instant counts": (
        planned(ScheduledChange(LATER_US, "pro", (GB,))),
        ChangePlan("max"),
        planned(ScheduledChange(LATER_US, "max", (GB,))),
    ),
    "changes are in the order of time": (
        planned(ScheduledChange(SOON_US, "pro"), ScheduledChange(LATER_US + 1, "max")),
        ChangePlan("basic"),
        planned(
            ScheduledChange(SOON_US, "pro"),
            ScheduledChange(LATER_US, "basic"),
            ScheduledChange(LATER_US + 1, "max"),
        ),
    ),
    "an add-on beside those that are held by then": (
        sub(add_ons=(GB,), changes=(ScheduledChange(SOON_US, add_ons=(GB, SEAT)),)),
        SetAddOn("calls", 3),
        sub(
            add_ons=(GB,),
            changes=(
                ScheduledChange(SOON_US, add_ons=(GB, SEAT)),
                ScheduledChange(LATER_US, add_ons=(AddOnSubscription("calls", 3), GB, SEAT)),
            ),
        ),
    ),
    "an add-on goes on in later lists up to one that changes it": (
        planned(
            ScheduledChange(LATER_US + 1, add_ons=(SEAT,)),
            ScheduledChange(LATER_US + 2, "pro"),
            ScheduledChange(LATER_US + 3, add_ons=(AddOnSubscription("gb", 5), SEAT)),
            ScheduledChange(LATER_US + 4, add_ons=(SEAT,)),
        ),
        SetAddOn("gb"),
        planned(
            ScheduledChange(LATER_US, add_ons=(GB,)),
            ScheduledChange(LATER_US + 1, add_ons=(GB, SEAT)),
            ScheduledChange(LATER_US + 2, "pro"),
            ScheduledChange(LATER_US + 3, add_ons=(AddOnSubscription("gb", 5), SEAT)),
            ScheduledChange(LATER_US + 4, add_ons=(SEAT,)),
        ),
    ),
    "an add-on that is held by then anyhow": (
        sub(add_ons=(SEAT,)),
        SetAddOn("seat", 2),
        sub(add_ons=(SEAT,)),
    ),
    "a pause": (PAID, PauseSubscription(), sub(pause=Pause(LATER_US))),
    "another pause than the one that was planned": (
        sub(pause=Pause(SOON_US)),
        PauseSubscription(LATER_US + 1),
        sub(pause=Pause(LATER_US, LATER_US + 1)),
    ),
    "the end of a pause": (PAUSED, ResumeSubscription(), sub(pause=Pause(PAST_US, LATER_US))),
    "a later end of a pause that is planned": (
        sub(pause=Pause(SOON_US, SOON_US + 1)),
        ResumeSubscription(moves_anchor=True),
        sub(pause=Pause(SOON_US, LATER_US, moves_anchor=True)),
    ),
    "a cancellation": (PAID, CancelSubscription(), sub(cancel_us=LATER_US)),
    "another cancellation": (
        sub(cancel_us=SOON_US),
        CancelSubscription(),
        sub(cancel_us=LATER_US),
    ),
}


@pytest.mark.parametrize(("before", "change", "expected"), PLANNED.values(), ids=PLANNED)
def test_planned(before: Subscription, change: SubscriptionChange, expected: Subscription) -> None:
    done = apply_change(before, change, at(LATER_US), NOW_US, "UTC")
    assert (expected, LATER_US, False) == (done.subscription, done.effective_us, done.resets_usage)
    again = apply_change(done.subscription, change, at(LATER_US), NOW_US, "UTC")
    assert (done.subscription, LATER_US, ()) == (
        again.subscription,
        again.effective_us,
        again.dropped,
    )


PERIODS = {
    "a month by default": (PAID, "UTC", PERIOD_END_US),
    "as long as the subscription says": (
        sub(billing_period=WindowSpec(WindowUnit.YEAR, 1, ANCHORED_MONTH.alignment)),
        "UTC",
        ANCHOR_US + 365 * DAY_US,
    ),
    "in the company's time zone": (PAID, "America/New_York", PERIOD_END_US - HOUR_US),
    "from the anchor in force": (
        sub(changes=(ScheduledChange(PAST_US, moves_anchor=True),)),
        "UTC",
        PAST_US + 31 * DAY_US,
    ),
    "that of the period which a planned move of the anchor begins": (
        sub(changes=(ScheduledChange(SOON_US, moves_anchor=True),)),
        "UTC",
        SOON_US + 31 * DAY_US,
    ),
    "that of the last such period": (
        sub(
            changes=(ScheduledChange(SOON_US, moves_anchor=True),),
            pause=Pause(SOON_US + 1, LATER_US, moves_anchor=True),
        ),
        "UTC",
        LATER_US + 31 * DAY_US,
    ),
    "its own, where the anchor moves at it or later": (
        sub(changes=(ScheduledChange(PERIOD_END_US, moves_anchor=True),)),
        "UTC",
        PERIOD_END_US,
    ),
}


@pytest.mark.parametrize(("subscription", "zone", "ends_us"), PERIODS.values(), ids=PERIODS)
def test_the_period_end_is(subscription: Subscription, zone: str, ends_us: int) -> None:
    done = apply_change(subscription, CancelSubscription(), PERIOD_END, NOW_US, zone)
    assert (ends_us, ends_us) == (done.effective_us, done.subscription.cancel_us)


def test_a_billing_period_is_known_at_any_instant() -> None:
    assert Window(ANCHOR_US, ANCHOR_US + 28 * DAY_US) == billing_period(PAID, ANCHOR_US, "UTC")
    assert Window(ANCHOR_US - 31 * DAY_US, ANCHOR_US) == billing_period(PAID, ANCHOR_US - 1, "UTC")
