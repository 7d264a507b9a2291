"""A concurrency limit over several pods: never one more, whoever is killed, and all comes back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, flush
from tests.support.networks import network
from tests.support.processes import until
from tests.support.seeds import seeded

PODS: Final = 4
JOBS_MAX: Final = 20
CLIENTS: Final = 12
JOBS_EACH: Final = 12
TTL_S: Final = 3
SURELY_S: Final = 2.0
"""So long what was counted is certainly in use, whatever a sidecar thinks of the plane's clock."""
_EXPECTED: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.FAILED_PRECONDITION)
CATALOG: Final = f"""
features:
  jobs: {{kind: level, ttl_max: 1m, billed: peak}}
plans:
  standard:
    entitlements:
      jobs:
        limits:
          running: {{amount: {JOBS_MAX}}}
companies:
  acme: {{plan: standard, anchor: "2026-01-31T00:00:00Z"}}
"""


class InUse:
    """What is certainly in use: as long as nobody has begun to take it back, nor its time is up."""

    def __init__(self) -> None:
        self.most = self.admitted = self.left = 0
        self._held: dict[str, float] = {}

    def begun(self, item: str, asked_s: float) -> None:
        """It was counted, by a call that began then."""
        self.admitted += 1
        self._held[item] = asked_s + SURELY_S
        now = time.monotonic()
        self.most = max(self.most, sum(until_s > now for until_s in self._held.values()))

    def ends(self, item: str) -> None:
        """It is about to be taken back."""
        del self._held[item]


async def change(sidecar: Sidecar, amount: int, item: str) -> pb.AdjustLevelResponse:
    """Have more of the company's jobs run, or less."""
    request = pb.AdjustLevelRequest(company="acme", feature="jobs", amount=amount, item=item)
    if amount > 0:
        request.time_to_live.CopyFrom(Duration(seconds=TTL_S))
    answer: pb.AdjustLevelResponse = await sidecar.api.AdjustLevel(request, timeout=20)
    return answer


async def client(name: str, pods: Sequence[Sidecar], in_use: InUse, rng: random.Random) -> None:
    """Run jobs, each at some pod; of every third nothing is heard any more, as of one killed."""
    for number in range(JOBS_EACH):
        pod, item = rng.choice(pods), f"{name}-{number}"
        asked_s = time.monotonic()
        try:
            answer = await change(pod, 1, item)
            if not answer.decision.allowed:
                # Others run as many as may be: they end by and by.
                await asyncio.sleep(rng.uniform(0.01, 0.1))
                continue
            in_use.begun(item, asked_s)
            await asyncio.sleep(rng.uniform(0, 0.1))
            if rng.random() < 1 / 3:
                in_use.left += 1
                continue
            in_use.ends(item)
            await change(pod, -1, item)
        except grpc.aio.AioRpcError as error:
            # A pod that is killed; or that took the job back by itself while its client was slow.
            if error.code() not in _EXPECTED:
                raise


async def hold(pod: Sidecar) -> None:
    """Wait until a pod knows the company."""

    async def held() -> bool:
        try:
            await pod.api.GetLevel(pb.GetLevelRequest(company="acme", feature="jobs"))
        except grpc.aio.AioRpcError:
            return False
        return True

    await until(held, "acme is unknown")


async def level(plane: ControlPlane) -> int:
    """What is in use by the ledger."""
    request = control_pb2.GetCompanyUsageRequest(company="acme", feature="jobs")
    (limit,) = (await plane.control.GetCompanyUsage(request)).limits
    return int(limit.used)


@pytest.mark.crash
async def test_no_more_jobs_run_than_may_and_what_killed_clients_left_comes_back(
    tmp_path: Path,
) -> None:
    rng, in_use = seeded(17), InUse()
    async with network(tmp_path / "control.db", PODS) as net:
        await apply(net.plane, CATALOG)
        pods = [net.sidecar(at, tmp_path / f"{at}", push_linger_ms=5) for at in range(PODS)]
        try:
            await asyncio.gather(*(pod.start() for pod in pods))
            await asyncio.gather(*map(hold, pods))
            async with asyncio.TaskGroup() as group:
                for at in range(CLIENTS):
                    group.create_task(client(f"{at}", pods, in_use, random.Random(rng.random())))
                await until(lambda: _reached(in_use, CLIENTS), "no jobs run")
                await pods[0].kill()
                await pods[0].start()
            assert in_use.most <= JOBS_MAX
            assert in_use.left
            await until(lambda: _is_free(net.plane, pods), "jobs of killed clients stay")
            await _all_can_be_had(pods[-1])
            await flush(pods[-1])
            assert JOBS_MAX == await level(net.plane)
            bill = await net.plane.control.GetLevelBill(
                control_pb2.GetLevelBillRequest(company="acme", feature="jobs")
            )
            assert bill.peak >= JOBS_MAX
            assert [] == net.plane.errors()
        finally:
            await asyncio.gather(*(pod.stop() for pod in pods if pod.runs))


async def _reached(in_use: InUse, admitted: int) -> bool:
    return in_use.admitted >= admitted


async def _is_free(plane: ControlPlane, pods: Sequence[Sidecar]) -> bool:
    await asyncio.gather(*map(flush, pods))
    return await level(plane) == 0


async def _all_can_be_had(pod: Sidecar) -> None:
    """One pod alone can run all jobs: others give back what they hold."""

    async def had() -> bool:
        answer = await change(pod, JOBS_MAX, "all")
        assert pb.BASIS_MODE_LEASED == answer.decision.basis.mode
        return bool(answer.decision.allowed)

    await until(had, "what is free cannot be had")
    assert not (await change(pod, 1, "one more")).decision.allowed
