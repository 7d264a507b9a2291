"""A daemon whose disk is full: a clear error, nothing lost, and it goes on once there is room."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import CATALOG_FILE, Standalone
from tests.support.processes import until

ROOM_BYTES: Final = 1 << 20
BATCH: Final = 200
BATCHES_MAX: Final = 500
FULL: Final = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
QUESTION: Final = pb.CheckRequest(company="acme", feature="calls")


def batch(first: int) -> pb.BatchCheckAndIncrementRequest:
    """Checks whose answers stay in the store, whatever becomes of their records."""
    keys = [f"{number}-{'k' * 100}" for number in range(first, first + BATCH)]
    return pb.BatchCheckAndIncrementRequest(
        checks=[
            pb.CheckAndIncrementRequest(company="acme", feature="calls", idempotency_key=key)
            for key in keys
        ]
    )


async def count(api: Any, first: int) -> tuple[int, set[grpc.StatusCode]]:
    """Send a batch: how many were counted, and with which statuses the others failed."""
    try:
        outcomes = (await api.BatchCheckAndIncrement(batch(first))).outcomes
    except grpc.aio.AioRpcError as error:
        return 0, {error.code()}
    answers = [outcome.response for outcome in outcomes if outcome.HasField("response")]
    counted = [answer for answer in answers if answer.decision.allowed and not answer.replayed]
    codes = {outcome.error.code for outcome in outcomes if outcome.HasField("error")}
    return len(counted), {code for code in grpc.StatusCode if code.value[0] in codes}


async def fill(api: Any) -> tuple[int, set[grpc.StatusCode]]:
    """Count until it fails."""
    counted = 0
    for number in range(BATCHES_MAX):
        more, failed = await count(api, number * BATCH)
        counted += more
        if failed:
            return counted, failed
    raise AssertionError("the disk is never full")


@pytest.mark.parametrize("durability", ["process", "disk"])
async def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path, durability: str) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG_FILE.replace("amount: 100", "amount: 1000000"))
    async with Standalone(tmp_path, durability=durability) as sidecar:
        api = sidecar.api
        size_bytes = (sidecar.store / "data.mdb").stat().st_size
        unlimited = resource.prlimit(sidecar.pid, resource.RLIMIT_FSIZE)
        full = (size_bytes + ROOM_BYTES, unlimited[1])
        resource.prlimit(sidecar.pid, resource.RLIMIT_FSIZE, full)
        counted, failed = await fill(api)
        assert failed <= set(FULL)
        assert counted == (await api.Check(QUESTION)).limits[0].used > 0
        resource.prlimit(sidecar.pid, resource.RLIMIT_FSIZE, unlimited)

        async def counts_again() -> bool:
            nonlocal counted
            more, failed = await count(api, BATCHES_MAX * BATCH)
            counted += more
            return not failed

        await until(counts_again, "it does not go on")
        await sidecar.kill()
        await sidecar.start()
        assert counted == (await sidecar.api.Check(QUESTION)).limits[0].used
        assert [] == sidecar.seen("sidecar.background_failed")
