"""Plans that change: who gets the new version when, as applied, moved in steps, and remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from sidecar.control.services import apply, directory, plan_moves
from sidecar.control.services.apply import Applied, Desired
from sidecar.control.services.plan_moves import forget, forget_due, move_due, move_page
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Merge,
    Plan,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.company.period_end import billing_period
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    OnPlanned,
    ResetUsage,
    SetAddOn,
)
from sidecar.domain.company.timeline import HISTORY_US, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.support import NOW_US

KEEP, AT_ONCE = ExistingCompanies.KEEP, ExistingCompanies.MOVE_NOW
AT_PERIOD_END: Final = ExistingCompanies.MOVE_AT_PERIOD_END
TOKENS: Final = Feature("tokens", FeatureKind.METERED)
FREE: Final = Plan("free", entitlements=(EntitlementGrant("tokens"),))
YEAR_US: Final = 366 * DAY_US


def catalog(amount: int, existing: ExistingCompanies = AT_ONCE) -> Catalog:
    limit = Limit("monthly", WindowSpec(WindowUnit.MONTH), amount)
    grants = (EntitlementGrant("tokens", limits=(limit,)),)
    return Catalog((TOKENS,), (FREE, Plan("pro", entitlements=grants, existing=existing)))


def company(name: str, anchor_us: int = NOW_US, time_zone: str = "UTC") -> Company:
    return Company(name, time_zone=time_zone, subscription=Subscription("pro", anchor_us))


def applied(store: PlaneStore, amount: int, existing: ExistingCompanies = AT_ONCE) -> Applied:
    return apply.apply(store, Desired(catalog(amount, existing)), NOW_US + 1)


@pytest.fixture
def sold(store: PlaneStore) -> PlaneStore:
    """A plan of 5, which acme has."""
    apply.apply(store, Desired(catalog(5), (company("acme"),)), NOW_US)
    return store


def amount(store: PlaneStore, name: str, at_us: int = NOW_US + 1) -> int | None:
    """What a company may use at an instant, as sidecars find it."""
    stored = directory.get_catalog(store)
    assert stored is not None
    index = CatalogIndex(stored.catalog, stored.version)
    segment = segment_at(directory.get_company(store, name).snapshot, at_us)
    entitlement = index.resolve(segment, "tokens")
    assert entitlement is not None
    return entitlement.limits[0].amount


def moved_all(store: PlaneStore, now_us: int = NOW_US + 1) -> None:
    while move_due(store):
        move_page(store, now_us)


def period_end_us(store: PlaneStore, name: str) -> int:
    held = directory.get_company(store, name).company
    assert held.subscription is not None
    return billing_period(held.subscription, NOW_US + 1, held.time_zone).end_us


@pytest.mark.parametrize(
    ("existing", "now", "later"), [(KEEP, 5, 5), (AT_ONCE, 6, 6), (AT_PERIOD_END, 5, 6)]
)
def test_who_has_the_plan_gets_what_the_change_says(
    sold: PlaneStore, existing: ExistingCompanies, now: int, later: int
) -> None:
    told = applied(sold, 6, existing)
    moved_all(sold)
    end_us = period_end_us(sold, "acme")

    assert [change.existing for change in told.changes] == [(existing, 1)]
    assert [amount(sold, "acme", at_us) for at_us in (NOW_US + 1, end_us - 1)] == [now, now]
    assert amount(sold, "acme", end_us) == later
    apply.apply(sold, Desired(companies=(company("new"),)), NOW_US + 2)
    assert amount(sold, "new") == 6


@pytest.mark.parametrize("existing", [KEEP, AT_ONCE, AT_PERIOD_END])
def test_applying_the_same_again_changes_nothing(
    sold: PlaneStore, existing: ExistingCompanies
) -> None:
    desired = Desired(catalog(6, existing), (company("acme"),))
    apply.apply(sold, desired, NOW_US + 1)
    moved_all(sold)
    before = directory.get_company(sold, "acme")
    for later_us in (NOW_US + 2, period_end_us(sold, "acme") + DAY_US):
        again = apply.apply(sold, desired, later_us)
        assert (again.changed, again.unchanged) == (0, 4)
    assert directory.get_company(sold, "acme") == before
    assert not move_due(sold)


def test_what_would_be_is_told_and_not_done(sold: PlaneStore) -> None:
    told = apply.preview(sold, Desired(catalog(6, AT_PERIOD_END)), NOW_US + 1)
    assert [change.existing for change in told.changes] == [(AT_PERIOD_END, 1)]
    assert amount(sold, "acme") == 5
    assert not move_due(sold)


def test_buying_the_plan_anew_takes_the_new_version(sold: PlaneStore) -> None:
    applied(sold, 6, KEEP)
    change_subscription(sold, "acme", ChangePlan("pro"), NOW, NOW_US + 2)
    assert amount(sold, "acme", NOW_US + 2) == 6
    revision = change_subscription(sold, "acme", ChangePlan("pro"), NOW, NOW_US + 3).revision
    assert directory.get_company(sold, "acme").snapshot.version == revision


def test_a_change_that_is_planned_gets_what_was_sold_when_it_was_planned(
    sold: PlaneStore,
) -> None:
    apply.apply(sold, Desired(companies=(company("acme"),)), NOW_US)
    on_free = Company("beta", subscription=Subscription("free", NOW_US))
    apply.apply(sold, Desired(companies=(on_free,)), NOW_US)
    done = change_subscription(sold, "beta", ChangePlan("pro"), PERIOD_END, NOW_US)
    applied(sold, 6, KEEP)
    assert amount(sold, "beta", done.effective_us) == 5


def test_each_company_moves_at_the_end_of_its_own_period(store: PlaneStore) -> None:
    companies = tuple(
        company(f"{zone}.{day}", NOW_US - day * DAY_US, zone)
        for zone in ("UTC", "Asia/Tokyo", "America/New_York")
        for day in (0, 3, 29, 31)
    )
    apply.apply(store, Desired(catalog(5), companies), NOW_US)
    applied(store, 6, AT_PERIOD_END)
    moved_all(store)
    for each in companies:
        end_us = period_end_us(store, each.id)
        assert (amount(store, each.id, end_us - 1), amount(store, each.id, end_us)) == (5, 6)


def test_the_walk_goes_on_where_it_was_when_the_plane_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_moves, "PAGE", 2)
    companies = tuple(company(f"c{number}") for number in range(5))
    path = tmp_path / "plane.db"
    store = SqliteStore(path)
    apply.apply(store, Desired(catalog(5), companies), NOW_US)
    applied(store, 6, AT_PERIOD_END)
    counts = []
    while move_due(store):
        counts.append(move_page(store, NOW_US + 1))
        store.close()
        store = SqliteStore(path)
    assert counts == [2, 2, 1]
    assert all(amount(store, each.id, NOW_US + 60 * DAY_US) == 6 for each in companies)
    store.close()


def test_a_company_that_changes_meanwhile_is_moved_and_keeps_its_change(sold: PlaneStore) -> None:
    applied(sold, 6, AT_PERIOD_END)
    change_subscription(sold, "acme", ResetUsage(), NOW, NOW_US + 2)
    change_subscription(sold, "acme", CancelSubscription(), PERIOD_END, NOW_US + 2)
    version = directory.get_company(sold, "acme").snapshot.version
    moved_all(sold)
    stored = directory.get_company(sold, "acme")
    assert stored.snapshot.version == version, "it was moved with its change"
    assert amount(sold, "acme", period_end_us(sold, "acme") + DAY_US) == 6
    assert stored.company.subscription is not None
    assert stored.company.subscription.cancel_at_period_end


def test_an_upgrade_meanwhile_is_not_taken_back(sold: PlaneStore) -> None:
    applied(sold, 6, AT_PERIOD_END)
    moved_all(sold)
    change_subscription(sold, "acme", ChangePlan("free"), NOW, NOW_US + 2, OnPlanned.ASK)
    later = segment_at(directory.get_company(sold, "acme").snapshot, NOW_US + YEAR_US)
    assert later.plan == "free"


def test_a_company_whose_period_ended_before_the_walk_came_by_is_moved_then(
    sold: PlaneStore,
) -> None:
    applied(sold, 6, AT_PERIOD_END)
    late_us = period_end_us(sold, "acme") + DAY_US
    moved_all(sold, late_us)
    assert (amount(sold, "acme", late_us - 1), amount(sold, "acme", late_us)) == (5, 6)


def test_a_version_stays_as_long_as_a_company_had_it_in_the_time_that_is_remembered(
    sold: PlaneStore,
) -> None:
    applied(sold, 6, KEEP)
    changed_us = NOW_US + 2
    assert not forget_due(sold, changed_us)
    change_subscription(sold, "acme", ChangePlan("pro"), NOW, changed_us)
    assert not forget_due(sold, changed_us + HISTORY_US - 1)
    assert amount(sold, "acme", NOW_US) == 5
    assert forget_due(sold, changed_us + HISTORY_US)
    forget(sold, changed_us + HISTORY_US)
    stored = directory.get_catalog(sold)
    assert stored is not None
    assert stored.catalog.plan_versions == ()
    assert not forget_due(sold, changed_us + HISTORY_US)


def test_a_version_that_a_late_payment_will_bring_back_stays(sold: PlaneStore) -> None:
    on_free = Subscription("pro", NOW_US, trial_ends_us=NOW_US + 2, trial_end_plan="free")
    apply.apply(sold, Desired(companies=(Company("acme", subscription=on_free),)), NOW_US)
    applied(sold, 6, KEEP)
    assert not forget_due(sold, NOW_US + YEAR_US)


def test_a_move_that_is_done_is_forgotten(sold: PlaneStore) -> None:
    applied(sold, 6, AT_PERIOD_END)
    moved_all(sold)
    end_us = period_end_us(sold, "acme")
    assert not forget_due(sold, end_us - 1)
    forget(sold, end_us)
    with sold.read() as transaction:
        assert transaction.plan_moves() == []


def test_a_feature_that_an_earlier_version_grants_cannot_be_taken_away(sold: PlaneStore) -> None:
    other = Feature("calls", FeatureKind.METERED)
    pro = Plan("pro", entitlements=(EntitlementGrant("calls"),), existing=KEEP)
    free = msgspec.structs.replace(FREE, entitlements=())
    with pytest.raises(InvalidInput, match="version 0 of plan 'pro', which companies keep"):
        apply.apply(sold, Desired(Catalog((other,), (free, pro))), NOW_US + 1)
    assert amount(sold, "acme") == 5


def test_an_add_on_that_would_lessen_what_companies_keep_is_refused(sold: PlaneStore) -> None:
    daily = Limit("daily", WindowSpec(WindowUnit.DAY), 1)
    pro = Plan("pro", entitlements=(EntitlementGrant("tokens", limits=(daily,)),), existing=KEEP)
    more = AddOn("more", entitlements=(AddOnEntitlement(pro.entitlements[0]),), plans=("pro",))
    with pytest.raises(InvalidInput, match="add-on 'more', with what companies keep of plans: "):
        apply.apply(sold, Desired(Catalog((TOKENS,), (FREE, pro), (more,))), NOW_US + 1)
    moved = msgspec.structs.replace(pro, existing=AT_ONCE)
    apply.apply(sold, Desired(Catalog((TOKENS,), (FREE, moved), (more,))), NOW_US + 1)
    assert amount(sold, "acme") == 1


def test_an_add_on_that_may_lessen_what_companies_keep_is_warned_of(sold: PlaneStore) -> None:
    daily = Limit("daily", WindowSpec(WindowUnit.DAY), 1)
    pro = Plan("pro", entitlements=(EntitlementGrant("tokens", limits=(daily,)),), existing=KEEP)
    most = AddOnEntitlement(pro.entitlements[0], Merge.OVERRIDE)
    content = Catalog((TOKENS,), (FREE, pro), (AddOn("most", "", 0, (most,), ("pro",)),))
    (warning,) = apply.preview(sold, Desired(content), NOW_US + 1).warnings
    assert "add-on 'most', with what companies keep of plans: may deny" in warning.message
    apply.apply(sold, Desired(content), NOW_US + 1)
    assert () == apply.apply(sold, Desired(content), NOW_US + 2).warnings


def test_companies_that_are_removed_and_pruned_are_counted_no_more(sold: PlaneStore) -> None:
    apply.apply(sold, Desired(remove=("acme",)), NOW_US + 1)
    told = applied(sold, 6, KEEP)
    assert [change.existing for change in told.changes] == [(KEEP, 0)]
    assert forget_due(sold, NOW_US + 2)


def with_pack(limit: str, amount: int, added: int, *, second: str = "") -> Catalog:
    """A plan with a limit, and an add-on that adds to it, or to a second one."""
    window = WindowSpec(WindowUnit.MONTH)
    limits = [Limit(limit, window, amount)]
    if second:
        limits.append(Limit(second, WindowSpec(WindowUnit.DAY), amount))
    grants = (EntitlementGrant("tokens", limits=tuple(limits)),)
    change = EntitlementGrant("tokens", limit_changes=(LimitChange(second or limit, added, True),))
    pack = AddOn("pack", entitlements=(AddOnEntitlement(change),))
    plan = Plan("pro", entitlements=grants, existing=KEEP)
    return Catalog((TOKENS,), (plan,), (pack,))


def test_a_renamed_limit_does_not_take_from_who_keeps_the_plan_what_was_bought_of_it(
    store: PlaneStore,
) -> None:
    apply.apply(store, Desired(with_pack("m", 100, 7), (company("acme"),)), NOW_US)
    with pytest.raises(InvalidInput, match="no longer adds to 'm' of 'tokens'") as refused:
        apply.apply(store, Desired(with_pack("mm", 300, 7)), NOW_US + 1)
    assert "existing: move now" in refused.value.message


def test_an_add_on_of_what_a_kept_version_lacks_is_not_sold_to_who_keeps_it(
    store: PlaneStore,
) -> None:
    content = msgspec.structs.replace(with_pack("m", 100, 7), add_ons=())
    apply.apply(store, Desired(content, (company("acme"),)), NOW_US)
    apply.apply(store, Desired(with_pack("m", 100, 7, second="daily")), NOW_US + 1)
    with pytest.raises(FailedPrecondition, match="version 0 of plan 'pro' does not have"):
        change_subscription(store, "acme", SetAddOn("pack", 1), NOW, NOW_US + 2)
    change_subscription(store, "acme", ChangePlan("pro"), NOW, NOW_US + 3)
    change_subscription(store, "acme", SetAddOn("pack", 1), NOW, NOW_US + 4)
