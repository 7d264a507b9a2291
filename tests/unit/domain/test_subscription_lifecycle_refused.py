"""Changes of a subscription that make no sense; each row is named by what is refused."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.company.model import Pause, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    ExtendTrial,
    MarkPaid,
    MarkPastDue,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.errors import FailedPrecondition, FieldError, InvalidInput
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import (
    LATER_US,
    PAID,
    PAST_US,
    PAUSED,
    SOON_US,
    at,
    sub,
)


def refusal(subscription: Subscription, change: SubscriptionChange, when: When = NOW) -> FieldError:
    with pytest.raises(FieldError) as refused:
        apply_change(subscription, change, when, NOW_US, "UTC")
    return refused.value


CANCELED: Final = sub(cancel_us=NOW_US)
LATER: Final = at(LATER_US)
OVER: Final = sub(ends_us=NOW_US)
TRIED: Final = sub(trial_ends_us=NOW_US)

REFUSED: dict[str, tuple[Subscription, SubscriptionChange, When, str]] = {
    "a pause while paused": (PAUSED, PauseSubscription(), NOW, "pause"),
    "a planned pause while paused": (PAUSED, PauseSubscription(), at(LATER_US), "pause"),
    "a pause when canceled": (CANCELED, PauseSubscription(), NOW, "pause"),
    "a pause after the term": (OVER, PauseSubscription(), NOW, "pause"),
    "resuming what is not paused": (PAID, ResumeSubscription(), NOW, "resume"),
    "resuming what was paused": (
        sub(pause=Pause(PAST_US, NOW_US)),
        ResumeSubscription(),
        NOW,
        "resume",
    ),
    "resuming now what will be paused": (
        sub(pause=Pause(SOON_US)),
        ResumeSubscription(),
        NOW,
        "resume",
    ),
    "resuming when the pause is to begin": (
        sub(pause=Pause(SOON_US)),
        ResumeSubscription(),
        at(SOON_US),
        "resume",
    ),
    "a cancellation when canceled": (CANCELED, CancelSubscription(), NOW, "cancel"),
    "a cancellation after the trial": (TRIED, CancelSubscription(), NOW, "cancel"),
    "a late payment when canceled": (CANCELED, MarkPastDue(), NOW, "past_due"),
    "a late payment after the term": (OVER, MarkPastDue(), NOW, "past_due"),
    "a payment where none is late": (PAID, MarkPaid(), NOW, "paid"),
    "another plan when canceled": (CANCELED, ChangePlan("pro"), NOW, "plan"),
    "another plan at the end of a trial that is over": (TRIED, ChangePlan("pro"), LATER, "plan"),
    "an add-on after the term": (OVER, SetAddOn("gb"), NOW, "add_on"),
    "a reset when canceled": (CANCELED, ResetUsage(), NOW, "reset_usage"),
    "resuming what was canceled while paused": (
        sub(cancel_us=NOW_US, pause=Pause(PAST_US)),
        ResumeSubscription(),
        NOW,
        "resume",
    ),
    "a longer trial where there was none": (PAID, ExtendTrial(LATER_US), NOW, "extend_trial"),
    "a longer trial when canceled": (
        sub(cancel_us=NOW_US, trial_ends_us=SOON_US),
        ExtendTrial(LATER_US),
        NOW,
        "extend_trial",
    ),
    "a longer trial after 30 days": (
        sub(trial_ends_us=NOW_US - 30 * DAY_US),
        ExtendTrial(LATER_US),
        NOW,
        "extend_trial",
    ),
}


@pytest.mark.parametrize(("subscription", "change", "when", "field"), REFUSED.values(), ids=REFUSED)
def test_refused_in_this_state(
    subscription: Subscription, change: SubscriptionChange, when: When, field: str
) -> None:
    error = refusal(subscription, change, when)
    assert (FailedPrecondition, field) == (type(error), error.field)


def test_who_is_refused_hears_what_to_do_instead() -> None:
    for over, words in (
        (CANCELED, "canceled"),
        (OVER, "the subscription has ended"),
        (TRIED, "trial"),
    ):
        error = refusal(over, ChangePlan("pro"))
        assert words in error.message
        assert "renew it first, or with the change" in error.message


def test_a_trial_ends_no_earlier_than_it_did() -> None:
    error = refusal(sub(trial_ends_us=LATER_US), ExtendTrial(SOON_US))
    assert (InvalidInput, "extend_trial.ends_at") == (type(error), error.field)


IMPOSSIBLE: dict[str, tuple[SubscriptionChange, When, str]] = {
    "an instant that is now": (CancelSubscription(), at(NOW_US), "at"),
    "an instant in the past": (ChangePlan("pro"), at(PAST_US), "at"),
    "a planned renewal": (RenewSubscription(), at(LATER_US), "when"),
    "a planned late payment": (MarkPastDue(), PERIOD_END, "when"),
    "a planned payment": (MarkPaid(), PERIOD_END, "when"),
    "a planned end of plans": (DropPlannedChanges(), at(LATER_US), "when"),
    "a pause that ends at its start": (
        PauseSubscription(LATER_US),
        at(LATER_US),
        "pause.resumes_at",
    ),
    "a pause that ended": (PauseSubscription(PAST_US), NOW, "pause.resumes_at"),
    "a pause that moves the anchor at no end": (
        PauseSubscription(moves_anchor=True),
        NOW,
        "pause.move_anchor",
    ),
    "a renewal with a plan for later": (ChangePlan("pro", renews=True), PERIOD_END, "plan.renew"),
    "a longer trial for later": (ExtendTrial(LATER_US), at(LATER_US), "when"),
    "a term that ended": (RenewSubscription(NOW_US), NOW, "renew.ends_at"),
}


@pytest.mark.parametrize(("change", "when", "field"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_refused_in_any_state(change: SubscriptionChange, when: When, field: str) -> None:
    error = refusal(PAID, change, when)
    assert (InvalidInput, field) == (type(error), error.field)
