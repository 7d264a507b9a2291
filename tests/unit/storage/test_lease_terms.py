"""On what terms a store stands with the plane about leases, before the plane has said any."""

from __future__ import annotations

from sidecar.storage.lease_terms import LeaseTerms, read_lease_terms, write_lease_terms
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.watch_position import WatchPosition
from tests.support.stores import MemoryDisk, OpenedStore

FOLLOWED = SnapshotChanges(position=WatchPosition("epoch-1", 7))


def test_a_new_store_counts_by_leases_from_its_first_call_on() -> None:
    opened = OpenedStore(MemoryDisk())
    assert LeaseTerms(in_use=True) == read_lease_terms(opened.store)


def test_a_new_store_is_known_as_one_after_news_of_the_plane_and_a_restart() -> None:
    opened = OpenedStore(MemoryDisk())
    read_lease_terms(opened.store)
    opened.snapshots.apply(FOLLOWED)
    opened.reopen()
    assert read_lease_terms(opened.store).in_use


def test_a_store_of_a_version_before_leases_counts_without_them_until_the_plane_says_so() -> None:
    opened = OpenedStore(MemoryDisk())
    opened.snapshots.apply(FOLLOWED)
    assert LeaseTerms() == read_lease_terms(opened.store)


def test_what_the_plane_has_said_stands() -> None:
    opened = OpenedStore(MemoryDisk())
    for terms in (LeaseTerms(True, "epoch-1"), LeaseTerms(False, "epoch-1")):
        write_lease_terms(opened.store, terms)
        assert terms == read_lease_terms(opened.store)
