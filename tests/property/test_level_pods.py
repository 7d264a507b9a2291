"""Levels over several pods and a plane: the real engines and stores, and a network that loses.

However answers get lost, pods restart, lose their power or give back, and whoever takes back what
another has counted: all together never have more in use than the limit. Once all is told and given
back, one pod alone can have the rest.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final
from uuid import NAMESPACE_OID, uuid5

import pytest

from sidecar.control.rules.history import Run
from sidecar.control.services import apply, ingest
from sidecar.control.services.filling import Filler, any_unfinished
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.leases import AskedLeases, Leased, request_leases
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.leases.model import LeaseNeed, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.slices import whole
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.storage.leases import Leases
from tests.support.build import NOW_US, company
from tests.support.inside import Inside
from tests.support.levels import adjust, level_catalog, level_limit
from tests.support.seeds import rounds, seeded

PODS: Final = 3
MOST: Final = 12
STEPS: Final = 60
CONTENT: Final = level_catalog(level_limit(amount=MOST))
NAME: Final = CounterName("acme", "jobs", CounterRef("LEVEL||", (), LIFETIME_WINDOW))
KEY: Final = CounterKey("acme", "jobs", NAME.counter)
NAMES: Final = (
    "more", "more", "more", "less", "less", "item", "item", "back", "push", "push", "hear", "give",
    "restart",
)  # fmt: skip


class Pod:
    """A sidecar without a loop of its own: what it is told to do, it does."""

    def __init__(self, number: int, world: World) -> None:
        self._world = world
        self.inside = Inside(CONTENT, company(), leases=True, lives=f"pod-{number}")
        self.inside.leases.fetch = self.fetch  # type: ignore[method-assign]
        self.inside.totals.fetch = self.fetch_totals  # type: ignore[method-assign]
        self.items: list[str] = []

    def life(self, incarnation: str = "") -> str:
        """The id by which the plane knows an incarnation."""
        return str(uuid5(NAMESPACE_OID, incarnation or self.inside.opened.store.incarnation.id))

    async def fetch(self, needs: Collection[LeaseNeed], seconds: float | None) -> bool:
        granted = False
        for need in needs:
            wish = LeaseWish(need.counter, need.quantity, 2 * need.quantity)
            status = self.ask(wish)
            if status is LeaseStatus.RECALLING:
                status = self.ask(wish)
            granted |= status is LeaseStatus.GRANTED
        return granted

    async def fetch_totals(self, counters: Sequence[CounterName], seconds: float | None) -> None:
        self.hear()

    def ask(self, wish: LeaseWish) -> LeaseStatus:
        """Ask for a lease, or give one back; the answer may be lost."""
        opened = self.inside.opened
        leases = Leases(opened.store)
        (request,) = leases.request([wish])
        found = self._world.asks(AskedLeases(self.life(), self._world.epoch, [request]), self)
        (result,) = found.results
        if self._world.chance.random() < 0.2:
            return LeaseStatus.RECOVERING
        if result.status in (LeaseStatus.REFUSED, LeaseStatus.SUPERSEDED, LeaseStatus.GONE):
            leases.drop(wish.counter)
        else:
            leases.take(opened.store.incarnation.id, [(wish.counter, result, result.granted)])
        return result.status

    def push(self, records: int) -> bool:
        """The plane takes some records; whether there were any."""
        outbox = self.inside.opened.outbox
        run = whole(outbox.next_run(records, 1 << 20))
        if run is None:
            return False
        told = Run(run.first_sequence, run.previous_chain, run.records)
        pushed = ingest.push(self._world.plane, self.life(run.incarnation), told, NOW_US, NOW_US)
        if self._world.chance.random() < 0.8:
            while outbox.acknowledge(run.incarnation, pushed.watermark):
                pass
        return True

    def hear(self) -> None:
        with self._world.plane.read() as transaction:
            totals = transaction.totals([KEY], self.life())
        opened = self.inside.opened
        opened.counters.hear(opened.store.incarnation.id, totals)


class World:
    """A plane and its pods. `level`: what is in use indeed, by what calls were answered."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.plane = SqliteStore()
        apply.apply(self.plane, apply.Desired(CONTENT, (company(),)), NOW_US)
        walker, filler = FillingWalker(), Filler()
        while walker.any_left(self.plane):
            walker.step(self.plane, NOW_US)
        while any_unfinished(self.plane):
            filler.step(self.plane, NOW_US)
        with self.plane.read() as transaction:
            self.epoch = transaction.state().epoch
        self._timelines = KeptTimelines()
        self.pods = [Pod(number, self) for number in range(PODS)]
        self.level = self._unnamed = self._items = 0

    def asks(self, asked: AskedLeases, asking: Pod) -> Leased:
        """The plane answers; whom it asks to give back does so, or not."""
        watching = {pod.life() for pod in self.pods}
        (found,) = request_leases(self.plane, self._timelines, [asked], NOW_US, watching=watching)
        assert isinstance(found, Leased)
        for life, key in found.recalls:
            for pod in self.pods:
                if pod is not asking and pod.life() == life and self.chance.random() < 0.8:
                    assert key == KEY
                    pod.ask(LeaseWish(NAME, gives_back=True))
        return found

    async def step(self, name: str) -> None:
        for each in self.pods:  # what comes first shows by its time
            each.inside.now_us += 1
        pod, amount = self.chance.choice(self.pods), self.chance.randrange(1, 6)
        match name:
            case "more":
                await self._moved(pod, amount)
            case "less" if self._unnamed >= amount:  # what has a name is taken back by that
                with suppress(FailedPrecondition):  # others have it, and have not told
                    await self._moved(pod, -amount)
            case "item":
                await self._begin(pod, amount)
            case "back" if pod.items:
                item = pod.items.pop()
                self.level += (await adjust(pod.inside, -1, item)).changed
            case "push":
                pod.push(amount)
            case "hear":
                pod.hear()
            case "give":
                pod.ask(LeaseWish(NAME, gives_back=True))
            case "restart" | "lose power":
                pod.inside.reopen(power_lost=name == "lose power")

    async def _moved(self, pod: Pod, amount: int) -> None:
        changed = (await adjust(pod.inside, amount)).changed
        self.level += changed
        self._unnamed += changed

    async def _begin(self, pod: Pod, amount: int) -> None:
        self._items += 1
        item = f"item-{self._items}"
        if (await adjust(pod.inside, 1, item)).changed:
            self.level += 1
            pod.items.append(item)

    def settle(self) -> None:
        """All is told, and given back."""
        self.chance = random.Random(0)
        self.chance.random = lambda: 0.5  # type: ignore[method-assign]  # nothing gets lost
        for pod in self.pods:
            while pod.push(1_000):
                pass
        for pod in self.pods:
            pod.ask(LeaseWish(NAME, gives_back=True))
            pod.hear()


async def lived(chance: random.Random, names: Sequence[str]) -> World:
    """A world in which much has happened; at no time more was in use than may be."""
    world = World(random.Random(chance.random()))
    for _ in range(STEPS):
        await world.step(world.chance.choice(names))
        assert world.level <= MOST
    world.settle()
    with world.plane.read() as transaction:
        (total,) = transaction.totals([KEY], world.pods[0].life())
    assert world.level == total.total
    return world


@pytest.mark.parametrize(("lives", "seed"), rounds(5, 1, slow=80, seeds=(2, 3)))
async def test_never_is_more_in_use_than_may_be(lives: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(lives):
        world = await lived(chance, (*NAMES, "lose power"))
        assert 0 == (await adjust(world.pods[0].inside, MOST - world.level + 1)).changed


@pytest.mark.parametrize(("lives", "seed"), rounds(5, 4, slow=80, seeds=(5, 6)))
async def test_one_pod_alone_can_have_all_that_is_left(lives: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(lives):
        world = await lived(chance, NAMES)
        left = MOST - world.level
        if left:
            assert left == (await adjust(world.pods[0].inside, left)).changed
        assert 0 == (await adjust(world.pods[1].inside, 1)).changed
