"""What is carried from window to window, by outcome."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services import close_windows, snapshots, usage
from sidecar.control.services.apply import Desired, apply
from sidecar.control.services.usage import LedgerLimitUsage
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.company.model import Pause, ScheduledChange, Subscription
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import MINUTE_US, SECOND_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.unit.control.rollover_plane import (
    BILLING_MONTH,
    RolloverPlane,
    catalog_of,
    monthly,
    on_plan,
    utc,
)
from tests.unit.control.support import ALICE

JANUARY: Final = utc(2026, 1, 15)
FEBRUARY: Final = utc(2026, 2, 15)
MARCH: Final = utc(2026, 3, 15)
APRIL: Final = utc(2026, 4, 15)


@pytest.fixture
def plane(store: PlaneStore) -> RolloverPlane:
    """On 10 January 2026, with acme on a plan of 100 a month, of which a month's rest is kept."""
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly()), on_plan())
    return plane


def test_months_from_the_31st_carry_into_each_other(store: PlaneStore) -> None:
    plane = RolloverPlane(store, utc(2026, 1, 31))
    limit = monthly(Rollover(windows=2), window=BILLING_MONTH)
    plane.apply(catalog_of(pro=limit), on_plan(anchor_us=utc(2026, 1, 31)))

    starts = [utc(2026, 1, 31), utc(2026, 2, 28), utc(2026, 3, 31), utc(2026, 4, 30)]
    carried = []
    for start, used in zip(starts, [30, 80, 0, 250], strict=True):
        plane.go_to(start)
        carried.append(plane.carried(start))
        plane.use(used)
    plane.go_to(utc(2026, 5, 31))
    carried.append(plane.carried(utc(2026, 5, 31)))

    # 70 of February; 90 of March, for the 80 took the 70 and 10; then 100 and the 90.
    assert [(), (70,), (90,), (100, 90), (40,)] == carried


@pytest.mark.parametrize(
    ("keeps", "expected"),
    [
        pytest.param(Rollover(3, amount_max=50), [(50,), (50,), (50,)], id="amount"),
        pytest.param(Rollover(3, amount_max=150), [(60,), (100, 50), (100, 50)], id="over windows"),
        pytest.param(Rollover(3, percent_max=70), [(60,), (70,), (70,)], id="percent"),
        pytest.param(Rollover(3, 150, 120), [(60,), (100, 20), (100, 20)], id="the tighter"),
        pytest.param(Rollover(1), [(60,), (100,), (100,)], id="one window"),
        pytest.param(Rollover(2), [(60,), (100, 60), (100, 100)], id="two windows"),
        pytest.param(Rollover(3), [(60,), (100, 60), (100, 100, 60)], id="three windows"),
    ],
)
def test_no_more_is_carried_than_allowed(
    store: PlaneStore, keeps: Rollover, expected: list[tuple[int, ...]]
) -> None:
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly(keeps)), on_plan())
    plane.use(40)
    plane.go_to(APRIL)

    assert expected == [plane.carried(month) for month in (FEBRUARY, MARCH, APRIL)]


def test_it_is_known_a_minute_before_the_window_opens(plane: RolloverPlane) -> None:
    plane.use(40)
    february = plane.key(FEBRUARY)
    end_us = february.counter.window.start_us

    plane.go_to(end_us - MINUTE_US - 1)
    before = plane.carried_into(february)
    plane.go_to(end_us - MINUTE_US)

    assert (None, (60,)) == (before, plane.carried_into(february))
    assert [february] == plane.closed


def test_short_windows_are_closed_in_their_last_tenth(store: PlaneStore) -> None:
    plane = RolloverPlane(store, utc(2026, 1, 10))
    minutely = monthly(window=WindowSpec(WindowUnit.MINUTE))
    plane.apply(catalog_of(pro=minutely), on_plan())
    following = plane.key(plane.now_us + MINUTE_US)

    plane.go_to(plane.now_us + 54 * SECOND_US - 1)
    before = plane.carried_into(following)
    plane.go_to(plane.now_us + 1)

    assert (None, (100,)) == (before, plane.carried_into(following))


