"""Full disks and stores, on both sides: not ready while nothing can be counted, and ready again.

Told once when it begins and once when it is over, and the next time as well; nothing is lost.
"""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any, Final

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import CALLS, apply, catalog_text, check, flush, hold
from tests.support.processes import Daemon, until
from tests.support.proxy import Proxy

STORE_BYTES_MAX: Final = 1 << 20
METADATA: Final = {str(number): "x" * 250 for number in range(14)}
BATCH: Final = 50
TIMES: Final = 2


async def count(sidecar: Sidecar, first: int) -> tuple[int, set[str]]:
    """Record a batch: how much was counted, and the reasons why the rest was not."""
    checks = [
        pb.CheckAndIncrementRequest(
            company="acme", feature=CALLS, idempotency_key=str(number), metadata=METADATA
        )
        for number in range(first, first + BATCH)
    ]
    request = pb.BatchCheckAndIncrementRequest(checks=checks)
    outcomes = (await sidecar.api.BatchCheckAndIncrement(request)).outcomes
    reasons = {outcome.error.reason for outcome in outcomes if outcome.HasField("error")}
    return sum(outcome.HasField("response") for outcome in outcomes), reasons


async def status(sidecar: Sidecar) -> admin_pb2.GetStatusResponse:
    answer: admin_pb2.GetStatusResponse = await sidecar.admin.GetStatus(
        admin_pb2.GetStatusRequest(), timeout=HANG_SECONDS_MAX
    )
    return answer


async def serves(daemon: Daemon) -> bool:
    health: Any = health_pb2_grpc.HealthStub(daemon.channel)
    request = health_pb2.HealthCheckRequest(service="readiness")
    answer = await health.Check(request, timeout=HANG_SECONDS_MAX)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def becomes(daemon: Daemon, ready: bool) -> None:
    async def is_so() -> bool:
        return await serves(daemon) is ready

    await until(is_so, f"it does not become {'' if ready else 'not '}ready")


@pytest.mark.parametrize("durability", ["process", pytest.param("disk", marks=pytest.mark.slow)])
async def test_a_sidecar_whose_store_is_full_is_not_ready_until_records_are_sent(
    tmp_path: Path, durability: str
) -> None:
    options = {"store_bytes_max": STORE_BYTES_MAX, "durability": durability}
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path / "a", proxy.address, **options) as sidecar:
            await hold(sidecar, ["acme"])
            await becomes(sidecar, ready=True)
            first = counted = 0
            for number in range(TIMES):
                await proxy.disconnect()
                reasons: set[str] = set()
                while not reasons:
                    more, reasons = await count(sidecar, first)
                    counted, first = counted + more, first + BATCH
                assert {"STORE_FULL"} == reasons
                await becomes(sidecar, ready=False)
                assert "size bound" in (await status(sidecar)).store_trouble
                assert number + 1 == len(sidecar.seen("trouble.began"))
                await proxy.connect()
                await becomes(sidecar, ready=True)
                more, reasons = await count(sidecar, first)
                counted, first = counted + more, first + BATCH
                assert set() == reasons
                assert number + 1 == len(sidecar.seen("trouble.over"))
                assert "" == (await status(sidecar)).store_trouble
            await flush(sidecar)
            tallies = (await status(sidecar)).tallies
            assert [(CALLS, counted)] == [(tally.feature, tally.records) for tally in tallies]


async def test_a_plane_whose_disk_is_full_is_not_ready_until_there_is_room(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path / "a", plane.address) as sidecar:
            await hold(sidecar, ["acme"])
            unlimited = resource.prlimit(plane.pid, resource.RLIMIT_FSIZE)
            for number in range(TIMES):
                resource.prlimit(plane.pid, resource.RLIMIT_FSIZE, (4096, unlimited[1]))
                await check(sidecar, "acme", CALLS, 1)
                await becomes(plane, ready=False)
                assert number + 1 == len(plane.seen("trouble.began"))
                resource.prlimit(plane.pid, resource.RLIMIT_FSIZE, unlimited)
                await becomes(plane, ready=True)
                assert number + 1 == len(plane.seen("trouble.over"))
            await flush(sidecar)
            assert 0 == (await status(sidecar)).outbox_records
            events = [line["event"] for line in plane.errors()]
            assert ["trouble.began"] * TIMES == events
