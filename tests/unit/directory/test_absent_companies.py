"""Companies that the plane does not have: what is known of them, also after a restart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pytest

from sidecar.directory import absent_companies
from sidecar.directory.directory import Directory
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import Exhausted
from sidecar.storage import absent as absent_in_store
from sidecar.storage.absent import read_absent
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import NOW_US, catalog, catalog_snapshot, company
from tests.support.stores import MemoryDisk, OpenedStore

MINUTE_LATER_US: Final = NOW_US + 60_000_000
CATALOG: Final = catalog_snapshot(catalog({"basic": []}), 9)


@pytest.fixture
def opened() -> OpenedStore:
    return OpenedStore(MemoryDisk())


def open_directory(opened: OpenedStore) -> Directory:
    return Directory(opened.snapshots, 10)


def said(opened: OpenedStore, *names: str, revision: int = 1) -> Directory:
    """A directory that was told of companies that are absent."""
    directory = open_directory(opened)
    directory.remember_absent(names, MINUTE_LATER_US, revision)
    return directory


def restarted(opened: OpenedStore) -> Directory:
    opened.reopen()
    return open_directory(opened)


def absent(directory: Directory, names: Iterable[str], *, final: bool = True) -> list[str]:
    return [name for name in names if directory.is_absent(name, NOW_US, final=final)]


def arrived(*names: str, with_catalog: bool = False) -> SnapshotChanges:
    companies = [compile_snapshot(company(name), 2) for name in names]
    return SnapshotChanges(CATALOG if with_catalog else None, companies)


def test_a_restart_knows_them_and_asks_again_where_it_can(opened: OpenedStore) -> None:
    assert ["a", "b"] == absent(said(opened, "a", "b"), "abc", final=False)
    directory = restarted(opened)
    assert [] == absent(directory, "abc", final=False)
    assert ["a", "b"] == absent(directory, "abc")
    assert [True, True, False] == [directory.follows(name) for name in "abc"]
    assert ["a", "b"] == sorted(directory.in_use())


@pytest.mark.parametrize("with_catalog", [False, True], ids=["in one step", "staged"])
def test_one_that_arrives_is_absent_no_more(opened: OpenedStore, with_catalog: bool) -> None:
    directory = said(opened, "a", "b")
    directory.apply(arrived("a", with_catalog=with_catalog))
    assert ["b"] == absent(directory, "ab")
    assert ["b"] == list(read_absent(opened.store))
    assert ["b"] == absent(restarted(opened), "ab")


def test_one_that_arrived_before_it_was_said_to_be_absent_is_not(opened: OpenedStore) -> None:
    """An answer may be overtaken by the watch."""
    directory = open_directory(opened)
    directory.apply(arrived("a"))
    directory.remember_absent(["a", "b"], MINUTE_LATER_US, 1)
    assert ["b"] == absent(directory, "ab")
    assert ["b"] == list(read_absent(opened.store))


def test_one_that_was_there_and_is_gone_is_absent_once_the_plane_says_so(
    opened: OpenedStore,
) -> None:
    directory = open_directory(opened)
    directory.apply(arrived("a"))
    directory.apply(SnapshotChanges(removed=["a"]))
    assert [] == absent(directory, "a")
    directory.remember_absent(["a"], MINUTE_LATER_US, 3)
    assert ["a"] == absent(restarted(opened), "a")


def test_they_are_bounded_and_those_said_longest_ago_go_first(
    opened: OpenedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absent_companies, "ABSENT_MAX", 3)
    directory = said(opened, "c", "a", "b")
    directory.remember_absent(["c"], MINUTE_LATER_US, 2)
    directory.remember_absent(["d"], MINUTE_LATER_US, 2)
    assert ["b", "c", "d"] == absent(directory, "abcd")
    assert ["b", "c", "d"] == list(read_absent(opened.store))


def test_more_than_are_kept_at_once_leave_the_last(
    opened: OpenedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absent_companies, "ABSENT_MAX", 3)
    said(opened, *"abcde")
    assert ["c", "d", "e"] == absent(restarted(opened), "abcde")


def test_after_a_restart_those_of_the_oldest_revision_go_first(
    opened: OpenedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absent_companies, "ABSENT_MAX", 3)
    for revision, name in ((9, "a"), (7, "b"), (8, "c")):
        said(opened, name, revision=revision)
    directory = restarted(opened)
    directory.remember_absent(["d"], MINUTE_LATER_US, 9)
    assert ["a", "c", "d"] == absent(directory, "abcd")


def test_all_of_many_are_known_after_a_restart(
    opened: OpenedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absent_in_store, "_READ_AT_ONCE", 4)
    names = [f"company {number}" for number in range(8)]
    said(opened, *names)
    assert names == absent(restarted(opened), names)


def test_what_has_no_room_in_the_store_is_known_until_a_restart(
    opened: OpenedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: object) -> None:
        raise Exhausted("", "no room", "STORE_FULL")

    monkeypatch.setattr(absent_companies, "require_room_for_snapshots", no_room)
    assert ["a"] == absent(said(opened, "a"), "a")
    assert [] == absent(restarted(opened), "a")


def test_what_is_known_already_is_not_written_again(opened: OpenedStore) -> None:
    """Whoever is on the default plan is asked for each minute."""
    directory = said(opened, "a", revision=1)
    directory.remember_absent(["a"], MINUTE_LATER_US, 2)
    assert {"a": 1} == read_absent(opened.store)
