"""Where carrying from window to window begins: what is new is found, wherever it comes from."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services import rollover_walk
from sidecar.control.services.apply import Desired, apply
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import RolloverWalk
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Merge,
    Scope,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.rollover_plane import (
    BILLING_MONTH,
    RolloverPlane,
    catalog_of,
    monthly,
    on_plan,
    utc,
)

FEBRUARY: Final = utc(2026, 2, 15)
MARCH: Final = utc(2026, 3, 15)
SINCE: Final = utc(2026, 1, 1)
PLAIN: Final = monthly(rollover=None)


@pytest.fixture
def plane(store: PlaneStore) -> RolloverPlane:
    """On 10 January 2026, with acme on plan pro, which does not roll over."""
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=PLAIN), on_plan())
    return plane


def _walk(store: PlaneStore) -> RolloverWalk:
    with store.read() as transaction:
        return transaction.rollover_walk()


def _due(store: PlaneStore) -> int:
    with store.read() as transaction:
        return len(transaction.rollover_windows_due(FOREVER_US, 1_000))


def test_where_nothing_rolls_over_nothing_is_written(plane: RolloverPlane) -> None:
    plane.use(40)
    plane.go_to(FEBRUARY)
    plane.apply(None, on_plan(name="other"))

    assert (0, RolloverWalk()) == (_due(plane.store), _walk(plane.store))
    assert [None, None] == [plane.carried(at_us) for at_us in (utc(2026, 1, 15), FEBRUARY)]


def test_a_catalog_that_gains_rollover_starts_with_the_running_window(plane: RolloverPlane) -> None:
    plane.use(40)
    plane.go_to(utc(2026, 1, 20))
    plane.apply(catalog_of(pro=monthly()))
    started = plane.carried(plane.now_us)
    plane.go_to(FEBRUARY)

    assert ((), (60,)) == (started, plane.carried(FEBRUARY))


@pytest.mark.parametrize(
    "company",
    [
        pytest.param(
            Company("acme", overrides=(Override(EntitlementGrant("tokens", limits=(monthly(),))),)),
            id="override",
        ),
        pytest.param(on_plan("max"), id="plan"),
        pytest.param(
            Company(
                "acme",
                subscription=Subscription("pro", SINCE, add_ons=(AddOnSubscription("more"),)),
            ),
            id="add-on",
        ),
    ],
)
def test_a_company_that_gains_rollover_starts_with_the_running_window(
    store: PlaneStore, company: Company
) -> None:
    plane = RolloverPlane(store)
    calls = replace(PLAIN, window=WindowSpec(WindowUnit.LIFETIME))
    more = AddOnEntitlement(EntitlementGrant("tokens", limits=(monthly(),)), Merge.OVERRIDE)
    catalog = replace(
        catalog_of(pro=calls, max=monthly()), add_ons=(AddOn("more", entitlements=(more,)),)
    )
    plane.apply(catalog, on_plan())
    assert 0 == _due(store)
    plane.apply(None, company)
    plane.go_to(FEBRUARY)

    with store.read() as transaction:
        totals = transaction.unended_totals("acme", None, FEBRUARY, plane.writer.incarnation, 9)
    assert [(100,)] == [total.carried for total in totals]


def test_an_override_rolls_over_where_the_catalog_does_not(plane: RolloverPlane) -> None:
    own = EntitlementGrant("tokens", limits=(monthly(amount=7),))
    plane.apply(None, replace(on_plan(), overrides=(Override(own),)), on_plan(name="other"))
    plane.go_to(FEBRUARY)

    assert [(7,), None] == [plane.carried(FEBRUARY), plane.carried(FEBRUARY, "other")]
    assert "" == _walk(plane.store).signature


def test_what_is_planned_starts_on_time(plane: RolloverPlane) -> None:
    trial = Subscription(
        "pro",
        SINCE,
        trial_ends_us=utc(2026, 2, 10),
        trial_end_status=SubscriptionStatus.ACTIVE,
        changes=(ScheduledChange(utc(2026, 2, 10), "max"),),
    )
    plane.apply(catalog_of(pro=PLAIN, max=monthly()), replace(on_plan(), subscription=trial))
    plane.go_to(FEBRUARY)
    plane.restart()
    plane.use(30)
    plane.go_to(MARCH)

    assert [(), (70,)] == [plane.carried(FEBRUARY), plane.carried(MARCH)]


def _off_and_on() -> Subscription:
    changes = (
        ScheduledChange(utc(2026, 2, 10), "max"),
        ScheduledChange(utc(2026, 3, 20), "free"),
        ScheduledChange(utc(2026, 5, 20), "pro"),
    )
    return Subscription("pro", SINCE, changes=changes)


def test_what_is_planned_to_come_back_starts_anew(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    catalog = catalog_of(pro=monthly(), max=monthly(amount=500), free=PLAIN)
    plane.apply(catalog, replace(on_plan(), subscription=_off_and_on()))
    at_first = _due(store)
    plane.go_to(utc(2026, 6, 15))

    months = [utc(2026, month, 15) for month in range(1, 7)]
    assert [(), (100,), (500,), None, (), (100,)] == [plane.carried(month) for month in months]
    assert 2 == at_first


def test_what_is_planned_follows_a_change_of_the_time_zone(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    catalog = catalog_of(pro=monthly(), max=monthly(amount=500), free=PLAIN)
    company = replace(on_plan(), subscription=_off_and_on())
    plane.apply(catalog, company)
    plane.go_to(utc(2026, 3, 15))
    plane.apply(None, replace(company, time_zone="America/New_York"))
    plane.go_to(utc(2026, 6, 15))

    assert utc(2026, 5, 1, 4) == plane.key(utc(2026, 5, 25)).counter.window.start_us
    assert [(), (100,)] == [plane.carried(utc(2026, month, 15)) for month in (5, 6)]


def test_a_moved_anchor_starts_anew_and_keeps_what_is_not_used(store: PlaneStore) -> None:
    paused = Subscription(
        "pro", SINCE, pause=Pause(utc(2026, 1, 20), utc(2026, 2, 10), moves_anchor=True)
    )
    plane = RolloverPlane(store)
    plane.apply(
        catalog_of(pro=monthly(window=BILLING_MONTH)), replace(on_plan(), subscription=paused)
    )
    plane.use(30)
    plane.go_to(utc(2026, 2, 5))
    first = plane.carried(plane.now_us)
    plane.go_to(MARCH)

    assert (70,) == first
    assert [(70,), (100,)] == [plane.carried(FEBRUARY), plane.carried(MARCH)]
    assert utc(2026, 3, 10) == plane.key(MARCH).counter.window.start_us


def test_a_walk_counts_from_the_moment_it_began(
    plane: RolloverPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollover_walk, "PAGE", 2)
    plane.apply(None, *(on_plan(name=f"c{number}") for number in range(5)))
    plane.now_us = utc(2026, 2, 1) - 2 * SECOND_US
    apply(plane.store, Desired(catalog_of(pro=monthly())), plane.now_us)
    _one_page(plane)
    plane.now_us = utc(2026, 2, 1) + 2 * SECOND_US
    plane.restart()
    plane.apply(None, on_plan(name="late"))

    names = ["acme", *(f"c{number}" for number in range(5))]
    assert [(100,)] * 6 == [plane.carried(plane.now_us, name) for name in names]
    assert () == plane.carried(plane.now_us, "late")


def test_a_walk_goes_on_where_it_was_after_a_restart(
    plane: RolloverPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rollover_walk, "PAGE", 2)
    plane.apply(catalog_of(pro=monthly()), *(on_plan(name=f"c{number}") for number in range(4)))
    plane.apply(catalog_of(pro=monthly(amount=9)))
    done = _walk(plane.store)
    plane.restart()

    assert None is plane.walker.next_page(plane.store, plane.now_us)
    plane.apply(None, on_plan(name="new"))
    assert (3, "") == (done.revision, done.company)
    assert ("new", 4) == _looked_at(plane)


def test_rollover_that_goes_and_comes_back_starts_anew(plane: RolloverPlane) -> None:
    plane.apply(catalog_of(pro=monthly()))
    plane.apply(catalog_of(pro=PLAIN))
    plane.go_to(FEBRUARY)
    between = plane.carried(FEBRUARY)
    plane.restart()
    plane.apply(catalog_of(pro=monthly()))
    plane.go_to(MARCH)

    assert [None, (), (100,)] == [between, plane.carried(FEBRUARY), plane.carried(MARCH)]


def _with_add_on(amount: int | None) -> Catalog:
    more = EntitlementGrant("tokens", limits=(monthly(None, amount),))
    add_on = AddOn("more", entitlements=(AddOnEntitlement(more),))
    return replace(catalog_of(pro=monthly(), max=PLAIN), add_ons=(add_on,))


@pytest.mark.parametrize(
    "subscription",
    [
        pytest.param(
            Subscription("pro", SINCE, add_ons=(AddOnSubscription("more"),)),
            id="unlimited by an add-on",
        ),
        pytest.param(Subscription("max", SINCE), id="on another plan"),
    ],
)
def test_who_has_nothing_to_carry_is_left_alone(
    store: PlaneStore, subscription: Subscription
) -> None:
    plane = RolloverPlane(store)
    plane.apply(_with_add_on(None), replace(on_plan(), subscription=subscription))
    plane.go_to(FEBRUARY)

    assert (0, []) == (_due(store), plane.closed)


def test_an_add_on_that_stops_to_be_unlimited_lets_the_plan_roll_over(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    holder = Subscription("pro", SINCE, add_ons=(AddOnSubscription("more", 2),))
    plane.apply(_with_add_on(None), replace(on_plan(), subscription=holder))
    plane.apply(_with_add_on(50))
    plane.go_to(FEBRUARY)

    assert (200,) == plane.carried(FEBRUARY)


def test_other_amounts_are_no_reason_to_look_at_everyone_again(plane: RolloverPlane) -> None:
    plane.apply(catalog_of(pro=monthly()))
    signature = _walk(plane.store).signature
    plane.apply(catalog_of(pro=monthly(amount=7)))

    assert None is plane.walker.next_page(plane.store, plane.now_us)
    assert signature == _walk(plane.store).signature != ""


def test_a_limit_on_matching_usage_carries_too(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    large = replace(monthly(), scope=Scope(match=(("model", "large"),)))
    plane.apply(catalog_of(pro=large), on_plan())
    plane.go_to(FEBRUARY)

    assert (100,) == plane.carried(FEBRUARY)


def _one_page(plane: RolloverPlane) -> None:
    page = plane.walker.next_page(plane.store, plane.now_us)
    assert page is not None
    plane.walker.look_at(plane.store, page, plane.now_us)


def _looked_at(plane: RolloverPlane) -> tuple[str, int]:
    """The last company that has a window, by its revision, and that revision."""
    with plane.store.read() as transaction:
        keys = transaction.rollover_windows_due(FOREVER_US, 1_000)
        found = transaction.snapshots(key.company for key in keys)
    last = max(found.values(), key=lambda snapshot: snapshot.version)
    return last.company, last.version
