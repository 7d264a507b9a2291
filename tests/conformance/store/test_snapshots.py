"""Snapshots in the store: older ones are ignored, unless the plane's state is another."""

from __future__ import annotations

import pytest

from sidecar.domain.catalog.model import Catalog, CatalogSnapshot, Feature, FeatureKind
from sidecar.domain.company.model import CompanySnapshot, Phase
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.storage import codec
from sidecar.storage.keys import META_POSITION
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.watch_position import READS, KeptPosition, WatchPosition
from tests.support.build import catalog, catalog_snapshot, company, limit, metered
from tests.support.stores import OpenedStore


def named(version: int) -> CatalogSnapshot:
    return CatalogSnapshot(
        version, Catalog(features=(Feature(f"feature {version}", FeatureKind.METERED),))
    )


def snapshot(version: int, name: str = "acme", time_zone: str = "UTC") -> CompanySnapshot:
    return CompanySnapshot(name, version, (Phase(time_zone=time_zone),))


def test_a_new_store_holds_nothing(opened: OpenedStore) -> None:
    assert opened.snapshots.catalog() is None
    assert opened.snapshots.company("acme") is None
    assert WatchPosition() == opened.snapshots.position()
    assert [] == opened.snapshots.company_ids("", 10)


def test_what_was_applied_is_there_after_closing(opened: OpenedStore) -> None:
    content = catalog_snapshot(catalog({"basic": [metered("calls", limit(each=["user"]))]}), 5)
    acme = compile_snapshot(company(time_zone="Europe/Berlin"), 5)
    opened.snapshots.apply(SnapshotChanges(content, [acme], position=WatchPosition("epoch", 5)))
    opened.reopen()
    assert content == opened.snapshots.catalog()
    assert acme == opened.snapshots.company("acme")
    assert WatchPosition("epoch", 5) == opened.snapshots.position()


@pytest.mark.parametrize(
    ("held", "given", "replace", "expected"),
    [
        (5, 6, False, 6),
        (5, 4, False, 5),
        (5, 4, True, 4),
        (5, 6, True, 6),
    ],
    ids=["newer", "older", "older of another state", "newer of another state"],
)
def test_versions_only_grow(
    opened: OpenedStore, held: int, given: int, replace: bool, expected: int
) -> None:
    opened.snapshots.apply(SnapshotChanges(named(held), [snapshot(held)]))
    opened.snapshots.apply(SnapshotChanges(named(given), [snapshot(given)], replace=replace))
    assert named(expected) == opened.snapshots.catalog()
    assert snapshot(expected) == opened.snapshots.company("acme")


def test_the_same_version_once_more_is_taken(opened: OpenedStore) -> None:
    opened.snapshots.apply(SnapshotChanges(companies=[snapshot(5)]))
    opened.snapshots.apply(SnapshotChanges(companies=[snapshot(5, time_zone="Asia/Tokyo")]))
    assert snapshot(5, time_zone="Asia/Tokyo") == opened.snapshots.company("acme")


def test_removed_companies_are_gone_and_others_are_not(opened: OpenedStore) -> None:
    opened.snapshots.apply(SnapshotChanges(companies=[snapshot(1, n) for n in ("a", "b", "c")]))
    opened.snapshots.apply(SnapshotChanges(removed=["b", "never held"]))
    assert ["a", "c"] == opened.snapshots.company_ids("", 10)


def test_a_position_of_none_leaves_it_as_it_is(opened: OpenedStore) -> None:
    opened.snapshots.apply(SnapshotChanges(position=WatchPosition("epoch", 5)))
    opened.snapshots.apply(SnapshotChanges(companies=[snapshot(9)]))
    assert WatchPosition("epoch", 5) == opened.snapshots.position()


def test_where_a_program_was_that_read_less_is_the_start_for_this_one(opened: OpenedStore) -> None:
    def keep(kept: KeptPosition) -> None:
        data = codec.encode_value(kept)
        opened.store.transact(lambda transaction: transaction.keyspace.put(META_POSITION, data))

    keep(KeptPosition("epoch", 5, reads=READS - 1))
    assert WatchPosition("epoch", 0) == opened.snapshots.position()
    keep(KeptPosition("epoch", 5, reads=READS + 1))
    assert WatchPosition("epoch", 5) == opened.snapshots.position()


def test_companies_are_listed_in_order_and_in_pages(opened: OpenedStore) -> None:
    names = ["a", "a b", "ab", "b", "\u00e4", "\U0001f600"]
    opened.snapshots.apply(SnapshotChanges(companies=[snapshot(1, n) for n in reversed(names)]))
    found: list[str] = []
    while page := opened.snapshots.company_ids(found[-1] if found else "", 2):
        assert len(page) <= 2
        found += page
    assert names == found


def test_snapshots_of_a_company_whose_name_begins_like_another(opened: OpenedStore) -> None:
    opened.snapshots.apply(SnapshotChanges(companies=[snapshot(1, "acme2"), snapshot(2)]))
    assert snapshot(2) == opened.snapshots.company("acme")
    assert snapshot(1, "acme2") == opened.snapshots.company("acme2")
    assert opened.snapshots.company("acm") is None
