"""What the plane makes of burns and costs in records, by outcome."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.control.services import subscriptions
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.company.subscription_changes import NOW, OnPlanned, ResetUsage
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, grant_slot
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.support.burning import CREDITS, recurring
from tests.unit.control.burning_plane import MONTHLY, BurningPlane, burning, sold, source
from tests.unit.control.leasing_plane import told
from tests.unit.control.support import ALICE, BOB, NOW_US

FIRST: Final = recurring("first", 30, priority=0)
SECOND: Final = replace(recurring("second", 50, priority=1), window=WindowSpec(WindowUnit.MONTH, 2))
GRANTED: Final = LeaseStatus.GRANTED
EXHAUSTED: Final = LeaseStatus.EXHAUSTED


def test_parts_count_on_their_sources_once(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(3, 6, [(source(), 6)]))
    plane.push(burning(2, 4, [(source(), 4)]), who=BOB)
    assert (10, 0) == (plane.used(source()), plane.debt)


def test_a_duplicate_burns_nothing(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(3, 6, [(source(), 6)], key="k"))
    plane.push(burning(3, 6, [(source(), 6)], key="k"), who=BOB)
    plane.push(burning(3, 6, key="k"), who=BOB)
    assert (6, 0) == (plane.used(source()), plane.debt)


def test_what_parts_lack_of_the_cost_is_burned_here_in_burn_order(store: PlaneStore) -> None:
    plane = BurningPlane(store, FIRST, SECOND)
    plane.push(burning(30, 60, [(source(FIRST), 10)]))
    assert (30, 30, 0) == (plane.used(source(FIRST)), plane.used(source(SECOND)), plane.debt)


def test_what_nobody_has_is_owed_past_the_floor(store: PlaneStore) -> None:
    plane = BurningPlane(store, overdraft=5)
    plane.push(burning(60, 120))
    assert (100, 20) == (plane.used(source()), plane.debt)


def test_what_is_leased_is_not_burned_here(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    assert (GRANTED, 70) == told(plane.ask(source(), 70, feature=CREDITS, who=BOB))
    plane.push(burning(25, 50))
    assert (30, 20) == (plane.used(source()), plane.debt)


def test_a_debt_is_repaid_before_anything_is_leased(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(60, 120))
    plane.sell(sold(replace(MONTHLY, amount=130)))
    assert (EXHAUSTED, 0) == told(
        plane.ask(source(replace(MONTHLY, amount=130)), 11, feature=CREDITS)
    )
    assert (120, 0) == (plane.used(source()), plane.debt)
    assert GRANTED is plane.ask(source(), 10, feature=CREDITS).status


def test_a_window_to_come_is_leased_without_what_it_will_repay(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(60, 120))
    following = source(at_us=source().window.end_us)
    plane.now_us = following.window.start_us - 1_000_000
    assert (EXHAUSTED, 0) == told(plane.ask(following, 81, feature=CREDITS))
    assert (GRANTED, 80) == told(plane.ask(following, 80, feature=CREDITS))
    plane.now_us = following.window.start_us
    plane.ask(following, 0, feature=CREDITS, held=80)
    assert (20, 0) == (plane.used(following), plane.debt)


def test_the_overdraft_is_leased_up_to_its_floor(store: PlaneStore) -> None:
    plane = BurningPlane(store, overdraft=20)
    plane.push(burning(50, 105, [(source(), 100), (OVERDRAFT_COUNTER, 5)]))
    assert (EXHAUSTED, 0) == told(plane.ask(OVERDRAFT_COUNTER, 16, feature=CREDITS, who=BOB))
    assert (GRANTED, 15) == told(plane.ask(OVERDRAFT_COUNTER, 15, feature=CREDITS, who=BOB))


def test_a_reset_of_usage_leaves_the_overdraft_to_be_leased(store: PlaneStore) -> None:
    plane = BurningPlane(store, overdraft=20)
    subscriptions.change_subscription(
        store, "acme", ResetUsage(), NOW, plane.now_us, OnPlanned.DROP
    )
    plane.now_us += SECOND_US
    result = plane.ask(OVERDRAFT_COUNTER, 15, feature=CREDITS, who=BOB)
    assert (GRANTED, 15) == told(result)
    assert FOREVER_US == result.valid_until_us


def test_without_an_overdraft_nothing_of_it_is_leased(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    assert LeaseStatus.GONE is plane.ask(OVERDRAFT_COUNTER, 1, feature=CREDITS).status


def test_usage_of_a_company_not_known_to_the_sidecar_costs_what_the_catalog_says(
    store: PlaneStore,
) -> None:
    plane = BurningPlane(store)
    small, odd = {"model": "small"}, {"model": "odd"}
    plane.push(burning(3, None, feature="models", unattributed=True, dimensions=small))
    assert 3 == plane.used(source())
    plane.push(burning(3, None, feature="models", unattributed=True, dimensions=odd))
    assert 33 == plane.used(source())


def test_parts_of_another_window_than_the_event_are_burned_anew(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    before = source(at_us=source().window.start_us - DAY_US)
    generation = replace(source(), slot=f"{source().slot}|{NOW_US - 5}")
    plane.push(burning(3, 6, [(generation, 6)]))
    assert (0, 6) == (plane.used(generation), plane.used(source()))
    plane.push(burning(3, 6, [(before, 6)], at_us=before.window.end_us - 1))
    assert 6 == plane.used(before)


def test_usage_of_a_company_that_is_not_there_stays_where_it_was_burned(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(3, 6, [(source(), 6)], name="nobody", unattributed=True))
    assert 6 == plane.used(source(), "nobody")


def test_more_burned_than_it_costs_counts_all_the_same(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(3, 6, [(source(), 9)]))
    assert (9, 0) == (plane.used(source()), plane.debt)


def test_a_part_below_nothing_makes_a_record_unreadable(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    plane.push(burning(3, 6, [(source(), -6)]), burning(3, -6), burning(1, 2, [(source(), 2)]))
    assert (2, 0) == (plane.used(source()), plane.debt)


def test_parts_of_what_others_may_burn_settle_their_leases(store: PlaneStore) -> None:
    plane = BurningPlane(store)
    assert (GRANTED, 70) == told(plane.ask(source(), 70, feature=CREDITS))
    plane.push(burning(20, 40, [(source(), 40)]))
    assert (GRANTED, 30) == told(plane.ask(source(), 30, feature=CREDITS, who=BOB))
    assert (
        LeaseStatus.RECALLING is plane.ask(source(), 31, feature=CREDITS, who=BOB, held=30).status
    )
    assert [(ALICE, CounterKey("acme", CREDITS, source()))] == [*plane.leased.recalls]


def test_what_is_burned_of_a_grant_that_the_company_never_had_is_burned_here(
    store: PlaneStore,
) -> None:
    plane = BurningPlane(store)
    of_another = CounterRef(grant_slot("g1"), (), Window(0, FOREVER_US))
    plane.push(burning(3, 6, [(of_another, 6)]))
    assert (0, 6) == (plane.used(of_another), plane.used(source()))