def test_a_plan_change_counts_with_the_amount_at_the_close(plane: RolloverPlane) -> None:
    plane.apply(catalog_of(pro=monthly(), max=monthly(amount=500)))
    plane.use(40)
    plane.go_to(utc(2026, 1, 20))
    plane.apply(None, on_plan("max"))
    plane.go_to(FEBRUARY)

    assert (460,) == plane.carried(FEBRUARY)


def test_what_is_planned_for_the_next_window_does_not_count(plane: RolloverPlane) -> None:
    downgrade = ScheduledChange(utc(2026, 2, 1), plan="mini")
    company = replace(
        on_plan(), subscription=Subscription("pro", utc(2026, 1, 1), changes=(downgrade,))
    )
    plane.apply(catalog_of(pro=monthly(), mini=monthly(amount=10)), company)
    plane.go_to(MARCH)

    assert [(100,), (10,)] == [plane.carried(FEBRUARY), plane.carried(MARCH)]


def test_a_change_in_the_last_minute_counts(plane: RolloverPlane) -> None:
    end_us = utc(2026, 2, 1)
    plane.go_to(end_us - 30 * SECOND_US)
    for_the_time_being = plane.carried(FEBRUARY)
    plane.apply(catalog_of(pro=monthly(amount=300)))
    plane.go_to(end_us)

    assert ((100,), (300,)) == (for_the_time_being, plane.carried(FEBRUARY))


def test_a_time_zone_that_changes_in_the_last_minute_moves_the_next_window(
    plane: RolloverPlane,
) -> None:
    end_us = utc(2026, 2, 1)
    plane.go_to(end_us - 30 * SECOND_US)
    never = plane.key(FEBRUARY)
    plane.apply(None, on_plan(time_zone="America/New_York"))
    plane.go_to(FEBRUARY)

    window = Window(end_us, utc(2026, 3, 1, 5))
    assert window == plane.key(FEBRUARY).counter.window
    assert [(100,), None] == [plane.carried(FEBRUARY), plane.carried_into(never)]
    plane.go_to(MARCH)
    assert (100,) == plane.carried(MARCH)


def test_a_reset_starts_anew_and_keeps_what_was_carried(store: PlaneStore) -> None:
    reset = ScheduledChange(utc(2026, 2, 10), resets_usage=True)
    company = replace(
        on_plan(), subscription=Subscription("pro", utc(2026, 1, 1), changes=(reset,))
    )
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly()), company)
    plane.use(40)
    plane.go_to(utc(2026, 2, 5))
    before = plane.key(plane.now_us)
    plane.go_to(FEBRUARY)
    after = plane.key(FEBRUARY)
    plane.use(10)
    plane.go_to(MARCH)

    assert before != after
    assert [(60,), (60,)] == [plane.carried_into(before), plane.carried_into(after)]
    assert (100,) == plane.carried(MARCH)
    assert None is plane.carried_into(plane.move(before, plane.key(MARCH).counter.window))


def test_a_reset_at_the_windows_end_carries_what_is_left(store: PlaneStore) -> None:
    reset = ScheduledChange(utc(2026, 2, 1), resets_usage=True)
    company = replace(
        on_plan(), subscription=Subscription("pro", utc(2026, 1, 1), changes=(reset,))
    )
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly()), company)
    before = plane.key(JANUARY)
    plane.go_to(MARCH)

    after = plane.key(FEBRUARY)
    assert [(100,), (100,)] == [plane.carried(FEBRUARY), plane.carried(MARCH)]
    assert None is plane.carried_into(plane.move(before, after.counter.window))


