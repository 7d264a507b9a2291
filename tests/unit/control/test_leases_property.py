"""Whatever is asked, pushed, doubled and left, what is counted and leased stays within the limit.

On a real store, with real pushes; the model knows what each sidecar has on disk, and nothing else.
"""

from __future__ import annotations

import random
from typing import Final

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.leases.model import LeaseStatus
from tests.support.seeds import rounds, seeded
from tests.unit.control.leasing_plane import DAILY, Plane, day
from tests.unit.control.support import ALICE, BOB, CAROL, Writer, record

AMOUNT: Final = 100
KEY: Final = CounterKey("acme", "tokens", day())


class Sidecar:
    """What a sidecar has on disk: up to where it may count, what it has, and what was pushed."""

    def __init__(self, incarnation: str) -> None:
        self.writer = Writer(incarnation)
        self.granted = self.own = self.pushed = 0

    def count(self, chance: random.Random) -> None:
        """Count something, sometimes under a key that was used before: it is taken back later."""
        quantity = chance.randint(1, 5)
        if self.own + quantity > self.granted:
            return
        self.own += quantity
        key = chance.choice(("", "", f"key-{quantity}"))
        self.writer.write(record(quantity, key=key, counters=(day(),)))

    def ask(self, plane: Plane, chance: random.Random) -> None:
        """Ask for more, or give back; sometimes the request is doubled, or its answer lost."""
        if chance.random() < 0.3:
            self.granted = self.own
        need = chance.choice((0, 0, 1, 5, 20))
        want = need + chance.choice((0, 5, 40))
        number = plane.numbers + 1
        for _ in range(chance.choice((1, 1, 2))):
            result = plane.ask(
                day(),
                need,
                want,
                held=self.granted,
                used=self.own,
                who=self.writer.incarnation,
                number=number,
            )
            assert result.status is not LeaseStatus.REFUSED
            assert result.granted <= max(self.granted, self.own + want)
        if chance.random() < 0.8:
            self.granted = result.granted

    def push(self, plane: Plane, chance: random.Random) -> None:
        """Push some of what is written, sometimes again."""
        if written := len(self.writer.records):
            first = chance.randint(1, self.pushed + 1) if self.pushed < written else 1
            last = chance.randint(max(first, self.pushed), written)
            self.writer.push(plane.store, first, last)
            self.pushed = max(self.pushed, last)


def _counted_and_leased(store: PlaneStore) -> tuple[int, int]:
    with store.read() as transaction:
        found = transaction.counters([KEY])
        parts = found[0].parts if found else {}
        held = transaction.granted_leases(KEY, 10)
        outstanding = {
            each.lease.incarnation: each.lease.granted - parts.get(each.lease.incarnation, 0)
            for each in held
        }
        assert outstanding == {each.lease.incarnation: each.outstanding for each in held}
    return sum(parts.values()), sum(outstanding.values())


@pytest.mark.parametrize(("steps", "seed"), rounds(400, 7, slow=5_000, seeds=(8, 9)))
def test_what_is_counted_and_leased_stays_within_the_limit(
    store: PlaneStore, steps: int, seed: int
) -> None:
    chance = seeded(seed)
    plane = Plane(store)
    plane.apply(DAILY)
    sidecars = [Sidecar(incarnation) for incarnation in (ALICE, BOB, CAROL)]
    seen: set[LeaseStatus] = set()
    for _ in range(steps):
        sidecar = chance.choice(sidecars)
        match chance.choice(("count", "count", "ask", "push")):
            case "count":
                sidecar.count(chance)
            case "ask":
                sidecar.ask(plane, chance)
                seen.add(plane.leased.results[0].status)
            case "push":
                sidecar.push(plane, chance)
        used, outstanding = _counted_and_leased(store)
        assert used + outstanding <= AMOUNT
        # Nobody may count what the plane does not hold for it.
        assert used + outstanding >= sum(each.granted for each in sidecars) - _taken_back(store)
    assert {LeaseStatus.GRANTED, LeaseStatus.RECALLING} <= seen
    for sidecar in sidecars:
        if sidecar.writer.records:
            sidecar.writer.push(store)
        plane.ask(day(), held=sidecar.own, used=sidecar.own, who=sidecar.writer.incarnation)
    used, outstanding = _counted_and_leased(store)
    assert 0 == outstanding
    assert used == sum(sidecar.own for sidecar in sidecars) - _taken_back(store)
    assert used >= AMOUNT // 2


def _taken_back(store: PlaneStore) -> int:
    """How much of it were duplicates."""
    with store.read() as transaction:
        (total,) = transaction.totals([KEY], ALICE)
    assert total.corrections is not None
    return -total.corrections
