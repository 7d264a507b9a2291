"""News of one company that cannot be read keep nobody else's away, and are asked for again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.sync.told_companies import read_companies
from tests.support.bounded import CONTENT, Bench, bench_of
from tests.support.build import NOW_US, company
from tests.support.processes import until


def message(name: str, revision: int) -> catalog_pb2.CompanySnapshot:
    return snapshot_to_message(compile_snapshot(company(name), revision))


def broken(name: str, revision: int) -> catalog_pb2.CompanySnapshot:
    """One that no sidecar can read: a timeline without an end."""
    found = message(name, revision)
    found.segments[-1].until.FromSeconds(7)
    return found


def page(revision: int, *companies: catalog_pb2.CompanySnapshot) -> sync_pb2.WatchSnapshotsResponse:
    return sync_pb2.WatchSnapshotsResponse(
        epoch="e", revision=revision, complete=True, companies=companies
    )


def versions(bench: Bench, *names: str) -> list[int | None]:
    """As of which revision companies are decided about."""
    found = [bench.container.directory.company(name, NOW_US) for name in names]
    return [None if one is None else one.snapshot.version for one in found]


@pytest.mark.parametrize("kept", ["all", "on-demand"])
async def test_the_news_of_others_are_obeyed_and_the_rest_is_asked_for_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: str
) -> None:
    async with bench_of(monkeypatch, tmp_path, snapshots=kept) as bench:
        bench.apply(CONTENT, "a", "b", "c")
        watcher, plane = bench.container.watcher, bench.plane
        assert watcher is not None
        asked: list[Sequence[str]] = []
        fetch = type(plane).FetchSnapshots

        async def fetching(
            stub: object, request: sync_pb2.FetchSnapshotsRequest, **kwargs: object
        ) -> bytes:
            asked.append(list(request.companies))
            return await fetch(plane, request, **kwargs)

        async def asked_twice() -> bool:
            return asked.count(["b"]) >= 2

        async def all_read() -> bool:
            return not watcher.unreadable_companies

        monkeypatch.setattr(type(plane), "FetchSnapshots", fetching)
        plane.fetched = sync_pb2.FetchSnapshotsResponse(companies=[broken("b", 2)])
        plane.pages = [
            page(2, message("a", 2), broken("b", 2), message("c", 2)),
            page(3, message("c", 3)),
        ]
        async with bench.running(watcher.run()):
            await until(asked_twice, "it is not asked for again")
            assert [2, 1, 3] == versions(bench, "a", "b", "c")
            assert 3 == watcher.revision
            status = await bench.status()
            assert (3, 1) == (status.revision, status.unreadable_companies)
            # A sidecar that is started now hears of all of it again.
            assert 0 == bench.container.snapshots.position().revision
            plane.fetched = sync_pb2.FetchSnapshotsResponse(companies=[message("b", 2)])
            await until(all_read, "it stays unread")
            await bench.followed("e", 3)
        assert [2, 2, 3] == versions(bench, "a", "b", "c")
        assert 0 == (await bench.status()).unreadable_companies


async def test_a_later_change_that_can_be_read_settles_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path, snapshots="all") as bench:
        bench.apply(CONTENT, "a")
        watcher = bench.container.watcher
        assert watcher is not None
        bench.plane.fetched = sync_pb2.FetchSnapshotsResponse(companies=[broken("a", 2)])
        bench.plane.pages = [page(2, broken("a", 2)), page(3, message("a", 3))]
        async with bench.running(watcher.run()):
            await bench.followed("e", 3)
        assert [3] == versions(bench, "a")
        assert 0 == watcher.unreadable_companies


async def test_a_company_that_is_not_wanted_is_not_read() -> None:
    data = [
        broken("a", 1).SerializeToString(),
        message("b", 1).SerializeToString(),
        b"\x0a\x01c\xff\xff",
        b"\xff",
    ]

    async def wanted(companies: Sequence[str], names: Sequence[str]) -> set[str]:
        assert (["a", "b", "c"], []) == (companies, names)
        return {"b"}

    told = await read_companies(data, wanted)
    assert (["b"], {}) == ([found.company for found in told.snapshots], told.unreadable)
    everything = await read_companies(data)
    assert ["b"] == [found.company for found in everything.snapshots]
    assert ["a", "c"] == list(everything.unreadable)


async def test_a_company_that_names_two_is_none() -> None:
    data = message("a", 1).SerializeToString() + message("b", 1).SerializeToString()
    told = await read_companies([data])
    assert ([], ["a"]) == (list(told.snapshots), list(told.unreadable))
