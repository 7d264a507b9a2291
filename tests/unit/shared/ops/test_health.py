import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.shared.convert.status import status_of
from sidecar.shared.host.grpcio import GrpcioServer
from sidecar.shared.host.health import HealthMethods
from sidecar.shared.ops.call_metrics import CallMetrics
from sidecar.shared.ops.health import Health, Verdict, keep_beating
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to

ENFORCEMENT = "sidecar.api.enforcement.v1.EnforcementService"


class Clock:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_process_starts_unready() -> None:
    health = Health()

    assert health.startup() == Verdict(False, "starting")
    assert health.readiness() == Verdict(False, "starting")
    assert health.liveness() == Verdict(True, "no event loop yet")


def test_a_started_process_is_ready() -> None:
    health = Health()
    health.start()

    assert health.startup() == Verdict(True, "started")
    assert health.readiness() == Verdict(True, "ready")


def test_readiness_waits_for_every_hold() -> None:
    health = Health()
    health.start()
    health.hold("snapshots", "fetching snapshots")
    health.hold("store", "store is full")
    assert health.readiness() == Verdict(False, "fetching snapshots; store is full")

    health.release("snapshots")
    health.release("never held")
    assert health.readiness() == Verdict(False, "store is full")

    health.release("store")
    assert health.readiness() == Verdict(True, "ready")


def test_a_drain_is_final_and_leaves_startup_passed() -> None:
    health = Health()
    health.start()
    health.drain("SIGTERM")
    health.drain("again")
    health.start()

    assert health.readiness() == Verdict(False, "SIGTERM")
    assert health.startup().passed


@pytest.mark.parametrize(
    ("silent_seconds", "expected"),
    [
        (0.0, Verdict(True, "alive")),
        (10.0, Verdict(True, "alive")),
        (10.5, Verdict(False, "the event loop has not turned for 10 s")),
        (75.0, Verdict(False, "the event loop has not turned for 75 s")),
    ],
)
def test_liveness_follows_the_heartbeat(silent_seconds: float, expected: Verdict) -> None:
    clock = Clock()
    health = Health(clock)
    health.beat()
    clock.seconds += silent_seconds

    assert health.liveness() == expected


def test_liveness_returns_with_the_heartbeat() -> None:
    clock = Clock()
    health = Health(clock)
    health.beat()
    clock.seconds += 60
    health.beat()

    assert health.liveness() == Verdict(True, "alive")


async def test_a_turning_loop_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.shared.ops.health.BEAT_SECONDS", 0.001)
    beats = asyncio.Semaphore(0)

    class Counting(Health):
        def beat(self) -> None:
            super().beat()
            beats.release()

    health = Counting()
    task = asyncio.create_task(keep_beating(health))
    for _ in range(3):
        await beats.acquire()
    task.cancel()

    assert health.liveness() == Verdict(True, "alive")


def test_listeners_hear_every_change_until_they_leave() -> None:
    health = Health()
    heard: list[str] = []
    unsubscribe = health.subscribe(lambda: heard.append(health.readiness().reason))

    health.start()
    health.hold("store", "store is full")
    health.release("store")
    unsubscribe()
    unsubscribe()
    health.drain()

    assert heard == ["ready", "store is full", "ready"]


@pytest.fixture
async def served() -> AsyncIterator[tuple[Health, Any]]:
    health = Health()
    services = [HealthMethods(health, [ENFORCEMENT]).service()]
    server = GrpcioServer(
        services, rich=status_of, options=(), concurrent_calls_max=10, call_counts=CallMetrics().row
    )
    port = server.listen_tcp("127.0.0.1:0")
    await server.start()
    async with channel_to(f"127.0.0.1:{port}") as channel:
        yield health, health_pb2_grpc.HealthStub(channel)
    await server.stop(0)


async def statuses(stub: Any) -> dict[str, str]:
    found = {}
    for service in ("", "liveness", "readiness", ENFORCEMENT):
        answer = await stub.Check(
            health_pb2.HealthCheckRequest(service=service), timeout=HANG_SECONDS_MAX
        )
        found[service] = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    return found


def expected_statuses(readiness: str) -> dict[str, str]:
    return {"": readiness, "liveness": "SERVING", "readiness": readiness, ENFORCEMENT: readiness}


async def test_grpc_health_serves_nothing_before_startup(
    served: tuple[Health, Any],
) -> None:
    _, stub = served

    assert await statuses(stub) == expected_statuses("NOT_SERVING")


async def test_grpc_health_follows_readiness(
    served: tuple[Health, Any],
) -> None:
    health, stub = served
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=ENFORCEMENT), timeout=HANG_SECONDS_MAX)
    seen = [(await watch.read()).status]

    health.start()
    seen.append((await watch.read()).status)
    assert await statuses(stub) == expected_statuses("SERVING")

    await asyncio.to_thread(health.drain)  # a change from another thread
    seen.append((await watch.read()).status)
    assert await statuses(stub) == expected_statuses("NOT_SERVING")

    response = health_pb2.HealthCheckResponse
    assert seen == [response.NOT_SERVING, response.SERVING, response.NOT_SERVING]
    watch.cancel()


def test_what_only_a_restart_can_help_ends_liveness_and_readiness_for_good() -> None:
    health = Health()
    health.start()
    health.beat()
    told: list[bool] = []
    health.subscribe(lambda: told.append(health.readiness().passed))

    health.fail("the store was deleted")
    health.fail("and more")
    health.beat()

    assert (False, "the store was deleted") == health.liveness()
    assert (False, "the store was deleted") == health.readiness()
    assert [False, False] == told
