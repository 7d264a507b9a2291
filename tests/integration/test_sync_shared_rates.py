"""Two sidecars under one rate: each goes by its share, which follows demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.limits.rates import WHOLE_PPM
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply
from tests.support.processes import until

COUNT: Final = 100
"""A second, and at once."""
CATALOG: Final = f"""
features:
  calls: {{kind: metered}}
plans:
  standard:
    entitlements:
      calls: {{limits: {{}}, rates: {{burst: {{count: {COUNT}, per: second}}}}}}
companies:
  acme: {{plan: standard}}
"""


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[tuple[ControlPlane, Sidecar, Sidecar]]:
    """A plane and two sidecars that know of each other."""
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, CATALOG)
        async with (
            Sidecar(folder / "a", plane.address) as first,
            Sidecar(folder / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await share_is(sidecar, WHOLE_PPM // 2, WHOLE_PPM // 2)
            yield plane, first, second
            assert [] == [error for d in (plane, first, second) for error in d.errors()]


async def rate_of(sidecar: Sidecar) -> pb.LimitStatus:
    """The rate as a sidecar shows it; it counts nothing."""
    request = pb.CheckRequest(company="acme", feature="calls")
    answer = await sidecar.api.Check(request, timeout=HANG_SECONDS_MAX)
    (status,) = answer.limits
    return status


async def share_is(sidecar: Sidecar, least: int, most: int) -> None:
    """Wait until a sidecar goes by a share of the rate."""
    said = 0

    async def is_so() -> bool:
        nonlocal said
        said = (await rate_of(sidecar)).rate_share_ppm or WHOLE_PPM
        return least <= said <= most

    try:
        await until(is_so, "another share is gone by")
    finally:
        assert least <= said <= most


class Callers:
    """Calls a sidecar without a pause. `passed`: how many calls did."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.passed = 0
        self._sidecar = sidecar
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Callers:
        self._task = asyncio.create_task(self._call())
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _call(self) -> None:
        request = pb.CheckAndIncrementRequest(company="acme", feature="calls")
        while True:
            answer = await self._sidecar.api.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)
            self.passed += answer.decision.allowed


async def test_a_share_flows_to_who_is_busy_and_all_together_pass_no_more_than_the_rate(
    tmp_path: Path,
) -> None:
    async with system(tmp_path) as (_, first, second):
        began = time.monotonic()
        async with Callers(second) as busy:
            await share_is(second, WHOLE_PPM, WHOLE_PPM)
            async with Callers(first) as other:
                await share_is(second, WHOLE_PPM * 4 // 10, WHOLE_PPM * 6 // 10)
            await share_is(second, WHOLE_PPM, WHOLE_PPM)
            async with Callers(first) as again:
                await share_is(first, WHOLE_PPM * 4 // 10, WHOLE_PPM * 6 // 10)
        seconds = time.monotonic() - began
        passed = busy.passed + other.passed + again.passed
        # What newcomers pass before their first share comes on top: it is charged later.
        assert passed <= COUNT * (1 + seconds) + 2 * COUNT
        assert busy.passed > 0


async def test_with_the_plane_away_and_after_a_restart_the_last_share_stays(
    tmp_path: Path,
) -> None:
    async with system(tmp_path) as (plane, first, second):
        async with Callers(first):
            await share_is(first, WHOLE_PPM, WHOLE_PPM)
        await plane.stop()
        async with Callers(second) as others:

            async def passed() -> bool:
                return others.passed > 0

            await until(passed, "nothing passes by an even part")
        await first.stop()
        await first.start()
        await first.ready()
        for sidecar, share in ((first, 0), (second, WHOLE_PPM // 2)):
            assert share == (await rate_of(sidecar)).rate_share_ppm
