"""The engine fails at every operation in turn: what was being done is there as a whole or not.

What is known in memory goes with what is stored, and the same can be done again.
"""

from __future__ import annotations

from itertools import count

import pytest

from sidecar.domain.errors import Unavailable
from sidecar.domain.slices import whole
from tests.conformance.store.batches import BATCHES, Batch
from tests.conformance.store.conftest import MakeDisk
from tests.support.failing import FailingDisk, Fuse, fails_at
from tests.support.stores import STORE_BYTES_MAX, MemoryDisk, OpenedStore


def state(opened: OpenedStore) -> object:
    """Every byte that is stored, and what is known of it in memory."""
    store = opened.store
    known = (store.head, store.incarnations, store.waiting_records())
    return known, whole(opened.outbox.next_run(100, 1 << 20)), opened.pairs()


@pytest.mark.parametrize("name", BATCHES)
def test_a_failure_at_any_operation_leaves_nothing_of_it_and_it_can_be_done_again(
    make_disk: MakeDisk, name: str
) -> None:
    batch, fuse = BATCHES[name], Fuse()
    opened = OpenedStore(FailingDisk(make_disk(STORE_BYTES_MAX), fuse))
    batch.prepare(opened)
    before = state(opened)
    for moment in count():
        if not fails_at(moment, fuse, lambda: batch.run(opened), Unavailable):
            break
        assert before == state(opened), f"after a failure at moment {moment}"
    assert moment >= 3
    expected = undisturbed(batch)
    assert before != expected
    assert expected == state(opened)
    opened.reopen()
    assert expected == state(opened)
    opened.close()


def undisturbed(batch: Batch) -> object:
    opened = OpenedStore(MemoryDisk())
    batch.prepare(opened)
    batch.run(opened)
    return state(opened)


@pytest.mark.parametrize("name", [name for name in BATCHES if name != "a group of calls"])
def test_a_step_that_lacks_room_at_any_operation_is_run_again_as_if_for_the_first_time(
    make_disk: MakeDisk, name: str
) -> None:
    """But for a group: each of its steps alone may fit."""
    batch, moment, lacked = BATCHES[name], 0, True
    expected = undisturbed(batch)
    while lacked:
        fuse = Fuse()
        opened = OpenedStore(FailingDisk(make_disk(STORE_BYTES_MAX), fuse, short=True))
        batch.prepare(opened)
        fuse.set(moment)
        batch.run(opened)
        lacked = fuse.has_blown
        fuse.mend()
        assert expected == state(opened), f"lacked room at moment {moment}"
        opened.close()
        moment += 1
    assert moment > 3
