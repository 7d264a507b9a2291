"""What is meant for the end of a period takes effect there; each row is named by its outcome."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.period_end import following_period_end
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    EndTrial,
    ExtendTrial,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import (
    ACTIVE,
    ANCHOR_US,
    GB,
    LATER_US,
    PAID,
    PERIOD_END_US,
    SEAT,
    SOON_US,
    at,
    sub,
)

NEW_END_US = NOW_US + 31 * DAY_US
"""Of a month that begins now, on 15 March."""
UPGRADE = ChangePlan("pro", moves_anchor=True)
CANCELED = sub(cancel_us=PERIOD_END_US, cancel_at_period_end=True)
DOWNGRADED = sub(changes=(ScheduledChange(PERIOD_END_US, "free", at_period_end=True),))

MEANT: dict[str, tuple[SubscriptionChange, Subscription]] = {
    "a cancellation": (CancelSubscription(), CANCELED),
    "a downgrade": (ChangePlan("free"), DOWNGRADED),
    "a reset": (
        ResetUsage(),
        sub(changes=(ScheduledChange(PERIOD_END_US, resets_usage=True, at_period_end=True),)),
    ),
    "an add-on": (
        SetAddOn("gb"),
        sub(changes=(ScheduledChange(PERIOD_END_US, add_ons=(GB,), at_period_end=True),)),
    ),
    "a pause": (
        PauseSubscription(),
        sub(pause=Pause(PERIOD_END_US, starts_at_period_end=True)),
    ),
}


@pytest.mark.parametrize(("change", "expected"), MEANT.values(), ids=MEANT)
def test_meant_for_the_period_end(change: SubscriptionChange, expected: Subscription) -> None:
    done = apply_change(PAID, change, PERIOD_END, NOW_US, "UTC")
    assert (expected, PERIOD_END_US) == (done.subscription, done.effective_us)


def on_trial(**fields: Any) -> Subscription:
    return sub(**{"trial_ends_us": SOON_US, "trial_end_status": ACTIVE} | fields)


MEANT_ON_TRIAL: dict[str, tuple[SubscriptionChange, Subscription]] = {
    "a cancellation": (
        CancelSubscription(),
        on_trial(cancel_us=SOON_US, cancel_at_period_end=True),
    ),
    "a downgrade": (
        ChangePlan("free"),
        on_trial(changes=(ScheduledChange(SOON_US, "free", at_period_end=True),)),
    ),
    "an add-on": (
        SetAddOn("gb"),
        on_trial(changes=(ScheduledChange(SOON_US, add_ons=(GB,), at_period_end=True),)),
    ),
    "a pause": (
        PauseSubscription(),
        on_trial(pause=Pause(SOON_US, starts_at_period_end=True)),
    ),
}


@pytest.mark.parametrize(("change", "expected"), MEANT_ON_TRIAL.values(), ids=MEANT_ON_TRIAL)
@pytest.mark.parametrize("anchor_us", [ANCHOR_US, SOON_US, NOW_US])
def test_the_period_of_a_trial_ends_with_it(
    change: SubscriptionChange, expected: Subscription, anchor_us: int
) -> None:
    """Nothing is paid for in between: it is given up while it is tried."""
    before, expected = (
        msgspec.structs.replace(each, anchor_us=anchor_us) for each in (on_trial(), expected)
    )
    done = apply_change(before, change, PERIOD_END, NOW_US, "UTC")
    assert (expected, SOON_US) == (done.subscription, done.effective_us)
    timeline = compile_snapshot(Company("a", subscription=done.subscription), 1)
    assert SubscriptionStatus.TRIALING is segment_at(timeline, SOON_US - 1).status
    then = segment_at(timeline, SOON_US)
    paid = (then.plan, then.status) == ("basic", ACTIVE) and not then.add_ons
    assert not paid, "basic as it was tried is never paid for"


FOLLOWED: dict[str, tuple[Subscription, SubscriptionChange, When, Subscription]] = {
    "a cancellation waits for the end of a month that is bought": (
        CANCELED,
        UPGRADE,
        NOW,
        sub(plan="pro", anchor_us=NOW_US, cancel_us=NEW_END_US, cancel_at_period_end=True),
    ),
    "a downgrade waits for it, too": (
        DOWNGRADED,
        UPGRADE,
        NOW,
        sub(
            plan="pro",
            anchor_us=NOW_US,
            changes=(ScheduledChange(NEW_END_US, "free", at_period_end=True),),
        ),
    ),
    "a pause waits for it, too": (
        sub(pause=Pause(PERIOD_END_US, starts_at_period_end=True)),
        UPGRADE,
        NOW,
        sub(plan="pro", anchor_us=NOW_US, pause=Pause(NEW_END_US, starts_at_period_end=True)),
    ),
    "a pause that would begin after its end is none": (
        sub(pause=Pause(PERIOD_END_US, PERIOD_END_US + DAY_US, starts_at_period_end=True)),
        UPGRADE,
        NOW,
        sub(plan="pro", anchor_us=NOW_US),
    ),
    "what is planned for an instant stays there": (
        sub(cancel_us=PERIOD_END_US, changes=(ScheduledChange(LATER_US, "free"),)),
        UPGRADE,
        NOW,
        sub(
            plan="pro",
            anchor_us=NOW_US,
            cancel_us=PERIOD_END_US,
            changes=(ScheduledChange(LATER_US, "free"),),
        ),
    ),
    "a cancellation in a trial goes along with the trial's end": (
        on_trial(cancel_us=SOON_US, cancel_at_period_end=True),
        ExtendTrial(LATER_US),
        NOW,
        on_trial(trial_ends_us=LATER_US, cancel_us=LATER_US, cancel_at_period_end=True),
    ),
    "a downgrade in a trial goes along with the trial's end": (
        on_trial(changes=(ScheduledChange(SOON_US, "free", (GB,), at_period_end=True),)),
        ExtendTrial(LATER_US),
        NOW,
        on_trial(
            trial_ends_us=LATER_US,
            changes=(ScheduledChange(LATER_US, "free", (GB,), at_period_end=True),),
        ),
    ),
    "a cancellation in a trial that is ended waits for the end of what is paid": (
        on_trial(cancel_us=SOON_US, cancel_at_period_end=True),
        EndTrial(),
        NOW,
        CANCELED,
    ),
    "and of the month that begins with the payment": (
        on_trial(anchor_us=SOON_US, cancel_us=SOON_US, cancel_at_period_end=True),
        EndTrial(),
        NOW,
        sub(anchor_us=NOW_US, cancel_us=NEW_END_US, cancel_at_period_end=True),
    ),
    "a month that is bought in a trial is on trial": (
        on_trial(cancel_us=SOON_US, cancel_at_period_end=True),
        UPGRADE,
        NOW,
        on_trial(plan="pro", anchor_us=NOW_US, cancel_us=SOON_US, cancel_at_period_end=True),
    ),
    "an upgrade that keeps the anchor leaves the end where it is": (
        CANCELED,
        ChangePlan("pro"),
        NOW,
        sub(plan="pro", cancel_us=PERIOD_END_US, cancel_at_period_end=True),
    ),
    "a cancellation waits for the end of a month that is planned": (
        CANCELED,
        UPGRADE,
        at(LATER_US),
        sub(
            cancel_us=LATER_US + 31 * DAY_US,
            cancel_at_period_end=True,
            changes=(ScheduledChange(LATER_US, "pro", moves_anchor=True),),
        ),
    ),
    "it comes back where that is dropped": (
        sub(
            cancel_us=LATER_US + 31 * DAY_US,
            cancel_at_period_end=True,
            pause=Pause(SOON_US, LATER_US, moves_anchor=True),
        ),
        PauseSubscription(LATER_US),
        at(SOON_US),
        sub(cancel_us=PERIOD_END_US, cancel_at_period_end=True, pause=Pause(SOON_US, LATER_US)),
    ),
    "a resumption that begins a cycle moves it": (
        sub(
            cancel_us=PERIOD_END_US,
            cancel_at_period_end=True,
            pause=Pause(NOW_US - DAY_US),
        ),
        ResumeSubscription(moves_anchor=True),
        NOW,
        sub(anchor_us=NOW_US, cancel_us=NEW_END_US, cancel_at_period_end=True),
    ),
    "a renewal that begins a cycle moves a downgrade": (
        DOWNGRADED,
        RenewSubscription(moves_anchor=True),
        NOW,
        sub(anchor_us=NOW_US, changes=(ScheduledChange(NEW_END_US, "free", at_period_end=True),)),
    ),
    "a renewal takes a cancellation at the period end back": (
        CANCELED,
        RenewSubscription(),
        NOW,
        PAID,
    ),
    "dropped plans are not meant for a period end": (CANCELED, DropPlannedChanges(), NOW, PAID),
    "the downgrade of one instant stays apart from the change at the period end": (
        DOWNGRADED,
        SetAddOn("gb"),
        at(PERIOD_END_US),
        sub(
            changes=(
                ScheduledChange(PERIOD_END_US, add_ons=(GB,)),
                ScheduledChange(PERIOD_END_US, "free", at_period_end=True),
            )
        ),
    ),
    "an add-on that is given up later takes nothing else along": (
        sub(
            add_ons=(GB,),
            changes=(
                ScheduledChange(PERIOD_END_US, add_ons=(), at_period_end=True),
                ScheduledChange(PERIOD_END_US + DAY_US, add_ons=(SEAT,)),
            ),
        ),
        UPGRADE,
        NOW,
        sub(
            plan="pro",
            anchor_us=NOW_US,
            add_ons=(GB,),
            changes=(
                ScheduledChange(PERIOD_END_US + DAY_US, add_ons=(GB, SEAT)),
                ScheduledChange(NEW_END_US, add_ons=(SEAT,), at_period_end=True),
            ),
        ),
    ),
    "an add-on that is bought later is not held before": (
        sub(
            changes=(
                ScheduledChange(PERIOD_END_US, add_ons=(GB,), at_period_end=True),
                ScheduledChange(PERIOD_END_US + DAY_US, add_ons=(GB, SEAT)),
            ),
        ),
        UPGRADE,
        NOW,
        sub(
            plan="pro",
            anchor_us=NOW_US,
            changes=(
                ScheduledChange(PERIOD_END_US + DAY_US, add_ons=(SEAT,)),
                ScheduledChange(NEW_END_US, add_ons=(GB, SEAT), at_period_end=True),
            ),
        ),
    ),
}


@pytest.mark.parametrize(("before", "change", "when", "expected"), FOLLOWED.values(), ids=FOLLOWED)
def test_following_the_billing_cycle(
    before: Subscription, change: SubscriptionChange, when: When, expected: Subscription
) -> None:
    done = apply_change(before, change, when, NOW_US, "UTC", OnPlanned.KEEP)
    assert expected == done.subscription


def test_a_resumption_for_the_period_end_begins_no_cycle_before_it() -> None:
    paused = sub(pause=Pause(NOW_US - DAY_US, LATER_US, moves_anchor=True))
    done = apply_change(paused, ResumeSubscription(), PERIOD_END, NOW_US, "UTC")
    expected = Pause(NOW_US - DAY_US, PERIOD_END_US, moves_anchor=True, ends_at_period_end=True)
    assert (sub(pause=expected), PERIOD_END_US) == (done.subscription, done.effective_us)


YEARLY = WindowSpec(WindowUnit.YEAR, 1, Alignment.ANCHORED)
AS_OF_NOW: dict[str, tuple[Subscription, str, int]] = {
    "of another length": (
        sub(cancel_us=PERIOD_END_US, cancel_at_period_end=True, billing_period=YEARLY),
        "UTC",
        ANCHOR_US + 365 * DAY_US,
    ),
    "in another time zone": (CANCELED, "America/New_York", PERIOD_END_US - HOUR_US),
    "from another anchor": (
        sub(cancel_us=PERIOD_END_US, cancel_at_period_end=True, anchor_us=NOW_US),
        "UTC",
        NEW_END_US,
    ),
    "as it was": (CANCELED, "UTC", PERIOD_END_US),
    "an instant": (sub(cancel_us=LATER_US, billing_period=YEARLY), "UTC", LATER_US),
}


@pytest.mark.parametrize(("before", "zone", "cancel_us"), AS_OF_NOW.values(), ids=AS_OF_NOW)
def test_a_cancellation_ends_a_period(before: Subscription, zone: str, cancel_us: int) -> None:
    assert cancel_us == following_period_end(before, NOW_US, zone).cancel_us


def test_what_has_taken_effect_stays() -> None:
    over = sub(cancel_us=NOW_US, cancel_at_period_end=True, anchor_us=NOW_US - DAY_US)
    assert over == following_period_end(over, NOW_US, "UTC")


def test_a_month_of_31_days_ends_on_the_last_of_a_shorter_one() -> None:
    january_31_us = ANCHOR_US - 3 * DAY_US
    since_us = january_31_us + DAY_US
    bought = Subscription("basic", january_31_us, add_ons=(AddOnSubscription("gb"),))
    done = apply_change(bought, CancelSubscription(), PERIOD_END, since_us, "UTC")
    assert january_31_us + 28 * DAY_US == done.subscription.cancel_us
