"""A model of credits: every credit is a coin that lies somewhere.

A grant is a heap of coins. A debit takes one coin after the other, each time from the grant that
burns first of those that have one to spend, and lays them on a pile of its own; a refund takes them
off the top of the pile again. Where the code cuts amounts, the model moves coins.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from sidecar.domain.credits.grants import CreditGrant


class Grant(NamedTuple):
    """Add a grant."""

    grant: CreditGrant


class Debit(NamedTuple):
    """Burn an amount."""

    name: str
    amount: int
    at_us: int


class Refund(NamedTuple):
    """Give back an amount of a debit."""

    name: str
    amount: int
    at_us: int


class Void(NamedTuple):
    """Close a grant."""

    name: str
    at_us: int


Step = Grant | Debit | Refund | Void


class Coins:
    """The model. `where`: of each grant, how many of its coins are at each place."""

    def __init__(self) -> None:
        self.grants: dict[str, CreditGrant] = {}
        self.heaps: dict[str, int] = {}
        self.closed: set[str] = set()
        self.asked: dict[str, int] = {}
        self.piles: dict[str, list[str]] = {}
        self.answers: dict[str, list[tuple[str, int]]] = {}
        self.voided = self.lost = self.lapsed = 0

    def spendable(self, at_us: int) -> list[str]:
        """Grants with a coin to spend, in burn order: sorted by the last rule first."""
        names = [
            name
            for name, grant in self.grants.items()
            if self.heaps[name] and grant.effective_us <= at_us and not self.expired(name, at_us)
        ]
        names.sort()
        names.sort(key=lambda name: self.grants[name].effective_us)
        names.sort(key=lambda name: ["PROMOTIONAL", "PAID"].index(self.grants[name].kind.name))
        names.sort(key=lambda name: self.grants[name].expires_us)
        names.sort(key=lambda name: self.grants[name].priority)
        return names

    def expired(self, name: str, at_us: int) -> bool:
        return at_us >= self.grants[name].expires_us

    def step(self, step: Step) -> object:
        """What a step should answer; changes the model."""
        match step:
            case Grant(grant):
                return self.add(grant)
            case Debit(name, amount, at_us):
                return self.debit(name, amount, at_us)
            case Refund(name, amount, at_us):
                return self.refund(name, amount, at_us)
            case Void(name, at_us):
                return self.void(name, at_us)

    def add(self, grant: CreditGrant) -> object:
        if grant.id in self.grants:
            return "replayed" if self.grants[grant.id] == grant else "conflict"
        self.grants[grant.id], self.heaps[grant.id] = grant, grant.amount
        return "added"

    def debit(self, name: str, amount: int, at_us: int) -> object:
        if name in self.asked:
            return self.answers[name] if self.asked[name] == amount else "conflict"
        if amount > sum(self.heaps[grant] for grant in self.spendable(at_us)):
            return "denied"
        pile: list[str] = []
        for _ in range(amount):
            grant = self.spendable(at_us)[0]
            self.heaps[grant] -= 1
            pile.append(grant)
        self.asked[name], self.piles[name], self.answers[name] = amount, pile, counted(pile)
        return self.answers[name]

    def refund(self, name: str, amount: int, at_us: int) -> object:
        pile = self.piles.get(name, [])
        returned, lost, excess = [], 0, 0
        for _ in range(amount):
            if not pile:
                excess += 1
                continue
            grant = pile.pop()
            if grant in self.closed or self.expired(grant, at_us):
                lost += 1
            else:
                self.heaps[grant] += 1
                returned.append(grant)
        self.lost += lost
        return counted(returned), lost, excess

    def void(self, name: str, at_us: int) -> object:
        if name not in self.grants:
            return "not found"
        taken, self.heaps[name] = self.heaps[name], 0
        self.closed.add(name)
        if self.expired(name, at_us):
            self.lapsed += taken
            return 0
        self.voided += taken
        return taken


def counted(coins: list[str]) -> list[tuple[str, int]]:
    return [(grant, len(list(run))) for grant, run in groupby(coins)]
