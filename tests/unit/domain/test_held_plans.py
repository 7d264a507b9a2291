"""Plans that follow a trial or a grace, and versions of plans: what is held, and comes back."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.domain.bounds import PLAN_VERSION_NEWEST
from sidecar.domain.company.held_plans import bought_at, held_at
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    PastDue,
    ScheduledChange,
    Segment,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangePlan,
    DropPlannedChanges,
    ExtendTrial,
    MarkPaid,
    RenewSubscription,
    SetAddOn,
    SubscriptionChange,
)
from sidecar.domain.company.subscription_lifecycle import apply_change, normalise
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import ANCHOR_US, PERIOD_END_US

SEAT: Final = AddOnSubscription("seat", 2)
ACTIVE, PAST_DUE = SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE
TRIALING, CANCELED = SubscriptionStatus.TRIALING, SubscriptionStatus.CANCELED
TRIAL: Final = Subscription(
    "pro",
    ANCHOR_US,
    trial_ends_us=NOW_US,
    trial_end_status=ACTIVE,
    add_ons=(SEAT,),
    plan_version=3,
    trial_end_plan="free",
)
LATE: Final = Subscription(
    "pro",
    ANCHOR_US,
    add_ons=(SEAT,),
    plan_version=3,
    past_due=PastDue(NOW_US - DAY_US, NOW_US, "free"),
)
LATER_US: Final = NOW_US + DAY_US


def segments(subscription: Subscription) -> list[Segment]:
    return list(segments_of(compile_snapshot(Company("acme", subscription=subscription), 1)))


def told(segment: Segment) -> tuple[SubscriptionStatus, str, int, int, bool, bool]:
    """Status, plan, its version, number of add-ons, whether a trial or a grace led to it."""
    of = segment
    versioned = (of.plan, of.plan_version, len(of.add_ons))
    return of.status, *versioned, of.after_trial, of.after_grace


def changed(subscription: Subscription, change: SubscriptionChange, now_us: int) -> Subscription:
    return apply_change(subscription, change, NOW, now_us, "UTC").subscription


def test_a_trial_is_followed_by_a_plan_without_add_ons() -> None:
    assert [told(segment) for segment in segments(TRIAL)] == [
        (TRIALING, "pro", 3, 1, False, False),
        (ACTIVE, "free", PLAN_VERSION_NEWEST, 0, True, False),
    ]


def test_a_grace_is_followed_by_a_plan_without_add_ons_that_is_active() -> None:
    assert [told(segment) for segment in segments(LATE)] == [
        (ACTIVE, "pro", 3, 1, False, False),
        (PAST_DUE, "pro", 3, 1, False, False),
        (ACTIVE, "free", PLAN_VERSION_NEWEST, 0, False, True),
    ]


def test_a_cancellation_comes_before_what_follows_a_trial() -> None:
    canceled = msgspec.structs.replace(TRIAL, cancel_us=LATER_US)
    last = segments(canceled)[-1]
    assert (last.status, last.after_trial, last.plan) == (CANCELED, False, "free")


@pytest.mark.parametrize("subscription", [TRIAL, LATE], ids=["trial", "grace"])
def test_what_was_bought_is_remembered_as_of_now(subscription: Subscription) -> None:
    later = normalise(subscription, LATER_US)
    assert (later.plan, later.plan_version, later.add_ons) == ("pro", 3, (SEAT,))
    assert held_at(later, LATER_US) == held_at(subscription, LATER_US)


@pytest.mark.parametrize(
    ("subscription", "change", "expected"),
    [
        pytest.param(LATE, MarkPaid(), ("pro", 3, (SEAT,)), id="paid"),
        pytest.param(TRIAL, RenewSubscription(), ("pro", 3, (SEAT,)), id="renewed"),
        pytest.param(
            TRIAL, ExtendTrial(LATER_US + DAY_US), ("pro", 3, (SEAT,)), id="trial_extended"
        ),
        pytest.param(
            TRIAL, ChangePlan("team", plan_version=7), ("team", 7, ()), id="bought_after_a_trial"
        ),
        pytest.param(
            TRIAL,
            SetAddOn("gb", 1),
            ("free", PLAN_VERSION_NEWEST, (AddOnSubscription("gb", 1),)),
            id="an_add_on_after_a_trial_is_one_of_the_plan_that_followed",
        ),
        pytest.param(
            LATE,
            ChangePlan("team", plan_version=7),
            ("free", PLAN_VERSION_NEWEST, ()),
            id="bought_past_a_grace_waits_for_the_payment",
        ),
        pytest.param(
            TRIAL,
            DropPlannedChanges(),
            ("free", PLAN_VERSION_NEWEST, ()),
            id="dropping_plans_leaves_what_followed",
        ),
    ],
)
def test_a_change_after_the_end(
    subscription: Subscription,
    change: SubscriptionChange,
    expected: tuple[str, int, tuple[AddOnSubscription, ...]],
) -> None:
    after = changed(subscription, change, LATER_US)
    held = held_at(after, LATER_US)
    assert (held.plan, held.plan_version, held.add_ons) == expected
    assert changed(after, DropPlannedChanges(), LATER_US) == after


def test_what_was_bought_past_a_grace_is_there_once_it_is_paid() -> None:
    team = changed(LATE, ChangePlan("team", plan_version=7), LATER_US)
    held = held_at(changed(team, MarkPaid(), LATER_US), LATER_US)
    assert (held.plan, held.plan_version, held.add_ons) == ("team", 7, (SEAT,))


def test_what_is_planned_beyond_a_trial_holds_and_what_was_before_does_not_outlast_it() -> None:
    changes = (
        ScheduledChange(NOW_US - DAY_US, "max", plan_version=2),
        ScheduledChange(LATER_US, "team", plan_version=4),
    )
    planned = msgspec.structs.replace(TRIAL, changes=changes)
    assert [(of.plan, of.plan_version) for of in segments(planned)] == [
        ("pro", 3),
        ("max", 2),
        ("free", PLAN_VERSION_NEWEST),
        ("team", 4),
    ]
    settled = normalise(planned, NOW_US + 1)
    assert (settled.plan, settled.plan_version) == ("max", 2)
    assert normalise(planned, LATER_US).plan == "team"


MOVE: Final = ScheduledChange(LATER_US, plan_version=4, at_period_end=True)


@pytest.mark.parametrize(
    ("changes", "at_us", "expected"),
    [
        pytest.param((MOVE,), NOW_US, ("pro", 3), id="before"),
        pytest.param((MOVE,), LATER_US, ("pro", 4), id="moved"),
        pytest.param(
            (ScheduledChange(NOW_US, "team", plan_version=1), MOVE),
            LATER_US,
            ("team", 1),
            id="another_plan_meanwhile",
        ),
        pytest.param(
            (MOVE, ScheduledChange(LATER_US + 1, "team", plan_version=1)),
            LATER_US + 1,
            ("team", 1),
            id="another_plan_later",
        ),
    ],
)
def test_a_version_is_moved_to_if_the_plan_is_still_the_same(
    changes: tuple[ScheduledChange, ...], at_us: int, expected: tuple[str, int]
) -> None:
    subscription = Subscription("pro", ANCHOR_US, plan_version=3, changes=changes)
    held = bought_at(subscription, at_us)
    assert (held.plan, held.plan_version) == expected
    settled = normalise(subscription, at_us)
    assert (settled.plan, settled.plan_version) == expected
    final = bought_at(subscription, LATER_US + DAY_US)
    assert bought_at(settled, LATER_US + DAY_US) == final


def test_another_plan_ends_a_move_and_dropping_plans_does_not() -> None:
    subscription = Subscription("pro", ANCHOR_US, plan_version=3, changes=(MOVE,))
    assert changed(subscription, ChangePlan("team", plan_version=1), NOW_US).changes == ()
    assert changed(subscription, ChangePlan("pro", plan_version=4), NOW_US).changes == ()
    at_the_end = msgspec.structs.replace(MOVE, at_us=PERIOD_END_US)
    assert changed(subscription, DropPlannedChanges(), NOW_US).changes == (at_the_end,)


def test_a_move_during_what_followed_a_trial_waits_for_what_was_bought() -> None:
    moving = msgspec.structs.replace(TRIAL, changes=(MOVE,))
    back = changed(moving, RenewSubscription(), LATER_US + 1)
    assert (back.plan, back.plan_version) == ("pro", 4)
