"""The control plane as a process: ports, probes, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from msgspec.structs import replace

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.control.server import ControlPlane
from sidecar.control.storage.port import PlaneStore
from sidecar.shared.host.lifecycle import CANNOT_RUN
from sidecar.shared.host.listening import CannotListen
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.unit.control.plane import CONFIG, running

_PROGRAM: Final = """
import sys
from sidecar.shared.config import ControlConfig
from sidecar.control.server import run
config = ControlConfig(
    database_path=sys.argv[1], listen="127.0.0.1:0", http_listen="", drain_seconds_max=2
)
sys.exit(run(config))
"""


def _get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=HANG_SECONDS_MAX) as answer:
        return answer.status, answer.read().decode()


async def test_probes_and_metrics_answer(store: PlaneStore) -> None:
    async with running(store) as calls:
        base = f"http://{calls.plane.http_address}"
        for path in ("/livez", "/readyz", "/startupz"):
            status, _ = await asyncio.to_thread(_get, base + path)
            assert 200 == status
        await calls.apply(catalog=True)
        _, metrics = await asyncio.to_thread(_get, f"{base}/metrics")
    assert "tallyd_revision 1.0" in metrics.splitlines()
    assert "tallyd_ledger_records_total 0.0" in metrics.splitlines()
    assert "tallyd_store_in_trouble 0.0" in metrics.splitlines()
    assert "tallyd_database_bytes" in metrics


async def test_health_and_reflection_know_the_services(store: PlaneStore) -> None:
    async with running(store) as calls:
        health: Any = health_pb2_grpc.HealthStub(calls.channel)
        for service in ("", "liveness", "readiness", "sidecar.api.sync.v1.SyncService"):
            checked = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert health_pb2.HealthCheckResponse.SERVING == checked.status
        channel: Any = calls.channel
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([question]))
        answer = await call.read()
        call.cancel()
    names = [service.name for service in answer.list_services_response.service]
    assert "sidecar.api.control.v1.ControlService" in names
    assert "sidecar.api.sync.v1.SyncService" in names


@pytest.mark.parametrize("field", ["listen", "http_listen"])
async def test_an_address_in_use_is_named(store: PlaneStore, field: str) -> None:
    async with running(store) as calls:
        taken = calls.plane.grpc_address if field == "listen" else calls.plane.http_address
        second = ControlPlane(replace(CONFIG, **{field: taken}), store)
        with pytest.raises(CannotListen, match=taken):
            await second.start()


async def test_a_message_beyond_the_bound_is_refused(store: PlaneStore) -> None:
    async with running(store) as calls:
        bound = CONFIG.message_bytes_max
        request = control_pb2.GetCompanyRequest(company="x" * bound)
        option = ("grpc.max_send_message_length", -1)
        async with channel_to(calls.plane.grpc_address, option) as channel:
            stub = control_pb2_grpc.ControlServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetCompany(request)
    assert grpc.StatusCode.RESOURCE_EXHAUSTED == refused.value.code()


def test_a_store_that_cannot_be_opened_is_said_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    path.write_bytes(b"x" * 5_000)
    result = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(path)],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    assert CANNOT_RUN == result.returncode
    assert (
        f"tallyd control: {path}: cannot be opened: file is not a database "
        "(setting database_path: --database-path, TALLYD_DATABASE_PATH)"
    ) == result.stderr.splitlines()[-1]


def test_sigterm_ends_the_process_in_order(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(tmp_path / "plane.db")],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        ready = json.loads(process.stderr.readline())
        with grpc.insecure_channel(ready["grpc"]) as channel:
            stub = control_pb2_grpc.ControlServiceStub(channel)
            assert not stub.GetCatalog(control_pb2.GetCatalogRequest()).HasField("catalog")
        os.kill(process.pid, signal.SIGTERM)
        _, rest = process.communicate(timeout=HANG_SECONDS_MAX)
    finally:
        process.kill()
        process.wait()
    said = [json.loads(line)["event"] for line in rest.splitlines()]
    events = [event for event in said if event != "room.low"]  # which depends on the machine
    assert "control.ready" == ready["event"]
    assert ["control.stopping", "control.stopped"] == events
    assert 0 == process.returncode
