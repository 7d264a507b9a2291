"""Standalone daemons as child processes, for tests of how they start, serve and end."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from sidecar.api.admin.v1 import admin_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from tests.support.processes import ROOT, Daemon

CATALOG_FILE: Final = """
features:
  calls: {kind: metered}
plans:
  basic:
    entitlements:
      calls: {limits: {monthly: {amount: 100, per: lifetime, enforcement: hard}}}
companies:
  acme: {plan: basic, anchor: "2026-01-01T00:00:00Z"}
"""


class Client:
    """Stubs on a channel to a daemon."""

    def __init__(self, channel: Any) -> None:
        self.api: Any = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        self.admin: Any = admin_pb2_grpc.AdminServiceStub(channel)
        self.reflection: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
        self._health: Any = health_pb2_grpc.HealthStub(channel)

    async def health(self, service: str) -> int:
        """What grpc.health.v1 says of a service."""
        answer = await self._health.Check(health_pb2.HealthCheckRequest(service=service))
        return int(answer.status)


@asynccontextmanager
async def client(address: str) -> AsyncIterator[Client]:
    """Connect to a daemon."""
    options = [("grpc.enable_http_proxy", 0)]
    async with grpc.aio.insecure_channel(address, options=options) as channel:
        yield Client(channel)


def options_of(folder: Path, **changes: object) -> Mapping[str, object]:
    """Flags of a standalone sidecar in a folder."""
    catalog = folder / "catalog.yaml"
    if not catalog.exists():
        catalog.write_text(CATALOG_FILE)
    options: dict[str, object] = {
        "standalone": catalog,
        "store_path": folder / "store",
        "socket_path": folder / "s.sock",
        "listen": "",
        "http_listen": "",
    }
    options.update(changes)
    return {name: value for name, value in options.items() if value is not None}


def daemon(folder: Path, **changes: object) -> Daemon:
    """A standalone daemon in a folder, ready once it has read the catalog there."""
    return Daemon("sidecar", "sidecar.ready", options_of(folder, **changes))


def refused(folder: Path, **changes: object) -> tuple[int, str]:
    """Exit status of a daemon that cannot start, and what it wrote for people, in one line."""
    flags = [
        f"--{name.replace('_', '-')}={value}"
        for name, value in options_of(folder, **changes).items()
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "sidecar.cli.main", "sidecar", *flags],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("TALLYD_")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    return ended.returncode, "\n".join(lines)
