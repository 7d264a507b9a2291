"""Companies that the plane does not have: the default plan's limit holds over all sidecars."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, check, flush, ledger_lines
from tests.support.networks import Network, proxies
from tests.support.processes import until
from tests.support.waits import revision_reached

SIDECARS: Final = 3
LIMIT: Final = 100
NAME: Final = "stranger"
DENIED: Final = (pb.REASON_LIMIT_EXCEEDED, pb.REASON_LEASE_UNAVAILABLE)
OPTIONS: Final = {"push_linger_ms": 5, "fetch_timeout_ms": 1_000}


def sold(pro: str = "per: month", free: int = LIMIT, companies: str = "{}") -> str:
    """A catalog whose default plan has a limit of a month. `pro`: how the other plan's counts."""
    return f"""
default_plan: free
features:
  calls: {{kind: metered}}
plans:
  free: {{entitlements: {{calls: {{limits: {{all: {{amount: {free}, per: month}}}}}}}}}}
  pro: {{entitlements: {{calls: {{limits: {{all: {{amount: {LIMIT}, {pro}}}}}}}}}}}
companies: {companies}
"""


def having_it(day: int = 1) -> str:
    """The companies of a file that has it, with a billing period from that day on."""
    return f"{{{NAME}: {{plan: pro, anchor: 2026-01-{day:02}T00:00:00Z}}}}"


class Pods:
    """Sidecars that run, and what they have let through."""

    def __init__(self, net: Network, sidecars: Sequence[Sidecar]) -> None:
        self.net = net
        self.sidecars = sidecars
        self.admitted = 0

    @property
    def plane(self) -> ControlPlane:
        return self.net.plane

    async def ask(self, sidecar: Sidecar, calls: int, company: str = NAME) -> int:
        """Ask so often at the most, until it is denied; how many passed."""
        for at in range(calls):
            answer = await check(sidecar, company, "calls")
            if not answer.decision.allowed:
                assert answer.decision.reason in DENIED, answer
                return at
            assert pb.BASIS_MODE_LEASED == answer.decision.basis.mode, answer
            self.admitted += 1
        return calls

    async def ask_all(self, calls: int) -> None:
        """Ask all of them at once, each so often at the most."""
        await asyncio.gather(*(self.ask(sidecar, calls) for sidecar in self.sidecars))

    async def use_up(self) -> None:
        """Ask all of them until each says that the limit is exceeded."""
        for sidecar in (*self.sidecars, *self.sidecars):

            async def exceeded(sidecar: Sidecar = sidecar) -> bool:
                await self.ask(sidecar, LIMIT)
                answer = await check(sidecar, NAME, "calls")
                self.admitted += answer.decision.granted
                return answer.decision.reason == pb.REASON_LIMIT_EXCEEDED

            await until(exceeded, "the limit is not used up")

    async def in_ledger(self) -> int:
        """What the ledger has, once all was sent."""
        await asyncio.gather(*map(flush, self.sidecars))
        lines = await ledger_lines(self.plane, [NAME])
        return sum(line.quantity for line in lines if not line.duplicate_of)


@asynccontextmanager
async def pods(folder: Path, catalog: str) -> AsyncIterator[Pods]:
    async with proxies(folder / "control.db", SIDECARS) as net, AsyncExitStack() as stack:
        await apply(net.plane, catalog)
        sidecars = [
            net.sidecar(number, folder / f"{number}", **OPTIONS) for number in range(SIDECARS)
        ]
        for sidecar in sidecars:
            stack.push_async_exit(sidecar)
        await asyncio.gather(*(sidecar.start() for sidecar in sidecars))
        yield Pods(net, sidecars)
        assert [] == [error for sidecar in sidecars for error in sidecar.errors()]


async def test_together_they_let_through_all_of_it_and_no_more(tmp_path: Path) -> None:
    async with pods(tmp_path, sold()) as running:
        await running.ask_all(LIMIT)
        await running.use_up()
        assert (LIMIT, LIMIT) == (running.admitted, await running.in_ledger())
        # Another company has the limit for itself.
        assert 1 == await running.ask(running.sidecars[0], 1, "another")


async def test_what_is_leased_of_it_is_shown(tmp_path: Path) -> None:
    async with pods(tmp_path, sold()) as running:
        await running.ask_all(3)
        request = control_pb2.ListLeasesRequest()
        request.filter.company = NAME
        answer = await running.plane.control.ListLeases(request, timeout=HANG_SECONDS_MAX)
        (counter,) = answer.counters
        assert ("all", LIMIT, SIDECARS) == (counter.limit, counter.ceiling, len(counter.holders))
        question = pb.CheckRequest(company=NAME, feature="calls", quantity=1)
        told = await running.sidecars[0].api.Check(question, timeout=HANG_SECONDS_MAX)
        basis = told.decision.basis
        assert (pb.BASIS_MODE_LEASED, "free") == (basis.mode, basis.default_plan)
        assert basis.lease_remaining > 0


async def test_one_that_is_cut_off_spends_its_lease_and_goes_on_once_it_is_back(
    tmp_path: Path,
) -> None:
    async with pods(tmp_path, sold()) as running:
        await running.ask_all(10)
        await running.net.cut(0)
        await running.ask_all(LIMIT)
        assert running.admitted <= LIMIT
        await running.net.mend(0)
        await running.use_up()
        assert (LIMIT, LIMIT) == (running.admitted, await running.in_ledger())


CREATED: Final = {
    "on the same counter": ("per: month", 1),
    "on another one": ("per: month, align: billing", 1),
    "for ever": ("per: lifetime", 1),
    "in another window": ("per: month, align: billing", 15),
}


@pytest.mark.parametrize(("pro", "day"), CREATED.values(), ids=CREATED)
async def test_a_company_that_is_created_while_some_of_it_is_leased_has_no_more(
    tmp_path: Path, pro: str, day: int
) -> None:
    """The one that is cut off goes on by the default plan, until it is back."""
    async with pods(tmp_path, sold(pro)) as running:
        for sidecar in running.sidecars:
            await running.ask(sidecar, 10)
        await asyncio.gather(*map(flush, running.sidecars))
        # What was told before does not count in a window that is another one.
        most = LIMIT if day == 1 else LIMIT + running.admitted
        await running.net.cut(0)
        revision = await apply(running.plane, sold(pro, companies=having_it(day)))
        await _lets_through(running, most, revision)


async def test_a_company_that_is_removed_is_leased_what_is_left(tmp_path: Path) -> None:
    async with pods(tmp_path, sold(companies=having_it())) as running:
        await running.ask_all(10)
        await running.net.cut(0)
        revision = await apply(running.plane, sold(), remove=[NAME])
        await _lets_through(running, LIMIT, revision)


async def _lets_through(running: Pods, most: int, revision: int) -> None:
    """All but the one that is cut off hear of a revision, and that one later: so much passes."""
    for sidecar in running.sidecars[1:]:
        await revision_reached(sidecar, revision)
    await running.ask_all(LIMIT)
    assert running.admitted <= most
    await running.net.mend(0)
    await revision_reached(running.sidecars[0], revision)
    await running.use_up()
    assert (most, most) == (running.admitted, await running.in_ledger())


async def test_a_default_plan_with_less_lets_through_no_more_than_that(tmp_path: Path) -> None:
    async with pods(tmp_path, sold()) as running:
        await running.ask_all(10)
        revision = await apply(running.plane, sold(free=60))
        for sidecar in running.sidecars:
            await revision_reached(sidecar, revision)
        await running.use_up()
        assert (60, 60) == (running.admitted, await running.in_ledger())
