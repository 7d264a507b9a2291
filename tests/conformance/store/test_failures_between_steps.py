"""What takes many steps is made up for, wherever it was interrupted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.errors import Unavailable
from sidecar.domain.slices import whole
from sidecar.storage.codec import Tally
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.sweep import Sweep
from sidecar.storage.watch_position import WatchPosition
from tests.conformance.store.batches import (
    LATER_US,
    USERS,
    Batch,
    held_companies,
    lost_power,
    some_calls,
)
from tests.conformance.store.conftest import MakeDisk
from tests.support.build import catalog, catalog_snapshot, limit, metered
from tests.support.failing import FailingDisk, Fuse, fails_at
from tests.support.stores import MONTHLY, STORE_BYTES_MAX, MemoryDisk, OpenedStore

STEPS_MAX = 1_000
CONTENT = catalog({"pro": [metered("calls", limit("monthly", 7))]})


def until(done: Callable[[], bool]) -> None:
    for _ in range(STEPS_MAX):
        if done():
            return
    raise AssertionError("never done")


def leave_and_move(opened: OpenedStore) -> None:
    until(lambda: not opened.outbox.begin_incarnation("life-9", "life-1", 2))
    until(lambda: not opened.outbox.move_fenced())


def take_a_revision(opened: OpenedStore) -> None:
    companies = [CompanySnapshot(name, 2) for name in ("acme", "globex")]
    position = WatchPosition("epoch", 2)
    opened.snapshots.apply(
        SnapshotChanges(catalog_snapshot(CONTENT, 2), companies, ("hooli",), position)
    )


def sweep_all(opened: OpenedStore) -> None:
    sweep = Sweep(opened.store)
    until(lambda: sweep.step(LATER_US, 1)[1])


def send_all(opened: OpenedStore) -> None:
    def sent() -> bool:
        run = whole(opened.outbox.next_run(2, 1 << 20))
        if run is not None:
            opened.outbox.acknowledge(run.incarnation, run.first_sequence + len(run.records) - 1)
        return run is None

    until(sent)


LONG = {
    "fencing and moving": Batch(some_calls, leave_and_move),
    "a revision with a catalog": Batch(held_companies, take_a_revision),
    "a round of the sweep": Batch(some_calls, sweep_all),
    "sending what two lives left": Batch(lost_power, send_all),
}


def meaning(opened: OpenedStore) -> object:
    """All that a store says."""
    companies = {name: opened.snapshots.company(name) for name in ("acme", "globex", "hooli")}
    catalog = opened.snapshots.catalog()
    usage = [opened.counter(ref) for ref in (MONTHLY, *USERS)]
    outbox = (opened.waiting(), opened.store.head, opened.store.waiting_records())
    return companies, catalog, opened.snapshots.position(), usage, outbox, opened.tallies()


@pytest.mark.parametrize("restarts", [False, True], ids=["goes on", "restarts"])
@pytest.mark.parametrize("name", LONG)
def test_what_takes_many_steps_is_made_up_for_after_a_failure_in_any(
    make_disk: MakeDisk, name: str, restarts: bool
) -> None:
    batch = LONG[name]
    twin = OpenedStore(MemoryDisk())
    batch.prepare(twin)
    batch.run(twin)
    expected = meaning(twin)
    failed, moment = True, 0
    while failed:
        fuse = Fuse()
        opened = OpenedStore(FailingDisk(make_disk(STORE_BYTES_MAX), fuse))
        batch.prepare(opened)
        failed = fails_at(moment, fuse, lambda: batch.run(opened), Unavailable)  # noqa: B023
        if failed and restarts:
            opened.reopen()
        batch.run(opened)
        assert expected == meaning(opened), f"after a failure at moment {moment}"
        opened.close()
        moment += 1
    assert moment > 5


def test_a_failure_while_the_accepted_are_added_up_leaves_the_sum_right(
    make_disk: MakeDisk,
) -> None:
    fuse = Fuse()
    opened = OpenedStore(FailingDisk(make_disk(STORE_BYTES_MAX), fuse))
    failed = []
    for moment in range(10):
        some_calls(opened)
        opened.outbox.acknowledge("life-1", 6 * moment + 3)
        failed.append(fails_at(moment, fuse, opened.tallies, Unavailable))
        assert {"calls": Tally(6 * (moment + 1), 21 * (moment + 1))} == opened.tallies()
    assert {False, True} == set(failed)
    opened.close()
