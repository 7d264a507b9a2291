"""Sidecars that share a rate, and their plane, on virtual time: real stores, engines and machines.

Messages are the real ones, and may be lost, or come again later. Nothing here waits.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, cast

import msgspec

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import rate_share_answers
from sidecar.control.services.rate_shares import RateShares
from sidecar.directory.meters import RateMeter
from sidecar.domain.catalog.model import EntitlementGrant, Rate, RateLimit
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from sidecar.engine.rate_sharing import RateSharing
from sidecar.engine.runner import InlineRunner
from sidecar.storage.sharing import read_sharing
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.machine.rate_shares import RateShareMachine
from sidecar.sync.plane_answers import PlaneAway, PlaneLacks
from sidecar.sync.rate_calls import RateCalls
from sidecar.sync.rate_shares import RateSharer
from tests.support.build import catalog, company
from tests.support.inside import Inside

INTERVAL_US: Final = SECOND_US
STEP_US: Final = 25 * MILLISECOND_US
_ACTS_MAX: Final = 50


class SharingPod:
    """A sidecar. `is_away`: the plane is out of its reach. `passed`: quantities, with instants."""

    def __init__(self, world: SharedRateWorld, number: int, limit: RateLimit) -> None:
        self.id = f"00000000-0000-4000-8000-{number:012d}"
        self.is_away = False
        self.is_down = False
        self.passed: list[tuple[int, int]] = []
        self.denied = 0
        self._world = world
        content = catalog({"basic": [EntitlementGrant("calls", rates=(limit,))]})
        self.inside = Inside(content, company())
        self._key = RateMeter("acme", "calls", limit).key(())
        self.start()

    def start(self) -> None:
        """Have a process begin on the store, as far as sharing goes."""
        self.inside.reopen()
        inside, world = self.inside, self._world
        inside.plane_status.rate_sharing = RateSharing()
        kept = read_sharing(inside.opened.store)
        kept = msgspec.structs.replace(kept, starts=kept.starts + 1)
        self.is_down = False
        self.sharer = RateSharer(
            inside.opened.store,
            InlineRunner(inside.opened.store),
            RateCalls(cast("Exchanges", _Wire(world, self))),
            RateShareMachine(
                interval_us=INTERVAL_US,
                starts=kept.starts,
                uniform=world.uniform,
                now_us=world.now_us,
            ),
            inside.plane_status.rate_sharing,
            kept,
            now=lambda: world.now_us,
            ticks=lambda: world.now_us,
        )
        inside.plane_status.rate_sharing.on_first = lambda: self.sharer.machine.first_asked(
            world.now_us
        )

    @property
    def told_ppm(self) -> int | None:
        """The share that it was told of its one rate, and goes by."""
        sharing, now_us = self.inside.plane_status.rate_sharing, self._world.now_us
        return self.inside.opened.store.transact(
            lambda step: sharing.told(step.bucket(self._key, now_us), self._key, now_us)
        )

    def ask(self, quantity: int = 1) -> bool:
        """Ask for a quantity, now."""
        self.inside.now_us = self._world.now_us
        allowed = self.inside.decide(quantity).decision.allowed
        if allowed:
            self.passed.append((self._world.now_us, quantity))
        else:
            self.denied += 1
        return allowed

    def passed_since(self, from_us: int) -> int:
        """What passed since an instant."""
        return sum(quantity for at_us, quantity in self.passed if at_us >= from_us)

    async def act(self) -> None:
        """Do all that is due now."""
        for _ in range(_ACTS_MAX):
            if self.is_down or await self.sharer.act() is not None:
                return
        raise AssertionError("a sidecar does not come to rest")


class SharedRateWorld:
    """A plane and its sidecars.

    `uniform`: chance. `loses`: how likely a message is lost, on either way, or comes again.
    `shares_none`: the plane is of a version before shares.
    """

    def __init__(
        self, pods: int, rate: Rate, uniform: Callable[[], float], *, loses: float = 0.0
    ) -> None:
        self.now_us = 1_775_001_600_000_000
        self.uniform = uniform
        self.loses = loses
        self.shares_none = False
        self.late: list[tuple[int, sync_pb2.ShareRatesRequest]] = []
        self._tables = 0
        self.shares = self._table()
        limit = RateLimit("burst", rate)
        self.pods = [SharingPod(self, number, limit) for number in range(1, pods + 1)]

    def restart_plane(self) -> None:
        """Have the plane forget all that is in memory alone."""
        self.shares = self._table()
        self.shares.expect([pod.id for pod in self.pods])

    async def step(self) -> None:
        """Let a bit of time pass."""
        self.now_us += STEP_US
        for at_us, request in list(self.late):
            if at_us <= self.now_us:
                self.late.remove((at_us, request))
                await self.answer(request)
        for pod in self.pods:
            await pod.act()

    async def go(self, seconds: float, load: Callable[[SharingPod], int] = lambda _: 0) -> None:
        """Let time pass. `load`: how many calls a sidecar gets in each step."""
        until_us = self.now_us + int(seconds * SECOND_US)
        while self.now_us < until_us:
            for pod in self.pods:
                for _ in range(0 if pod.is_down else load(pod)):
                    pod.ask()
            await self.step()

    async def answer(self, request: sync_pb2.ShareRatesRequest) -> sync_pb2.ShareRatesResponse:
        """What the plane answers."""
        return await rate_share_answers.share(self.shares, request, self.now_us, self.now_us)

    @property
    def told_ppm(self) -> int:
        """All shares that sidecars were told, and go by."""
        return sum(pod.told_ppm or 0 for pod in self.pods)

    def _table(self) -> RateShares:
        self._tables += 1
        return RateShares(f"table-{self._tables}", self.now_us)


class _Wire:
    """Stands in for a connection of one sidecar."""

    stub = SimpleNamespace(ShareRates=None)

    def __init__(self, world: SharedRateWorld, pod: SharingPod) -> None:
        self._world = world
        self._pod = pod

    async def call(
        self, _method: Any, request: sync_pb2.ShareRatesRequest, _kind: Any, _seconds: float
    ) -> sync_pb2.ShareRatesResponse:
        world = self._world
        request.incarnation = self._pod.id
        if world.shares_none:
            raise PlaneLacks("no such method")
        if self._pod.is_away or world.uniform() < world.loses:
            raise PlaneAway("the request is lost")
        if world.uniform() < world.loses:
            again = sync_pb2.ShareRatesRequest.FromString(request.SerializeToString())
            world.late.append((world.now_us + int(8 * SECOND_US * world.uniform()), again))
        if world.uniform() < world.loses:
            world.late.append((world.now_us + int(4 * SECOND_US * world.uniform()), request))
            raise PlaneAway("the request is late")
        answer = await world.answer(request)
        if world.uniform() < world.loses:
            raise PlaneAway("the answer is lost")
        return answer
