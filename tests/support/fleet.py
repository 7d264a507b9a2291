"""Many sidecars and a plane that share hard limits, with books of what they admit together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.audit import CLEAN, Findings, audit
from tests.support.clocks import SetClock
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    CALLS,
    COMPANIES,
    EXPORTS,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    ledger_lines,
    status,
)
from tests.support.load import Books, Call, Mix, load
from tests.support.networks import Network, network
from tests.support.processes import until
from tests.support.waits import answered

SIDECARS: Final = 8
MIX: Final = Mix((EXPORTS, EXPORTS, EXPORTS, CALLS), quantity_max=5)
OPTIONS: Final[Mapping[str, object]] = {
    "push_linger_ms": 5,
    # A plane that is cut off is silent: a call waits for no lease longer than this.
    "fetch_timeout_ms": 1_000,
}
_WANTED_AT_ONCE: Final = 20


class Fleet:
    """Sidecars that run, and what was asked of them. `exports_max`: the limit of each company."""

    def __init__(self, net: Network, sidecars: Sequence[Sidecar], exports_max: int) -> None:
        self.net = net
        self.sidecars = list(sidecars)
        self.books = Books()
        self.exports_max = exports_max

    @property
    def plane(self) -> ControlPlane:
        """The plane of all of them."""
        return self.net.plane

    @asynccontextmanager
    async def loaded(self, seed: int, rest_s: float = 0.002) -> AsyncIterator[None]:
        """Ask all of them while the block lasts: the first most often, each other one less."""
        async with AsyncExitStack() as stack:
            for place, sidecar in enumerate(self.sidecars):
                rest = rest_s * (1 + place) ** 2
                under = load(
                    sidecar, self.books, seed * 100 + place, callers=1, rest_s=rest, mix=MIX
                )
                await stack.enter_async_context(under)
            yield

    async def answers(self, more: int) -> None:
        """Wait for so many answers more."""
        await answered(self.books, self.books.answers + more)

    def admitted(self, company: str) -> int:
        """How many exports were answered as allowed."""
        calls = self.books.calls
        return sum(
            call.quantity
            for call in calls
            if call.record_id and (call.company, call.feature) == (company, EXPORTS)
        )

    def assert_never_passed(self, lines: Iterable[control_pb2.LedgerRecord] = ()) -> None:
        """What was answered as allowed, and what is in the ledger, is within the limits."""
        counted = _counted(lines)
        for company in COMPANIES:
            both = (self.admitted(company), counted[company])
            assert max(both) <= self.exports_max, f"{company}: admitted, in the ledger: {both}"

    async def flush(self) -> None:
        """Wait until the plane has all that they have counted."""
        await asyncio.gather(*map(flush, self.sidecars))

    async def audited(self, *, ids_kept: bool = True) -> Findings:
        """Send all, hold limits and books against the ledger; what is wrong with the books."""
        await self.flush()
        lines = await ledger_lines(self.plane)
        self.assert_never_passed(lines)
        print(self.books.summary(), f"{len(lines)} lines")
        return audit(self.books, lines, ids_kept=ids_kept)

    async def assert_exact(self, *, ids_kept: bool = True) -> None:
        """All that was answered is in the ledger once, and no limit was passed."""
        findings = await self.audited(ids_kept=ids_kept)
        assert CLEAN == findings, findings

    async def use_up(self) -> None:
        """Ask all of them until each says that nothing is left; the rest of each limit is used."""
        for company in COMPANIES:
            saying_so: set[str] = set()
            while len(saying_so) < len(self.sidecars):
                for sidecar in self.sidecars:
                    if await self._used_by(sidecar, company):
                        saying_so.clear()
                    else:
                        saying_so.add(sidecar.address)

    async def assert_used_up(self) -> None:
        """Nothing of the limits was left, by the ledger: some answers are lost with a kill."""
        assert dict.fromkeys(COMPANIES, self.exports_max) == _counted(
            await ledger_lines(self.plane)
        )

    async def _used_by(self, sidecar: Sidecar, company: str) -> int:
        """Use what there is, a little at a time; how much. It may have to be given back first."""
        number = len(self.books.calls)
        call = Call(number, company, EXPORTS, _WANTED_AT_ONCE, f"key-{number}", "")
        self.books.calls.append(call)
        answer = pb.CheckAndIncrementResponse()

        async def decided() -> bool:
            nonlocal answer
            answer = await check(
                sidecar,
                company,
                EXPORTS,
                _WANTED_AT_ONCE,
                idempotency_key=call.key,
                metadata={"call": str(number)},
                grant_mode=pb.GRANT_MODE_UP_TO,
            )
            if answer.decision.reason == pb.REASON_LEASE_UNAVAILABLE:
                return await self._is_withheld(company)
            return True

        await until(decided, f"no lease can be had of {company}'s {EXPORTS}")
        expected = (pb.REASON_ALLOWED, pb.REASON_LIMIT_EXCEEDED, pb.REASON_LEASE_UNAVAILABLE)
        assert answer.decision.reason in expected, answer
        call.quantity = answer.decision.granted
        self.books.answered(call, answer)
        granted: int = answer.decision.granted
        return granted

    async def _is_withheld(self, company: str) -> bool:
        """Whether all that is left of its exports is held by lives of stores that are over."""
        lives = {(await status(sidecar)).incarnation for sidecar in self.sidecars}
        wanted = control_pb2.LeaseFilter(company=company, feature=EXPORTS)
        request = control_pb2.ListLeasesRequest(filter=wanted)
        counters = (await self.plane.control.ListLeases(request)).counters
        if not counters:  # a plane that was just restored knows of none yet
            return False
        [counter] = counters
        holders = {holder.incarnation for holder in counter.holders if holder.remaining}
        return bool(counter.available <= 0 and holders and not holders & lives)


def _counted(lines: Iterable[control_pb2.LedgerRecord]) -> dict[str, int]:
    """How many exports lines of the ledger are of, by company."""
    counted = dict.fromkeys(COMPANIES, 0)
    for line in lines:
        if line.feature == EXPORTS and not line.duplicate_of:
            counted[line.company] += line.quantity
    return counted


@asynccontextmanager
async def pods(
    folder: Path,
    catalog: str,
    *,
    companies: Sequence[str] = COMPANIES,
    clocks: bool = False,
    **options: Any,
) -> AsyncIterator[tuple[Network, list[Sidecar]]]:
    """Eight sidecars, each on a way of its own to a plane, which know the companies of a catalog.

    `clocks`: each daemon has a clock that can be set.
    """
    async with network(folder / "control.db", SIDECARS) as net, AsyncExitStack() as stack:
        if clocks:
            assert 0 == await net.plane.stop()
            net.plane.clock = SetClock(folder / "plane.clock")
            await net.plane.start()
        await apply(net.plane, catalog)
        sidecars = [
            net.sidecar(number, folder / f"{number}", **{**OPTIONS, **options})
            for number in range(SIDECARS)
        ]
        for number, sidecar in enumerate(sidecars):
            sidecar.clock = SetClock(folder / f"{number}.clock") if clocks else None
            stack.push_async_exit(sidecar)
        await asyncio.gather(*(sidecar.start() for sidecar in sidecars))
        await asyncio.gather(*(hold(sidecar, companies) for sidecar in sidecars))
        yield net, sidecars


@asynccontextmanager
async def fleet(
    folder: Path, exports_max: int = 2_000, exports_per: str = "lifetime", **options: Any
) -> AsyncIterator[Fleet]:
    """The same, on the catalog of `ledger`, with books."""
    catalog = catalog_text(exports_max=exports_max, exports_per=exports_per)
    async with pods(folder, catalog, **options) as (net, sidecars):
        yield Fleet(net, sidecars, exports_max)
