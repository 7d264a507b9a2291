"""No customer's size is another's delay: what is done in one step has a bound.

There is no clock in it: see `tests.support.bounded`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot, Override
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.time.units import HOUR_US
from sidecar.shared.convert.catalog import catalog_snapshot_to_message
from sidecar.shared.convert.snapshot_messages import segmented_to_message, snapshot_to_message
from tests.support.bounded import CONTENT, Bench, bench_of
from tests.support.build import NOW_US, catalog, catalog_snapshot, company, limit, metered

OVERRIDES: Final = 400
LARGEST_OVERRIDES: Final = 900
PLANS: Final = 50
FEATURES: Final = 200


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Bench]:
    settings: dict[str, Any] = getattr(request, "param", {})
    async with bench_of(monkeypatch, tmp_path, **settings) as found:
        found.apply(CONTENT, "acme")
        yield found


def with_overrides(name: str, revision: int, count: int, limits: int = 1) -> CompanySnapshot:
    """A company with so many overrides, each of which ends at a time of its own."""
    held = [limit(f"limit {number}", 5, each=[f"d{number}"]) for number in range(limits)]
    overrides = [
        Override(metered(f"feature {number:04}", *held), NOW_US + (1 + number) * HOUR_US)
        for number in range(count)
    ]
    return compile_snapshot(
        msgspec.structs.replace(company(name), overrides=tuple(overrides)), revision
    )


def page(revision: int, **fields: Any) -> sync_pb2.WatchSnapshotsResponse:
    return sync_pb2.WatchSnapshotsResponse(epoch="e", revision=revision, complete=True, **fields)


async def followed(bench: Bench, *told: sync_pb2.WatchSnapshotsResponse) -> None:
    """Have the plane tell pages, and take them in bounded steps."""
    bench.plane.pages = told
    watcher = bench.container.watcher
    assert watcher is not None
    async with bench.bounded(), bench.running(watcher.run()):
        await bench.followed("e", told[-1].revision)


async def test_a_change_of_a_company_that_is_not_served_is_not_even_read(bench: Bench) -> None:
    large = with_overrides("globex", 1, LARGEST_OVERRIDES, limits=3)
    await followed(bench, page(1, companies=[snapshot_to_message(large)]))
    assert 0 == bench.work.total.items
    assert not bench.container.snapshots.holds("globex")


@pytest.mark.parametrize("bench", [{"snapshots": "all"}], indirect=True)
@pytest.mark.parametrize(
    ("count", "limits"), [(OVERRIDES, 1), (LARGEST_OVERRIDES, 3)], ids=["400", "900 with 3 limits"]
)
async def test_a_change_of_a_company_with_hundreds_of_overrides(
    bench: Bench, count: int, limits: int
) -> None:
    large = with_overrides("globex", 1, count, limits)
    await followed(bench, page(1, companies=[snapshot_to_message(large)]))
    assert large == bench.container.snapshots.company("globex")
    assert count <= bench.work.total.items <= count * (1 + limits) + 10


@pytest.mark.parametrize("bench", [{"snapshots": "all"}], indirect=True)
async def test_the_same_told_by_a_plane_of_before(bench: Bench) -> None:
    large = with_overrides("globex", 1, OVERRIDES)
    told = segmented_to_message(large, 16 << 20)
    assert OVERRIDES + 1 == len(told.segments)
    await followed(bench, page(1, companies=[told]))
    assert large == bench.container.snapshots.company("globex")
    # One of each segment, and one of each override and its limit: those are read once.
    assert bench.work.total.items <= 3 * OVERRIDES + 10


@pytest.mark.parametrize("bench", [{"snapshots": "all"}], indirect=True)
async def test_a_catalog_of_many_plans_with_many_features(bench: Bench) -> None:
    for revision in (1, 2):
        told = catalog_snapshot_to_message(large_catalog(revision))
        await followed(bench, page(revision, catalog=told))
        index = bench.container.directory.index
        assert index is not None
        assert (revision, PLANS, FEATURES) == (
            index.version,
            len(index.catalog.plans),
            len(index.catalog.features),
        )


def large_catalog(version: int) -> CatalogSnapshot:
    grants = [metered(f"feature {n:03}", limit("monthly", version)) for n in range(FEATURES)]
    plans = ("basic", *(f"plan {number:02}" for number in range(PLANS - 1)))
    return catalog_snapshot(catalog(dict.fromkeys(plans, grants)), version)
