"""A trial that goes on for longer, or ends as bought; each row is named by its outcome."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.company.model import Company, Pause, ScheduledChange, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    EndTrial,
    ExtendTrial,
    MarkPaid,
    OnPlanned,
    RenewSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import (
    ACTIVE,
    GB,
    LATER_US,
    PAID,
    PAST_US,
    SEAT,
    SOON_US,
    at,
    sub,
)

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


RUNNING: dict[str, Subscription] = {
    "active follows": sub(trial_ends_us=LATER_US, trial_end_status=ACTIVE, add_ons=(SEAT,)),
    "the end follows": sub(trial_ends_us=LATER_US, add_ons=(SEAT,)),
    "a plan follows": sub(
        trial_ends_us=LATER_US, trial_end_status=ACTIVE, trial_end_plan="free", add_ons=(SEAT,)
    ),
    "it is to be canceled": sub(trial_ends_us=LATER_US, cancel_us=SOON_US, add_ons=(SEAT,)),
    "it has been canceled": sub(trial_ends_us=LATER_US, cancel_us=PAST_US, add_ons=(SEAT,)),
    "its term is to end": sub(trial_ends_us=LATER_US, ends_us=LATER_US, add_ons=(SEAT,)),
}


@pytest.mark.parametrize("before", RUNNING.values(), ids=RUNNING)
@pytest.mark.parametrize("now_us", [LATER_US, LATER_US + DAY_US])
def test_a_renewal_after_a_trial_brings_back_what_was_bought(
    before: Subscription, now_us: int
) -> None:
    done = apply_change(before, RenewSubscription(), NOW, now_us, "UTC")
    assert sub(add_ons=(SEAT,)) == done.subscription
    segment = segment_at(compile_snapshot(Company("a", subscription=done.subscription), 1), now_us)
    assert (ACTIVE, "basic", (SEAT,)) == (segment.status, segment.plan, segment.add_ons)


@pytest.mark.parametrize("before", RUNNING.values(), ids=RUNNING)
@pytest.mark.parametrize("now_us", [NOW_US, SOON_US - 1])
def test_a_renewal_in_a_trial_takes_back_its_end_and_leaves_the_trial(
    before: Subscription, now_us: int
) -> None:
    done = apply_change(before, RenewSubscription(), NOW, now_us, "UTC")
    expected = msgspec.structs.replace(before, cancel_us=None, ends_us=None)
    assert expected == done.subscription
    (note,) = [note for note in done.notes if note.startswith("the trial goes on until")]
    assert "`tallyd subscription trial end`" in note


ENDED: dict[str, tuple[Subscription, Subscription]] = {
    "what was to follow does not": (RUNNING["a plan follows"], sub(add_ons=(SEAT,))),
    "nor does the end": (RUNNING["the end follows"], sub(add_ons=(SEAT,))),
    "what was to be paid for then is now": (RUNNING["active follows"], sub(add_ons=(SEAT,))),
    "a cancellation stays": (
        RUNNING["it is to be canceled"],
        sub(cancel_us=SOON_US, add_ons=(SEAT,)),
    ),
    "the end of the term stays": (
        RUNNING["its term is to end"],
        sub(ends_us=LATER_US, add_ons=(SEAT,)),
    ),
    "a plan that is planned stays": (
        sub(trial_ends_us=LATER_US, changes=(ScheduledChange(LATER_US, "pro"),)),
        sub(changes=(ScheduledChange(LATER_US, "pro"),)),
    ),
    "a pause stays": (
        sub(trial_ends_us=LATER_US, pause=Pause(SOON_US)),
        sub(pause=Pause(SOON_US)),
    ),
}


@pytest.mark.parametrize(("before", "expected"), ENDED.values(), ids=ENDED)
def test_a_trial_that_is_ended_is_paid_for(before: Subscription, expected: Subscription) -> None:
    done = apply_change(before, EndTrial(), NOW, NOW_US, "UTC")
    assert (expected, ()) == (done.subscription, done.dropped)
    assert OVER == done.notes[0]


NOT_ENDED: dict[str, tuple[Subscription, str]] = {
    "none was there": (PAID, "no trial runs"),
    "it is paid for": (sub(trial_ends_us=PAST_US, trial_end_status=ACTIVE), "no trial runs"),
    "a plan has followed": (
        sub(trial_ends_us=PAST_US, trial_end_status=ACTIVE, trial_end_plan="free"),
        "it has ended: a renewal brings back what was bought",
    ),
    "the end has followed": (sub(trial_ends_us=PAST_US), "the trial is over: renew it first"),
    "it is canceled": (RUNNING["it has been canceled"], "is canceled: renew it first"),
}


@pytest.mark.parametrize(("before", "message"), NOT_ENDED.values(), ids=NOT_ENDED)
def test_no_trial_is_ended_where(before: Subscription, message: str) -> None:
    with pytest.raises(FailedPrecondition, match=message):
        apply_change(before, EndTrial(), NOW, NOW_US, "UTC")


def test_an_end_that_is_asked_for_twice_is_refused_the_second_time() -> None:
    done = apply_change(RUNNING["a plan follows"], EndTrial(), NOW, NOW_US, "UTC")
    with pytest.raises(FailedPrecondition, match="no trial runs"):
        apply_change(done.subscription, EndTrial(), NOW, NOW_US, "UTC")


@pytest.mark.parametrize("renews", [False, True])
@pytest.mark.parametrize("follows", ["active follows", "the end follows", "a plan follows"])
def test_a_plan_that_is_bought_in_a_trial_is_on_trial_until_that_is_ended(
    follows: str, renews: bool
) -> None:
    before = RUNNING[follows]
    tried = apply_change(before, ChangePlan("pro", renews=renews), NOW, NOW_US, "UTC").subscription
    assert before.trial_ends_us == tried.trial_ends_us
    paid = apply_change(tried, EndTrial(), NOW, NOW_US, "UTC").subscription
    assert sub(plan="pro", add_ons=(SEAT,)) == paid


NOTHING_TAKEN_BACK: dict[str, tuple[Subscription, SubscriptionChange, bool]] = {
    "nothing ends": (PAID, RenewSubscription(), True),
    "a trial runs": (RUNNING["a plan follows"], RenewSubscription(), True),
    "a cancellation": (sub(cancel_us=LATER_US), RenewSubscription(), False),
    "an ended trial": (sub(trial_ends_us=PAST_US), RenewSubscription(), False),
    "another term": (PAID, RenewSubscription(LATER_US), False),
    "dropped plans": (PAID, DropPlannedChanges(), False),
}


@pytest.mark.parametrize(
    ("before", "change", "told"), NOTHING_TAKEN_BACK.values(), ids=NOTHING_TAKEN_BACK
)
def test_a_renewal_that_takes_nothing_back_says_so(
    before: Subscription, change: SubscriptionChange, told: bool
) -> None:
    notes = apply_change(before, change, NOW, NOW_US, "UTC").notes
    assert told is any(note.endswith("there is none") for note in notes)


CYCLES: dict[str, tuple[Subscription, Subscription]] = {
    "that runs goes on": (sub(trial_ends_us=LATER_US), PAID),
    "that was to begin with the trial's end begins": (
        sub(trial_ends_us=LATER_US, anchor_us=LATER_US),
        sub(anchor_us=NOW_US),
    ),
    "that was to begin with the end of an extended trial begins": (
        sub(
            trial_ends_us=LATER_US,
            anchor_us=SOON_US,
            changes=(ScheduledChange(LATER_US, moves_anchor=True),),
        ),
        sub(anchor_us=NOW_US),
    ),
    "that begins with a planned plan waits for it": (
        sub(
            trial_ends_us=LATER_US,
            changes=(ScheduledChange(LATER_US, "pro", moves_anchor=True),),
        ),
        sub(changes=(ScheduledChange(LATER_US, "pro", moves_anchor=True),)),
    ),
}


@pytest.mark.parametrize(("before", "expected"), CYCLES.values(), ids=CYCLES)
def test_a_billing_cycle(before: Subscription, expected: Subscription) -> None:
    done = apply_change(before, EndTrial(), NOW, NOW_US, "UTC")
    assert expected == done.subscription


ON_TRIAL = "the trial goes on until 2026-03-16T12:00:00Z: "
OVER = (
    "the trial, which was to run until 2026-03-16T12:00:00Z, is over: ended now, as bought:"
    " it is paid for from now on"
)
NOTED: dict[str, tuple[Subscription, SubscriptionChange, When, str]] = {
    "an upgrade, and what was bought": (
        RUNNING["active follows"],
        ChangePlan("pro"),
        NOW,
        ON_TRIAL + "then it is paid for, as bought;",
    ),
    "an upgrade, and the end": (
        RUNNING["the end follows"],
        ChangePlan("pro"),
        NOW,
        ON_TRIAL + "then all is denied;",
    ),
    "an upgrade, and a plan": (
        RUNNING["a plan follows"],
        ChangePlan("pro"),
        NOW,
        ON_TRIAL + "then plan free follows, without add-ons;",
    ),
    "an add-on, and a plan": (
        RUNNING["a plan follows"],
        SetAddOn("gb"),
        NOW,
        ON_TRIAL + "then plan free follows, without add-ons;",
    ),
    "an upgrade that is planned for the trial": (
        RUNNING["a plan follows"],
        ChangePlan("pro"),
        at(SOON_US),
        ON_TRIAL + "then plan free follows, without add-ons;",
    ),
    "an upgrade, and a plan that is planned for the trial's end": (
        sub(
            trial_ends_us=LATER_US,
            trial_end_plan="free",
            changes=(ScheduledChange(LATER_US, "max", (GB,)),),
        ),
        ChangePlan("pro"),
        NOW,
        ON_TRIAL + "then plan max follows, with gb x 1;",
    ),
    "its end": (RUNNING["the end follows"], EndTrial(), NOW, OVER),
    "a renewal of what was canceled": (
        RUNNING["it has been canceled"],
        RenewSubscription(),
        NOW,
        ON_TRIAL + "then all is denied;",
    ),
}


@pytest.mark.parametrize(("before", "change", "when", "note"), NOTED.values(), ids=NOTED)
def test_what_becomes_of_the_trial_is_told(
    before: Subscription, change: SubscriptionChange, when: When, note: str
) -> None:
    (told,) = apply_change(before, change, when, NOW_US, "UTC", OnPlanned.KEEP).notes
    assert told.startswith(note)


SILENT: dict[str, tuple[Subscription, SubscriptionChange, When]] = {
    "an upgrade without a trial": (PAID, ChangePlan("pro"), NOW),
    "an upgrade after a trial": (
        sub(trial_ends_us=PAST_US, trial_end_plan="free"),
        ChangePlan("pro"),
        NOW,
    ),
    "an upgrade for the trial's end": (RUNNING["a plan follows"], ChangePlan("pro"), at(LATER_US)),
    "a renewal after a trial": (sub(trial_ends_us=PAST_US), RenewSubscription(), NOW),
    "a cancellation": (RUNNING["a plan follows"], CancelSubscription(), NOW),
    "an upgrade of what is canceled before the trial ends": (
        RUNNING["it is to be canceled"],
        ChangePlan("pro"),
        NOW,
    ),
}


@pytest.mark.parametrize(("before", "change", "when"), SILENT.values(), ids=SILENT)
def test_nothing_is_told_of_a_trial(
    before: Subscription, change: SubscriptionChange, when: When
) -> None:
    assert () == apply_change(before, change, when, NOW_US, "UTC", OnPlanned.KEEP).notes


def test_a_payment_in_a_trial_is_told_what_ends_the_trial() -> None:
    with pytest.raises(FailedPrecondition, match="no payment is late: to end the trial at once"):
        apply_change(RUNNING["a plan follows"], MarkPaid(), NOW, NOW_US, "UTC")