@pytest.mark.parametrize(
    ("subscription", "expected"),
    [
        pytest.param(
            Subscription("pro", utc(2026, 1, 1), cancel_us=utc(2026, 1, 20)), None, id="canceled"
        ),
        pytest.param(
            Subscription("pro", utc(2026, 1, 1), ends_us=utc(2026, 1, 20)), None, id="ended"
        ),
        pytest.param(
            Subscription("pro", utc(2026, 1, 1), pause=Pause(utc(2026, 1, 20))),
            (100,),
            id="paused",
        ),
        pytest.param(
            Subscription(
                "pro", utc(2026, 1, 1), changes=(ScheduledChange(utc(2026, 1, 20), "free"),)
            ),
            None,
            id="a plan that does not roll over",
        ),
    ],
)
def test_carrying_ends_with_the_right_to_it(
    plane: RolloverPlane, subscription: Subscription, expected: tuple[int, ...] | None
) -> None:
    company = replace(on_plan(), subscription=subscription)
    plane.apply(catalog_of(pro=monthly(), free=monthly(None, 5)), company)
    plane.go_to(FEBRUARY)

    assert expected == plane.carried(FEBRUARY)
    assert ([] if expected is None else [plane.key(FEBRUARY)]) == plane.closed


def test_carrying_ends_with_the_company(plane: RolloverPlane) -> None:
    february = plane.key(FEBRUARY)
    apply(plane.store, Desired(remove=("acme",)), plane.now_us)
    plane.go_to(FEBRUARY)

    assert None is plane.carried_into(february)


def test_two_limits_on_one_counter_carry_by_the_first(store: PlaneStore) -> None:
    catalog = catalog_of(pro=monthly())
    (plan,) = catalog.plans
    (grant,) = plan.entitlements
    second = replace(monthly(amount=30), id="second")
    grant = replace(grant, limits=(*grant.limits, second))
    plane = RolloverPlane(store)
    plane.apply(replace(catalog, plans=(replace(plan, entitlements=(grant,)),)), on_plan())
    plane.go_to(FEBRUARY)

    assert (100,) == plane.carried(FEBRUARY)


def test_watchers_learn_only_of_what_changes(plane: RolloverPlane) -> None:
    plane.go_to(utc(2026, 2, 1))
    plane.settle()

    assert [plane.key(FEBRUARY)] == plane.closed


def test_a_snapshot_comes_with_what_is_about_to_be_carried(plane: RolloverPlane) -> None:
    plane.use(40)
    now_us = utc(2026, 2, 1) - 30 * SECOND_US
    plane.go_to(now_us)
    fetched = snapshots.fetch(plane.store, ["acme"], 0, ALICE, now_us)
    position = snapshots.start(plane.store, 0, False, plane.now_us)
    page, _ = snapshots.next_page(plane.store, position, ALICE, now_us)

    expected = {plane.key(JANUARY): (), plane.key(FEBRUARY): (60,)}
    assert expected == {_key(total): total.carried for total in fetched.totals.totals}
    assert expected == {_key(total): total.carried for total in page.totals.totals}


def test_a_companys_usage_tells_what_was_carried(plane: RolloverPlane) -> None:
    plane.use(40)
    plane.go_to(FEBRUARY)
    plane.use(3)
    found = usage.company_usage(plane.store, "acme", "", plane.now_us).limits

    window = plane.key(FEBRUARY).counter.window
    assert [LedgerLimitUsage("tokens", monthly(), (), window, 3, 60)] == found


def test_windows_are_closed_a_page_at_a_time(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(close_windows, "PAGE", 3)
    plane = RolloverPlane(store)
    names = [f"c{number}" for number in range(8)]
    plane.apply(catalog_of(pro=monthly()), *(on_plan(name=name) for name in names))
    plane.now_us = FEBRUARY
    assert plane.close_some()
    assert 3 == len(plane.closed)
    plane.settle()

    assert [(100,)] * 8 == [plane.carried(FEBRUARY, name) for name in names]


def _key(total: CounterTotal) -> CounterKey:
    return CounterKey(total.company, total.feature, total.counter)
