"""A concurrency limit of a hundred over eight pods, with clients that are killed at random."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Final

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.time.units import SECOND_US
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.fleet import pods
from tests.support.jobs_child import COMPANY, JOBS
from tests.support.ledger import flush, ledger_lines
from tests.support.processes import ROOT, environment, until
from tests.support.seeds import seeded

JOBS_MAX: Final = 100
CLIENTS: Final = 6
AT_ONCE: Final = 30
KILLS: Final = 6
JOBS_EACH_KILL: Final = 60
TTL_S: Final = 6
SURELY_S: Final = TTL_S - 1.0
"""So long what was counted is certainly in use, whatever a sidecar thinks of the plane's clock."""
CATALOG: Final = f"""
features:
  calls: {{kind: metered}}
  {JOBS}: {{kind: level, ttl_max: 1m, billed: peak}}
plans:
  standard:
    entitlements:
      calls: unlimited
      {JOBS}: {{limits: {{running: {{amount: {JOBS_MAX}}}}}}}
companies:
  {COMPANY}: {{plan: standard, anchor: 2026-01-31}}
"""


class Clients:
    """Client processes, and what they have written of their jobs."""

    def __init__(self, folder: Path, sidecars: Sequence[Sidecar]) -> None:
        self._folder = folder
        self._sockets = [str(sidecar.socket) for sidecar in sidecars]
        self._running: list[asyncio.subprocess.Process] = []
        self._names = 0

    async def start(self) -> None:
        """Start one more."""
        self._names += 1
        name = f"client-{self._names}"
        book = self._folder / f"{name}.book"
        command = ["-m", "tests.support.jobs_child", name, str(AT_ONCE), str(TTL_S), str(book)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, *self._sockets, cwd=ROOT, env=environment()
        )
        self._running.append(process)

    async def kill(self, number: int) -> None:
        """Kill one at once."""
        process = self._running.pop(number)
        assert process.returncode is None, "a client has failed by itself"
        process.kill()
        assert -signal.SIGKILL == await process.wait()

    async def kill_all(self) -> None:
        """Kill all, at the same time."""
        await asyncio.gather(*(self.kill(0) for _ in tuple(self._running)))

    def lines(self) -> Iterator[list[str]]:
        """What was written, of whole lines."""
        for book in self._folder.glob("*.book"):
            for line in book.read_text(encoding="ascii").splitlines(keepends=True):
                if line.endswith("\n"):
                    yield line.split()

    async def has_begun(self, jobs: int) -> bool:
        """Whether so many jobs have begun, and one was denied since too many are."""
        found = self.kinds()
        return found["begun"] >= jobs and found.total() > found["begun"] + found["ends"]

    def kinds(self) -> Counter[str]:
        """How many lines there are of a kind; of denials by their reasons."""
        return Counter(name if kind == "denied" else kind for kind, name, *_ in self.lines())

    def most_at_once(self) -> int:
        """How many jobs were certainly in use at the same time."""
        ends = {item: float(at[0]) for kind, item, *at in self.lines() if kind == "ends"}
        changes: list[tuple[float, int]] = []
        for kind, item, *at in self.lines():
            if kind == "begun":
                asked_s, answered_s = map(float, at)
                until_s = min(ends.get(item, asked_s + SURELY_S), asked_s + SURELY_S)
                if until_s > answered_s:
                    changes += [(answered_s, 1), (until_s, -1)]
        return max(accumulate(change for _, change in sorted(changes)))


@asynccontextmanager
async def clients_of(folder: Path, sidecars: Sequence[Sidecar]) -> AsyncIterator[Clients]:
    """Clients that run, and are killed when the block ends."""
    folder.mkdir()
    clients = Clients(folder, sidecars)
    try:
        for _ in range(CLIENTS):
            await clients.start()
        yield clients
    finally:
        await clients.kill_all()


@pytest.mark.slow
@pytest.mark.crash
async def test_never_more_than_a_hundred_jobs_run_and_killed_clients_leave_none(
    tmp_path: Path,
) -> None:
    chance = seeded(29)
    async with pods(tmp_path, CATALOG, companies=[COMPANY]) as (net, sidecars):
        async with clients_of(tmp_path / "clients", sidecars) as clients:
            for kills in range(KILLS):
                begun = partial(clients.has_begun, (kills + 1) * JOBS_EACH_KILL)
                await until(begun, "no jobs run")
                await clients.kill(chance.randrange(CLIENTS))
                await clients.start()
            begun = partial(clients.has_begun, (KILLS + 1) * JOBS_EACH_KILL)
            await until(begun, "no jobs run")
        await until(lambda: _is_free(net.plane, sidecars), "jobs of killed clients stay")
        lines = await ledger_lines(net.plane, [COMPANY])
        begins = sorted(each.event_time.ToMicroseconds() for each in lines if each.quantity > 0)
        ends = sorted(each.event_time.ToMicroseconds() for each in lines if each.quantity < 0)
        most_s = max(end - begin for begin, end in zip(begins, ends, strict=True)) / SECOND_US
        most = clients.most_at_once()
        print(f"{clients.kinds()}, {most} certainly at once, {most_s:.6f} s the longest")
        assert most <= JOBS_MAX
        # As each comes back in time, so does the first of them before the first's time is up.
        assert most_s <= TTL_S
        await until(lambda: _takes_all(sidecars[0]), "what is free cannot be had")
        for sidecar in sidecars:
            assert not (await _add(sidecar, 1, "one more")).decision.allowed
        bill = await net.plane.control.GetLevelBill(
            control_pb2.GetLevelBillRequest(company=COMPANY, feature=JOBS)
        )
        print(f"{bill.peak} by the bill")
        assert [] == net.plane.errors()


async def _add(sidecar: Sidecar, amount: int, item: str) -> pb.AdjustLevelResponse:
    request = pb.AdjustLevelRequest(company=COMPANY, feature=JOBS, amount=amount, item=item)
    request.time_to_live.CopyFrom(Duration(seconds=60))
    answer: pb.AdjustLevelResponse = await sidecar.api.AdjustLevel(
        request, timeout=HANG_SECONDS_MAX
    )
    return answer


async def _takes_all(sidecar: Sidecar) -> bool:
    return bool((await _add(sidecar, JOBS_MAX, "all")).decision.allowed)


async def _is_free(plane: ControlPlane, sidecars: Sequence[Sidecar]) -> bool:
    await asyncio.gather(*map(flush, sidecars))
    request = control_pb2.GetCompanyUsageRequest(company=COMPANY, feature=JOBS)
    (limit,) = (await plane.control.GetCompanyUsage(request)).limits
    return int(limit.used) == 0
