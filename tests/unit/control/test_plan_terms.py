"""Companies that say nothing of anchor, trial and grace: what is set, told, and stays."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import pytest

from sidecar.control.rules.ownership import TakeOver
from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Applied, Desired
from sidecar.control.services.companies import create_company
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Plan,
)
from sidecar.domain.catalog.plan_terms import Grace, Trial
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    PastDue,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    EndTrial,
    ExtendTrial,
    MarkPaid,
    MarkPastDue,
    RenewSubscription,
    SetAddOn,
)
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.difference.changes import ChangeAction
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import NOW_US

LENGTH_US: Final = 14 * DAY_US
CATALOG: Final = Catalog(
    plans=(
        Plan("free"),
        Plan("pro", trial=Trial(LENGTH_US, end_plan="free"), grace=Grace(LENGTH_US, "free")),
    )
)
LATER_US: Final = NOW_US + DAY_US
ENDS_US: Final = NOW_US + LENGTH_US


def acme(**fields: Any) -> Company:
    return Company("acme", subscription=msgspec.structs.replace(Subscription("pro"), **fields))


def applied(store: PlaneStore, company: Company, now_us: int = NOW_US) -> Applied:
    return apply.apply(store, Desired(CATALOG, (company,)), now_us)


def held(store: PlaneStore) -> Subscription:
    subscription = directory.get_company(store, "acme").company.subscription
    assert subscription is not None
    return subscription


def in_force(store: PlaneStore, at_us: int) -> tuple[str, SubscriptionStatus]:
    segment = segment_at(directory.get_company(store, "acme").snapshot, at_us)
    return segment.plan, segment.status


def test_a_new_company_begins_now_with_the_plans_trial_and_is_told_so(store: PlaneStore) -> None:
    told = applied(store, acme())
    (change,) = (change for change in told.changes if change.kind == "company")
    assert change.action is ChangeAction.CREATED
    assert [(field.path, field.after) for field in change.fields] == [
        ("subscription.anchor", "2025-12-08T16:00:00Z"),
        ("subscription.trial_ends_at", "2025-12-08T16:00:00Z"),
        ("subscription.trial_end_status", "ACTIVE"),
        ("subscription.trial_end_plan", "free"),
    ]
    assert in_force(store, NOW_US) == ("pro", SubscriptionStatus.TRIALING)
    assert in_force(store, NOW_US + LENGTH_US) == ("free", SubscriptionStatus.ACTIVE)


@pytest.mark.parametrize("now_us", [LATER_US, NOW_US + LENGTH_US + DAY_US])
def test_applying_the_same_again_changes_nothing(store: PlaneStore, now_us: int) -> None:
    applied(store, acme())
    before = directory.get_company(store, "acme")
    assert applied(store, acme(), now_us).changed == 0
    assert directory.get_company(store, "acme") == before


def test_another_change_of_the_file_leaves_what_was_set(store: PlaneStore) -> None:
    applied(store, acme())
    begun = held(store)
    renamed = msgspec.structs.replace(acme(), name="Acme")
    assert applied(store, renamed, LATER_US).changed == 1
    assert held(store) == begun


REPEATED: Final[dict[str, Company]] = {
    "nothing": acme(),
    "a trial": acme(anchor_us=ENDS_US, trial_ends_us=ENDS_US, trial_end_plan="free"),
}


@pytest.mark.parametrize("repeated", REPEATED.values(), ids=REPEATED)
@pytest.mark.parametrize("created", [False, True])
def test_a_file_that_repeats_what_was_set_claims_nothing(
    store: PlaneStore, repeated: Company, created: bool
) -> None:
    apply.apply(store, Desired(CATALOG), NOW_US)
    if created:
        create_company(store, acme(), NOW_US)
    applied(store, acme())
    before = directory.get_company(store, "acme")
    repeated = msgspec.structs.replace(before.company, subscription=repeated.subscription)
    for take_over in (TakeOver(), TakeOver(everything=not created)):
        for company in (repeated, acme()):
            desired = Desired(companies=(company,), take_over=take_over)
            assert 0 == apply.apply(store, desired, LATER_US).changed
            assert before == directory.get_company(store, "acme")
    assert in_force(store, NOW_US + LENGTH_US) == ("free", SubscriptionStatus.ACTIVE)


def test_a_file_that_takes_a_trial_over_by_its_name_has_it(store: PlaneStore) -> None:
    applied(store, acme())
    begun = directory.get_company(store, "acme").company
    named = TakeOver(fields=frozenset({("acme", "trial")}))
    desired = Desired(companies=(begun,), take_over=named)
    assert 0 == apply.apply(store, desired, LATER_US).changed
    assert applied(store, acme(), LATER_US).changed == 1
    assert held(store).trial_ends_us is None


def test_a_trial_that_ended_as_bought_does_not_come_back_with_a_file_of_before(
    store: PlaneStore,
) -> None:
    applied(store, acme())
    exported = directory.get_company(store, "acme").company
    done = change_subscription(store, "acme", EndTrial(), NOW, LATER_US)
    assert (False, ("pro", SubscriptionStatus.ACTIVE)) == (
        done.unchanged,
        in_force(store, NOW_US + LENGTH_US),
    )
    for company, conflicts in ((acme(), 0), (exported, 2), (acme(), 0), (exported, 2)):
        told = applied(store, company, LATER_US + 1)
        assert (0, conflicts) == (told.changed, told.conflicted)
    with pytest.raises(FailedPrecondition, match="no trial runs"):
        change_subscription(store, "acme", EndTrial(), NOW, LATER_US + 2)
    assert held(store).anchor_us == LATER_US, "the first month that is paid is a whole one"


def test_a_trial_that_the_file_says_later_takes_the_place_of_the_plans(store: PlaneStore) -> None:
    applied(store, acme())
    own = acme(trial_ends_us=LATER_US, trial_end_status=SubscriptionStatus.ACTIVE)
    applied(store, own, NOW_US + 1)
    assert held(store).trial_ends_us == LATER_US
    applied(store, acme(), NOW_US + 2)
    assert held(store).trial_ends_us is None, "it is the file's since it said it"


def test_a_company_that_changes_to_the_plan_gets_no_trial(store: PlaneStore) -> None:
    applied(store, Company("acme", subscription=Subscription("free")))
    applied(store, acme(), LATER_US)
    assert (held(store).trial_ends_us, held(store).anchor_us) == (None, NOW_US)


def test_a_company_that_is_removed_and_comes_back_gets_no_second_trial(store: PlaneStore) -> None:
    applied(store, acme())
    apply.apply(store, Desired(remove=("acme",)), LATER_US)
    applied(store, acme(), LATER_US + 1)
    assert held(store).trial_ends_us is None


@pytest.mark.parametrize("created", [False, True])
def test_a_company_that_comes_back_goes_on_with_its_billing_cycle_and_its_usage(
    store: PlaneStore, created: bool
) -> None:
    applied(store, acme())
    before = segment_at(directory.get_company(store, "acme").snapshot, LATER_US)
    apply.apply(store, Desired(remove=("acme",)), LATER_US)
    if created:
        create_company(store, acme(), LATER_US + 1)
    else:
        applied(store, acme(), LATER_US + 1)
    after = segment_at(directory.get_company(store, "acme").snapshot, LATER_US + 1)
    assert (before.anchor_us, before.generation, before.anchored_generation) == (
        after.anchor_us,
        after.generation,
        after.anchored_generation,
    )
    assert after.status is SubscriptionStatus.ACTIVE


def test_a_company_that_comes_back_with_an_anchor_starts_anew(store: PlaneStore) -> None:
    applied(store, acme())
    apply.apply(store, Desired(remove=("acme",)), LATER_US)
    applied(store, acme(anchor_us=LATER_US + 1), LATER_US + 1)
    assert (held(store).anchor_us, held(store).trial_ends_us) == (LATER_US + 1, None)


@pytest.mark.parametrize("created", [False, True])
def test_the_first_month_that_is_paid_is_a_whole_one(store: PlaneStore, created: bool) -> None:
    sold = Catalog(plans=(Plan("pro", trial=Trial(LENGTH_US, becomes_active=True)),))
    apply.apply(store, Desired(sold), NOW_US)
    if created:
        create_company(store, acme(), NOW_US)
    else:
        apply.apply(store, Desired(companies=(acme(),)), NOW_US)
    ended = change_subscription(store, "acme", CancelSubscription(), PERIOD_END, LATER_US)
    assert ended.effective_us == ENDS_US, "the period of a trial ends with it"
    change_subscription(store, "acme", RenewSubscription(), NOW, LATER_US)
    ended = change_subscription(store, "acme", CancelSubscription(), PERIOD_END, ENDS_US)
    assert ended.effective_us == ENDS_US + 31 * DAY_US


def test_the_first_month_moves_along_with_an_extended_trial(store: PlaneStore) -> None:
    applied(store, acme())
    until_us = ENDS_US + 3 * DAY_US
    change_subscription(store, "acme", ExtendTrial(until_us), NOW, LATER_US)
    snapshot = directory.get_company(store, "acme").snapshot
    assert segment_at(snapshot, until_us - 1).status is SubscriptionStatus.TRIALING
    assert segment_at(snapshot, until_us).anchor_us == until_us


def test_an_anchor_that_is_said_stays_with_a_trial(store: PlaneStore) -> None:
    applied(store, acme(anchor_us=LATER_US))
    assert (held(store).trial_ends_us, held(store).anchor_us) == (ENDS_US, LATER_US)


def test_what_a_call_does_with_the_trial_stays(store: PlaneStore) -> None:
    applied(store, acme())
    until_us = NOW_US + LENGTH_US + DAY_US
    change_subscription(store, "acme", ExtendTrial(until_us), NOW, LATER_US)
    assert applied(store, acme(), LATER_US + 1).changed == 0
    assert held(store).trial_ends_us == until_us


def test_a_late_payment_has_the_plans_grace_and_is_followed_by_its_plan(store: PlaneStore) -> None:
    applied(store, acme(anchor_us=NOW_US - 1))
    change_subscription(store, "acme", MarkPastDue(), NOW, NOW_US)
    change_subscription(store, "acme", MarkPastDue(), NOW, LATER_US)
    assert held(store).past_due == PastDue(NOW_US, NOW_US + LENGTH_US, "free")
    assert in_force(store, NOW_US + LENGTH_US) == ("free", SubscriptionStatus.ACTIVE)
    change_subscription(store, "acme", MarkPaid(), NOW, NOW_US + LENGTH_US + 1)
    assert in_force(store, NOW_US + LENGTH_US + 1) == ("pro", SubscriptionStatus.ACTIVE)


def test_a_late_payment_of_the_file_has_the_plans_grace_too(store: PlaneStore) -> None:
    late = acme(anchor_us=NOW_US - 1, past_due=PastDue(NOW_US))
    applied(store, late)
    assert held(store).past_due == PastDue(NOW_US, NOW_US + LENGTH_US, "free")
    assert applied(store, late, LATER_US).changed == 0


def test_a_plan_that_follows_has_to_be_there(store: PlaneStore) -> None:
    applied(store, acme())
    change = MarkPastDue(NOW_US + LENGTH_US, "fre")
    with pytest.raises(InvalidInput, match="no plan 'fre'; did you mean 'free'") as refused:
        change_subscription(store, "acme", change, NOW, LATER_US)
    assert refused.value.field == "past_due.grace_end_plan"
    with pytest.raises(InvalidInput, match="no plan 'free'"):
        apply.apply(store, Desired(Catalog(plans=CATALOG.plans[1:])), LATER_US)


def test_buying_after_the_trial_ends_what_followed_it(store: PlaneStore) -> None:
    applied(store, acme())
    after_us = NOW_US + LENGTH_US + DAY_US
    change_subscription(store, "acme", ChangePlan("pro"), NOW, after_us)
    assert in_force(store, after_us) == ("pro", SubscriptionStatus.ACTIVE)
    assert held(store).trial_end_plan == ""


def with_seats(store: PlaneStore, company: Company) -> None:
    seats = AddOn("seats", entitlements=(AddOnEntitlement(EntitlementGrant("sso", enabled=True)),))
    content = msgspec.structs.replace(
        CATALOG, features=(Feature("sso", FeatureKind.BOOLEAN),), add_ons=(seats,)
    )
    apply.apply(store, Desired(content, (company,)), NOW_US)


def test_who_fell_back_after_a_trial_can_buy_an_add_on_of_the_plan_that_followed(
    store: PlaneStore,
) -> None:
    with_seats(store, acme())
    after_us = NOW_US + LENGTH_US + 1
    change_subscription(store, "acme", SetAddOn("seats", 2), NOW, after_us)
    segment = segment_at(directory.get_company(store, "acme").snapshot, after_us)
    assert ("free", (AddOnSubscription("seats", 2),)) == (segment.plan, segment.add_ons)
    assert 0 == held(store).plan_version


def test_what_is_bought_on_the_plan_after_a_grace_says_that_it_waits_for_the_payment(
    store: PlaneStore,
) -> None:
    with_seats(store, acme(trial_ends_us=None, anchor_us=NOW_US - DAY_US))
    change_subscription(store, "acme", MarkPastDue(), NOW, NOW_US)
    after_us = NOW_US + LENGTH_US + 1
    done = change_subscription(store, "acme", SetAddOn("seats", 2), NOW, after_us)
    (note,) = done.notes
    assert note.startswith("plan free is in force since the grace ended")
    assert () == segment_at(done.snapshot, after_us).add_ons
    paid = change_subscription(store, "acme", MarkPaid(), NOW, after_us + 1)
    assert (AddOnSubscription("seats", 2),) == segment_at(paid.snapshot, after_us + 1).add_ons


def test_a_plan_that_is_bought_after_a_trial_says_which_add_ons_it_lacks(store: PlaneStore) -> None:
    with_seats(store, acme())
    change_subscription(store, "acme", SetAddOn("seats", 2), NOW, NOW_US + 1)
    after_us = NOW_US + LENGTH_US + 1
    done = change_subscription(store, "acme", ChangePlan("pro"), NOW, after_us)
    assert any(note.startswith("add-ons of the trial are not bought") for note in done.notes)
    assert () == segment_at(done.snapshot, after_us).add_ons


def test_a_longer_grace_is_followed_by_the_same_plan(store: PlaneStore) -> None:
    applied(store, acme(anchor_us=NOW_US - DAY_US))
    change_subscription(store, "acme", MarkPastDue(), NOW, NOW_US)
    longer_us = NOW_US + LENGTH_US + DAY_US
    change_subscription(store, "acme", MarkPastDue(longer_us), NOW, NOW_US + 1)
    assert ("pro", SubscriptionStatus.PAST_DUE) == in_force(store, longer_us - 1)
    assert ("free", SubscriptionStatus.ACTIVE) == in_force(store, longer_us)


def test_a_grace_that_support_says_first_is_followed_by_what_the_plan_says(
    store: PlaneStore,
) -> None:
    applied(store, acme(anchor_us=NOW_US - DAY_US))
    change_subscription(store, "acme", MarkPastDue(NOW_US + DAY_US), NOW, NOW_US)
    assert ("free", SubscriptionStatus.ACTIVE) == in_force(store, NOW_US + DAY_US)
