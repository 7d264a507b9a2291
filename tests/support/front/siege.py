"""A real sidecar under attack, and honest clients that want to go on meanwhile."""

from __future__ import annotations

import asyncio
import http.client
import re
import resource
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1.enforcement_pb2_grpc import EnforcementServiceStub
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.daemons import Sidecar, Standalone
from tests.support.ports import ANY_PORT
from tests.support.processes import until

MIB: Final = 1024 * 1024
MEMORY_BYTES_MAX: Final = 384 * MIB
"""What a sidecar under attack may take at its peak; it starts with about 65 MiB."""
ANSWERS_MIN: Final = 40
"""Of honest clients, while the attackers are at it."""
ROUNDS_MAX: Final = 5_000
ENFORCEMENT: Final = "/sidecar.api.enforcement.v1.EnforcementService"
CHECK: Final = f"{ENFORCEMENT}/CheckAndIncrement"
STREAM: Final = f"{ENFORCEMENT}/StreamCheckAndIncrement"
CATALOG: Final = """
features:
  calls: {kind: metered}
plans:
  basic:
    entitlements:
      calls: {limits: {ever: {amount: 1000000000, per: lifetime, across: eventual}}}
companies:
  acme: {plan: basic, anchor: "2026-01-01T00:00:00Z"}
  mallory: {plan: basic, anchor: "2026-01-01T00:00:00Z"}
"""
HOSTILE_CHECK: Final = pb.CheckAndIncrementRequest(
    company="mallory", feature="calls"
).SerializeToString()
_REFUSAL: Final = re.compile(
    r'^tallyd_transport_refusals_total\{kind="(\w+)"\} (\d+)', re.MULTILINE
)


class Honest:
    """A client that counts what it is answered, call after call, on a connection of its own."""

    def __init__(self, address: str) -> None:
        self.answers = 0
        self.failures: list[str] = []
        self._address = address
        self._asked = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Call until told to stop."""
        async with channel_to(self._address) as channel:
            while not stop.is_set():
                await self.call(channel)

    async def call(self, channel: grpc.aio.Channel) -> None:
        """Make one call."""
        self._asked += 1
        request = pb.CheckAndIncrementRequest(
            company="acme", feature="calls", idempotency_key=f"honest {self._asked}"
        )
        stub: Any = EnforcementServiceStub(channel)
        try:
            answer = await stub.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            self.failures.append(f"{error.code()}: {error.details()}")
            return
        if not answer.decision.allowed:
            self.failures.append(f"denied: {answer}")
        self.answers += 1


class Siege:
    """A sidecar, and who calls it.

    `peak_bytes`: the most memory that it took in the last attack.
    """

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar
        self.honest = Honest(sidecar.address)
        self.peak_bytes = 0
        self._web = f"127.0.0.1:{sidecar.seen('sidecar.listening')[-1]['http_port']}"

    @property
    def address(self) -> str:
        """Where to attack."""
        return self.sidecar.address

    def descriptors(self) -> int:
        """Files and connections that the sidecar has open."""
        return len(list(Path(f"/proc/{self.sidecar.pid}/fd").iterdir()))

    def memory_bytes(self, row: str = "VmRSS") -> int:
        """Memory that the sidecar takes; row `VmHWM`: at its peak."""
        status = Path(f"/proc/{self.sidecar.pid}/status").read_text()
        found = re.search(rf"^{row}:\s+(\d+) kB", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    async def refusals(self) -> Counter[str]:
        """What the transport has refused so far, by kind."""
        text = await asyncio.to_thread(_metrics, self._web)
        return Counter({kind: int(count) for kind, count in _REFUSAL.findall(text)})

    @asynccontextmanager
    async def attacked(
        self, *kinds: str, memory_bytes_max: int = MEMORY_BYTES_MAX
    ) -> AsyncIterator[None]:
        """Attack while the block lasts, beside an honest client. Afterwards all must be well.

        `kinds`: the refusals that must have been counted.
        """
        before = await self.refusals()
        open_before = self.descriptors()
        resting = self.memory_bytes()
        # From now on the peak is that of this attack.
        Path(f"/proc/{self.sidecar.pid}/clear_refs").write_text("5")
        stop = asyncio.Event()
        calling = asyncio.create_task(self.honest.run(stop))
        try:
            yield
        finally:
            stop.set()
            await calling
        await self._check_health()
        await self._forgets_them(open_before)
        counted = await self.refusals() - before
        self.peak_bytes = self.memory_bytes("VmHWM")
        print(
            f"memory {resting / MIB:.0f} MiB, at its peak {self.peak_bytes / MIB:.0f},"
            f" then {self.memory_bytes() / MIB:.0f}; refusals {dict(counted)};"
            f" {self.honest.answers} honest calls answered"
        )
        assert [] == self.honest.failures
        assert [] == self.sidecar.errors()
        assert set(kinds) <= set(counted)
        assert self.peak_bytes < memory_bytes_max

    async def holds_out(self) -> None:
        """Wait until the honest client has had enough answers, whoever else is there."""
        enough = self.honest.answers + ANSWERS_MIN

        async def answered() -> bool:
            return self.honest.answers >= enough or bool(self.honest.failures)

        await until(answered, "the honest client is not answered")

    async def storm(self, attack: Callable[[], Awaitable[None]], attackers: int = 2) -> None:
        """Let several attack again and again until the honest client has had enough answers."""
        enough = self.honest.answers + ANSWERS_MIN

        async def attacker() -> None:
            for _ in range(ROUNDS_MAX):
                await attack()
                if self.honest.answers >= enough or self.honest.failures:
                    return
            raise AssertionError(f"fewer than {ANSWERS_MIN} answers in {ROUNDS_MAX} rounds")

        async with asyncio.TaskGroup() as group:
            for _ in range(attackers):
                group.create_task(attacker())

    async def _forgets_them(self, open_before: int) -> None:
        """Wait until nothing of the attackers' connections is left."""

        async def gone() -> bool:
            return self.descriptors() <= open_before

        await until(gone, "connections of the attackers are left")

    async def _check_health(self) -> None:
        """It serves newcomers, and has counted what it answered, no more and no less."""
        async with channel_to(self.address) as channel:
            await self.honest.call(channel)
            request = pb.GetUsageRequest(company="acme", feature="calls")
            stub: Any = EnforcementServiceStub(channel)
            answer = await stub.GetUsage(request, timeout=HANG_SECONDS_MAX)
            [row] = answer.features[0].limits
            assert self.honest.answers == row.used


class _Sidecar(Standalone):
    """A sidecar that may have so many files open; None: as many as the test."""

    descriptors_max: int | None = None

    def command(self) -> list[str]:
        command = super().command()
        if self.descriptors_max is None:
            return command
        return ["sh", "-c", f'ulimit -n {self.descriptors_max}; exec "$@"', "sh", *command]


@asynccontextmanager
async def siege(
    folder: Path, *, descriptors_max: int | None = None, **options: object
) -> AsyncIterator[Siege]:
    """A sidecar of its own that can be attacked."""
    folder.mkdir(exist_ok=True)
    (folder / "catalog.yaml").write_text(CATALOG)
    sidecar = _Sidecar(folder, **{"http_listen": ANY_PORT, **options})
    sidecar.descriptors_max = descriptors_max
    async with sidecar:
        yield Siege(sidecar)


def room_for_files(count: int) -> None:
    """Let this process, and those that it starts, have so many files open; else skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"a process may have {hard} files open here, and {count} are needed")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _metrics(address: str) -> str:
    connection = http.client.HTTPConnection(address, timeout=HANG_SECONDS_MAX)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()
