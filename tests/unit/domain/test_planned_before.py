"""A change asks what was planned before; each row is named by what is planned and touched."""

from __future__ import annotations

import pytest

from sidecar.domain.company.model import AddOnSubscription, Pause, ScheduledChange, Subscription
from sidecar.domain.company.planned import PlannedChange
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    DropPlannedChanges,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import (
    GB,
    LATER_US,
    PERIOD_END_US,
    SEAT,
    SOON_US,
    at,
    planned,
    sub,
)

TWO_SEATS = AddOnSubscription("seat", 2)
CANCELED_LATER = sub(cancel_us=PERIOD_END_US, cancel_at_period_end=True)
MIXED = sub(
    changes=(
        ScheduledChange(SOON_US, "free", (SEAT,), resets_usage=True),
        ScheduledChange(LATER_US, add_ons=(GB, SEAT)),
        ScheduledChange(PERIOD_END_US, "max", at_period_end=True),
    ),
    cancel_us=PERIOD_END_US + 1,
)

Row = tuple[Subscription, SubscriptionChange, When, list[str], Subscription]

TOUCHED: dict[str, Row] = {
    "a downgrade, by an upgrade": (
        planned(ScheduledChange(LATER_US, "free")),
        ChangePlan("pro"),
        NOW,
        ["plan free"],
        sub(plan="pro"),
    ),
    "a cancellation at the period end, by an upgrade": (
        CANCELED_LATER,
        ChangePlan("pro"),
        NOW,
        ["cancellation"],
        sub(plan="pro"),
    ),
    "all plans and the cancellation, but no add-ons": (
        MIXED,
        ChangePlan("pro"),
        NOW,
        ["plan free with a reset of usage", "plan max", "cancellation"],
        sub(
            plan="pro",
            changes=(
                ScheduledChange(SOON_US, add_ons=(SEAT,)),
                ScheduledChange(LATER_US, add_ons=(GB, SEAT)),
            ),
        ),
    ),
    "the same add-on, and no other": (
        MIXED,
        SetAddOn("seat", 5),
        NOW,
        ["add-on seat x 2"],
        sub(
            add_ons=(AddOnSubscription("seat", 5),),
            changes=(
                ScheduledChange(SOON_US, "free", resets_usage=True),
                ScheduledChange(LATER_US, add_ons=(GB, AddOnSubscription("seat", 5))),
                ScheduledChange(PERIOD_END_US, "max", at_period_end=True),
            ),
            cancel_us=PERIOD_END_US + 1,
        ),
    ),
    "the end of an add-on": (
        sub(add_ons=(GB,), changes=(ScheduledChange(LATER_US, add_ons=()),)),
        SetAddOn("gb", 3),
        NOW,
        ["no add-on gb"],
        sub(add_ons=(AddOnSubscription("gb", 3),)),
    ),
    "a cancellation before a planned downgrade": (
        sub(cancel_us=SOON_US),
        ChangePlan("free"),
        at(LATER_US),
        ["cancellation"],
        planned(ScheduledChange(LATER_US, "free")),
    ),
    "a cancellation at the period end of a downgrade": (
        CANCELED_LATER,
        ChangePlan("free"),
        PERIOD_END,
        ["cancellation"],
        planned(ScheduledChange(PERIOD_END_US, "free", at_period_end=True)),
    ),
    "a cancellation before a planned pause": (
        sub(cancel_us=SOON_US),
        PauseSubscription(),
        at(LATER_US),
        ["cancellation"],
        sub(pause=Pause(LATER_US)),
    ),
}


@pytest.mark.parametrize(
    ("before", "change", "when", "names", "expected"), TOUCHED.values(), ids=TOUCHED
)
def test_touched(
    before: Subscription,
    change: SubscriptionChange,
    when: When,
    names: list[str],
    expected: Subscription,
) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        apply_change(before, change, when, NOW_US, "UTC")
    assert ("PLANNED_BEFORE", change.field) == (refused.value.reason, refused.value.field)
    assert all(name in refused.value.message for name in names)
    assert "--planned keep or --planned drop" in refused.value.message

    kept = apply_change(before, change, when, NOW_US, "UTC", OnPlanned.KEEP)
    assert (names, ()) == ([each.what for each in kept.kept], kept.dropped)
    dropped = apply_change(before, change, when, NOW_US, "UTC", OnPlanned.DROP)
    assert (names, ()) == ([each.what for each in dropped.dropped], dropped.kept)
    assert expected == dropped.subscription


@pytest.mark.parametrize("on_planned", OnPlanned)
@pytest.mark.parametrize("answered", [OnPlanned.KEEP, OnPlanned.DROP])
@pytest.mark.parametrize(
    ("before", "change", "when"), [row[:3] for row in TOUCHED.values()], ids=TOUCHED
)
def test_a_call_that_is_repeated_changes_and_drops_nothing(
    before: Subscription,
    change: SubscriptionChange,
    when: When,
    answered: OnPlanned,
    on_planned: OnPlanned,
) -> None:
    done = apply_change(before, change, when, NOW_US, "UTC", answered)
    again = apply_change(done.subscription, change, when, NOW_US, "UTC", on_planned)
    assert (done.subscription, ()) == (again.subscription, again.dropped)


