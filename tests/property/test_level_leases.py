"""A level that falls as well as rises stays within its limit over all sidecars, by leases.

The plane is a list of numbers here, kept by `judge`; sidecars do what their stores do. However
messages are lost, doubled and reordered, whoever takes back what another has counted: all together
never have more in use than the limit, and once all is told and given back, anybody gets the rest.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

import pytest

from sidecar.domain.leases.account import GrantingTerms, LeaseAccount, judge
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import LIFETIME_WINDOW
from tests.support.seeds import rounds, seeded

COUNTER: Final = CounterName("acme", "jobs", CounterRef("LEVEL||", (), LIFETIME_WINDOW))
SIDECARS: Final = 3
CEILING: Final = 20
EVENTS: Final = 300
TERMS: Final = GrantingTerms(CEILING, CEILING, 1)
NAMES: Final = (
    "count", "count", "count", "take back", "take back", "ask", "ask", "give back", "deliver",
    "deliver", "deliver", "double", "answer", "answer", "answer", "lose", "push", "push", "restart",
)  # fmt: skip
_NOT_GRANTED: Final = (LeaseStatus.REFUSED, LeaseStatus.SUPERSEDED)


@dataclass
class Row:
    """What the plane has of an incarnation; `number` 0: it never asked."""

    own: int = 0
    granted: int = 0
    number: int = 0

    @property
    def outstanding(self) -> int:
        return max(0, self.granted - self.own) if self.number else 0


@dataclass(eq=False)
class Sidecar:
    """What a sidecar has on disk. `held`: `None` before it asks; `lease`: what it may spend."""

    held: int | None = None
    lease: int | None = None
    own: int = 0
    number: int = 0
    awaits: bool = False
    unsent: list[int] = field(default_factory=list)
    row: Row = field(default_factory=Row)
    requests: list[LeaseRequest] = field(default_factory=list)
    answers: list[LeaseResult] = field(default_factory=list)

    def record(self, change: int) -> None:
        self.own += change
        self.unsent.append(change)

    def request(self, need: int, want: int, *, gives_back: bool) -> LeaseRequest:
        held = min(0, self.own) if self.held is None else self.held
        if gives_back:
            held, self.lease = min(held, self.own), None
        self.number, self.awaits, self.held = self.number + 1, True, held
        return LeaseRequest(COUNTER, self.number, held, self.own, need, want)

    def take(self, result: LeaseResult) -> None:
        if result.number != self.number or not self.awaits:
            return
        self.awaits = False
        granted = min(0, self.own) if result.status in _NOT_GRANTED else result.granted
        self.held = granted
        self.lease = granted if granted > self.own else None


class World:
    """A plane, sidecars, and what is between them."""

    def __init__(self) -> None:
        self.sidecars = [Sidecar() for _ in range(SIDECARS)]
        self.gone: list[Sidecar] = []

    @property
    def all(self) -> list[Sidecar]:
        return [*self.sidecars, *self.gone]

    @property
    def level(self) -> int:
        """What is in use indeed."""
        return sum(sidecar.own for sidecar in self.all)

    def happen(self, name: str, sidecar: Sidecar, amount: int) -> None:
        match name:
            case "count" if sidecar.lease is not None and sidecar.own + amount <= sidecar.lease:
                sidecar.record(amount)
            case "take back" if self.level:
                sidecar.record(-min(self.level, amount))
            case "ask":
                sidecar.requests.append(sidecar.request(amount, 2 * amount, gives_back=False))
            case "give back":
                sidecar.requests.append(sidecar.request(0, 0, gives_back=True))
            case "deliver" | "double" | "lose" if sidecar.requests:
                self.pass_on(name, sidecar, sidecar.requests[amount % len(sidecar.requests)])
            case "answer" if sidecar.answers:
                sidecar.take(sidecar.answers.pop(amount % len(sidecar.answers)))
            case "push":
                push(sidecar, amount)
            case "restart":
                self.restart(sidecar)

    def pass_on(self, how: str, sidecar: Sidecar, request: LeaseRequest) -> None:
        if how != "lose":
            sidecar.answers.append(self.answer(sidecar, request))
        if how != "double":
            sidecar.requests.remove(request)

    def restart(self, sidecar: Sidecar) -> None:
        self.gone.append(sidecar)
        self.sidecars[self.sidecars.index(sidecar)] = Sidecar()

    def answer(self, sidecar: Sidecar, request: LeaseRequest) -> LeaseResult:
        row = sidecar.row
        account = LeaseAccount(
            used=sum(other.row.own for other in self.all),
            own=row.own,
            granted=row.granted,
            number=row.number,
            amount=CEILING,
            outstanding_of_others=sum(
                other.row.outstanding for other in self.all if other is not sidecar
            ),
        )
        verdict = judge(request, account, TERMS)
        if verdict.kept:
            row.granted, row.number = verdict.result.granted, verdict.result.number
        return verdict.result


def push(sidecar: Sidecar, records: int) -> None:
    """The plane takes some records, in their order."""
    sidecar.row.own += sum(sidecar.unsent[:records])
    del sidecar.unsent[:records]


@pytest.mark.parametrize(("lives", "seed"), rounds(100, 1, slow=2_000, seeds=(2, 3)))
def test_no_more_is_ever_in_use_than_the_limit(lives: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(lives):
        world = lived(chance)
        assert 0 <= world.level <= CEILING


@pytest.mark.parametrize(("lives", "seed"), rounds(60, 4, slow=1_000, seeds=(5, 6)))
def test_once_all_is_told_and_given_back_anybody_gets_what_is_left(lives: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(lives):
        world = lived(chance)
        for sidecar in world.all:
            push(sidecar, len(sidecar.unsent))
        for sidecar in world.all:
            sidecar.take(world.answer(sidecar, sidecar.request(0, 0, gives_back=True)))
        asking = chance.choice(world.sidecars)
        left = CEILING - world.level
        result = world.answer(asking, asking.request(left, left, gives_back=False))
        assert LeaseStatus.GRANTED is result.status
        more = world.answer(asking, asking.request(left + 1, left + 1, gives_back=False))
        assert LeaseStatus.EXHAUSTED is more.status


def lived(chance: random.Random) -> World:
    """A world in which much has happened; at no time more was in use than the limit."""
    world = World()
    for _ in range(EVENTS):
        world.happen(chance.choice(NAMES), chance.choice(world.sidecars), chance.randrange(1, 9))
        assert world.level <= CEILING
    return world
