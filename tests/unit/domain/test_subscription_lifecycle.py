"""Changes of a subscription that take effect now; each row is named by its outcome."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.company.model import (
    AddOnSubscription,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    EndTrial,
    MarkPaid,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change, normalise
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import (
    ACTIVE,
    ENDED,
    GB,
    LATER_US,
    PAID,
    PAST_US,
    PAUSED,
    SCHEDULED_SEAT,
    SEAT,
    SOON_US,
    TRIAL,
    at,
    planned,
    sub,
)

SETTLED = {
    "what holds stays": (
        sub(changes=(ScheduledChange(LATER_US, "pro"),), pause=Pause(SOON_US, LATER_US)),
        sub(changes=(ScheduledChange(LATER_US, "pro"),), pause=Pause(SOON_US, LATER_US)),
    ),
    "a change that is due is folded in": (
        planned(
            ScheduledChange(PAST_US, "pro", (SEAT,)),
            ScheduledChange(NOW_US, add_ons=(GB,), resets_usage=True, moves_anchor=True),
            ScheduledChange(LATER_US, "max"),
        ),
        Subscription("pro", NOW_US, add_ons=(GB,), changes=(ScheduledChange(LATER_US, "max"),)),
    ),
    "a pause that is over goes": (sub(pause=Pause(PAST_US, NOW_US)), PAID),
    "the anchor that a pause moved stays": (
        sub(pause=Pause(PAST_US - 1, PAST_US, moves_anchor=True)),
        sub(anchor_us=PAST_US),
    ),
    "a pause that is on stays": (
        sub(pause=Pause(PAST_US, SOON_US)),
        sub(pause=Pause(PAST_US, SOON_US)),
    ),
    "a trial that turned into a paid subscription goes": (
        sub(trial_ends_us=NOW_US, trial_end_status=ACTIVE),
        PAID,
    ),
    "a trial that is over and was it stays": (
        sub(trial_ends_us=NOW_US, trial_end_status=ENDED),
        sub(trial_ends_us=NOW_US, trial_end_status=ENDED),
    ),
    "a trial that is on stays": (
        sub(trial_ends_us=SOON_US, trial_end_status=ACTIVE),
        sub(trial_ends_us=SOON_US, trial_end_status=ACTIVE),
    ),
    "what was meant for the end of a period is an instant once it is past": (
        sub(cancel_us=NOW_US, cancel_at_period_end=True),
        sub(cancel_us=NOW_US),
    ),
    "a pause that was to begin with a period is a pause": (
        sub(pause=Pause(NOW_US, starts_at_period_end=True)),
        sub(pause=Pause(NOW_US)),
    ),
    "a cancellation, an end and a late payment stay": (
        sub(cancel_us=PAST_US, ends_us=PAST_US, past_due=PastDue(PAST_US, NOW_US)),
        sub(cancel_us=PAST_US, ends_us=PAST_US, past_due=PastDue(PAST_US, NOW_US)),
    ),
}


@pytest.mark.parametrize(("before", "expected"), SETTLED.values(), ids=SETTLED)
def test_settled(before: Subscription, expected: Subscription) -> None:
    assert expected == normalise(before, NOW_US)


DONE_NOW: dict[str, tuple[Subscription, SubscriptionChange, Subscription]] = {
    "an upgrade is another plan": (PAID, ChangePlan("pro"), sub(plan="pro")),
    "an upgrade that starts a billing cycle moves the anchor": (
        PAID,
        ChangePlan("pro", moves_anchor=True),
        sub(plan="pro", anchor_us=NOW_US),
    ),
    "an upgrade leaves what is planned": (
        planned(ScheduledChange(LATER_US, "max")),
        ChangePlan("pro"),
        sub(plan="pro", changes=(ScheduledChange(LATER_US, "max"),)),
    ),
    "an upgrade on trial stays on trial": (
        TRIAL,
        ChangePlan("pro"),
        msgspec.structs.replace(TRIAL, plan="pro"),
    ),
    "an add-on is held": (PAID, SetAddOn("seat", 2), sub(add_ons=(SEAT,))),
    "add-ons are sorted": (sub(add_ons=(SEAT,)), SetAddOn("gb"), sub(add_ons=(GB, SEAT))),
    "an add-on's quantity is set, not added": (
        sub(add_ons=(GB, SEAT)),
        SetAddOn("seat", 1),
        sub(add_ons=(GB, AddOnSubscription("seat", 1))),
    ),
    "an add-on is given up": (sub(add_ons=(GB, SEAT)), SetAddOn("seat", 0), sub(add_ons=(GB,))),
    "an add-on now is also in the list that is planned": (
        SCHEDULED_SEAT,
        SetAddOn("gb"),
        sub(add_ons=(GB,), changes=(ScheduledChange(LATER_US, add_ons=(GB, SEAT)),)),
    ),
    "an add-on now does not change what is planned of itself": (
        SCHEDULED_SEAT,
        SetAddOn("seat", 9),
        sub(
            add_ons=(AddOnSubscription("seat", 9),),
            changes=(ScheduledChange(LATER_US, add_ons=(SEAT,)),),
        ),
    ),
    "a pause begins": (PAID, PauseSubscription(), sub(pause=Pause(NOW_US))),
    "a pause with an end moves the anchor there": (
        PAID,
        PauseSubscription(LATER_US, moves_anchor=True),
        sub(pause=Pause(NOW_US, LATER_US, moves_anchor=True)),
    ),
    "a pause takes the place of one that is planned": (
        sub(pause=Pause(SOON_US, LATER_US)),
        PauseSubscription(),
        sub(pause=Pause(NOW_US)),
    ),
    "a resumed subscription keeps the anchor": (PAUSED, ResumeSubscription(), PAID),
    "a resumed subscription moves the anchor if asked": (
        PAUSED,
        ResumeSubscription(moves_anchor=True),
        sub(anchor_us=NOW_US),
    ),
    "resumed before its end, a pause that was to move the anchor moves it": (
        sub(pause=Pause(PAST_US, LATER_US, moves_anchor=True)),
        ResumeSubscription(),
        sub(anchor_us=NOW_US),
    ),
    "a cancellation takes effect": (PAID, CancelSubscription(), sub(cancel_us=NOW_US)),
    "a cancellation takes the place of one that is planned": (
        sub(cancel_us=LATER_US),
        CancelSubscription(),
        sub(cancel_us=NOW_US),
    ),
    "a renewal takes a cancellation back": (sub(cancel_us=PAST_US), RenewSubscription(), PAID),
    "a renewal takes a planned cancellation back": (
        sub(cancel_us=LATER_US),
        RenewSubscription(),
        PAID,
    ),
    "a renewal takes the end of the term back": (sub(ends_us=PAST_US), RenewSubscription(), PAID),
    "a renewal sets the end of the new term": (
        sub(ends_us=SOON_US),
        RenewSubscription(LATER_US),
        sub(ends_us=LATER_US),
    ),
    "a renewal makes an ended trial a paid subscription": (
        sub(trial_ends_us=PAST_US),
        RenewSubscription(),
        PAID,
    ),
    "an upgrade of a canceled subscription renews it if asked": (
        sub(cancel_us=PAST_US, ends_us=PAST_US),
        ChangePlan("pro", renews=True),
        sub(plan="pro"),
    ),
    "an upgrade of an ended trial renews it if asked": (
        sub(trial_ends_us=PAST_US),
        ChangePlan("pro", renews=True),
        sub(plan="pro"),
    ),
    "an upgrade on trial that renews stays on trial": (
        TRIAL,
        ChangePlan("pro", renews=True),
        msgspec.structs.replace(TRIAL, plan="pro"),
    ),
    "an upgrade of a live subscription renews nothing": (
        sub(cancel_us=LATER_US, ends_us=LATER_US),
        ChangePlan("pro", renews=True),
        sub(plan="pro", cancel_us=LATER_US, ends_us=LATER_US),
    ),
    "an upgrade while paused stays paused": (
        PAUSED,
        ChangePlan("pro"),
        msgspec.structs.replace(PAUSED, plan="pro"),
    ),
    "a renewal leaves a trial that is on": (TRIAL, RenewSubscription(), TRIAL),
    "a trial is ended as bought": (TRIAL, EndTrial(), PAID),
    "a renewal starts a billing cycle if asked": (
        sub(ends_us=SOON_US),
        RenewSubscription(moves_anchor=True),
        sub(anchor_us=NOW_US),
    ),
    "a payment is late": (PAID, MarkPastDue(), sub(past_due=PastDue(NOW_US))),
    "a payment is late, with a grace": (
        PAID,
        MarkPastDue(LATER_US),
        sub(past_due=PastDue(NOW_US, LATER_US)),
    ),
    "a payment stays late since it was": (
        sub(past_due=PastDue(PAST_US, SOON_US)),
        MarkPastDue(LATER_US),
        sub(past_due=PastDue(PAST_US, LATER_US)),
    ),
    "a grace that is over began no later than its end": (
        PAID,
        MarkPastDue(PAST_US),
        sub(past_due=PastDue(PAST_US, PAST_US)),
    ),
    "a payment comes": (sub(past_due=PastDue(PAST_US, NOW_US)), MarkPaid(), PAID),
    "a reset changes nothing that is kept": (PAID, ResetUsage(), PAID),
    "plans are dropped": (
        sub(
            changes=(ScheduledChange(LATER_US, "pro"),),
            cancel_us=LATER_US,
            pause=Pause(SOON_US, LATER_US),
        ),
        DropPlannedChanges(),
        PAID,
    ),
    "what is in force is not dropped": (
        sub(cancel_us=PAST_US, pause=Pause(PAST_US, LATER_US), ends_us=LATER_US),
        DropPlannedChanges(),
        sub(cancel_us=PAST_US, pause=Pause(PAST_US, LATER_US), ends_us=LATER_US),
    ),
    "what was due is folded in first": (
        planned(ScheduledChange(PAST_US, "pro")),
        SetAddOn("gb"),
        sub(plan="pro", add_ons=(GB,)),
    ),
}


@pytest.mark.parametrize(("before", "change", "expected"), DONE_NOW.values(), ids=DONE_NOW)
def test_done_now(before: Subscription, change: SubscriptionChange, expected: Subscription) -> None:
    done = apply_change(before, change, NOW, NOW_US, "UTC", OnPlanned.KEEP)
    assert (expected, NOW_US) == (done.subscription, done.effective_us)


@pytest.mark.parametrize(
    ("change", "when", "expected"),
    [
        (ResetUsage(), NOW, True),
        (ResetUsage(), at(LATER_US), False),
        (ChangePlan("pro", resets_usage=True), NOW, True),
        (ChangePlan("pro", resets_usage=True), PERIOD_END, False),
        (ChangePlan("pro", moves_anchor=True), NOW, False),
    ],
)
def test_only_a_reset_for_now_resets_now(
    change: SubscriptionChange, when: When, expected: bool
) -> None:
    assert expected is apply_change(PAID, change, when, NOW_US, "UTC").resets_usage
