"""However often a limit comes to count otherwise, and whoever has heard of it: it is not passed.

On a real store, with real pushes and fillings. All variants of the limit allow as much, in windows
that hold the present: so what all sidecars have admitted, reported or not, stays within it.
"""

from __future__ import annotations

import random
from typing import Final
from uuid import UUID, uuid4

import pytest
from msgspec.structs import replace

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import Limit
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit, window_at
from tests.support.seeds import rounds, seeded
from tests.unit.control.leasing_plane import DAILY, Plane
from tests.unit.control.support import DAY_START_US, NOW_US, Writer, company, record

AMOUNT: Final = 100
SPECS: Final = (
    WindowSpec(WindowUnit.HOUR),
    WindowSpec(WindowUnit.DAY),
    WindowSpec(WindowUnit.MONTH),
    WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED),
    WindowSpec(WindowUnit.LIFETIME),
)
VARIANTS: Final = tuple(replace(DAILY, window=spec) for spec in SPECS)


def counter_of(limit: Limit) -> CounterRef:
    window = window_at(limit.window, NOW_US, anchor_us=DAY_START_US)
    return CounterRef(slot_of(limit), (), window)


class Sidecar:
    """What a sidecar has on disk: of each counter, up to where it may count, and what it has."""

    def __init__(self, name: str, limit: Limit) -> None:
        self.writer = Writer(str(uuid4()))
        self.name = name
        self.limit = limit
        self.granted: dict[CounterRef, int] = {}
        self.own: dict[CounterRef, int] = {}
        self.pushed = 0

    @property
    def who(self) -> str:
        """Its incarnation."""
        return self.writer.incarnation

    def count(self, chance: random.Random) -> None:
        """Count by the limit that it has heard of."""
        counter, quantity = counter_of(self.limit), chance.randint(1, 5)
        own = self.own.get(counter, 0) + quantity
        if own <= self.granted.get(counter, 0):
            self.own[counter] = own
            self.writer.write(record(quantity, name=self.name, counters=(counter,)))

    def ask(self, plane: Plane, chance: random.Random) -> LeaseStatus:
        """Ask for more by the limit that it has heard of; sometimes the answer is lost."""
        counter = counter_of(self.limit)
        need = chance.choice((0, 1, 5, 20))
        return self._exchange(plane, counter, need, need + chance.choice((0, 40)), chance)

    def give_back(self, plane: Plane, chance: random.Random) -> None:
        """Give back what it has of a counter, as it was asked to, or does by itself."""
        counter = chance.choice([*self.granted, counter_of(self.limit)])
        self.granted[counter] = self.own.get(counter, 0)
        self._exchange(plane, counter, 0, 0, chance)

    def push(self, plane: Plane, most: int | None = None) -> None:
        """Push some of what is written."""
        last = len(self.writer.records) if most is None else self.pushed + most
        last = min(last, len(self.writer.records))
        if last > self.pushed:
            self.writer.push(plane.store, self.pushed + 1, last)
            self.pushed = last

    def _exchange(
        self, plane: Plane, counter: CounterRef, need: int, want: int, chance: random.Random
    ) -> LeaseStatus:
        own = self.own.get(counter, 0)
        held = max(own, self.granted.setdefault(counter, 0))
        result = plane.ask(counter, need, want, held=held, used=own, name=self.name, who=self.who)
        assert result.status is not LeaseStatus.REFUSED
        if result.status is LeaseStatus.GRANTED and chance.random() < 0.8:
            self.granted[counter] = result.granted
        return result.status


class Game:
    """A company whose limit changes again and again, and three sidecars."""

    def __init__(self, plane: Plane, name: str, chance: random.Random) -> None:
        self.plane, self.chance = plane, chance
        self.company = company(name)
        self.limit = chance.choice(VARIANTS)
        plane.apply(self.limit, self.company)
        self.sidecars = [Sidecar(name, self.limit) for _ in range(3)]
        self.seen: set[LeaseStatus] = set()

    @property
    def admitted(self) -> int:
        """What all have counted, reported or not."""
        return sum(sum(each.own.values()) for each in self.sidecars)

    def play(self, steps: int) -> None:
        """Take steps, until all is used."""
        while steps and self.admitted < AMOUNT:
            self._step()
            assert self.admitted <= AMOUNT
            steps -= 1

    def end(self) -> None:
        """Have all that is counted pushed, and all that is left given back."""
        self.plane.fill()
        for sidecar in self.sidecars:
            sidecar.push(self.plane)
            for counter in sidecar.granted:
                own = sidecar.own.get(counter, 0)
                self.plane.ask(counter, held=own, used=own, name=sidecar.name, who=sidecar.who)

    def _step(self) -> None:
        plane, chance = self.plane, self.chance
        sidecar = chance.choice(self.sidecars)
        match chance.choice(("count",) * 5 + ("ask",) * 5 + ("push", "back", "hear", "change")):
            case "count":
                sidecar.count(chance)
            case "ask":
                self.seen.add(sidecar.ask(plane, chance))
            case "push":
                sidecar.push(plane, chance.randint(1, 3))
            case "back":
                sidecar.give_back(plane, chance)
            case "hear":
                sidecar.limit = self.limit
            case _:
                self.limit = chance.choice(VARIANTS)
                plane.apply(self.limit, self.company, fills=chance.random() < 0.8)


@pytest.mark.parametrize(("games", "seed"), rounds(12, 11, slow=150, seeds=(12, 13)))
def test_a_limit_that_counts_otherwise_again_and_again_is_not_passed(
    store: PlaneStore, games: int, seed: int
) -> None:
    chance = seeded(seed)
    plane = Plane(store)
    seen: set[LeaseStatus] = set()
    for number in range(games):
        game = Game(plane, f"company-{number}", chance)
        game.play(steps=150)
        game.end()
        seen |= game.seen
        # Nothing of it is lost, either.
        left = AMOUNT - game.admitted
        counter = counter_of(game.limit)
        asked = plane.ask(counter, left, who=str(UUID(int=0xD)), name=game.company.id)
        assert (LeaseStatus.GRANTED, left) == (asked.status, asked.granted)
    assert {LeaseStatus.GRANTED, LeaseStatus.RECALLING, LeaseStatus.GONE} <= seen
