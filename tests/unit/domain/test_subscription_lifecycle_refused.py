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
    MarkPaid,
    MarkPastDue,
    PauseSubscription,
    RenewSubscription,
    ResumeSubscription,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.errors import FailedPrecondition, FieldError, InvalidInput
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
}


@pytest.mark.parametrize(("subscription", "change", "when", "field"), REFUSED.values(), ids=REFUSED)
def test_refused_in_this_state(
    subscription: Subscription, change: SubscriptionChange, when: When, field: str
) -> None:
    error = refusal(subscription, change, when)
    assert (FailedPrecondition, field) == (type(error), error.field)


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
    "a term that ended": (RenewSubscription(NOW_US), NOW, "renew.ends_at"),
}


@pytest.mark.parametrize(("change", "when", "field"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_refused_in_any_state(change: SubscriptionChange, when: When, field: str) -> None:
    error = refusal(PAID, change, when)
    assert (InvalidInput, field) == (type(error), error.field)
