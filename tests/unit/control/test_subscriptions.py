"""Changing a subscription at the plane; each test is named by its outcome."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.control.rules.ownership import TakeOver
from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import (
    ChangedSubscription,
    change_subscription,
    try_change,
)
from sidecar.control.services.timelines import CLOCK_BACK_US_MAX
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import CHANGES_MAX
from sidecar.domain.catalog.model import AddOn, Plan
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.period_end import billing_period
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    PauseSubscription,
    ResetUsage,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot, segment_at
from sidecar.domain.errors import FailedPrecondition, FieldError, InvalidInput, NotFound
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.unit.control.support import CATALOG, NOW_US, company

SOLD: Final = msgspec.structs.replace(
    CATALOG, plans=(Plan("max"), *CATALOG.plans), add_ons=(AddOn("gb"), AddOn("seat"))
)
LATER_US: Final = NOW_US + HOUR_US


@pytest.fixture
def sold(store: PlaneStore) -> PlaneStore:
    """A store with a catalog, and a company on plan pro."""
    apply.apply(store, Desired(SOLD, (company(), Company("free"))), NOW_US)
    return store


def change(
    store: PlaneStore, wanted: SubscriptionChange, when: When = NOW, now_us: int = LATER_US
) -> ChangedSubscription:
    return change_subscription(store, "acme", wanted, when, now_us)


def revision(store: PlaneStore) -> int:
    with store.read() as transaction:
        return transaction.state().revision


def generations(store: PlaneStore, *instants_us: int) -> list[int]:
    snapshot = directory.get_company(store, "acme").snapshot
    return [segment_at(snapshot, instant_us).generation for instant_us in instants_us]


def test_a_change_for_now_holds_from_now_on_and_the_past_stays(sold: PlaneStore) -> None:
    done = change(sold, ChangePlan("max"))
    assert (2, LATER_US, company(plan="max")) == (done.revision, done.effective_us, done.company)
    assert (2, "pro", "max") == (
        done.snapshot.version,
        segment_at(done.snapshot, LATER_US - 1).plan,
        segment_at(done.snapshot, LATER_US).plan,
    )
    stored = directory.get_company(sold, "acme")
    assert (done.company, done.snapshot) == (stored.company, stored.snapshot)


def test_a_planned_change_is_in_the_timeline(sold: PlaneStore) -> None:
    done = change(sold, CancelSubscription(), When(ChangeTime.AT, LATER_US + DAY_US))
    assert compile_snapshot(done.company, 2) == done.snapshot
    assert LATER_US + DAY_US == done.effective_us


def test_changes_add_up(sold: PlaneStore) -> None:
    change(sold, ChangePlan("max"))
    change(sold, SetAddOn("seat", 3), now_us=LATER_US + 1)
    done = change(sold, SetAddOn("gb"), now_us=LATER_US + 2)
    subscription = done.company.subscription
    assert subscription is not None
    assert ("max", (AddOnSubscription("gb"), AddOnSubscription("seat", 3)), 4) == (
        subscription.plan,
        subscription.add_ons,
        done.revision,
    )
    assert [
        (),
        (AddOnSubscription("seat", 3),),
        (AddOnSubscription("gb"), AddOnSubscription("seat", 3)),
    ] == [segment.add_ons for segment in list(segments_of(done.snapshot))[1:]]


@pytest.mark.parametrize("when", [NOW, When(ChangeTime.AT, LATER_US + DAY_US)])
def test_a_dry_run_says_what_would_come_of_it_and_changes_nothing(
    sold: PlaneStore, when: When
) -> None:
    before = directory.get_company(sold, "acme")
    tried = try_change(sold, "acme", ChangePlan("max"), when, LATER_US)

    assert (before, 1) == (directory.get_company(sold, "acme"), revision(sold))
    done = change(sold, ChangePlan("max"), when)
    assert (1, done.company, done.effective_us) == (
        tried.revision,
        tried.company,
        tried.effective_us,
    )
    assert list(segments_of(done.snapshot)) == list(segments_of(tried.snapshot))


def test_a_dry_run_is_refused_as_the_change_would_be(sold: PlaneStore) -> None:
    with pytest.raises(InvalidInput):
        try_change(sold, "acme", ChangePlan("none"), NOW, LATER_US)


def test_what_changes_nothing_keeps_the_revision(sold: PlaneStore) -> None:
    before = directory.get_company(sold, "acme")
    done = change(sold, ChangePlan("pro"))
    assert (1, before.company, before.snapshot) == (done.revision, done.company, done.snapshot)
    assert 1 == revision(sold)


def test_what_is_due_is_folded_in_only_with_a_change(sold: PlaneStore) -> None:
    planned = ScheduledChange(LATER_US, "max")
    subscription = Subscription("pro", NOW_US, changes=(planned,))
    apply.apply(sold, Desired(companies=(Company("acme", subscription=subscription),)), NOW_US)
    change(sold, ChangePlan("max"), now_us=LATER_US + 1)
    assert subscription == directory.get_company(sold, "acme").company.subscription
    done = change(sold, SetAddOn("gb"), now_us=LATER_US + 1)
    assert (
        Subscription("max", NOW_US, add_ons=(AddOnSubscription("gb"),)) == done.company.subscription
    )


def test_a_reset_starts_a_generation(sold: PlaneStore) -> None:
    done = change(sold, ResetUsage())
    assert (2, company()) == (done.revision, done.company)
    before, after = generations(sold, LATER_US - 1, LATER_US)
    assert 0 == before < after


def test_resets_in_the_same_microsecond_differ(sold: PlaneStore) -> None:
    change(sold, ResetUsage())
    first = generations(sold, LATER_US)
    change(sold, ResetUsage())
    assert first < generations(sold, LATER_US)


@pytest.mark.parametrize("back_us", [1, CLOCK_BACK_US_MAX])
def test_a_clock_that_is_set_back_a_little_loses_no_reset(sold: PlaneStore, back_us: int) -> None:
    change(sold, ResetUsage())
    done = change(sold, ChangePlan("max"), now_us=LATER_US - back_us)
    assert LATER_US == done.effective_us
    assert [0] < generations(sold, LATER_US)


def test_a_clock_that_was_far_ahead_is_not_followed(sold: PlaneStore) -> None:
    change(sold, ChangePlan("max"), now_us=LATER_US + 365 * DAY_US)
    done = change(sold, SetAddOn("gb"))
    assert LATER_US == done.effective_us
    present = segment_at(done.snapshot, LATER_US)
    assert ("max", (AddOnSubscription("gb"),)) == (present.plan, present.add_ons)


REFUSED: dict[str, tuple[SubscriptionChange, type[FieldError], str]] = {
    "a plan that is not sold": (ChangePlan("none"), InvalidInput, "plan.plan"),
    "an add-on that is not sold": (SetAddOn("none"), InvalidInput, "add_on.add_on"),
    "an add-on that is not sold, not at all": (
        SetAddOn("none", 0),
        InvalidInput,
        "add_on.add_on",
    ),
}


@pytest.mark.parametrize(("wanted", "kind", "field"), REFUSED.values(), ids=REFUSED)
def test_refused(
    sold: PlaneStore, wanted: SubscriptionChange, kind: type[FieldError], field: str
) -> None:
    with pytest.raises(FieldError) as refused:
        change(sold, wanted)
    assert (kind, field) == (type(refused.value), refused.value.field)
    assert 1 == revision(sold)


@pytest.mark.parametrize("name", ["nobody", "free"])
def test_a_company_without_a_subscription_is_not_found(sold: PlaneStore, name: str) -> None:
    with pytest.raises(NotFound) as refused:
        change_subscription(sold, name, PauseSubscription(), NOW, LATER_US)
    assert "company" == refused.value.field


def test_a_rule_that_would_be_broken_refuses(sold: PlaneStore) -> None:
    changes = tuple(ScheduledChange(LATER_US + at, "max") for at in range(1, CHANGES_MAX + 1))
    subscription = Subscription("pro", NOW_US, changes=changes)
    apply.apply(sold, Desired(companies=(Company("acme", subscription=subscription),)), NOW_US)
    with pytest.raises(FailedPrecondition) as refused:
        change(sold, ChangePlan("max"), When(ChangeTime.AT, LATER_US + DAY_US))
    assert "plan" == refused.value.field
    assert "subscription.changes: must be at most 100, is 101" == refused.value.message


def test_what_is_meant_for_the_period_end_is_there_after_another_anchor_is_applied(
    sold: PlaneStore,
) -> None:
    meant = Subscription("pro", NOW_US, cancel_us=LATER_US, cancel_at_period_end=True)
    apply.apply(sold, Desired(companies=(Company("acme", subscription=meant),)), NOW_US)
    ends_us = directory.get_company(sold, "acme").company.subscription
    moved = msgspec.structs.replace(meant, anchor_us=NOW_US - DAY_US)
    apply.apply(sold, Desired(companies=(Company("acme", subscription=moved),)), NOW_US)
    stored = directory.get_company(sold, "acme")
    subscription = stored.company.subscription
    assert subscription is not None
    assert ends_us is not None
    assert ends_us.cancel_us is not None
    assert ends_us.cancel_us - DAY_US == subscription.cancel_us
    canceled = segment_at(stored.snapshot, ends_us.cancel_us - DAY_US)
    assert SubscriptionStatus.CANCELED is canceled.status


def test_what_the_file_takes_over_replaces_what_was_changed(sold: PlaneStore) -> None:
    change(sold, ChangePlan("max"))
    changed = directory.get_company(sold, "acme").snapshot
    taking = Desired(companies=(company(),), take_over=TakeOver(everything=True))
    applied = apply.apply(sold, taking, LATER_US + 5)
    stored = directory.get_company(sold, "acme")
    assert (3, 1) == (applied.revision, applied.changed)
    assert company() == stored.company
    assert continue_snapshot(changed, company(), 3, LATER_US + 5) == stored.snapshot
    assert ["pro", "max", "pro"] == [segment.plan for segment in segments_of(stored.snapshot)]


def test_a_file_that_moves_the_anchor_moves_a_cancellation_at_the_period_end_once(
    sold: PlaneStore,
) -> None:
    change(sold, CancelSubscription(), PERIOD_END)
    moved = Company("acme", subscription=Subscription("pro", NOW_US - DAY_US))
    applied = apply.apply(sold, Desired(companies=(moved,)), LATER_US)
    subscription = directory.get_company(sold, "acme").company.subscription
    assert subscription is not None
    end_us = billing_period(subscription, LATER_US, "UTC").end_us
    assert (end_us, True) == (subscription.cancel_us, subscription.cancel_at_period_end)
    again = apply.apply(sold, Desired(companies=(moved,)), LATER_US + 1)
    assert (applied.revision, 0) == (again.revision, again.changed)
