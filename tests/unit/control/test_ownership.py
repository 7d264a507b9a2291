"""What a file and the API make of a company; each test is named by its outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from sidecar.control.rules.ownership import (
    TakeOver,
    owners_after_call,
)
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.services.timelines import prorating_of, with_timeline
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import Owner, StoredCompany
from sidecar.domain.catalog.model import Catalog, EntitlementGrant
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    SubscriptionStatus,
)
from sidecar.domain.company.subscription_changes import (
    NOW,
    CancelSubscription,
    ChangePlan,
    MarkPastDue,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.units import DAY_US
from tests.unit.control.owned import (
    ALL,
    AT_NEXT,
    CALL_US,
    LATER_US,
    NEXT_US,
    SEAT,
    SEATS,
    SOLD,
    bought,
    call,
    fields_in,
    given,
    start,
    stored,
    subscription,
)
from tests.unit.control.support import NOW_US

LIVE: Final[dict[str, tuple[Company, SubscriptionChange, When, str]]] = {
    "a plan": (bought(), ChangePlan("max"), NOW, "plan"),
    "a plan that is planned": (bought(), ChangePlan("max"), AT_NEXT, "plan"),
    "an add-on of the file": (bought(add_ons=SEAT), SetAddOn("seat", 3), NOW, "add_ons.seat"),
    "an add-on that is dropped": (bought(add_ons=SEAT), SetAddOn("seat", 0), NOW, "add_ons.seat"),
    "a planned quantity": (bought(add_ons=SEAT), SetAddOn("seat", 3), AT_NEXT, "add_ons.seat"),
    "a pause of the file that is ended": (
        bought(pause=Pause(NOW_US, NEXT_US)),
        ResumeSubscription(),
        NOW,
        "pause",
    ),
    "a cancellation that is taken back": (
        bought(cancel_us=NEXT_US),
        RenewSubscription(),
        NOW,
        "cancel_at",
    ),
    "the end of a term": (bought(ends_us=NEXT_US), RenewSubscription(NEXT_US + 1), NOW, "ends_at"),
    "a grace": (
        bought(past_due=PastDue(NOW_US, NEXT_US)),
        MarkPastDue(NEXT_US + DAY_US),
        NOW,
        "past_due",
    ),
}


@pytest.mark.parametrize(("file", "change", "when", "field"), LIVE.values(), ids=LIVE)
def test_what_a_call_changed_stays_and_the_difference_is_told(
    store: PlaneStore, file: Company, change: SubscriptionChange, when: When, field: str
) -> None:
    start(store, file)
    call(store, change, when)
    before = stored(store)
    applied = given(store, file)
    assert [field] == fields_in(applied.conflicts)
    owner = applied.conflicts[0].owner
    assert (Owner.API, CALL_US, "ChangeSubscription") == (owner.owner, owner.since_us, owner.call)
    assert (2, 0, 1) == (applied.revision, applied.changed, applied.conflicted)
    assert before == stored(store)


@pytest.mark.parametrize(("file", "change", "when", "field"), LIVE.values(), ids=LIVE)
@pytest.mark.parametrize("by", ["everything", "company", "field"])
def test_what_is_taken_over_is_as_the_file_says_and_the_files_from_then_on(
    store: PlaneStore, file: Company, change: SubscriptionChange, when: When, field: str, by: str
) -> None:
    start(store, file)
    call(store, change, when)
    taken = {
        "everything": ALL,
        "company": TakeOver(companies=frozenset({"acme"})),
        "field": TakeOver(fields=frozenset({("acme", field)})),
    }[by]
    applied = given(store, file, take_over=taken)
    assert (3, 1, ()) == (applied.revision, applied.changed, applied.conflicts)
    assert (file, ()) == (stored(store).company, stored(store).owners)
    assert (0, 0) == (given(store, file).changed, given(store, file).conflicted)


UNTOLD: Final[dict[str, tuple[Company, SubscriptionChange, When]]] = {
    "an add-on": (bought(), SetAddOn("gb", 2), NOW),
    "an add-on that is planned": (bought(), SetAddOn("gb", 2), AT_NEXT),
    "a pause": (bought(), PauseSubscription(), NOW),
    "a cancellation": (bought(), CancelSubscription(), AT_NEXT),
    "a late payment": (bought(), MarkPastDue(), NOW),
    "a planned reset": (bought(), ResetUsage(), AT_NEXT),
}


@pytest.mark.parametrize(("file", "change", "when"), UNTOLD.values(), ids=UNTOLD)
def test_what_the_file_does_not_mention_stays_without_a_word(
    store: PlaneStore, file: Company, change: SubscriptionChange, when: When
) -> None:
    start(store, file)
    call(store, change, when)
    before = stored(store)
    for take_over in (TakeOver(), ALL):
        assert (0, 0) == (
            given(store, file, take_over=take_over).changed,
            given(store, file, take_over=take_over).conflicted,
        )
    assert before.company == stored(store).company


def test_a_field_that_is_not_mentioned_is_taken_over_by_its_name_alone(store: PlaneStore) -> None:
    start(store, bought())
    call(store, SetAddOn("gb", 2))
    named = TakeOver(fields=frozenset({("acme", "add_ons.gb")}))
    assert 1 == given(store, bought(), take_over=named).changed
    assert (bought(), ()) == (stored(store).company, stored(store).owners)


def test_the_rest_of_a_file_is_applied_beside_a_conflict(store: PlaneStore) -> None:
    start(store, bought(add_ons=SEAT))
    call(store, ChangePlan("max"))
    renamed = msgspec.structs.replace(bought(add_ons=SEATS), name="Acme Ltd")
    applied = given(store, renamed)
    assert ["plan"] == fields_in(applied.conflicts)
    paths = {field.path for change in applied.changes for field in change.fields}
    assert {"name", "subscription.add_ons.seat"} == paths
    after = stored(store).company
    assert ("Acme Ltd", bought(plan="max", add_ons=SEATS).subscription) == (
        after.name,
        after.subscription,
    )


def test_what_a_file_and_a_call_plan_for_one_instant_both_happen(store: PlaneStore) -> None:
    planned = (ScheduledChange(NEXT_US, "max", SEATS, resets_usage=True),)
    file = bought(add_ons=SEAT, changes=planned)
    start(store, file)
    call(store, SetAddOn("gb", 2), AT_NEXT)
    assert (0, 0) == (given(store, file).changed, given(store, file).conflicted)
    later = bought(add_ons=SEAT, changes=(ScheduledChange(NEXT_US, add_ons=SEATS),))
    assert 0 == given(store, later).conflicted
    both = (AddOnSubscription("gb", 2), *SEATS)
    assert (ScheduledChange(NEXT_US, add_ons=both),) == subscription(store).changes


def test_a_planned_change_that_has_come_is_not_taken_back(store: PlaneStore) -> None:
    start(store, bought())
    call(store, ChangePlan("max", moves_anchor=True), AT_NEXT)
    after_us = NEXT_US + DAY_US
    for now_us in (after_us, after_us + DAY_US):
        applied = given(store, bought(), now_us)
        assert ["anchor", "plan"] == fields_in(applied.conflicts)
        assert 0 == applied.changed
    change_subscription(store, "acme", SetAddOn("gb"), NOW, after_us + 2 * DAY_US)
    assert ["anchor", "plan"] == fields_in(given(store, bought(), NEXT_US + 5 * DAY_US).conflicts)
    assert ("max", NEXT_US) == (subscription(store).plan, subscription(store).anchor_us)


def test_a_planned_change_of_the_file_that_has_come_is_not_told_anew(store: PlaneStore) -> None:
    file = bought(changes=(ScheduledChange(NEXT_US, "max", resets_usage=True, moves_anchor=True),))
    start(store, file)
    change_subscription(store, "acme", SetAddOn("gb"), NOW, NEXT_US + 1)
    before = stored(store)
    applied = given(store, file, NEXT_US + 2)
    assert (0, 0) == (applied.changed, applied.conflicted)
    assert before == stored(store)


def test_a_pause_by_call_that_moves_the_anchor_keeps_it_moved(store: PlaneStore) -> None:
    start(store, bought())
    call(store, PauseSubscription(NEXT_US, moves_anchor=True))
    assert ["anchor"] == fields_in(given(store, bought(), NEXT_US - 1).conflicts)
    given(store, msgspec.structs.replace(bought(), name="Acme"), NEXT_US + 1)
    assert ["anchor"] == fields_in(given(store, bought(), NEXT_US + 2).conflicts)
    phases = [(phase.status, phase.anchor_us) for phase in stored(store).snapshot.phases]
    assert (SubscriptionStatus.ACTIVE, NEXT_US) == phases[-1]


def test_a_file_that_says_later_what_a_call_did_agrees_and_the_field_stays_the_apis(
    store: PlaneStore,
) -> None:
    start(store, bought())
    call(store, ChangePlan("max"))
    assert (0, 0) == (
        given(store, bought(plan="max")).changed,
        given(store, bought(plan="max")).conflicted,
    )
    assert ["plan"] == fields_in(given(store, bought()).conflicts)
    taken = given(store, bought(plan="max"), take_over=ALL)
    assert (2, 0) == (taken.revision, taken.changed)
    assert () == stored(store).owners
    assert (1, 0) == (given(store, bought()).changed, given(store, bought()).conflicted)


def test_a_field_of_the_file_that_it_does_not_mention_any_more_is_at_its_default(
    store: PlaneStore,
) -> None:
    start(store, bought(add_ons=SEAT, cancel_us=NEXT_US))
    call(store, ChangePlan("max"))
    given(store, bought())
    assert bought(plan="max").subscription == subscription(store)


def test_an_override_with_an_id_is_the_apis_and_one_without_the_files(store: PlaneStore) -> None:
    granted = Override(EntitlementGrant("sso", enabled=True, id="g1"), granted_us=CALL_US)
    own = Override(EntitlementGrant("tokens"))
    start(store, bought(overrides=(own,)))
    held = stored(store)
    both = msgspec.structs.replace(held.company, overrides=(granted, own))
    with store.write() as transaction:  # as a version before would have left it
        revision = transaction.next_revision()
        prorating = prorating_of(transaction)
        transaction.put_companies([with_timeline(both, revision, CALL_US, held, prorating)])
    assert (0, 0) == (given(store, bought(overrides=(own,))).changed, 0)
    given(store, bought())
    assert (granted,) == stored(store).company.overrides
    named = TakeOver(fields=frozenset({("acme", "overrides.sso.g1")}))
    given(store, bought(), take_over=named)
    assert () == stored(store).company.overrides


def test_a_catalog_cannot_lose_the_plan_that_a_call_gave_a_company_of_the_file(
    store: PlaneStore,
) -> None:
    start(store, bought())
    call(store, ChangePlan("max"))
    without = Catalog(SOLD.features, SOLD.plans[1:], SOLD.add_ons)
    with pytest.raises(InvalidInput) as caught:
        apply.apply(store, Desired(without, (bought(),)), LATER_US)
    assert "company 'acme', with what the API changed of it (subscription.plan)" in str(
        caught.value
    )


def test_nothing_is_changed_where_conflicts_are_to_be_refused(store: PlaneStore) -> None:
    start(store, bought())
    call(store, ChangePlan("max"))
    file = msgspec.structs.replace(bought(), name="Acme Ltd")
    desired = Desired(companies=(file,), refuse_conflicts=True)
    applied = apply.apply(store, desired, LATER_US)
    assert (True, 2, 1, 1) == (
        applied.refused,
        applied.revision,
        applied.changed,
        applied.conflicted,
    )
    assert "" == stored(store).company.name


def test_a_company_that_was_removed_and_comes_back_is_the_files(store: PlaneStore) -> None:
    start(store, bought())
    call(store, ChangePlan("max"))
    apply.apply(store, Desired(remove=("acme",)), LATER_US)
    given(store, bought())
    assert (bought(), ()) == (stored(store).company, stored(store).owners)


def test_owners_of_fields_that_are_gone_are_forgotten_past_a_bound(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.control.rules.ownership.OWNERS_MAX", 2)
    start(store, bought())
    make: Callable[[str], Company] = lambda key: bought(add_ons=(AddOnSubscription(key),))  # noqa: E731
    held = stored(store)
    for at, key in enumerate("abcd"):
        owners = owners_after_call(held, make(key), "ChangeSubscription", NOW_US + at)
        held = StoredCompany(make(key), held.snapshot, NOW_US, owners)
    assert [("add_ons", "c"), ("add_ons", "d")] == [owner.path for owner in held.owners]
