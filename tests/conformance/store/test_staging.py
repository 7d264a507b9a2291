"""Changes of many companies and a large catalog: written in many steps, and seen as one.

Between any two of the steps the process may be killed, or the disk be full.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import NamedTuple

import pytest

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.errors import Exhausted
from sidecar.domain.slices import Slices
from sidecar.storage import catalog_parts, snapshots
from sidecar.storage.kv_engine import KvFull
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.snapshots import SnapshotChanges, Snapshots
from sidecar.storage.watch_position import WatchPosition
from tests.support.build import catalog, catalog_snapshot, limit, metered
from tests.support.stores import Disk, MemoryDisk, OpenedStore

NAMES = [f"company {number:02}" for number in range(12)]
LEFT, STAYED, CAME = NAMES[:2], NAMES[2:8], NAMES[8:]


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(catalog_parts, "PART_WEIGHT", 4)


class State(NamedTuple):
    """All that a store says."""

    catalog: Catalog | None
    catalog_version: int
    companies: dict[str, int]
    held: list[str]
    position: WatchPosition


def content(amount: int) -> Catalog:
    grants = [metered(f"feature {n}", limit("monthly", amount)) for n in range(5)]
    return catalog(dict.fromkeys(("basic", "pro", "team"), grants))


def revision(version: int, names: list[str], removed: tuple[str, ...] = ()) -> SnapshotChanges:
    return SnapshotChanges(
        catalog_snapshot(content(version), version),
        [CompanySnapshot(name, version) for name in names],
        removed,
        WatchPosition("epoch", version),
    )


FIRST, SECOND = revision(1, LEFT + STAYED), revision(2, STAYED + CAME, tuple(LEFT))


def state(of: Snapshots) -> State:
    found = {name: of.company(name) for name in NAMES}
    versions = {name: snapshot.version for name, snapshot in found.items() if snapshot}
    for name in NAMES:
        assert (name in versions) == of.holds(name)
    stored = of.catalog()
    return State(
        catalog=stored.catalog if stored else None,
        catalog_version=stored.version if stored else 0,
        companies=versions,
        held=list(_listed(of)),
        position=of.position(),
    )


def _listed(of: Snapshots) -> Iterator[str]:
    after = ""
    while page := of.company_ids(after, 3):
        yield from page
        after = page[-1]


BEFORE = State(
    content(1), 1, dict.fromkeys(LEFT + STAYED, 1), LEFT + STAYED, WatchPosition("epoch", 1)
)
AFTER = State(
    content(2), 2, dict.fromkeys(STAYED + CAME, 2), STAYED + CAME, WatchPosition("epoch", 2)
)


def seen(found: State) -> tuple[int, dict[str, int]]:
    """What calls are decided by."""
    return found.catalog_version, found.companies


def done(steps: Slices[None], most: int) -> bool:
    """Take so many steps; whether those were all."""
    for _ in range(most):
        try:
            next(steps)
        except StopIteration:
            return True
    return False


@pytest.fixture
def begun(disk: Disk) -> Iterator[OpenedStore]:
    opened = OpenedStore(disk)
    opened.snapshots.apply(FIRST)
    assert BEFORE == state(opened.snapshots)
    yield opened
    opened.close()


def test_between_any_two_steps_all_of_it_is_seen_or_none(begun: OpenedStore) -> None:
    steps = begun.snapshots.applying(SECOND)
    found = [seen(state(begun.snapshots))]
    while not done(steps, 1):
        found.append(seen(state(begun.snapshots)))
    assert AFTER == state(begun.snapshots)
    switched_at = found.index(seen(AFTER))
    assert [seen(BEFORE)] * switched_at == found[:switched_at]
    assert [seen(AFTER)] * (len(found) - switched_at) == found[switched_at:]
    # Before the switch and behind it, in parts of the catalog and pages of companies.
    assert 10 < switched_at < len(found) - 5


def test_a_process_killed_between_any_two_steps_has_done_all_or_nothing(disk: Disk) -> None:
    outcomes = []
    for killed_after in count():
        opened = OpenedStore(disk)
        opened.snapshots.apply(
            SnapshotChanges(FIRST.catalog, FIRST.companies, CAME, FIRST.position, replace=True)
        )
        assert BEFORE == state(opened.snapshots)
        complete = done(opened.snapshots.applying(SECOND), killed_after)
        opened.reopen()
        found = state(opened.snapshots)
        assert found in (BEFORE, AFTER)
        outcomes.append(found == AFTER)
        opened.snapshots.apply(SECOND)
        assert AFTER == state(opened.snapshots)
        opened.close()
        if complete:
            break
    assert sorted(outcomes) == outcomes, "what is seen once stays seen"
    assert {False, True} == set(outcomes)


def test_changes_that_were_left_in_the_middle_are_no_part_of_the_next(begun: OpenedStore) -> None:
    for steps in (3, 8, 12):
        assert not done(begun.snapshots.applying(revision(5, [*NAMES, "other"])), steps)
        assert seen(BEFORE) == seen(state(begun.snapshots))
    begun.snapshots.apply(SECOND)
    assert AFTER == state(begun.snapshots)
    assert begun.snapshots.company("other") is None


def test_nothing_of_it_is_left_in_the_store(begun: OpenedStore) -> None:
    """Neither what was staged nor the parts of the catalog that was in force before."""
    fresh = OpenedStore(MemoryDisk())
    fresh.snapshots.apply(SECOND)
    begun.snapshots.apply(SECOND)
    assert len(_kinds(fresh, b"p")) == len(_kinds(begun, b"p"))
    assert [] == _kinds(begun, b"t")


def test_a_catalog_that_is_older_is_left_out_and_the_rest_is_taken(begun: OpenedStore) -> None:
    begun.snapshots.apply(revision(5, []))
    begun.snapshots.apply(
        SnapshotChanges(FIRST.catalog, SECOND.companies, SECOND.removed, WatchPosition("epoch", 6))
    )
    expected = (content(5), 5, AFTER.companies, AFTER.held, WatchPosition("epoch", 6))
    assert expected == state(begun.snapshots)


class FailingEngine(MemoryEngine):
    """Has room for so many more commits that write something."""

    def __init__(self) -> None:
        super().__init__()
        self.commits_left = 1_000_000

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        if writes:
            if not self.commits_left:
                raise KvFull("no room")
            self.commits_left -= 1
        super().apply(writes)


class FailingDisk:
    """Keeps a failing engine."""

    def __init__(self) -> None:
        self.kept = FailingEngine()

    def engine(self) -> FailingEngine:
        return self.kept


def test_a_full_disk_at_any_step_leaves_all_or_nothing_and_is_made_up_for() -> None:
    for commits in count():
        disk = FailingDisk()
        opened = OpenedStore(disk)
        opened.snapshots.apply(FIRST)
        disk.kept.commits_left = commits
        try:
            opened.snapshots.apply(SECOND)
        except Exhausted:
            found = state(opened.snapshots)
            assert seen(found) in (seen(BEFORE), seen(AFTER))
            disk.kept.commits_left = 1_000_000
            third = revision(3, NAMES)
            opened.snapshots.apply(third)
            expected = (3, dict.fromkeys(NAMES, 3), NAMES, third.position)
            found = state(opened.snapshots)
            assert expected == (*seen(found), found.held, found.position)
        else:
            assert AFTER == state(opened.snapshots)
            assert commits > 20
            break


def _kinds(opened: OpenedStore, kind: bytes) -> list[bytes]:
    store = opened.store
    pairs = store.transact(
        lambda transaction: store.engine.scan(
            transaction.keyspace, kind, bytes([kind[0] + 1]), 1_000
        )
    )
    return [key for key, _ in pairs]
