"""Control planes and sidecars as child processes, and sidecars that need no control plane."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, Final

from sidecar.api.admin.v1 import admin_pb2_grpc
from sidecar.api.control.v1 import control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.ports import ANY_PORT, KeptPort
from tests.support.processes import ROOT, Daemon, Event, environment

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


class ControlPlane(Daemon):
    """A control plane on a database file, on a port that it keeps from its first start on."""

    def __init__(self, database: Path) -> None:
        self.database = database
        options = {"database_path": database, "listen": ANY_PORT, "http_listen": ""}
        super().__init__("control", "control.ready", options, address="")
        self._port = KeptPort()

    @property
    def control(self) -> control_pb2_grpc.ControlServiceAsyncStub:
        """The service for those who sell."""
        return control_pb2_grpc.ControlServiceStub(self.channel)

    async def start(self) -> Event:
        """Start it, at the address that it had before."""
        ready = await super().start()
        self.address = self.options["listen"] = ready["grpc"]
        return ready

    async def __aexit__(self, *error: Any) -> None:
        await super().__aexit__(*error)
        self._port.let_go()

    async def _ended(self) -> int:
        try:
            return await super()._ended()
        finally:
            if self.address:
                self._port.keep(self.address)


class Sidecar(Daemon):
    """A sidecar on a store's folder, behind a Unix socket.

    It has started once it listens, which it does before it has a catalog. `control`: the address of
    its plane. `options`: further flags, or others; `None` for none.
    """

    STARTED = "sidecar.listening"

    def __init__(self, folder: Path, control: object = "", **options: object) -> None:
        folder.mkdir(exist_ok=True)
        self.store = folder / "store"
        self.socket = folder / "s.sock"
        fixed = {
            "control": control,
            "store_path": self.store,
            "socket_path": self.socket,
            "listen": "",
            "http_listen": "",
            # A plane that answers late is waited for; one that is away refuses connections.
            "fetch_timeout_ms": 60_000,
        }
        flags = {name: value for name, value in {**fixed, **options}.items() if value is not None}
        super().__init__("sidecar", self.STARTED, flags, f"unix:{self.socket}")

    @property
    def api(self) -> enforcement_pb2_grpc.EnforcementServiceAsyncStub:
        """The service for applications."""
        return enforcement_pb2_grpc.EnforcementServiceStub(self.channel)

    @property
    def admin(self) -> admin_pb2_grpc.AdminServiceAsyncStub:
        """The service for operators."""
        return admin_pb2_grpc.AdminServiceStub(self.channel)

    async def ready(self) -> Event:
        """Wait until it can answer checks."""
        return await self.event("sidecar.ready")


class Standalone(Sidecar):
    """A sidecar without a plane. It has started once it can answer checks.

    Unless it is told of another catalog file, it has the one in its folder, which is made if there
    is none.
    """

    STARTED = "sidecar.ready"

    def __init__(self, folder: Path, **options: object) -> None:
        folder.mkdir(exist_ok=True)
        catalog = folder / "catalog.yaml"
        if not catalog.exists():
            catalog.write_text(CATALOG_FILE)
        super().__init__(folder, **{"standalone": catalog, **options})


def nobody(folder: Path) -> str:
    """An address at which there is no control plane."""
    return f"unix:{folder}/nobody.sock"


def refused(folder: Path, **options: object) -> tuple[int, str]:
    """Exit status of a sidecar that cannot start, and what it wrote for people, in one line."""
    ended = subprocess.run(
        Standalone(folder, **options).command(),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if not line.startswith("{")]
    return ended.returncode, "\n".join(lines)
