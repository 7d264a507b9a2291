"""A stop: calls end with an answer or UNAVAILABLE, and nothing is waited for that cannot come."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from tests.support.audit import assert_exact
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar, Standalone
from tests.support.ledger import apply, catalog_text, check, flush, hold, status
from tests.support.load import Books, load
from tests.support.proxy import Proxy
from tests.support.waits import answered, connected

TRANSPORTS = ["native", "grpcio"]
FOR_EVER = 3600
"""A drain that waited so long would be a hang."""
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def ending_of(call: Any) -> grpc.StatusCode:
    """How a stream ends, whatever it says before."""
    try:
        while await call.read() is not grpc.aio.EOF:
            continue
    except grpc.aio.AioRpcError as error:
        return error.code()
    return await call.code()  # type: ignore[no-any-return]


@pytest.mark.parametrize("durability", ["process", pytest.param("disk", marks=pytest.mark.slow)])
async def test_over_stops_under_load_no_call_is_lost_doubled_or_ends_but_as_unavailable(
    tmp_path: Path, durability: str
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, durability=durability) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=9):
                for _ in range(3):
                    await answered(books, books.answers + 300)
                    assert 0 == await sidecar.stop()
                    await sidecar.start()
            await assert_exact(books, plane, sidecar)  # books tell of any other ending


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_watch_ends_as_unavailable(tmp_path: Path, transport: str) -> None:
    async with Standalone(tmp_path, transport=transport) as sidecar:
        watch = sidecar.api.WatchEntitlements(pb.WatchEntitlementsRequest(company="acme"))
        await watch.read()
        os.kill(sidecar.pid, signal.SIGTERM)
        assert UNAVAILABLE is await ending_of(watch)
        assert 0 == await sidecar.ended()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_that_outlasts_the_stop_ends_as_unavailable(
    tmp_path: Path, transport: str
) -> None:
    async with Standalone(tmp_path, transport=transport, drain_seconds_max=1) as sidecar:
        stream: Any = sidecar.api.StreamCheckAndIncrement()
        check = pb.CheckAndIncrementRequest(company="acme", feature="calls", quantity=1)
        await stream.write(pb.StreamCheckAndIncrementRequest(check=check))
        assert (await stream.read()).outcome.response.decision.allowed
        os.kill(sidecar.pid, signal.SIGTERM)
        assert UNAVAILABLE is await ending_of(stream)
        assert 0 == await sidecar.ended()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_call_that_waits_for_a_silent_plane_ends_as_unavailable(
    tmp_path: Path, transport: str
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        options = {"transport": transport, "drain_seconds_max": 1}
        async with Sidecar(tmp_path, proxy.address, **options) as sidecar:
            await hold(sidecar, ["acme"])
            await proxy.swallow()
            waiting = sidecar.api.Check(pb.CheckRequest(company="globex", feature="calls"))
            await check(sidecar, "acme", "calls")  # behind it, so that it is under way
            os.kill(sidecar.pid, signal.SIGTERM)
            assert await waiting.code() in (grpc.StatusCode.OK, UNAVAILABLE)
            await proxy.connect()
            assert 0 == await sidecar.ended()


async def test_with_the_plane_away_a_stop_does_not_wait_for_it(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        options = {"drain_seconds_max": FOR_EVER}
        async with Sidecar(tmp_path, plane.address, **options) as sidecar:
            await hold(sidecar, ["acme"])
            await plane.kill()
            await connected(sidecar, False)
            await check(sidecar, "acme", "calls")
            assert 0 == await sidecar.stop()
            (drained,) = sidecar.seen("sidecar.drained")
            assert (False, 1) == (drained["complete"], drained["left"])
            await plane.start()
            await sidecar.start()
            await flush(sidecar)
            said = await status(sidecar)
            assert (1, 0) == (said.acknowledged_sequence, said.outbox_records)


async def test_with_the_plane_there_a_stop_sends_what_waits(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        options = {"drain_seconds_max": FOR_EVER, "push_linger_ms": 60_000}
        async with Sidecar(tmp_path, plane.address, **options) as sidecar:
            await hold(sidecar, ["acme"])
            await check(sidecar, "acme", "calls")
            assert 0 == await sidecar.stop()
            (drained,) = sidecar.seen("sidecar.drained")
            assert (True, 0) == (drained["complete"], drained["left"])


async def test_a_watch_of_a_plane_that_stops_ends_without_being_cancelled(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        watch = sync_pb2_grpc.SyncServiceStub(plane.channel).WatchSnapshots(
            sync_pb2.WatchSnapshotsRequest(incarnation="11111111-2222-3333-4444-555555555555"),
            timeout=HANG_SECONDS_MAX,
        )
        await watch.read()
        os.kill(plane.pid, signal.SIGTERM)
        assert await ending_of(watch) in (grpc.StatusCode.OK, UNAVAILABLE)
        assert 0 == await plane.ended()
