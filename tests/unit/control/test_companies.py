"""Creating companies by a call; each test is named by its outcome."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.companies import create_company
from sidecar.control.services.subscriptions import change_subscription, try_change
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import Owner
from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.domain.catalog.plan_terms import Trial
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    ChangePlan,
    ChangeTime,
    MarkPastDue,
    ResetUsage,
    When,
)
from sidecar.domain.errors import Conflict, InvalidInput, NotFound
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import NOW_US, company, set_up


def test_a_company_is_created_once_and_is_the_apis(store: PlaneStore) -> None:
    set_up(store)
    first = create_company(store, company("acme"), NOW_US)
    again = create_company(store, company("acme"), NOW_US + 1)
    assert (2, True, 2, False) == (first.revision, first.created, again.revision, again.created)
    stored = directory.get_company(store, "acme")
    assert company("acme") == stored.company
    assert [(), ("anchor",), ("plan",)] == [owner.path for owner in stored.owners]
    assert {"CreateCompany"} == {owner.call for owner in stored.owners}


def test_another_one_of_its_name_is_refused(store: PlaneStore) -> None:
    set_up(store, "acme")
    other = msgspec.structs.replace(company("acme"), time_zone="Europe/Berlin")
    with pytest.raises(Conflict) as caught:
        create_company(store, other, NOW_US)
    assert ("company.id", "ALREADY_EXISTS") == (caught.value.field, caught.value.reason)


def test_a_dry_run_creates_nothing(store: PlaneStore) -> None:
    set_up(store)
    assert create_company(store, company("acme"), NOW_US, dry_run=True).created
    with pytest.raises(NotFound):
        directory.get_company(store, "acme")
    with pytest.raises(InvalidInput) as caught:
        create_company(store, company("acme", "none"), NOW_US, dry_run=True)
    assert "company.subscription.plan" == caught.value.field


def test_what_does_not_fit_the_catalog_is_refused(store: PlaneStore) -> None:
    set_up(store)
    wrong = msgspec.structs.replace(company("acme"), subscription=Subscription("none", NOW_US))
    with pytest.raises(InvalidInput) as caught:
        create_company(store, wrong, NOW_US)
    assert "company.subscription.plan" == caught.value.field


def test_one_that_was_removed_goes_on_with_its_usage(store: PlaneStore) -> None:
    set_up(store, "acme")
    change_subscription(store, "acme", ResetUsage(), NOW, NOW_US + 1)
    before = directory.get_company(store, "acme").snapshot
    apply.apply(store, Desired(remove=("acme",)), NOW_US + 2)
    create_company(store, company("acme"), NOW_US + 3)
    assert before.phases == directory.get_company(store, "acme").snapshot.phases


def test_a_file_that_names_it_agrees_and_leaves_it_the_apis(store: PlaneStore) -> None:
    set_up(store)
    create_company(store, company("acme"), NOW_US)
    applied = apply.apply(store, Desired(companies=(company("acme"),), prune=True), NOW_US)
    assert (0, 0) == (applied.changed, applied.conflicted)
    applied = apply.apply(store, Desired(prune=True), NOW_US)
    assert (0, 1) == (applied.changed, applied.conflicted)


def test_what_the_plane_sets_is_no_difference(store: PlaneStore) -> None:
    plans = (Plan("trial", trial=Trial(DAY_US, becomes_active=True)),)
    apply.apply(store, Desired(Catalog(plans=plans)), NOW_US)
    asked = Company("acme", subscription=Subscription("trial"))
    first = create_company(store, asked, NOW_US)
    again = create_company(store, asked, NOW_US + DAY_US)
    bought = first.company.subscription
    assert bought is not None
    assert (NOW_US + DAY_US, NOW_US + DAY_US) == (bought.anchor_us, bought.trial_ends_us)
    assert (True, False, bought) == (first.created, again.created, again.company.subscription)
    owners = {owner.path: owner.owner for owner in directory.get_company(store, "acme").owners}
    assert Owner.PLANE is owners["trial",]


def test_one_without_a_plan_is_refused_where_it_would_lose_the_default_plan(
    store: PlaneStore,
) -> None:
    plans = (Plan("free"), Plan("pro", trial=Trial(DAY_US, end_plan="free")))
    apply.apply(store, Desired(Catalog(plans=plans)), NOW_US)
    assert create_company(store, Company("before"), NOW_US).created
    apply.apply(store, Desired(Catalog(plans=plans, default_plan="free")), NOW_US)
    with pytest.raises(InvalidInput, match=r"default plan 'free'.*name a plan") as caught:
        create_company(store, Company("acme"), NOW_US)
    assert "company.subscription" == caught.value.field
    assert not create_company(store, Company("before"), NOW_US).created


def test_a_change_of_plan_begins_a_subscription_where_there_is_none(store: PlaneStore) -> None:
    plans = (Plan("free"), Plan("pro", trial=Trial(DAY_US, end_plan="free")))
    apply.apply(store, Desired(Catalog(plans=plans)), NOW_US)
    create_company(store, Company("acme", name="Acme"), NOW_US)
    for when in (PERIOD_END, When(ChangeTime.AT, NOW_US + DAY_US)):
        with pytest.raises(NotFound, match="a change of plan now begins one"):
            change_subscription(store, "acme", ChangePlan("pro"), when, NOW_US + 1)
    with pytest.raises(InvalidInput, match="no plan 'prow'"):
        change_subscription(store, "acme", ChangePlan("prow"), NOW, NOW_US + 1)
    begins_us = NOW_US + 2
    tried = try_change(store, "acme", ChangePlan("pro"), NOW, begins_us)
    done = change_subscription(store, "acme", ChangePlan("pro"), NOW, begins_us)
    bought = done.company.subscription
    assert bought is not None
    assert tried.company == done.company
    assert ("Acme", "pro", begins_us + DAY_US, begins_us + DAY_US, "free") == (
        done.company.name,
        bought.plan,
        bought.anchor_us,
        bought.trial_ends_us,
        bought.trial_end_plan,
    )
    owners = {owner.path: owner.owner for owner in directory.get_company(store, "acme").owners}
    assert (Owner.API, Owner.PLANE) == (owners["plan",], owners["trial",])
    assert change_subscription(store, "acme", ChangePlan("pro"), NOW, begins_us + 1).unchanged


def test_creating_again_does_no_harm_after_calls_have_changed_it(store: PlaneStore) -> None:
    set_up(store)
    create_company(store, company("acme"), NOW_US)
    change_subscription(store, "acme", MarkPastDue(), NOW, NOW_US + 1)
    late = directory.get_company(store, "acme")
    again = create_company(store, company("acme"), NOW_US + 2)
    assert (False, late) == (again.created, directory.get_company(store, "acme"))
    named = msgspec.structs.replace(company("acme"), name="Acme")
    with pytest.raises(Conflict, match="'acme' is there already, and its name is not so"):
        create_company(store, named, NOW_US + 3)


def test_creating_one_that_a_file_gave_otherwise_is_refused_also_after_calls(
    store: PlaneStore,
) -> None:
    set_up(store, "acme")
    change_subscription(store, "acme", MarkPastDue(), NOW, NOW_US + 1)
    with pytest.raises(Conflict, match="its past_due is not so"):
        create_company(store, company("acme"), NOW_US + 2)
