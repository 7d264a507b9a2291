"""Who the companies are and what they may do, as decisions see it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.directory.directory import Directory
from sidecar.domain.company.model import Company, Override, Subscription
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import DAY_US
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import (
    NOW_US,
    catalog,
    catalog_snapshot,
    company,
    counter_ref,
    limit,
    metered,
)
from tests.support.stores import MemoryDisk, OpenedStore

BY_USER: Final = limit("by_user", each=["user"])


@pytest.fixture
def opened() -> OpenedStore:
    return OpenedStore(MemoryDisk())


def changes(amount: int = 100, version: int = 1, *names: str) -> SnapshotChanges:
    content = catalog({"basic": [metered("calls", limit("monthly", amount), BY_USER)]})
    companies = [compile_snapshot(company(name), version) for name in names or ("acme",)]
    return SnapshotChanges(catalog_snapshot(content, version), companies)


def filled(opened: OpenedStore, companies_max: int = 10) -> Directory:
    directory = Directory(opened.snapshots, companies_max)
    directory.apply(changes())
    return directory


def amounts(directory: Directory, name: str = "acme", at_us: int = NOW_US) -> list[int | None]:
    resolved = directory.company(name, at_us)
    assert resolved is not None
    feature = resolved.feature("calls")
    assert feature is not None
    return [meter.limit.amount for meter in feature.meters]


def test_without_a_catalog_nobody_is_known(opened: OpenedStore) -> None:
    directory = Directory(opened.snapshots, 10)
    assert directory.index is None
    directory.apply(SnapshotChanges(companies=[compile_snapshot(company(), 1)]))
    assert directory.company("acme", NOW_US) is None


def test_what_was_applied_is_known_also_after_a_restart(opened: OpenedStore) -> None:
    assert [100, 100] == amounts(filled(opened))
    opened.reopen()
    assert [100, 100] == amounts(Directory(opened.snapshots, 10))


def test_a_new_catalog_holds_at_once(opened: OpenedStore) -> None:
    directory = filled(opened)
    assert [100, 100] == amounts(directory)
    content = catalog({"basic": [metered("calls", limit("monthly", 7))]})
    directory.apply(SnapshotChanges(catalog_snapshot(content, 2)))
    assert [7] == amounts(directory)


def test_an_older_catalog_and_an_older_snapshot_change_nothing(opened: OpenedStore) -> None:
    directory = Directory(opened.snapshots, 10)
    directory.apply(changes(100, 5))
    directory.apply(changes(7, 4))
    assert [100, 100] == amounts(directory)
    resolved = directory.company("acme", NOW_US)
    assert resolved is not None
    assert 5 == resolved.version


def test_a_new_snapshot_holds_at_once(opened: OpenedStore) -> None:
    directory = filled(opened)
    assert [100, 100] == amounts(directory)
    special = Company(
        "acme",
        subscription=Subscription("basic", NOW_US),
        overrides=(Override(metered("calls", limit("own", 3)), NOW_US + DAY_US),),
    )
    directory.apply(SnapshotChanges(companies=[compile_snapshot(special, 2)]))
    assert [3] == amounts(directory)
    assert [100, 100] == amounts(directory, at_us=NOW_US + DAY_US)
    assert [3] == amounts(directory, at_us=NOW_US + DAY_US - 1)


def test_a_company_that_is_gone_is_unknown_at_once(opened: OpenedStore) -> None:
    directory = filled(opened)
    assert [100, 100] == amounts(directory)
    directory.apply(SnapshotChanges(removed=["acme"]))
    assert directory.company("acme", NOW_US) is None
    assert not directory.holds("acme", NOW_US)


def test_memory_is_bounded_and_the_store_has_the_rest(opened: OpenedStore) -> None:
    directory = Directory(opened.snapshots, 2)
    directory.apply(changes(100, 1, "a", "b", "c"))
    for name in "abcabc":
        assert [100, 100] == amounts(directory, name)
    assert ["b", "c"] == directory.in_use()
    assert [100, 100] == amounts(directory, "b")
    assert [100, 100] == amounts(directory, "a")
    assert ["b", "a"] == directory.in_use()


def test_an_unknown_feature_is_none(opened: OpenedStore) -> None:
    resolved = filled(opened).company("acme", NOW_US)
    assert resolved is not None
    assert resolved.feature("other") is None


def test_who_is_absent_is_not_asked_for_again_for_a_while(opened: OpenedStore) -> None:
    directory = filled(opened)
    assert not directory.holds("other", NOW_US)
    directory.remember_absent(["other"], NOW_US + 10, 1)
    assert [True, False] == [directory.holds("other", NOW_US + at) for at in (9, 10)]
    directory.apply(SnapshotChanges(companies=[compile_snapshot(company("other"), 2)]))
    assert [100, 100] == amounts(directory, "other")


def test_the_place_of_a_request_follows_its_values_and_its_window(opened: OpenedStore) -> None:
    resolved = filled(opened).company("acme", NOW_US)
    assert resolved is not None
    feature = resolved.feature("calls")
    assert feature is not None
    _, meter = feature.meters
    asked = [("ann", NOW_US), ("ann", NOW_US), ("bob", NOW_US), ("ann", NOW_US + 30 * DAY_US)]
    asked += [("ann", NOW_US - 30 * DAY_US), ("bob", NOW_US)]
    for user, at_us in asked:
        place = meter.address({"user": user, "other": "x"}, at_us)
        assert place is not None
        assert counter_ref(BY_USER, (user,), at_us) == place.ref
    assert meter.address({"other": "x"}, NOW_US) is None
