"""A daemon whose disk is full: a clear error, nothing lost, and it goes on once there is room."""

from __future__ import annotations

import resource
from pathlib import Path

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import Sidecar, Standalone

ROOM_BYTES = 64 << 10
CALLS_MAX = 5000


def usage() -> pb.RecordUsageRequest:
    return pb.RecordUsageRequest(company="acme", feature="calls", metadata={"k": "v" * 2000})


async def fill(sidecar: Sidecar) -> tuple[int, grpc.StatusCode]:
    """Record until it fails: how often it went well, and the status."""
    for counted in range(CALLS_MAX):
        try:
            await sidecar.api.RecordUsage(usage())
        except grpc.aio.AioRpcError as error:
            return counted, error.code()
    raise AssertionError("the disk is never full")


@pytest.mark.parametrize("durability", ["process", "disk"])
async def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, durability: str) -> None:
    async with Standalone(tmp_path, durability=durability) as sidecar:
        size_bytes = (sidecar.store / "data.mdb").stat().st_size
        unlimited = resource.prlimit(sidecar.pid, resource.RLIMIT_FSIZE)
        full = (size_bytes + ROOM_BYTES, unlimited[1])
        resource.prlimit(sidecar.pid, resource.RLIMIT_FSIZE, full)
        counted, status = await fill(sidecar)
        assert status in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
        question = pb.CheckRequest(company="acme", feature="calls")
        assert counted == (await sidecar.api.Check(question)).limits[0].used
        resource.prlimit(sidecar.pid, resource.RLIMIT_FSIZE, unlimited)
        await sidecar.api.RecordUsage(usage())
        await sidecar.kill()
        await sidecar.start()
        assert counted + 1 == (await sidecar.api.Check(question)).limits[0].used
        assert [] == sidecar.seen("sidecar.background_failed")
