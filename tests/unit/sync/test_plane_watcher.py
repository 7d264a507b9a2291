"""The watcher where the store fails: what could not be applied is asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.api.sync.v1 import sync_pb2
from sidecar.directory.directory import Directory
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import Exhausted
from sidecar.domain.slices import Slices
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.sync.machine.watch import WatchMachine
from sidecar.sync.plane_answers import REVISION_MAX
from tests.support.bounded import CONTENT, bench_of
from tests.support.build import NOW_US, company
from tests.support.processes import until


def page(revision: int, *names: str, epoch: str = "e") -> sync_pb2.WatchSnapshotsResponse:
    compiled = [compile_snapshot(company(name), revision) for name in names]
    return sync_pb2.WatchSnapshotsResponse(
        epoch=epoch,
        revision=revision,
        complete=True,
        companies=map(snapshot_to_message, compiled),
    )


@pytest.mark.parametrize("fails_behind", [False, True], ids=["before", "behind"])
async def test_changes_that_the_store_had_no_room_for_are_applied_once_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fails_behind: bool
) -> None:
    applying = Directory.applying
    failures = 1

    def failing(directory: Directory, changes: SnapshotChanges) -> Slices[None]:
        nonlocal failures
        fails = bool(changes.companies) and directory.holds("a", 0) and failures > 0
        failures -= fails
        if not fails or fails_behind:
            yield from applying(directory, changes)
        if fails:
            raise Exhausted("", "no room", "STORE_FULL")

    monkeypatch.setattr(Directory, "applying", failing)
    async with bench_of(monkeypatch, tmp_path, snapshots="all") as bench:
        bench.apply(CONTENT)
        watcher, plane = bench.container.watcher, bench.plane
        assert watcher is not None
        plane.pages = [page(1, "a")]
        async with bench.running(watcher.run()):
            await bench.followed("e", 1)
        plane.pages = [page(2, "b")]

        async def asked_again() -> bool:
            return len(plane.resumed) == 3

        async with bench.running(watcher.run()):
            await until(asked_again, "the changes are not asked for again")
            await bench.followed("e", 2)
        assert [0, 1, 1] == plane.resumed
        assert ["a", "b"] == bench.container.snapshots.company_ids("", 10)


async def test_companies_that_there_cannot_be_keep_no_news_away(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path, snapshots="all") as bench:
        bench.apply(CONTENT)
        watcher, plane = bench.container.watcher, bench.plane
        assert watcher is not None
        odd = page(2, "c")
        odd.removed_companies.extend(["", "a\0", "x" * 600, "b"])
        plane.pages = [page(1, "a", "b"), odd]
        async with bench.running(watcher.run()):
            await bench.followed("e", 2)
        assert ["a", "c"] == bench.container.snapshots.company_ids("", 10)


async def test_a_catalog_that_cannot_be_read_is_told_once_and_the_stream_backs_off(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = page(2, "a")
    broken.catalog.version = -1
    async with bench_of(monkeypatch, tmp_path, snapshots="all") as bench:
        bench.apply(CONTENT)
        watcher, plane = bench.container.watcher, bench.plane
        assert watcher is not None
        plane.pages = [broken]

        async def asked_often() -> bool:
            return len(plane.resumed) >= 4

        with capture_logs() as lines:
            async with bench.running(watcher.run()):
                await until(asked_often, "the stream is not taken up again")
                plane.pages = [page(2, "a")]
                await bench.followed("e", 2)
        failures = [line for line in lines if line["event"] == "sync.watch_failed"]
        assert 1 == len(failures)
        assert ["a"] == bench.container.snapshots.company_ids("", 10)


async def test_a_revision_that_no_plane_resumes_from_ends_no_watch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A plane takes what it is resumed from up to 2^63-2."""
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT)
        watcher, plane = bench.container.watcher, bench.plane
        assert watcher is not None
        plane.pages = [page(INT64_MAX)]
        async with bench.running(watcher.run()):
            await bench.followed("e", REVISION_MAX)

        async def resumed() -> bool:
            return len(plane.resumed) == 2

        async with bench.running(watcher.run()):
            await until(resumed, "the watch is not taken up again")
        assert [0, INT64_MAX - 1] == plane.resumed


async def test_who_was_absent_is_asked_for_again_once_the_plane_was_restored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT, "acme")
        watcher, directory = bench.container.watcher, bench.container.directory
        assert watcher is not None
        watcher._machine = WatchMachine("before", 1)
        directory.remember_absent(["hooli", "umbrella"], FOREVER_US, 1)
        bench.plane.pages = [page(2)]
        hooli = snapshot_to_message(compile_snapshot(company("hooli"), 2))
        bench.plane.fetched.companies.append(hooli)
        bench.plane.fetched.unknown_companies.append("umbrella")
        async with bench.running(watcher.run()):
            await bench.followed("e", 2)
        assert ["umbrella"] == directory.absent()
        assert directory.company("hooli", NOW_US) is not None


async def test_a_plane_that_turns_out_to_be_another_is_greeted_though_nothing_waits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT)
        link, store, plane = bench.container.link, bench.container.store, bench.plane
        assert link is not None
        before = store.incarnation.id

        async def is_greeted() -> bool:
            return bench.container.plane_status.connected

        async def is_left() -> bool:
            return store.incarnation.id != before

        async with bench.running(link.pusher.run()):
            plane.pages = [page(1)]
            async with bench.running(link.watcher.run()):
                await bench.followed("e", 1)
                await until(is_greeted, "the plane is not greeted")
            plane.common[before] = 0  # restored, it lacks what this one knows
            plane.pages = [page(1, epoch="f")]
            with capture_logs() as lines:
                async with bench.running(link.watcher.run()):
                    await until(is_left, "the plane is not greeted anew")
    # Nor had it to be silent for that.
    assert "sync.watch_interrupted" not in [line["event"] for line in lines]
