"""What is leased on the counter that a limit had before counts on the one that it has now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.rules.attribution import limits_at
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.attribution import load_index
from sidecar.control.services.earlier_leases import UNSETTLED_US
from sidecar.control.services.lease_holders import LeasesWanted
from sidecar.control.services.lease_settling import Settlement, settle
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import (
    Across,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.time.units import HOUR_US, MINUTE_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.unit.control.leasing_plane import DAILY, Plane, day, told
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    TODAY,
    Writer,
    company,
    per_user,
    record,
)

GRANTED, EXHAUSTED, RECALLING, GONE = list(LeaseStatus)[:4]
EVER: Final = replace(DAILY, window=WindowSpec(WindowUnit.LIFETIME))
ALIGNED: Final = replace(DAILY, window=WindowSpec(WindowUnit.DAY, alignment=Alignment.ANCHORED))
HOURLY: Final = replace(DAILY, window=WindowSpec(WindowUnit.HOUR))
PER_USER: Final = replace(DAILY, scope=Scope(("user",)))
BY_MODEL: Final = replace(DAILY, scope=Scope(("model",)))
BY_BOTH: Final = replace(DAILY, scope=Scope(("model", "user")))
LARGE, SMALL, EITHER = (
    replace(DAILY, scope=Scope((), tuple(("model", model) for model in models)))
    for models in (("large",), ("small",), ("large", "small"))
)
USED: Final = 20
HELD: Final = 36


class Moving(Plane):
    """A plane of which Alice has used 20 of a hundred a day, and holds 36 more."""

    def __init__(self, store: PlaneStore) -> None:
        super().__init__(store)
        self.alice = Writer()

    def hold(self, counter: CounterRef | None = None, user: str = "") -> None:
        counter = counter or day()
        assert (GRANTED, USED + HELD) == told(self.ask(counter, USED + HELD))
        self.spend(USED, counter, user)

    def spend(self, quantity: int, counter: CounterRef, user: str = "") -> None:
        """Alice counts by what she has heard, and it reaches the plane."""
        self.alice.write(record(quantity, counters=(counter,), at_us=self.now_us, user=user))
        self.alice.push(self.store, len(self.alice.records), now_us=self.now_us)

    def counter(self, *values: str, limit: str = "daily", ahead_us: int = 0) -> CounterRef:
        """The counter that a limit has now."""
        with self.store.read() as transaction:
            index, snapshot = load_index(transaction), transaction.snapshots(["acme"])["acme"]
        found = limits_at(index, snapshot, "tokens", self.now_us + ahead_us) or ()
        (of,) = (each for each in found if each.limit.id == limit)
        return CounterRef(of.slot, values, of.window)

    def most(self, counter: CounterRef, who: str = BOB) -> int:
        """The most that can be had of a counter, by who has nothing of it yet."""
        for quantity in range(100, 0, -1):
            if self.ask(counter, quantity, who=who).status is GRANTED:
                return quantity
        return 0


@pytest.fixture
def plane(store: PlaneStore) -> Moving:
    plane = Moving(store)
    plane.apply()
    return plane


def _plans(plane: Moving, plan: str) -> None:
    """The company moves to a plan with a limit that counts otherwise."""
    plans = tuple(
        Plan(key, "", (EntitlementGrant("tokens", limits=(limit,)),))
        for key, limit in (("other", EVER), ("pro", DAILY))
    )
    catalog = Catalog((Feature("tokens", FeatureKind.METERED),), plans)
    apply.apply(plane.store, Desired(catalog, (company("acme", plan),)), plane.now_us)


def _to_another_plan(plane: Moving) -> None:
    _plans(plane, "other")


def _twice(plane: Moving) -> None:
    plane.apply(HOURLY)
    plane.apply(EVER)


def _there_and_back(plane: Moving) -> None:
    for limit in (EVER, HOURLY, DAILY, EVER):
        plane.apply(limit)
        plane.now_us += 1


def _removed_and_back(plane: Moving) -> None:
    apply.apply(plane.store, Desired(remove=("acme",)), plane.now_us)
    plane.now_us += 1
    plane.apply(EVER)


def _with_a_zone(plane: Moving) -> None:
    plane.apply(EVER, replace(company("acme"), time_zone="Asia/Tokyo"))


CHANGES: Final[dict[str, Callable[[Moving], None]]] = {
    "another window": lambda plane: plane.apply(EVER),
    "a shorter window": lambda plane: plane.apply(HOURLY),
    "another alignment": lambda plane: plane.apply(ALIGNED),
    "another name and window": lambda plane: plane.apply(replace(EVER, id="ever")),
    "two changes in a row": _twice,
    "there and back, and there again": _there_and_back,
    "another plan": _to_another_plan,
    "a company that was removed": _removed_and_back,
    "a company in another time zone": _with_a_zone,
    "only some values": lambda plane: plane.apply(
        replace(DAILY, scope=Scope((), (("model", "large"),)))
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_leased_on_the_counter_of_before_is_not_granted_again(
    plane: Moving, change: Callable[[Moving], None]
) -> None:
    plane.hold()
    change(plane)
    plane.fill()
    with plane.store.read() as transaction:
        catalog = load_index(transaction).catalog
    (name,) = {
        limit.id for plan in catalog.plans for grant in plan.entitlements for limit in grant.limits
    }
    counter = plane.counter(limit=name)
    with plane.store.read() as transaction:
        (total,) = transaction.totals([CounterKey("acme", "tokens", counter)], BOB)
    assert 100 - total.total - HELD == plane.most(counter)
    assert RECALLING is plane.ask(counter, 1, who=CAROL).status
    assert (ALICE, CounterKey("acme", "tokens", day())) in plane.leased.recalls


def test_what_is_spent_of_it_counts_on_the_new_counter_and_frees_nothing(plane: Moving) -> None:
    plane.hold()
    plane.apply(EVER)
    counter = plane.counter()
    assert 44 == plane.most(counter)
    plane.spend(30, day())
    assert 0 == plane.most(counter, CAROL)
    plane.ask(day(), held=USED + 30, used=USED + 30)
    assert 6 == plane.most(counter, CAROL)


def test_what_was_spent_of_it_and_not_told_is_not_granted_before_it_is(plane: Moving) -> None:
    plane.hold()
    plane.apply(EVER)
    plane.ask(day(), held=USED + 30, used=USED + 30)
    counter = plane.counter()
    assert 100 - USED - 30 == plane.most(counter)
    plane.spend(30, day())
    assert (RECALLING, 0) == told(plane.ask(counter, 1, who=CAROL))  # Bob has all the rest


def test_what_was_spent_of_it_stays_so_however_often_its_holder_asks_for_more(
    plane: Moving,
) -> None:
    plane.hold()
    plane.apply(EVER)
    counter = plane.counter()
    most = USED + HELD
    assert (GONE, most) == told(plane.ask(day(), 1, held=most, used=most))
    plane.spend(HELD - 2, day())
    # It was told that there is no such lease, and has forgotten it; two units are on their way.
    assert (GONE, most) == told(plane.ask(day(), 1, held=0, used=most))
    assert 100 - USED - HELD == plane.most(counter)


def test_who_has_heard_of_the_change_gives_back_and_may_have_it_all(plane: Moving) -> None:
    plane.hold()
    plane.apply(EVER)
    plane.ask(day(), held=USED, used=USED)
    assert 80 == plane.most(plane.counter(), ALICE)


def test_what_is_leased_meanwhile_counts_where_the_limit_counts_again(plane: Moving) -> None:
    plane.hold()
    plane.apply(EVER)
    ever = plane.counter()
    assert 44 == plane.most(ever)
    plane.apply(DAILY)
    assert 0 == plane.most(day(), CAROL)
    plane.ask(ever, held=10, used=10, who=BOB)
    assert 34 == plane.most(day(), CAROL)


SETTLED: Final = {
    "released": (DAILY, day(), Settlement.RELEASED, EVER, (), 80),
    "counted": (DAILY, day(), Settlement.COUNTED, EVER, (), 44),
    "counted, of a user": (PER_USER, per_user("ann"), Settlement.COUNTED, EVER, (), 44),
    "counted, of a user now": (DAILY, day(), Settlement.COUNTED, PER_USER, ("ann",), 100),
}


@pytest.mark.parametrize(
    ("before", "held", "settlement", "now", "values", "left"), SETTLED.values(), ids=SETTLED
)
def test_what_is_settled_of_it_is_so_on_the_new_counter(
    store: PlaneStore,
    before: Limit,
    held: CounterRef,
    settlement: Settlement,
    now: Limit,
    values: tuple[str, ...],
    left: int,
) -> None:
    plane = Moving(store)
    plane.apply(before)
    plane.hold(held, "ann" if held.values else "")
    plane.apply(now)
    plane.now_us += MINUTE_US
    wanted = LeasesWanted("acme", incarnation=ALICE)
    settled = settle(store, wanted, settlement, None, (), plane.now_us, dry_run=False)
    assert (1, HELD) == (settled.leases, settled.quantity)
    assert left == plane.most(plane.counter(*values))


def test_of_a_window_that_is_over_it_counts_for_a_day(plane: Moving) -> None:
    plane.hold()
    plane.apply(EVER)
    counter = plane.counter()
    plane.now_us = TODAY.end_us + UNSETTLED_US - 1
    assert 44 == plane.most(counter)
    plane.now_us += 1
    assert 36 == plane.most(counter, CAROL)


def test_windows_that_do_not_overlap_are_apart(plane: Moving) -> None:
    plane.apply(HOURLY)
    hour = plane.counter()
    assert (GRANTED, 50) == told(plane.ask(hour, 50))
    plane.now_us = hour.window.end_us
    plane.apply(replace(HOURLY, window=WindowSpec(WindowUnit.MINUTE)))
    assert 100 == plane.most(plane.counter())


def _fixed(limit: Limit) -> CounterRef:
    return CounterRef(slot_of(limit), (), TODAY)


def _long(limit: Limit) -> Limit:
    return replace(limit, window=WindowSpec(WindowUnit.MONTH))


SCOPES: Final[dict[str, tuple[Limit, CounterRef, Limit, tuple[str, ...], int]]] = {
    "of a user, whole now": (PER_USER, per_user("ann"), DAILY, (), HELD),
    "whole, of each user now": (DAILY, day(), PER_USER, ("ann",), HELD),
    "of a user, also by month": (PER_USER, per_user("ann"), _long(PER_USER), ("ann",), HELD),
    "of another user": (PER_USER, per_user("ann"), _long(PER_USER), ("ben",), 0),
    "of a user and model now": (PER_USER, per_user("ann"), BY_BOTH, ("large", "ann"), HELD),
    "of another user, by model now": (PER_USER, per_user("ann"), BY_BOTH, ("large", "ben"), 0),
    "of a model, one of two": (LARGE, _fixed(LARGE), BY_MODEL, ("large",), HELD),
    "of a model, the other": (LARGE, _fixed(LARGE), BY_MODEL, ("small",), 0),
    "of models apart": (LARGE, _fixed(LARGE), SMALL, (), 0),
    "of models that have one in common": (LARGE, _fixed(LARGE), EITHER, (), HELD),
    "of a model, of users now": (LARGE, _fixed(LARGE), PER_USER, ("ann",), HELD),
}


@pytest.mark.parametrize(("before", "held", "now", "values", "counts"), SCOPES.values(), ids=SCOPES)
def test_what_cannot_be_the_same_usage_is_apart(
    store: PlaneStore,
    before: Limit,
    held: CounterRef,
    now: Limit,
    values: tuple[str, ...],
    counts: int,
) -> None:
    plane = Moving(store)
    plane.apply(before)
    assert (GRANTED, HELD) == told(plane.ask(held, HELD))
    plane.apply(now)
    assert 100 - counts == plane.most(plane.counter(*values))


def test_what_several_users_have_is_summed_up(store: PlaneStore) -> None:
    plane = Moving(store)
    plane.apply(PER_USER)
    for number in range(40):
        plane.ask(per_user(f"user-{number}"), 2, who=(ALICE, CAROL)[number % 2])
    plane.apply(DAILY)
    assert 20 == plane.most(day())


def test_a_lease_of_another_limit_that_is_in_force_is_spent_with_one_of_its_own(
    plane: Moving,
) -> None:
    plane.hold()
    grants = (EntitlementGrant("tokens", limits=(DAILY, replace(EVER, id="ever"))),)
    catalog = Catalog((Feature("tokens", FeatureKind.METERED),), (Plan("pro", "", grants),))
    apply.apply(plane.store, Desired(catalog, ()), plane.now_us)
    plane.fill()
    assert 80 == plane.most(plane.counter(limit="ever"))


def test_a_moved_anchor_counts_what_is_leased_of_the_cycle_before(store: PlaneStore) -> None:
    plane = Moving(store)
    plane.apply(ALIGNED)
    before = plane.counter()
    plane.hold(before)
    plane.now_us += HOUR_US
    plane.apply(ALIGNED, Company("acme", subscription=Subscription("pro", plane.now_us)))
    counter = plane.counter()
    assert counter.slot != before.slot
    assert 64 == plane.most(counter)
    plane.spend(30, before)  # by who has not heard of it: the plane counts it where it belongs
    assert 0 == plane.most(counter, CAROL)


def test_a_time_zone_that_changed_has_other_windows_of_the_same_slot(store: PlaneStore) -> None:
    plane = Moving(store)
    plane.apply()
    plane.now_us = TODAY.end_us - MINUTE_US
    tomorrow = plane.counter(ahead_us=HOUR_US)
    assert (GRANTED, HELD) == told(plane.ask(tomorrow, HELD))
    plane.apply(DAILY, replace(company("acme"), time_zone="Asia/Tokyo"))
    plane.now_us = TODAY.end_us + 1
    counter = plane.counter()
    assert (counter.slot, True) == (tomorrow.slot, counter.window != tomorrow.window)
    assert 64 == plane.most(counter)
    plane.spend(HELD, tomorrow)  # by who has not heard of it: the plane counts it where it belongs
    assert 0 == plane.most(counter, CAROL)


@pytest.mark.parametrize("change", [replace(DAILY, across=Across.EVENTUAL)])
def test_a_limit_that_is_exact_for_a_while_only(plane: Moving, change: Limit) -> None:
    plane.hold()
    grants = (EntitlementGrant("tokens", limits=(change, replace(EVER, id="ever"))),)
    catalog = Catalog((Feature("tokens", FeatureKind.METERED),), (Plan("pro", "", grants),))
    apply.apply(plane.store, Desired(catalog, ()), plane.now_us)
    plane.fill()
    assert 44 == plane.most(plane.counter(limit="ever"))
