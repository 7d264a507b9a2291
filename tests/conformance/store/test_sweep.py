"""The sweep forgets what is over, in bounded steps, and nothing else."""

from __future__ import annotations

from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.limits.rates import Bucket
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.storage import keys
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.sweep import COUNTER_KEPT_US, Sweep
from sidecar.storage.watch_position import WatchPosition
from tests.support.build import LIFETIME, NOW_US, catalog, catalog_snapshot, counter_ref, limit
from tests.support.stores import MONTHLY, OpenedStore, keep_answer

END_US = MONTHLY.window.end_us
FOREVER = counter_ref(limit(window=LIFETIME))


def sweep(opened: OpenedStore, now_us: int, most: int = 1000) -> tuple[int, int]:
    """One whole round: keys forgotten, and steps taken."""
    found = Sweep(opened.store)
    forgotten = 0
    for steps in range(1, 10_000):
        some, complete = found.step(now_us, most)
        forgotten += some
        if complete:
            return forgotten, steps
    raise AssertionError("never done")


def put_bucket(opened: OpenedStore, name: str, over_us: int) -> bytes:
    key = keys.bucket_base("acme", name, "slot")
    bucket = Bucket(5, over_us - 5)
    opened.store.transact(lambda transaction: transaction.put_bucket(key, bucket, over_us))
    return key


def test_an_empty_store_is_swept_at_once(opened: OpenedStore) -> None:
    assert (0, 1) == sweep(opened, NOW_US)


def test_buckets_are_forgotten_once_they_have_drained(opened: OpenedStore) -> None:
    kept, gone = put_bucket(opened, "kept", NOW_US + 1), put_bucket(opened, "gone", NOW_US)
    assert 1 == sweep(opened, NOW_US)[0]
    held = opened.store.transact(
        lambda transaction: [transaction.keyspace.get(key) is not None for key in (kept, gone)]
    )
    assert [True, False] == held


def test_counters_outlive_their_window_for_as_long_as_late_usage_may_come(
    opened: OpenedStore,
) -> None:
    opened.count(5)
    assert 0 == sweep(opened, END_US + 35 * DAY_US)[0]
    assert 5 == opened.used()
    assert 1 == sweep(opened, END_US + COUNTER_KEPT_US + 1)[0]
    assert opened.counter() is None


def test_a_lifetime_counter_is_never_forgotten(opened: OpenedStore) -> None:
    opened.count(5, FOREVER)
    assert 0 == sweep(opened, NOW_US + 10_000 * DAY_US)[0]
    assert 5 == opened.used(FOREVER)


def test_everything_else_is_left_alone(opened: OpenedStore) -> None:
    record = opened.count(5)
    kept = opened.store.transact(keep_answer)
    opened.snapshots.apply(
        SnapshotChanges(
            catalog_snapshot(catalog({})),
            [CompanySnapshot("acme", 1)],
            position=WatchPosition("e", 1),
        )
    )
    sweep(opened, END_US + 10_000 * DAY_US)
    opened.reopen()
    run = whole(opened.outbox.next_run(10, 1 << 20))
    assert run is not None
    assert (record,) == run.records
    assert opened.snapshots.catalog() is not None
    assert kept == opened.store.transact(lambda transaction: transaction.answer(b"name"))
    assert opened.snapshots.company("acme") is not None
    assert WatchPosition("e", 1) == opened.snapshots.position()


def test_steps_are_bounded_and_reach_every_key(opened: OpenedStore) -> None:
    with opened.store.group():
        for number in range(50):
            put_bucket(opened, str(number), NOW_US - number % 2)
            opened.count(1, counter_ref(limit(each=["user"]), (str(number),)))
    assert (50, 15) == sweep(opened, NOW_US, most=7)


def test_the_next_round_starts_again_from_the_first_key(opened: OpenedStore) -> None:
    found = Sweep(opened.store)
    put_bucket(opened, "a", NOW_US)
    assert (1, True) == found.step(NOW_US, 10)
    put_bucket(opened, "a", NOW_US)
    assert (1, True) == found.step(NOW_US, 10)
