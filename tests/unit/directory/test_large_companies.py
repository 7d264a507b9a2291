"""Companies in memory are bounded by how much there is of them, not by their number alone."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import EntitlementGrant
from sidecar.domain.company.model import CompanySnapshot, Override
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import NOW_US, catalog, catalog_snapshot, company, limit, metered
from tests.support.stores import MemoryDisk, OpenedStore

CONTENT: Final = catalog_snapshot(catalog({"basic": [metered("calls", limit())]}))
SMALL: Final = [f"small {number}" for number in range(10)]
LARGE: Final = [f"large {number}" for number in range(10)]


def large(name: str, version: int = 1) -> CompanySnapshot:
    overrides = tuple(
        Override(EntitlementGrant(f"days {number:02}", config_value="7")) for number in range(99)
    )
    return compile_snapshot(msgspec.structs.replace(company(name), overrides=overrides), version)


@pytest.fixture
def directory() -> Directory:
    """Of ten companies in memory, or two hundred phases and overrides."""
    snapshots = OpenedStore(MemoryDisk()).snapshots
    found = Directory(snapshots, 10, company_cache=CompanyCache(snapshots, 100))
    small = [compile_snapshot(company(name), 1) for name in SMALL]
    found.apply(SnapshotChanges(CONTENT, [*small, *map(large, LARGE)]))
    return found


def in_memory(directory: Directory) -> list[str]:
    return list(directory._resolved)


def look_at(directory: Directory, *names: str) -> None:
    for name in names:
        assert directory.company(name, NOW_US) is not None


def test_of_large_companies_fewer_are_in_memory_and_all_are_served(directory: Directory) -> None:
    look_at(directory, *LARGE)
    assert LARGE[-2:] == in_memory(directory)
    look_at(directory, *LARGE[:2])
    assert LARGE[:2] == in_memory(directory)


def test_a_large_company_sends_few_others_away_at_once(directory: Directory) -> None:
    look_at(directory, *SMALL)
    assert SMALL == in_memory(directory)
    look_at(directory, LARGE[0], LARGE[1])
    assert [*SMALL[5:], *LARGE[:2]] == in_memory(directory)
    look_at(directory, LARGE[2])
    assert [SMALL[9], *LARGE[:3]] == in_memory(directory)
    look_at(directory, *LARGE[3:6])
    assert LARGE[4:6] == in_memory(directory)


def test_what_changes_no_longer_weighs(directory: Directory) -> None:
    look_at(directory, *LARGE[:2])
    for version in range(2, 6):
        changed = [large(name, version) for name in LARGE[:2]]
        directory.apply(SnapshotChanges(companies=changed))
        look_at(directory, *LARGE[:2])
        assert LARGE[:2] == in_memory(directory)
    directory.apply(SnapshotChanges(removed=LARGE[:2]))
    look_at(directory, *SMALL)
    assert SMALL == in_memory(directory)
