"""The daemon as a process: it starts, tells its health, drains, and says why it cannot start."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1.enforcement_pb2_grpc import EnforcementServiceStub
from tests.support.channels import channel_to
from tests.support.daemons import Sidecar, Standalone, nobody
from tests.support.ports import ANY_PORT
from tests.support.processes import until
from tests.support.sidecar_api import ask
from tests.support.web import get

CANNOT_RUN: Final = 4
USAGE: Final = 2
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


def port_of(sidecar: Sidecar, door: str) -> str:
    """The address of a door that was opened on any port."""
    return f"127.0.0.1:{sidecar.seen('sidecar.listening')[-1][door]}"


async def health(door: grpc.aio.Channel, service: str) -> int:
    """What grpc.health.v1 says of a service."""
    stub: Any = health_pb2_grpc.HealthStub(door)
    return int((await stub.Check(health_pb2.HealthCheckRequest(service=service))).status)


async def test_it_serves_on_every_door_and_tells_its_health(tmp_path: Path) -> None:
    async with Standalone(tmp_path, listen=ANY_PORT, http_listen=ANY_PORT) as sidecar:
        tcp, web = port_of(sidecar, "port"), port_of(sidecar, "http_port")
        for address in (sidecar.address, tcp):
            async with channel_to(address) as door:
                answer = await EnforcementServiceStub(door).CheckAndIncrement(ask(quantity=50))
                assert answer.decision.allowed
                for service in (
                    "",
                    "liveness",
                    "readiness",
                    "sidecar.api.enforcement.v1.EnforcementService",
                ):
                    assert SERVING == await health(door, service)
        for path in ("/livez", "/readyz", "/startupz"):
            assert 200 == (await get(web, path))[0]
        status, metrics = await get(web, "/metrics")
        assert 200 == status
        assert "tallyd_" in metrics
        assert 404 == (await get(web, "/other"))[0]
        assert not (await sidecar.api.CheckAndIncrement(ask())).decision.allowed
        decided = [
            line for line in (await get(web, "/metrics"))[1].splitlines() if "decisions" in line
        ]
        assert any('result="denied"' in line and line.endswith(" 1.0") for line in decided)
        assert any('result="allowed"' in line and line.endswith(" 2.0") for line in decided)


async def test_reflection_names_every_service(tmp_path: Path) -> None:
    async with Standalone(tmp_path) as sidecar:
        channel: Any = sidecar.channel
        reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = reflection.ServerReflectionInfo(iter([request]))
        answers = [answer async for answer in call]
        names = {service.name for service in answers[0].list_services_response.service}
        assert {
            "sidecar.api.enforcement.v1.EnforcementService",
            "sidecar.api.admin.v1.AdminService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
        } == names


@pytest.mark.parametrize("durability", ["process", "disk"])
async def test_what_was_answered_is_there_after_a_stop_and_after_a_kill(
    tmp_path: Path, durability: str
) -> None:
    async with Standalone(tmp_path, durability=durability) as sidecar:
        first = await sidecar.api.CheckAndIncrement(ask(quantity=10, idempotency_key="k"))
        assert 0 == await sidecar.stop()
        assert not (tmp_path / "store/in-use").exists()
        await sidecar.start()
        await sidecar.api.CheckAndIncrement(ask(quantity=10))
        await sidecar.kill()
        await sidecar.start()
        again = await sidecar.api.CheckAndIncrement(ask(quantity=10, idempotency_key="k"))
        assert (True, first.record_id) == (again.replayed, again.record_id)
        assert 21 == (await sidecar.api.CheckAndIncrement(ask())).decision.binding_limit.used
        status = await sidecar.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert (3, 21) == (status.tallies[0].records, status.tallies[0].quantity)
        assert [] == sidecar.errors()


async def test_a_stop_turns_readiness_off_and_finishes_calls(tmp_path: Path) -> None:
    async with Standalone(tmp_path, http_listen=ANY_PORT) as sidecar:
        web = port_of(sidecar, "http_port")
        call: Any = sidecar.api.StreamCheckAndIncrement()
        item = pb.StreamCheckAndIncrementRequest(check=ask())
        await call.write(item)
        assert (await call.read()).outcome.response.decision.allowed
        os.kill(sidecar.pid, signal.SIGTERM)

        async def unready() -> bool:
            return (await get(web, "/readyz"))[0] == 503

        await until(unready, "readiness stays on")
        assert 200 == (await get(web, "/livez"))[0]
        await call.write(item)
        assert (await call.read()).outcome.response.decision.allowed
        await call.done_writing()
        assert grpc.aio.EOF == await call.read()
        assert (await sidecar.event("sidecar.drained"))["complete"]
        await sidecar.event("sidecar.stopped")


async def test_a_stop_without_the_plane_is_bounded_in_time(tmp_path: Path) -> None:
    async with Sidecar(tmp_path, nobody(tmp_path), drain_seconds_max=1) as sidecar:
        await report_unknown(sidecar)
        assert 0 == await sidecar.stop()
        drained = sidecar.seen("sidecar.drained")[0]
        assert (False, 1) == (drained["complete"], drained["left"])


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with Sidecar(tmp_path, nobody(tmp_path), drain_seconds_max=3600) as sidecar:
        await report_unknown(sidecar)
        os.kill(sidecar.pid, signal.SIGTERM)
        await sidecar.event("sidecar.draining")
        assert 128 + signal.SIGTERM == await sidecar.stop()
        await sidecar.start()
        status = await sidecar.admin.GetStatus(admin_pb2.GetStatusRequest())
        assert 1 == status.outbox_records


async def test_without_a_catalog_it_lives_but_is_not_ready(tmp_path: Path) -> None:
    options = {"http_listen": ANY_PORT, "drain_seconds_max": 0}
    async with Sidecar(tmp_path, nobody(tmp_path), **options) as sidecar:
        web = port_of(sidecar, "http_port")
        assert [200, 503, 503] == [
            (await get(web, path))[0] for path in ("/livez", "/readyz", "/startupz")
        ]
        assert [SERVING, NOT_SERVING, NOT_SERVING] == [
            await health(sidecar.channel, service) for service in ("liveness", "readiness", "")
        ]


async def report_unknown(sidecar: Sidecar) -> None:
    """Record usage that then waits for the plane."""
    await sidecar.api.RecordUsage(pb.RecordUsageRequest(company="unheard of", feature="calls"))


async def test_a_socket_that_a_killed_daemon_left_behind_is_replaced(tmp_path: Path) -> None:
    async with Standalone(tmp_path) as sidecar:
        await sidecar.kill()
        assert sidecar.socket.is_socket()
        await sidecar.start()
        assert (await sidecar.api.CheckAndIncrement(ask())).decision.allowed
