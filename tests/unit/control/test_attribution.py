"""Usage that a sidecar counted by an older timeline; each test is named by its outcome."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from sidecar.control.rules.attribution import attribute
from sidecar.control.rules.records import Record, read_records
from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.attribution import Attributor
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.recovery_values import LeaseRecovery
from sidecar.control.storage.values import CORRECTIONS
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.company.model import Company, CompanySnapshot, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangeTime,
    DropPlannedChanges,
    RenewSubscription,
    ResetUsage,
    SubscriptionChange,
    When,
)
from sidecar.domain.company.timeline import HISTORY_US, default_snapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.unit.control.support import (
    ALICE,
    BOB,
    DAY_START_US,
    LIFETIME,
    NOW_US,
    Writer,
    key_of,
    record,
    used,
)

EVER: Final = Limit("ever", WindowSpec(WindowUnit.LIFETIME), 1_000)
DAILY: Final = Limit("daily", WindowSpec(WindowUnit.DAY, 1, Alignment.ANCHORED), 100)


def catalog_of(daily: Limit) -> Catalog:
    grants = (EntitlementGrant("tokens", limits=(EVER, daily)),)
    return Catalog((Feature("tokens", FeatureKind.METERED),), (Plan("pro", entitlements=grants),))


SOLD: Final = catalog_of(DAILY)
ACME: Final = Company("acme", subscription=Subscription("pro", anchor_us=DAY_START_US))
RESET_US: Final = NOW_US + HOUR_US
AFTER_US: Final = RESET_US + HOUR_US
TOMORROW_US: Final = DAY_START_US + DAY_US + HOUR_US


@pytest.fixture
def sold(store: PlaneStore) -> PlaneStore:
    apply.apply(store, Desired(SOLD, (ACME,)), NOW_US)
    return store


def held(store: PlaneStore) -> CompanySnapshot:
    """What a sidecar gets that asks now."""
    return directory.get_company(store, "acme").snapshot


def counters(snapshot: CompanySnapshot, at_us: int, catalog: Catalog = SOLD) -> list[CounterRef]:
    """Where a sidecar that holds a timeline counts: ever, and on the day."""
    found = attribute(CatalogIndex(catalog, 1), snapshot, "tokens", at_us, {})
    assert found is not None
    return [key.counter for key in found]


def change(store: PlaneStore, wanted: SubscriptionChange, at_us: int = RESET_US) -> None:
    change_subscription(store, "acme", wanted, NOW, at_us)


def push(
    store: PlaneStore,
    by: CompanySnapshot,
    at_us: int,
    incarnation: str = ALICE,
    key: str = "",
    now_us: int = AFTER_US,
) -> list[CounterRef]:
    """Push usage of 5 that was counted by a timeline; returns the counters in the answer."""
    writer = Writer(incarnation)
    writer.write(record(5, key=key, at_us=at_us, counters=counters(by, at_us)))
    return [total.counter for total in writer.push(store, now_us=now_us).totals]


def amounts(store: PlaneStore, refs: Iterable[CounterRef]) -> list[int]:
    return [used(store, ref) for ref in refs]


def test_usage_after_a_reset_that_the_sidecar_did_not_know_of_is_moved(sold: PlaneStore) -> None:
    stale = held(sold)
    change(sold, ResetUsage())
    told = push(sold, stale, AFTER_US)
    right = counters(held(sold), AFTER_US)
    wrong = counters(stale, AFTER_US)
    assert ([0, 0], [5, 5]) == (amounts(sold, wrong), amounts(sold, right))
    assert {*right, *wrong} == {*told}
    with sold.read() as transaction:
        (state,) = transaction.counters([key_of(right[0])])
    assert {CORRECTIONS: 5} == state.parts


def test_usage_before_a_reset_stays_where_it_is(sold: PlaneStore) -> None:
    stale = held(sold)
    change(sold, ResetUsage())
    told = push(sold, stale, RESET_US - 1)
    assert [5, 5] == amounts(sold, told)
    assert counters(stale, RESET_US - 1) == told


def test_usage_counted_by_the_present_timeline_stays_where_it_is(sold: PlaneStore) -> None:
    change(sold, ResetUsage())
    told = push(sold, held(sold), AFTER_US)
    assert counters(held(sold), AFTER_US) == told
    with sold.read() as transaction:
        states = transaction.counters(key_of(ref) for ref in told)
    assert [{ALICE: 5}, {ALICE: 5}] == [state.parts for state in states]


def test_usage_after_a_moved_anchor_is_moved_where_windows_start_from_it(sold: PlaneStore) -> None:
    stale = held(sold)
    change(sold, RenewSubscription(moves_anchor=True))
    push(sold, stale, AFTER_US)
    _, wrong = counters(stale, AFTER_US)
    ever, right = counters(held(sold), AFTER_US)
    assert LIFETIME == ever
    assert [5, 5, 0] == amounts(sold, [ever, right, wrong])
    with sold.read() as transaction:
        (state,) = transaction.counters([key_of(ever)])
    assert {ALICE: 5} == state.parts


def test_usage_after_a_planned_reset_that_was_dropped_is_moved_back(sold: PlaneStore) -> None:
    when = When(ChangeTime.AT, RESET_US)
    change_subscription(sold, "acme", ResetUsage(), when, NOW_US)
    stale = held(sold)
    change(sold, DropPlannedChanges(), RESET_US - 1)
    push(sold, stale, AFTER_US)
    assert [0, 0] == amounts(sold, counters(stale, AFTER_US))
    assert [5, 5] == amounts(sold, counters(held(sold), AFTER_US))


def test_a_duplicate_is_only_taken_back(sold: PlaneStore) -> None:
    stale = held(sold)
    change(sold, ResetUsage())
    push(sold, held(sold), AFTER_US, ALICE, "key")
    push(sold, stale, AFTER_US, BOB, "key")
    assert [0, 0] == amounts(sold, counters(stale, AFTER_US))
    assert [5, 5] == amounts(sold, counters(held(sold), AFTER_US))


def test_usage_older_than_the_timeline_tells_stays_where_it_is(sold: PlaneStore) -> None:
    stale = held(sold)
    change(sold, ResetUsage())
    much_later_us = AFTER_US + HISTORY_US + DAY_US
    change(sold, ResetUsage(), much_later_us)
    told = push(sold, stale, AFTER_US, now_us=much_later_us)
    assert [5, 5] == amounts(sold, counters(stale, AFTER_US))
    assert counters(stale, AFTER_US) == told


def test_usage_of_a_feature_that_is_no_longer_sold_stays_where_it_is(sold: PlaneStore) -> None:
    stale = held(sold)
    change(sold, ResetUsage())
    plans = (Plan("pro"),)
    apply.apply(sold, Desired(Catalog(plans=plans)), AFTER_US)
    assert [5, 5] == amounts(sold, push(sold, stale, AFTER_US))


def test_unattributed_usage_goes_on_the_generation_of_its_time(sold: PlaneStore) -> None:
    change(sold, ResetUsage())
    writer = Writer()
    writer.write(
        record(5, at_us=RESET_US - 1, unattributed=True),
        record(7, at_us=RESET_US, unattributed=True),
    )
    writer.push(sold, now_us=AFTER_US)
    before = counters(held(sold), RESET_US - 1)
    after = counters(held(sold), RESET_US)
    assert ([5, 5], [7, 7]) == (amounts(sold, before), amounts(sold, after))


def test_unattributed_usage_of_an_unknown_company_goes_on_the_default_plan(
    sold: PlaneStore,
) -> None:
    default = msgspec.structs.replace(SOLD, default_plan="pro")
    apply.apply(sold, Desired(default), NOW_US)
    writer = Writer()
    writer.write(record(5, name="nobody", unattributed=True))
    told = writer.push(sold).totals
    assert [("nobody", 5), ("nobody", 5)] == [(total.company, total.total) for total in told]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(
    ("restored_us", "counts"),
    [(None, False), (NOW_US, True), (AFTER_US - HISTORY_US, False)],
    ids=["nothing_was_lost", "state_was_lost", "long_ago"],
)
def test_usage_counted_by_a_catalog_that_was_lost_counts_by_the_one_of_now_too(
    store: PlaneStore, restored_us: int | None, counts: bool, is_there: bool
) -> None:
    apply.apply(store, Desired(replace(SOLD, default_plan="pro"), (ACME,) * is_there), NOW_US)
    if restored_us is not None:
        with store.write() as transaction:
            transaction.put_lease_recovery(LeaseRecovery(restored_us, 0, 0))
    today = held(store) if is_there else default_snapshot("acme", "pro", 1)
    lost = catalog_of(replace(DAILY, window=WindowSpec(WindowUnit.HOUR)))
    _, hourly = counters(today, AFTER_US, lost)
    ever, daily = counters(today, AFTER_US)
    writer = Writer()
    writer.write(
        record(5, at_us=AFTER_US, counters=[hourly]),
        record(7, at_us=AFTER_US, counters=[ever, daily]),
    )
    told = writer.push(store, now_us=AFTER_US).totals
    more = 5 if counts else 0
    assert [5, 7 + more, 7 + more] == amounts(store, [hourly, ever, daily])
    assert {hourly, ever, daily} == {total.counter for total in told}


class _Counting:
    """A transaction that counts the companies it is asked for."""

    def __init__(self, transaction: ReadTransaction) -> None:
        self.asked: list[str] = []
        self._transaction = transaction

    def lease_recovery(self) -> None:
        return None

    def snapshots(self, ids: Iterable[str]) -> dict[str, CompanySnapshot]:
        asked = list(ids)
        self.asked += asked
        return self._transaction.snapshots(asked)


def test_where_nothing_started_anew_a_push_looks_once_at_each_company(sold: PlaneStore) -> None:
    data = [record(1), record(2), record(3, name="other"), record(4, name="other")]
    records = [read for read in read_records(data) if isinstance(read, Record)]
    with sold.read() as transaction:
        counting = _Counting(transaction)
        attributor = Attributor(counting, NOW_US)  # type: ignore[arg-type]  # asks for no more
        found = [attributor.counters_of(*pair) for pair in zip(records, data, strict=True)]
    assert [one.counters for one in records] == found
    assert ["acme", "other"] == counting.asked


@pytest.mark.parametrize(("at_us", "moved"), [(NOW_US + HOUR_US, False), (TOMORROW_US, True)])
def test_usage_after_a_time_zone_changed_is_in_the_windows_of_that(
    store: PlaneStore, at_us: int, moved: bool
) -> None:
    catalog = catalog_of(replace(DAILY, window=WindowSpec(WindowUnit.DAY)))
    apply.apply(store, Desired(catalog, (ACME,)), NOW_US)
    stale = counters(held(store), at_us, catalog)
    apply.apply(store, Desired(companies=(replace(ACME, time_zone="Asia/Tokyo"),)), NOW_US)
    present = counters(held(store), at_us, catalog)
    assert moved is (stale != present)  # a window that ran when it changed goes on
    writer = Writer()
    writer.write(record(5, at_us=at_us, counters=stale))
    writer.push(store, now_us=at_us)
    assert [5, 5] == amounts(store, present)
    assert [5, 0 if moved else 5] == amounts(store, stale)
