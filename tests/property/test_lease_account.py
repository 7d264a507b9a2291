"""However messages are lost, doubled and reordered, usage under leases stays within the limit.

The plane is a list of numbers here, kept by `judge`; sidecars are as the protocol says they are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.leases.account import GrantingTerms, LeaseAccount, judge
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import LIFETIME_WINDOW
from tests.support.seeds import rounds, seeded

COUNTER: Final = CounterName("acme", "tokens", CounterRef("LIFETIME||", (), LIFETIME_WINDOW))
SIDECARS: Final = 3
CEILING: Final = 40


class Event(NamedTuple):
    """What happens next, at which sidecar. `amount` is a quantity, or picks a message."""

    name: str
    sidecar: int
    amount: int


NAMES: Final = (
    "count", "count", "count", "record", "ask", "ask", "give back", "deliver", "deliver",
    "deliver", "double", "answer", "answer", "answer", "lose", "push", "push", "correct", "lower",
    "release", "restart",
)  # fmt: skip
EVENTS: Final = 300


def events_of(chance: random.Random) -> Iterator[Event]:
    """What happens in one life of a counter."""
    for _ in range(EVENTS):
        yield Event(chance.choice(NAMES), chance.randrange(SIDECARS), chance.randrange(16))


@dataclass
class Row:
    """What the plane has of an incarnation."""

    own: int = 0
    granted: int = 0
    number: int = 0
    amount: int = 0
    released: bool = False


@dataclass
class Sidecar:
    """What a sidecar has on disk, and its messages on their way."""

    incarnation: int
    granted: int = 0
    amount: int = 0
    own: int = 0
    number: int = 0
    awaits: bool = False
    requests: list[LeaseRequest] = field(default_factory=list)
    answers: list[LeaseResult] = field(default_factory=list)


class World:
    """A plane, sidecars, and what is between them."""

    def __init__(self, *, known_risks: bool) -> None:
        self.amount = CEILING
        self.corrections = 0
        self.rows: dict[int, Row] = {}
        self.sidecars = [Sidecar(number) for number in range(SIDECARS)]
        self.gone: list[Sidecar] = []
        self.under_lease = 0
        self.recorded = 0
        self.known_risks = known_risks
        self.answered: dict[tuple[int, int], LeaseResult] = {}

    def happen(self, event: Event) -> None:
        act = getattr(self, f"_{event.name.replace(' ', '_')}")
        act(self.sidecars[event.sidecar], event.amount)

    def _count(self, sidecar: Sidecar, amount: int) -> None:
        if sidecar.own + amount <= sidecar.granted and self.amount >= sidecar.amount:
            sidecar.own += amount
            self.under_lease += amount

    def _record(self, sidecar: Sidecar, amount: int) -> None:
        sidecar.own += amount
        self.recorded += amount

    def _ask(self, sidecar: Sidecar, amount: int) -> None:
        self.ask(sidecar, amount, 2 * amount)

    def _give_back(self, sidecar: Sidecar, amount: int) -> None:
        sidecar.granted = sidecar.own
        self.ask(sidecar, 0, 0)

    def _deliver(self, sidecar: Sidecar, amount: int) -> None:
        self._double(sidecar, amount)
        self._lose(sidecar, amount)

    def _double(self, sidecar: Sidecar, amount: int) -> None:
        if sidecar.requests:
            request = sidecar.requests[amount % len(sidecar.requests)]
            sidecar.answers.append(self.answer(sidecar.incarnation, request))

    def _lose(self, sidecar: Sidecar, amount: int) -> None:
        if sidecar.requests:
            del sidecar.requests[amount % len(sidecar.requests)]

    def _answer(self, sidecar: Sidecar, amount: int) -> None:
        if sidecar.answers:
            self.take(sidecar, sidecar.answers.pop(amount % len(sidecar.answers)))

    def _push(self, sidecar: Sidecar, amount: int) -> None:
        row = self.row(sidecar.incarnation)
        row.own = min(sidecar.own, row.own + amount)

    def _correct(self, sidecar: Sidecar, amount: int) -> None:
        self.corrections += amount

    def _lower(self, sidecar: Sidecar, amount: int) -> None:
        if self.known_risks:
            self.amount = max(0, self.amount - amount)

    def _release(self, sidecar: Sidecar, amount: int) -> None:
        if self.known_risks:
            self.row(sidecar.incarnation).released = True

    def _restart(self, sidecar: Sidecar, amount: int) -> None:
        self.gone.append(sidecar)
        at = self.sidecars.index(sidecar)
        self.sidecars[at] = Sidecar(SIDECARS + len(self.gone))

    def row(self, incarnation: int) -> Row:
        return self.rows.setdefault(incarnation, Row())

    def ask(self, sidecar: Sidecar, need: int, want: int) -> None:
        sidecar.number += 1
        sidecar.awaits = True
        held, used = sidecar.granted, sidecar.own
        sidecar.requests.append(LeaseRequest(COUNTER, sidecar.number, held, used, need, want))

    def take(self, sidecar: Sidecar, result: LeaseResult) -> None:
        if result.number != sidecar.number or not sidecar.awaits:
            return
        sidecar.awaits = False
        if result.status in (LeaseStatus.REFUSED, LeaseStatus.SUPERSEDED):
            sidecar.granted = sidecar.own
        else:
            sidecar.granted, sidecar.amount = result.granted, result.amount

    def answer(self, incarnation: int, request: LeaseRequest) -> LeaseResult:
        row = self.row(incarnation)
        others = [other for number, other in self.rows.items() if number != incarnation]
        account = LeaseAccount(
            used=self.used,
            own=row.own,
            granted=row.granted,
            number=row.number,
            amount=row.amount,
            released=row.released,
            outstanding_of_others=sum(map(outstanding, others)),
            active_others=len(others),
        )
        before = self.available
        verdict = judge(request, account, GrantingTerms(self.amount, self.amount, 1))
        result = verdict.result
        if verdict.kept:
            row.granted, row.number, row.amount = result.granted, result.number, result.amount
            row.released = False
            # What is granted was available; what comes back is available again.
            assert self.available >= min(0, before) or account.released
        if result.status not in (LeaseStatus.REFUSED, LeaseStatus.SUPERSEDED):
            assert result.granted <= max(request.used + request.want, request.held, row.own)
            assert result.status is not LeaseStatus.GRANTED or (
                result.granted >= request.used + request.need
            )
            alike = self.answered.setdefault((incarnation, request.number), result)
            assert (alike.granted, alike.amount) == (result.granted, result.amount)
        return result

    @property
    def used(self) -> int:
        return sum(row.own for row in self.rows.values()) - self.corrections

    @property
    def available(self) -> int:
        return self.amount - self.used - sum(map(outstanding, self.rows.values()))


def outstanding(row: Row) -> int:
    return 0 if row.released else max(0, row.granted - row.own)


@pytest.mark.parametrize(("lives", "seed"), rounds(300, 1, slow=1_000, seeds=(2, 3)))
def test_what_is_counted_under_leases_never_passes_the_limit(lives: int, seed: int) -> None:
    chance = seeded(seed)
    for _ in range(lives):
        _stays_within_the_limit(events_of(chance))


def _stays_within_the_limit(events: Iterator[Event]) -> None:
    world = World(known_risks=False)
    for event in events:
        world.happen(event)
        allowed = world.amount + world.corrections
        assert world.under_lease <= allowed
        # Nobody may count on anything that the plane does not hold for it.
        for sidecar in world.sidecars + world.gone:
            row = world.row(sidecar.incarnation)
            assert sidecar.granted <= max(row.granted, sidecar.own)
        assert world.available >= min(0, allowed - world.used) - world.recorded


@pytest.mark.parametrize(("lives", "seed"), rounds(300, 4, slow=1_000, seeds=(5, 6)))
def test_what_is_granted_was_there_also_after_a_limit_was_lowered_or_a_lease_given_up(
    lives: int, seed: int
) -> None:
    chance = seeded(seed)
    for _ in range(lives):
        _grants_what_is_there(events_of(chance))


def _grants_what_is_there(events: Iterator[Event]) -> None:
    world = World(known_risks=True)
    for event in events:
        before = {number: outstanding(row) for number, row in world.rows.items()}
        was_over = world.available < 0
        world.happen(event)
        if was_over and event.name in ("deliver", "double"):
            # Who waits for what is not there gets nothing: no more is outstanding than before.
            after = {number: outstanding(row) for number, row in world.rows.items()}
            assert all(amount <= before.get(number, 0) for number, amount in after.items())


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 200), st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=80))
def test_all_of_a_limit_can_be_had_by_whoever_asks(
    ceiling: int, asked: list[tuple[int, int]]
) -> None:
    world = World(known_risks=True)
    world.amount = ceiling
    for number, need in asked:
        request = LeaseRequest(
            COUNTER,
            world.row(number).number + 1,
            world.row(number).granted,
            world.row(number).granted,
            need,
            need,
        )
        left = world.available
        result = world.answer(number, request)
        assert (result.status is LeaseStatus.GRANTED) == (need <= left)
        world.row(number).own = world.row(number).granted
    assert sum(row.own for row in world.rows.values()) <= ceiling


def test_a_request_answered_again_is_not_changed_by_what_happened_meanwhile() -> None:
    world = World(known_risks=True)
    request = LeaseRequest(COUNTER, 1, 0, 0, 10, 10)
    first = world.answer(0, request)
    world.amount = 5
    again = world.answer(0, request)
    assert (10, CEILING) == (first.granted, first.amount)
    assert first == msgspec.structs.replace(again, valid_until_us=first.valid_until_us)
