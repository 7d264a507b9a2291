"""Changes of many companies, applied in steps: what decisions find between any two of them."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.directory import company_cache as held_module
from sidecar.directory import directory as directory_module
from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.directory import Directory
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.slices import Slices
from sidecar.storage import snapshots
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import NOW_US, catalog, catalog_snapshot, company, limit, metered
from tests.support.stores import MemoryDisk, OpenedStore

NAMES: Final = tuple(f"company {number}" for number in range(7))
STAY, GONE = NAMES[:6], NAMES[6]


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "WRITTEN_AT_ONCE", 2)
    monkeypatch.setattr(directory_module, "_NOTED_AT_ONCE", 2)
    monkeypatch.setattr(directory_module, "_GRANTS_AT_ONCE", 1)
    monkeypatch.setattr(held_module, "_EVICTED_AT_ONCE", 2)


def content(version: int) -> SnapshotChanges:
    """A catalog whose plans grant the version, and a hundred times the version."""
    plans = {
        "basic": [metered("calls", limit("monthly", version))],
        "pro": [metered("calls", limit("monthly", 100 * version))],
    }
    return SnapshotChanges(catalog_snapshot(catalog(plans), version))


def companies(version: int, plan: str, *names: str) -> list[CompanySnapshot]:
    return [compile_snapshot(company(name, plan), version) for name in names]


CATALOG: Final = content(2)
MOVED: Final = SnapshotChanges(companies=companies(2, "pro", *STAY), removed=[GONE])
BOTH: Final = SnapshotChanges(CATALOG.catalog, MOVED.companies, MOVED.removed)


def filled(directory: Directory) -> Directory:
    directory.apply(content(1))
    directory.apply(SnapshotChanges(companies=companies(1, "basic", *NAMES)))
    return directory


def amounts(directory: Directory, names: tuple[str, ...] = NAMES) -> list[int | None]:
    """What each company may use; `None` of one that is unknown."""
    found: list[int | None] = []
    for name in names:
        resolved = directory.company(name, NOW_US)
        feature = None if resolved is None else resolved.feature("calls")
        found.append(None if feature is None else feature.entitlement.limits[0].amount)
    return found


def goes_on(steps: Slices[None]) -> bool:
    """Take a step; whether it was not the last."""
    try:
        next(steps)
    except StopIteration:
        return False
    return True


@pytest.mark.parametrize("in_memory_max", [1, 3, 10])
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(CATALOG, [2] * 7, id="catalog"),
        pytest.param(MOVED, [100] * 6 + [None], id="companies"),
        pytest.param(BOTH, [200] * 6 + [None], id="both"),
    ],
)
def test_all_obey_the_changes_from_one_step_on(
    changes: SnapshotChanges, expected: list[int | None], in_memory_max: int
) -> None:
    directory = filled(Directory(OpenedStore(MemoryDisk()).snapshots, in_memory_max))
    steps = directory.applying(changes)
    found = [amounts(directory)]
    while goes_on(steps):
        found.append(amounts(directory))
    switched_at = found.index(expected)
    assert switched_at > 1
    assert [[1] * 7] * switched_at == found[:switched_at]
    assert [expected] * (len(found) - switched_at) == found[switched_at:]
    assert expected == amounts(directory)


@pytest.mark.parametrize("used_in_step", range(0, 24, 3))
def test_who_is_used_meanwhile_is_not_let_go_for_those_who_arrive(used_in_step: int) -> None:
    """Nor is one who has just arrived; those who went before are not held."""
    opened = OpenedStore(MemoryDisk())
    held = CompanyCache(opened.snapshots, 8)
    directory = filled(Directory(opened.snapshots, 4, company_cache=held))
    used: tuple[str, ...] = ()
    arriving = tuple(f"arriving {number}" for number in range(6))
    arrivals = SnapshotChanges(companies=companies(1, "pro", *arriving))
    steps = directory.applying(arrivals)
    for step in range(1_000):
        if step == used_in_step:
            used = tuple(n for n in (NAMES[0], NAMES[4]) if directory.holds(n, NOW_US))
            assert [1] * len(used) == amounts(directory, used)
        if not goes_on(steps):
            break
    stored = opened.snapshots.company_ids("", 100)
    assert {*used, *arriving} <= set(stored)
    assert 8 == len(stored)
    # Who went is asked for again; who is held is found.
    assert [name in stored for name in NAMES] == [directory.holds(n, NOW_US) for n in NAMES]


def test_who_was_in_use_goes_last_once_all_were_forgotten() -> None:
    opened = OpenedStore(MemoryDisk())
    held = CompanyCache(opened.snapshots, 7)
    directory = filled(Directory(opened.snapshots, 3, company_cache=held))
    amounts(directory, (NAMES[0], NAMES[2]))
    directory.apply(CATALOG)
    for number in range(5):
        name = f"arriving {number}"
        directory.apply(SnapshotChanges(companies=companies(2, "pro", name)))
        assert 7 == len(opened.snapshots.company_ids("", 100))
    assert {NAMES[0], NAMES[2]} <= set(opened.snapshots.company_ids("", 100))


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        pytest.param(SnapshotChanges(companies=companies(1, "pro", *STAY)), NAMES[5], id="changed"),
        pytest.param(
            SnapshotChanges(companies=companies(1, "pro", "x", "y", "z")), "z", id="arrived"
        ),
        pytest.param(CATALOG, NAMES[1], id="forgotten with the catalog"),
    ],
)
def test_who_is_used_right_behind_the_switch_is_in_use(changes: SnapshotChanges, used: str) -> None:
    opened = OpenedStore(MemoryDisk())
    held = CompanyCache(opened.snapshots, 10)
    directory = filled(Directory(opened.snapshots, 3, company_cache=held))
    amounts(directory, (NAMES[1], NAMES[2]))
    steps = directory.applying(changes)
    before = amounts(directory, (used,))
    while goes_on(steps) and before == amounts(directory, (used,)):
        pass
    while goes_on(steps):
        pass
    for number in range(12):
        name = f"arriving {number}"
        directory.apply(SnapshotChanges(companies=companies(2, "pro", name)))
    stored = opened.snapshots.company_ids("", 100)
    assert (10, True) == (len(stored), used in stored)