def test_a_repeated_call_leaves_what_was_planned_since() -> None:
    """A retry that comes late is not an answer to a question that it never heard."""
    done = apply_change(planned(ScheduledChange(LATER_US, "free")), ChangePlan("pro"), NOW, NOW_US,
                        "UTC", OnPlanned.DROP)  # fmt: skip
    since = apply_change(done.subscription, CancelSubscription(), PERIOD_END, NOW_US, "UTC")
    again = apply_change(since.subscription, ChangePlan("pro"), NOW, NOW_US, "UTC", OnPlanned.DROP)
    assert since.subscription == again.subscription
    assert (PlannedChange("cancellation", PERIOD_END_US, at_period_end=True),) == again.kept


def test_what_is_kept_is_told_with_the_instant_that_it_has_then() -> None:
    upgrade = ChangePlan("pro", moves_anchor=True)
    done = apply_change(CANCELED_LATER, upgrade, NOW, NOW_US, "UTC", OnPlanned.KEEP)
    expected = PlannedChange("cancellation", NOW_US + 31 * DAY_US, at_period_end=True)
    assert (expected,) == done.kept


UNTOUCHED: dict[str, tuple[Subscription, SubscriptionChange, When]] = {
    "another add-on": (planned(ScheduledChange(LATER_US, add_ons=(SEAT,))), SetAddOn("gb"), NOW),
    "a plan, by an add-on": (planned(ScheduledChange(LATER_US, "free")), SetAddOn("gb"), NOW),
    "an add-on, by a plan": (
        planned(ScheduledChange(LATER_US, add_ons=(SEAT,))),
        ChangePlan("pro"),
        NOW,
    ),
    "a reset, by a plan": (
        planned(ScheduledChange(LATER_US, resets_usage=True)),
        ChangePlan("pro"),
        NOW,
    ),
    "a plan, by one that is planned for another instant": (
        planned(ScheduledChange(SOON_US, "pro")),
        ChangePlan("free"),
        at(LATER_US),
    ),
    "a cancellation, by what is planned before it": (
        CANCELED_LATER,
        ChangePlan("pro"),
        at(LATER_US),
    ),
    "a cancellation, by a reset, a late payment and its payment": (
        CANCELED_LATER,
        ResetUsage(),
        NOW,
    ),
    "a cancellation, by a late payment": (CANCELED_LATER, MarkPastDue(), NOW),
    "a cancellation, by an add-on": (CANCELED_LATER, SetAddOn("gb"), NOW),
    "the end of the term, by a plan": (sub(ends_us=LATER_US), ChangePlan("pro"), NOW),
}


@pytest.mark.parametrize(("before", "change", "when"), UNTOUCHED.values(), ids=UNTOUCHED)
def test_untouched(before: Subscription, change: SubscriptionChange, when: When) -> None:
    done = apply_change(before, change, when, NOW_US, "UTC")
    assert ((), ()) == (done.kept, done.dropped)


GAVE_WAY: dict[str, tuple[Subscription, SubscriptionChange, When, list[str]]] = {
    "a cancellation to another": (CANCELED_LATER, CancelSubscription(), NOW, ["cancellation"]),
    "a cancellation to a renewal": (CANCELED_LATER, RenewSubscription(), NOW, ["cancellation"]),
    "a pause to another": (sub(pause=Pause(LATER_US)), PauseSubscription(), NOW, ["pause"]),
    "a plan to another one of its instant": (
        planned(ScheduledChange(LATER_US, "free")),
        ChangePlan("max"),
        at(LATER_US),
        ["plan free"],
    ),
    "a pause to the period that is bought before it": (
        sub(pause=Pause(PERIOD_END_US, PERIOD_END_US + 1, starts_at_period_end=True)),
        ChangePlan("pro", moves_anchor=True),
        NOW,
        ["pause until 2026-04-03T00:00:00.000001Z"],
    ),
    "all to the end of all plans": (
        MIXED,
        DropPlannedChanges(),
        NOW,
        [
            "plan free with a reset of usage",
            "add-on seat x 2",
            "add-on gb x 1",
            "plan max",
            "cancellation",
        ],
    ),
    "nothing to a payment": (
        sub(cancel_us=LATER_US, past_due=None),
        MarkPastDue(),
        NOW,
        [],
    ),
}


@pytest.mark.parametrize(("before", "change", "when", "names"), GAVE_WAY.values(), ids=GAVE_WAY)
def test_gave_way(
    before: Subscription, change: SubscriptionChange, when: When, names: list[str]
) -> None:
    done = apply_change(before, change, when, NOW_US, "UTC")
    assert names == [each.what for each in done.dropped]


def test_a_refusal_names_the_first_of_many() -> None:
    many = planned(*(ScheduledChange(LATER_US + day, f"plan {day}") for day in range(12)))
    with pytest.raises(FailedPrecondition) as refused:
        apply_change(many, ChangePlan("pro"), NOW, NOW_US, "UTC")
    assert "plan 9 at" in refused.value.message
    assert "plan 10" not in refused.value.message
    assert "and 2 more" in refused.value.message
