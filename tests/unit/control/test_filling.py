"""A limit that counts something else goes on with what the ledger has of its running window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services import filling, filling_walk
from sidecar.control.storage.filling_values import Filling
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    EntitlementGrant,
    Limit,
    Merge,
    Plan,
    Rollover,
    Scope,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import AddOnSubscription, Override
from sidecar.domain.company.subscription_changes import ChangePlan, ChangeTime, ResetUsage, When
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.unit.control.filling_plane import MID_MONTH, FillingPlane, catalog_of, on_plan
from tests.unit.control.support import ALICE

CALENDAR: Final = WindowSpec(WindowUnit.MONTH)
MONTHLY: Final = Limit("quota", CALENDAR, 1_000)
BILLING: Final = replace(MONTHLY, window=WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED))
DAILY: Final = replace(MONTHLY, window=WindowSpec(WindowUnit.DAY))
YEARLY: Final = replace(MONTHLY, window=WindowSpec(WindowUnit.YEAR))
EVER: Final = replace(MONTHLY, window=WindowSpec(WindowUnit.LIFETIME))
PER_USER: Final = replace(MONTHLY, scope=Scope(("user",)))
OF_LARGE: Final = replace(MONTHLY, scope=Scope((), (("model", "large"),)))
LARGE: Final = {"model": "large"}


@pytest.fixture
def plane(store: PlaneStore) -> FillingPlane:
    """Usage: 4 of today, 2 of the billing month, 1 of this month before it, 8 of last month."""
    plane = FillingPlane(store)
    plane.apply(catalog_of(MONTHLY), on_plan())
    plane.settle()
    plane.use(8, MID_MONTH - 25 * DAY_US, dimensions={"user": "ann"})
    plane.use(1, MID_MONTH - 10 * DAY_US, dimensions={"user": "ann"})
    plane.use(2, MID_MONTH - 2 * DAY_US, dimensions={"user": "bob", **LARGE})
    plane.use(4, MID_MONTH - HOUR_US, dimensions={"user": "ann", **LARGE})
    return plane


@pytest.mark.parametrize(
    ("limit", "values", "used"),
    [
        pytest.param(BILLING, (), 2 + 4, id="the billing month"),
        pytest.param(DAILY, (), 4, id="the day"),
        pytest.param(YEARLY, (), 8 + 1 + 2 + 4, id="the year"),
        pytest.param(EVER, (), 8 + 1 + 2 + 4, id="for ever"),
        pytest.param(PER_USER, ("ann",), 1 + 4, id="a value"),
        pytest.param(PER_USER, ("bob",), 2, id="another value"),
        pytest.param(PER_USER, ("eve",), 0, id="a value that nobody used"),
        pytest.param(OF_LARGE, (), 2 + 4, id="what the scope lets in"),
        pytest.param(replace(MONTHLY, id="other"), (), 1 + 2 + 4, id="another name"),
    ],
)
def test_a_limit_goes_on_with_what_was_used_in_its_window(
    plane: FillingPlane, limit: Limit, values: tuple[str, ...], used: int
) -> None:
    plane.apply(catalog_of(limit))
    plane.settle()
    assert used == plane.used(limit.id, *values)


def test_nothing_is_done_where_a_limit_counts_what_it_did(plane: FillingPlane) -> None:
    plane.apply(catalog_of(replace(MONTHLY, id="other", amount=7)))
    plane.walker.step(plane.store, plane.now_us)
    assert not filling.any_unfinished(plane.store)
    assert [] == _fillings(plane)


def test_applying_the_same_again_changes_no_counter(plane: FillingPlane) -> None:
    for _ in range(3):
        plane.apply(catalog_of(PER_USER))
        plane.settle()
        assert 5 == plane.used("quota", "ann")


def test_there_and_back_counts_once(plane: FillingPlane) -> None:
    for limit in (DAILY, MONTHLY, DAILY, MONTHLY):
        plane.apply(catalog_of(limit))
        plane.use(16)
        plane.settle()
    assert 1 + 2 + 4 + 4 * 16 == plane.used("quota")


def test_a_duplicate_counts_once(plane: FillingPlane) -> None:
    plane.use(16, key="k")
    plane.use(16, key="k")
    plane.apply(catalog_of(DAILY))
    plane.settle()
    plane.use(16, key="k")
    assert 4 + 16 == plane.used("quota")


@pytest.mark.parametrize("steps", range(10))
def test_usage_counts_once_whenever_it_arrives(
    plane: FillingPlane, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "LINES", 1)
    before = plane.known()
    plane.apply(catalog_of(PER_USER))
    for _ in range(steps):
        plane.step()
    plane.use(16, MID_MONTH - DAY_US, dimensions={"user": "ann"}, known=before)
    plane.use(32, MID_MONTH - DAY_US, dimensions={"user": "ann"})
    plane.use(64, dimensions={"user": "bob"}, known=before)
    plane.settle()
    assert 1 + 4 + 16 + 32 == plane.used("quota", "ann")
    assert 2 + 64 == plane.used("quota", "bob")


def test_a_sidecar_that_hears_late_counts_on_the_new_limit_too(plane: FillingPlane) -> None:
    before = plane.known()
    plane.apply(catalog_of(DAILY))
    plane.settle()
    plane.now_us += 34 * DAY_US
    plane.use(16, MID_MONTH, known=before)
    plane.use(32, known=before)
    plane.use(64)
    assert (4 + 16, 32 + 64) == (plane.used("quota", at_us=MID_MONTH), plane.used("quota"))


def test_what_was_used_before_a_reset_stays_reset(plane: FillingPlane) -> None:
    plane.change(ResetUsage())
    plane.now_us += HOUR_US
    plane.use(16)
    plane.apply(catalog_of(DAILY))
    plane.settle()
    assert 16 == plane.used("quota")


def test_a_reset_while_it_is_filled_holds(plane: FillingPlane) -> None:
    plane.apply(catalog_of(DAILY))
    plane.walker.step(plane.store, plane.now_us)
    plane.now_us += HOUR_US
    plane.change(ResetUsage())
    plane.settle()
    plane.use(16)
    assert 16 == plane.used("quota")


def _by_override(plane: FillingPlane) -> None:
    override = Override(EntitlementGrant("tokens", limits=(PER_USER,)))
    plane.apply(None, replace(on_plan(), overrides=(override,)))


def _by_plan(plane: FillingPlane) -> None:
    other = Plan("max", entitlements=(EntitlementGrant("tokens", limits=(PER_USER,)),))
    plane.apply(catalog_of(MONTHLY, more=(other,)))
    plane.settle()
    plane.change(ChangePlan("max"))


def _by_add_on(plane: FillingPlane) -> None:
    grant = EntitlementGrant("tokens", limits=(PER_USER,))
    catalog = replace(
        catalog_of(MONTHLY),
        add_ons=(AddOn("users", entitlements=(AddOnEntitlement(grant, Merge.OVERRIDE),)),),
    )
    plane.apply(catalog)
    plane.settle()
    held = on_plan()
    assert held.subscription is not None
    subscription = replace(held.subscription, add_ons=(AddOnSubscription("users", 1),))
    plane.apply(None, replace(held, subscription=subscription))


@pytest.mark.parametrize("cause", [_by_override, _by_plan, _by_add_on])
def test_a_limit_that_is_new_to_a_company_alone_is_filled(
    plane: FillingPlane, cause: Callable[[FillingPlane], None]
) -> None:
    cause(plane)
    plane.settle()
    assert (5, 2) == (plane.used("quota", "ann"), plane.used("quota", "bob"))


def test_a_version_that_is_kept_is_filled_once_its_companies_are_moved(plane: FillingPlane) -> None:
    catalog = catalog_of(PER_USER)
    kept = replace(catalog.plans[0], existing=ExistingCompanies.KEEP)
    plane.apply(replace(catalog, plans=(kept,)))
    plane.settle()
    assert 7 == plane.used("quota")
    plane.apply(catalog_of(replace(PER_USER, amount=7)))
    plane.settle()
    assert (5, 2) == (plane.used("quota", "ann"), plane.used("quota", "bob"))


def test_a_planned_change_of_plan_finds_its_limit_filled(plane: FillingPlane) -> None:
    other = Plan("max", entitlements=(EntitlementGrant("tokens", limits=(PER_USER,)),))
    plane.apply(catalog_of(MONTHLY, more=(other,)))
    plane.settle()
    change_us = MID_MONTH + DAY_US
    plane.change(ChangePlan("max"), When(ChangeTime.AT, change_us))
    plane.settle()
    plane.use(16, MID_MONTH + HOUR_US, dimensions={"user": "ann"})
    plane.now_us = change_us + HOUR_US
    plane.use(32, dimensions={"user": "ann"})
    assert 5 + 16 + 32 == plane.used("quota", "ann")


def test_late_usage_of_a_plan_that_counts_otherwise_by_now_counts(plane: FillingPlane) -> None:
    other = Plan("max", entitlements=(EntitlementGrant("tokens", limits=(PER_USER,)),))
    plane.apply(catalog_of(PER_USER, more=(other,)))
    plane.settle()
    plane.now_us += HOUR_US
    plane.change(ChangePlan("max"))
    plane.apply(catalog_of(MONTHLY, more=(other,)))
    plane.settle()
    plane.use(16, MID_MONTH, dimensions={"user": "ann"})
    assert 5 + 16 == plane.used("quota", "ann")


def test_two_changes_before_the_plane_looks_are_both_seen(plane: FillingPlane) -> None:
    plane.apply(catalog_of(MONTHLY, more=(Plan("max"),)))
    plane.settle()
    _by_override(plane)
    plane.now_us += HOUR_US
    plane.change(ChangePlan("max"))
    plane.settle()
    assert 5 == plane.used("quota", "ann")


def test_a_change_of_the_catalog_while_the_plane_looks_is_for_all(
    plane: FillingPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling_walk, "PAGE", 1)
    plane.apply(None, on_plan(name="globex"))
    plane.settle()
    plane.apply(catalog_of(PER_USER))
    plane.step()
    plane.apply(catalog_of(DAILY))
    plane.settle()
    assert 4 == plane.used("quota")


def test_what_changed_under_an_earlier_version_is_left_as_it_is(store: PlaneStore) -> None:
    plane = FillingPlane(store)
    plane.apply(catalog_of(MONTHLY), on_plan())
    plane.now_us += HOUR_US
    _by_override(plane)
    plane.settle()
    assert [] == _fillings(plane)


def test_a_new_company_costs_nothing(plane: FillingPlane) -> None:
    plane.apply(None, on_plan(name="globex"))
    plane.settle()
    assert [] == _fillings(plane, "globex")


def test_a_company_that_comes_back_finds_its_usage(plane: FillingPlane) -> None:
    plane.apply(catalog_of(DAILY))
    plane.walker.step(plane.store, plane.now_us)
    with plane.store.write() as transaction:
        transaction.remove_companies(["acme"], transaction.next_revision())
    plane.settle()
    plane.apply(None, on_plan())
    plane.settle()
    assert 4 == plane.used("quota")


def test_what_was_used_is_not_carried_over(store: PlaneStore) -> None:
    plane = FillingPlane(store)
    plane.apply(catalog_of(DAILY), on_plan())
    plane.settle()
    plane.use(300, MID_MONTH - DAY_US)
    plane.apply(catalog_of(replace(MONTHLY, rollover=Rollover())))
    plane.settle()
    plane.now_us += 31 * DAY_US
    plane.settle()
    (carried,) = _carried(plane)
    assert (700,) == carried


def test_a_filling_is_kept_for_as_long_as_usage_may_be_late(plane: FillingPlane) -> None:
    plane.apply(catalog_of(DAILY))
    plane.settle()
    assert not filling.forget_filled(plane.store, plane.now_us + HISTORY_US)
    assert 1 == len(_fillings(plane))
    assert not filling.forget_filled(plane.store, plane.now_us + HISTORY_US + 1)
    assert [] == _fillings(plane)


def test_a_large_company_holds_up_no_other(
    plane: FillingPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "LINES", 2)
    monkeypatch.setattr(filling, "FILLINGS", 1)
    plane.apply(None, on_plan(name="small"))
    plane.use(16, name="small")
    for _ in range(30):
        plane.use(1)
    plane.apply(catalog_of(DAILY))
    plane.walker.step(plane.store, plane.now_us)
    for _ in range(6):
        plane.filler.step(plane.store, plane.now_us)
    assert (16, 0) == (plane.used("quota", name="small"), plane.used("quota"))
    plane.settle()
    assert 4 + 30 == plane.used("quota")


def test_a_plane_that_starts_again_goes_on_where_it_was(
    plane: FillingPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "LINES", 1)
    plane.apply(catalog_of(PER_USER))
    while plane.step():
        plane.restart()
    assert (5, 2) == (plane.used("quota", "ann"), plane.used("quota", "bob"))


def test_two_planes_on_one_database_take_over_once(
    plane: FillingPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "LINES", 1)
    other = FillingPlane(plane.store)
    plane.apply(catalog_of(PER_USER))
    while plane.step() or other.step():
        other.step()
    assert (5, 2) == (plane.used("quota", "ann"), plane.used("quota", "bob"))


def test_a_step_goes_through_so_many_lines_and_no_more(
    plane: FillingPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "LINES", 3)
    for _ in range(10):
        plane.use(1)
    plane.apply(catalog_of(DAILY))
    plane.walker.step(plane.store, plane.now_us)
    places = []
    while filling.any_unfinished(plane.store):
        plane.filler.step(plane.store, plane.now_us)
        (found,) = _fillings(plane)
        assert isinstance(found, Filling)
        places.append(found.reached and found.reached.sequence)
    # The first line of the day is the fourth that was written.
    assert [6, 9, 12, None] == places[:4]


def _fillings(plane: FillingPlane, name: str = "acme") -> list[object]:
    with plane.store.read() as transaction:
        return [*transaction.fillings_of(name, "tokens")]


def _carried(plane: FillingPlane) -> list[tuple[int, ...] | None]:
    with plane.store.read() as transaction:
        found = transaction.unended_totals("acme", None, plane.now_us, ALICE, 100)
    return [total.carried for total in found if total.carried is not None]
