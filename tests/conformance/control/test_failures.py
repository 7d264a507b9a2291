"""The database fails at every statement in turn: what was being done is there as a whole or not."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.sqlite.store import MEMORY
from sidecar.domain.errors import Unavailable
from tests.conformance.control.batches import BATCHES, RESTORED, Batch
from tests.support.failing import Blown, Fuse, fails_at
from tests.support.failing_planes import FailingSqliteStore, FailingStore
from tests.support.tables import Rows, contents


def undisturbed(batch: Batch) -> Rows:
    store = SqliteStore()
    batch.prepare(store)
    batch.run(store)
    found = contents(store)
    store.close()
    return found


@pytest.mark.parametrize("name", BATCHES)
def test_a_transaction_that_is_given_up_anywhere_leaves_nothing_of_it(
    store: PlaneStore, name: str
) -> None:
    batch, fuse = BATCHES[name], Fuse()
    batch.prepare(store)
    before, failing = contents(store), FailingStore(store, fuse)
    for moment in count():
        if not fails_at(moment, fuse, lambda: batch.run(failing), Blown):
            break
        assert before == contents(store), f"after a failure at moment {moment}"
    assert moment >= 3
    expected = undisturbed(batch)
    assert before != expected
    assert expected == contents(store)


@pytest.mark.parametrize("place", ["file", "memory"])
@pytest.mark.parametrize("name", BATCHES)
def test_a_failure_at_any_statement_leaves_all_or_nothing_and_it_can_be_done_again(
    tmp_path: Path, name: str, place: str
) -> None:
    """Also behind a statement: of a commit nobody knows then whether it came to the disk."""
    batch, fuse = BATCHES[name], Fuse()
    store = FailingSqliteStore(MEMORY if place == "memory" else str(tmp_path / "plane.db"), fuse)
    batch.prepare(store)
    before, expected = contents(store), undisturbed(batch)
    outcomes = []
    for moment in count():
        if not fails_at(moment, fuse, lambda: batch.run(store), Unavailable):
            break
        found = contents(store)
        assert found in (before, expected), f"after a failure at moment {moment}"
        outcomes.append(found == expected)
    assert expected == contents(store)
    assert sorted(outcomes) == outcomes, "what is there once stays there"
    assert {False, True} == set(outcomes)
    store.close()


def test_an_epoch_that_could_not_be_renewed_is_the_one_before(tmp_path: Path) -> None:
    fuse = Fuse()
    store = FailingSqliteStore(str(tmp_path / "plane.db"), fuse)
    RESTORED.prepare(store)
    epochs = [epoch_of(store)]
    for moment in count():
        failed = fails_at(moment, fuse, lambda: RESTORED.run(store), Unavailable)
        epochs.append(epoch_of(store))
        if not failed:
            break
    assert epochs[0] == epochs[1]
    assert epochs[0] != epochs[-1]
    store.close()


def epoch_of(store: PlaneStore) -> str:
    with store.read() as transaction:
        return transaction.state().epoch
