"""Bringing catalog and companies to a state; each test is named by its outcome."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from sidecar.control.services import apply, directory, stored_catalog
from sidecar.control.services.apply import Applied, Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    Catalog,
    Dimension,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.difference.changes import Change, ChangeAction, FieldChange
from sidecar.domain.errors import InvalidInput, NotFound
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.support import CATALOG, NOW_US, company, set_up

CREATED, UPDATED, REMOVED = ChangeAction.CREATED, ChangeAction.UPDATED, ChangeAction.REMOVED


def _kinds(applied: Applied) -> list[tuple[str, str, ChangeAction]]:
    return [(change.kind, change.key, change.action) for change in applied.changes]


def _ids(store: PlaneStore) -> list[str]:
    companies, _ = directory.list_companies(store, "", 100)
    return [found.company.id for found in companies]


def _without(*plans: str, features: Sequence[str] = ()) -> Catalog:
    return Catalog(
        tuple(feature for feature in CATALOG.features if feature.key not in features),
        tuple(plan for plan in CATALOG.plans if plan.key not in plans),
    )


def test_a_first_state_is_created_in_one_revision(store: PlaneStore) -> None:
    applied = apply.apply(store, Desired(CATALOG, (company("b"), company("a"))), NOW_US)
    expected = [
        ("feature", "calls", CREATED),
        ("feature", "sso", CREATED),
        ("feature", "tokens", CREATED),
        ("plan", "pro", CREATED),
        ("company", "a", CREATED),
        ("company", "b", CREATED),
    ]
    assert expected == _kinds(applied)
    assert (1, 6, 0) == (applied.revision, applied.changed, applied.unchanged)


def test_the_same_again_changes_nothing_and_keeps_the_revision(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    again = apply.apply(store, Desired(CATALOG, (company("b"), company("a"))), NOW_US)
    assert Applied(1, (), 0, 6, again.warnings) == again


def test_another_order_is_the_same(store: PlaneStore) -> None:
    set_up(store)
    (plan,) = CATALOG.plans
    shuffled = Catalog(
        CATALOG.features[::-1],
        (msgspec.structs.replace(plan, entitlements=plan.entitlements[::-1]),),
    )
    assert 0 == apply.apply(store, Desired(shuffled), NOW_US).changed


def test_an_update_tells_its_fields(store: PlaneStore) -> None:
    set_up(store, "acme")
    renamed = msgspec.structs.replace(company(), name="Acme Ltd")
    applied = apply.apply(store, Desired(companies=(renamed,)), NOW_US)
    change = Change("company", "acme", UPDATED, (FieldChange("name", None, "Acme Ltd"),))
    assert Applied(2, (change,), 1, 0) == applied
    assert renamed == directory.get_company(store, "acme").company


def test_companies_not_given_stay(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    apply.apply(store, Desired(companies=(company("c"),)), NOW_US)
    assert ["a", "b", "c"] == _ids(store)


def test_prune_removes_companies_not_given(store: PlaneStore) -> None:
    set_up(store, "a", "b", "c")
    applied = apply.apply(store, Desired(companies=(company("b"),), prune=True), NOW_US)
    assert [("company", "a", REMOVED), ("company", "c", REMOVED)] == _kinds(applied)
    assert (2, 1) == (applied.changed, applied.unchanged)
    assert ["b"] == _ids(store)
    with pytest.raises(NotFound):
        directory.get_company(store, "a")


def test_an_update_holds_from_now_on_and_the_past_stays(store: PlaneStore) -> None:
    set_up(store, "acme")
    before = directory.get_company(store, "acme").snapshot
    berlin = msgspec.structs.replace(company(), time_zone="Europe/Berlin")
    apply.apply(store, Desired(companies=(berlin,)), NOW_US + 5)
    stored = directory.get_company(store, "acme")
    assert continue_snapshot(before, berlin, 2, NOW_US + 5) == stored.snapshot
    assert ["UTC", "Europe/Berlin"] == [one.time_zone for one in segments_of(stored.snapshot)]


def test_a_company_that_did_not_change_keeps_its_timeline(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    before = directory.get_company(store, "a")
    apply.apply(store, Desired(companies=(company("a"), company("c"))), NOW_US + 5)
    assert before == directory.get_company(store, "a")


def test_a_removed_company_that_comes_back_goes_on_where_it_was(store: PlaneStore) -> None:
    set_up(store, "acme")
    change_subscription(store, "acme", ResetUsage(), NOW, NOW_US + 1)
    before = directory.get_company(store, "acme").snapshot
    apply.apply(store, Desired(remove=("acme",)), NOW_US + 2)
    apply.apply(store, Desired(companies=(company(), company("new"))), NOW_US + 3)
    after = directory.get_company(store, "acme").snapshot
    assert (4, before.phases) == (after.version, after.phases)
    assert compile_snapshot(company("new"), 4) == directory.get_company(store, "new").snapshot


def test_removing_what_is_not_there_changes_nothing(store: PlaneStore) -> None:
    set_up(store, "a")
    assert Applied(1, (), 0, 0) == apply.apply(store, Desired(remove=("b",)), NOW_US)
    assert Applied(2, (Change("company", "a", REMOVED),), 1, 0) == apply.apply(
        store, Desired(remove=("a", "b", "a")), NOW_US
    )


def test_a_preview_says_the_same_and_changes_nothing(store: PlaneStore) -> None:
    set_up(store, "a")
    desired = Desired(CATALOG, (company("b"),), prune=True)
    seen = apply.preview(store, desired, NOW_US)
    assert ["a"] == _ids(store)
    done = apply.apply(store, desired, NOW_US)
    assert (1, 2) == (seen.revision, done.revision)
    assert done.changes == seen.changes


def test_a_catalog_and_the_companies_that_need_it_change_together(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    new = Catalog(CATALOG.features, (*_without("pro").plans, Plan("max")))
    apply.apply(store, Desired(new, (company("a", "max"),), remove=("b",)), NOW_US)
    stored = directory.get_catalog(store)
    assert stored is not None
    assert (2, new) == (stored.version, stored.catalog)


def test_a_plan_in_use_by_a_company_that_stays_cannot_go(store: PlaneStore) -> None:
    set_up(store, "a", "b")
    with pytest.raises(InvalidInput) as refused:
        apply.apply(store, Desired(_without("pro"), remove=("a",)), NOW_US)
    assert "catalog.plans" == refused.value.field
    assert "company 'b' needs it" in refused.value.message
    assert ["a", "b"] == _ids(store)


@pytest.mark.parametrize(
    "catalog",
    [
        pytest.param(_without("pro", features=["calls"]), id="gone"),
        pytest.param(
            Catalog((Feature("calls", FeatureKind.CONFIG),)),
            id="of another kind",
        ),
    ],
)
def test_a_feature_that_a_company_overrides_cannot_go(store: PlaneStore, catalog: Catalog) -> None:
    limits = CATALOG.plans[0].entitlements[1].limits[:1]
    override = Override(EntitlementGrant("calls", limits=limits))
    apply.apply(store, Desired(CATALOG, (Company("a", overrides=(override,)),)), NOW_US)
    with pytest.raises(InvalidInput) as refused:
        apply.apply(store, Desired(catalog), NOW_US)
    assert "catalog.features" == refused.value.field


def test_an_add_on_that_a_company_holds_cannot_go(store: PlaneStore) -> None:
    sold = msgspec.structs.replace(CATALOG, add_ons=(AddOn("gb"), AddOn("seat")))
    planned = ScheduledChange(NOW_US + 1, add_ons=(AddOnSubscription("seat"),))
    subscription = Subscription("pro", NOW_US, changes=(planned,))
    applied = apply.apply(store, Desired(sold, (Company("a", subscription=subscription),)), NOW_US)
    assert (7, 0) == (applied.changed, applied.unchanged)
    with pytest.raises(InvalidInput) as refused:
        apply.apply(store, Desired(CATALOG), NOW_US)
    assert "catalog.add_ons" == refused.value.field
    without_gb = msgspec.structs.replace(sold, add_ons=(AddOn("seat"),))
    assert [("add_on", "gb", REMOVED)] == _kinds(apply.apply(store, Desired(without_gb), NOW_US))


def test_another_default_plan_is_a_change_of_no_object(store: PlaneStore) -> None:
    set_up(store)
    applied = apply.apply(
        store, Desired(msgspec.structs.replace(CATALOG, default_plan="pro")), NOW_US
    )
    assert (2, 1, 4) == (applied.revision, applied.changed, applied.unchanged)
    assert ["catalog"] == [change.kind for change in applied.changes]


REFUSED = {
    "a plan that is not there": (
        Desired(CATALOG, (company("a"), company("b", "none"))),
        "companies[1].subscription.plan",
    ),
    "a company on no catalog": (
        Desired(companies=(company("a"),)),
        "companies[0].subscription.plan",
    ),
    "a company twice": (Desired(CATALOG, (company("a"), company("a"))), "companies[1].id"),
    "a plan with a feature that is not there": (
        Desired(Catalog(CATALOG.features[:2], CATALOG.plans)),
        "catalog.plans[0].entitlements[1].feature",
    ),
    "given and removed": (
        Desired(CATALOG, (company("a"),), remove=("b", "a")),
        "remove_companies[1]",
    ),
}


@pytest.mark.parametrize(("desired", "field"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_path_and_nothing_applied(
    store: PlaneStore, desired: Desired, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        apply.apply(store, desired, NOW_US)
    assert field == refused.value.field
    assert directory.get_catalog(store) is None
    assert [] == _ids(store)


def test_many_companies_are_applied_and_listed_in_pages(store: PlaneStore) -> None:
    set_up(store)
    names = [f"c{at:04}" for at in range(1_200)]
    applied = apply.apply(store, Desired(companies=tuple(map(company, names))), NOW_US)
    assert (1_200, 1_000) == (applied.changed, len(applied.changes))
    listed, after = [], ""
    while True:
        companies, after = directory.list_companies(store, after, 500)
        listed += [found.company.id for found in companies]
        if not after:
            break
    assert names == listed


@pytest.mark.parametrize("id_", ["acme ", "\u3000acme", "a\u0378", "a\nb"])
def test_a_company_that_nobody_may_be_named_as_is_refused(store: PlaneStore, id_: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        apply.apply(store, Desired(CATALOG, (company(id_),)), NOW_US)
    assert ("companies[0].id", 0) == (caught.value.field, len(_ids(store)))


def test_a_company_that_was_named_before_is_there_until_it_is_removed(store: PlaneStore) -> None:
    set_up(store, "a")
    with store.write() as transaction:
        (stored,) = transaction.companies(["a"]).values()
        named = msgspec.structs.replace(stored.company, id="acme ")
        snapshot = msgspec.structs.replace(stored.snapshot, company="acme ")
        transaction.put_companies(
            [msgspec.structs.replace(stored, company=named, snapshot=snapshot)]
        )
    change_subscription(store, "acme ", ResetUsage(), NOW, NOW_US)
    assert ["a", "acme "] == _ids(store)
    apply.apply(store, Desired(None, (), remove=("acme ",)), NOW_US)
    assert ["a"] == _ids(store)


def _by_model(first: int, last: int) -> EntitlementGrant:
    return EntitlementGrant(
        "tokens",
        limits=tuple(
            Limit(
                f"m{model}",
                WindowSpec(WindowUnit.DAY),
                1,
                scope=Scope((), (("model", str(model)),)),
            )
            for model in range(first, last)
        ),
    )


def test_a_catalog_that_would_leave_usage_of_an_override_out_is_refused(store: PlaneStore) -> None:
    held = msgspec.structs.replace(company("a"), overrides=(Override(_by_model(0, 30)),))
    apply.apply(store, Desired(CATALOG, (held,)), NOW_US)
    more = Plan("more", "", (_by_model(30, 40),))
    wider = msgspec.structs.replace(CATALOG, plans=(*CATALOG.plans, more))
    with pytest.raises(InvalidInput) as caught:
        apply.apply(store, Desired(wider, ()), NOW_US)
    assert "catalog.plans" == caught.value.field
    assert "company 'a' (overrides[0].entitlement.limits)" in caught.value.message


def test_a_catalog_of_before_that_leaves_usage_out_is_told(store: PlaneStore) -> None:
    set_up(store)
    assert [] == stored_catalog.uncounted(store)
    plans = (Plan("one", "", (_by_model(0, 30),)), Plan("two", "", (_by_model(30, 40),)))
    with store.write() as transaction:
        transaction.put_catalog(msgspec.structs.replace(CATALOG, plans=plans), 2)
    assert ("catalog", "plans", 0, "entitlements", 0, "limits") == stored_catalog.uncounted(store)[
        0
    ].path


def test_what_is_odd_in_a_catalog_is_taken_and_told_each_time(store: PlaneStore) -> None:
    limits = (
        Limit("monthly", WindowSpec(WindowUnit.MONTH), 10),
        Limit("daily", WindowSpec(WindowUnit.DAY), 10),
    )
    plans = (Plan("pro", "", (EntitlementGrant("tokens", limits=limits),)),)
    odd = Desired(msgspec.structs.replace(CATALOG, plans=plans))
    for _ in range(2):
        ((path, message),) = apply.apply(store, odd, NOW_US).warnings
        assert ("catalog", "plans", 0, "entitlements", 0, "limits", 1) == path
        assert message.startswith("is never reached: limit 'monthly' (10)")
    assert () == apply.apply(store, Desired(), NOW_US).warnings


def test_dimensions_that_get_stricter_are_told_before_and_when_they_do(store: PlaneStore) -> None:
    set_up(store, "acme")
    calls, *others = CATALOG.features
    stricter = msgspec.structs.replace(calls, dimensions=(Dimension("team", required=True),))
    desired = Desired(msgspec.structs.replace(CATALOG, features=(*others, stricter)))
    for answer in (apply.preview(store, desired, NOW_US), apply.apply(store, desired, NOW_US)):
        told = [message for path, message in answer.warnings if path == ("catalog", "features", 2)]
        assert "'calls' that lacks 'team', or brings a dimension other than 'team'" in told[0]
    told_again = apply.apply(store, desired, NOW_US).warnings
    assert [] == [path for path, _ in told_again if path == ("catalog", "features", 2)]
