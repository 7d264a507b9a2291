"""No step is larger the more the plane tells: what is done in one has a bound.

There is no clock in it: see `tests.support.bounded`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.slices import pages
from sidecar.engine.slicing import in_steps
from sidecar.shared.convert.catalog import catalog_snapshot_to_message
from sidecar.shared.convert.counters import total_to_message
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.bounded import CONTENT, PER_USER, Bench, bench_of
from tests.support.build import (
    NOW_US,
    catalog,
    catalog_snapshot,
    company,
    counter_ref,
    limit,
    metered,
    total,
)

COMPANIES: Final = 4_000
NAMES: Final = [f"company {number:05}" for number in range(COMPANIES)]


@pytest.fixture
async def bench(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Bench]:
    settings: dict[str, Any] = getattr(request, "param", {})
    async with bench_of(monkeypatch, tmp_path, **settings) as found:
        yield found


@pytest.mark.parametrize("bench", [{"snapshots": "all"}], indirect=True)
async def test_following_a_plane_with_thousands_of_companies(bench: Bench) -> None:
    watcher, directory = bench.container.watcher, bench.container.directory
    assert watcher is not None
    for revision, epoch in ((1, "one"), (2, "one"), (1, "two"), (2, "two")):
        bench.plane.pages = list(_revision(epoch, revision))
        async with bench.bounded(), bench.running(watcher.run()):
            await bench.followed(epoch, revision)
        for name in NAMES:
            assert directory.company(name, NOW_US) is not None
        assert directory.index is not None
        assert revision == directory.index.version
    bench.plane.pages = [_page("two", 3, removed=NAMES)]
    async with bench.bounded(), bench.running(watcher.run()):
        await bench.followed("two", 3)
    assert [] == bench.container.snapshots.company_ids("", 10)


@pytest.mark.parametrize("bench", [{"fetch_timeout_ms": 60_000}], indirect=True)
async def test_fetching_many_companies_with_their_usage(bench: Bench) -> None:
    container, names = bench.container, NAMES[:1_000]
    refs = [counter_ref(PER_USER, (f"user {user}",)) for user in range(5_000)]
    bench.plane.fetched = sync_pb2.FetchSnapshotsResponse(
        catalog=catalog_snapshot_to_message(_big_catalog(1)),
        companies=[snapshot_to_message(compile_snapshot(company(name), 1)) for name in names],
        totals=[total_to_message(total(ref, 7, 0, 1)) for ref in refs],
    )
    assert container.watcher is not None
    async with bench.bounded():
        await container.watcher.fetch(names, None)
    assert names == container.snapshots.company_ids("", len(names))


async def test_letting_go_of_thousands_where_the_bound_was_lowered(bench: Bench) -> None:
    bench.apply(CONTENT, *NAMES)
    container = bench.container
    held = CompanyCache(container.snapshots, 100)
    directory = Directory(container.snapshots, 10, company_cache=held)
    async with bench.bounded():
        changes = SnapshotChanges(companies=[compile_snapshot(company("new"), 2)])
        await in_steps(container.runner, directory.applying(changes))
    assert [*NAMES[-99:], "new"] == container.snapshots.company_ids("", COMPANIES)


async def test_news_of_others_in_one_message(bench: Bench) -> None:
    refs = [counter_ref(PER_USER, (f"user {user}",)) for user in range(10_000)]
    page = _page("e", 1, totals=[total_to_message(total(ref, 7, 0, 1)) for ref in refs])
    bench.plane.pages = [page]
    container = bench.container
    assert container.watcher is not None
    async with bench.bounded(), bench.running(container.watcher.run()):
        await bench.followed("e", 1)
    assert 2 * len(refs) <= bench.work.total.operations


def _revision(epoch: str, revision: int) -> Iterator[sync_pb2.WatchSnapshotsResponse]:
    """Pages of a revision that changes the catalog and every company."""
    content = catalog_snapshot_to_message(_big_catalog(revision))
    for some in pages(NAMES, 200):
        snapshots = [snapshot_to_message(compile_snapshot(company(n), revision)) for n in some]
        yield sync_pb2.WatchSnapshotsResponse(
            epoch=epoch,
            revision=revision,
            complete=some[-1] == NAMES[-1],
            catalog=content if some[0] == NAMES[0] else None,
            companies=snapshots,
        )


def _page(
    epoch: str, revision: int, removed: Iterable[str] = (), totals: Iterable[Any] = ()
) -> sync_pb2.WatchSnapshotsResponse:
    return sync_pb2.WatchSnapshotsResponse(
        epoch=epoch, revision=revision, complete=True, removed_companies=removed, totals=totals
    )


def _big_catalog(version: int) -> CatalogSnapshot:
    """A catalog of 20 plans with 200 features each."""
    grants = [metered(f"feature {number:03}", limit("monthly", version)) for number in range(200)]
    return catalog_snapshot(
        catalog(dict.fromkeys(("basic", *(f"plan {n:02}" for n in range(19))), grants)), version
    )
