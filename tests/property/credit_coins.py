"""A model of credits: every micro-credit is a coin, an object that lies somewhere.

A grant is a heap of coins. A debit takes one coin after the other, each time from the grant that
burns first of those that have one to spend, and lays them on a pile of its own; where there is no
coin, it lays down a promise, as far as it may. Whenever coins can be spent while promises are out,
they are laid on the pile of repayments, one for a promise. A refund takes coins off the top of its
debit's pile. For a promise it takes one that is out, and where none is, the coin that was repaid
last. Time goes on instant by instant, and what is refused leaves everything as it was. Where the
code cuts amounts, the model moves coins.
"""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple

from sidecar.domain.credits.grants import CreditGrant


class Grant(NamedTuple):
    """Add a grant."""

    grant: CreditGrant
    at_us: int


class Debit(NamedTuple):
    """Burn an amount; `overdraft` `None` records what is used already."""

    name: str
    amount: int
    at_us: int
    overdraft: int | None = 0


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


class Coin:
    """A micro-credit of a grant."""

    def __init__(self, grant: str) -> None:
        self.grant = grant


PROMISE = None
"""Lies on a debit's pile where there was no coin."""


class Coins:
    """The model: each coin lies on a heap, a pile, that of repayments, or among the gone."""

    def __init__(self) -> None:
        self.grants: dict[str, CreditGrant] = {}
        self.heaps: dict[str, list[Coin]] = {}
        self.closed: set[str] = set()
        self.piles: dict[str, list[Coin | None]] = {}
        self.promises = 0
        self.repayments: list[Coin] = []
        self.lost: list[Coin] = []
        self.voided: list[Coin] = []
        self.now_us = 0

    def spendable(self, at_us: int) -> list[str]:
        """Grants with a coin to spend, in burn order: sorted by the last rule first."""
        names = [
            name
            for name, grant in self.grants.items()
            if self.heaps[name]
            and name not in self.closed
            and grant.effective_us <= at_us
            and not self.expired(name, at_us)
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
        heaps = {name: [*heap] for name, heap in self.heaps.items()}
        before = self.now_us, self.promises, [*self.repayments], heaps
        answer = self._step(step)
        if answer in ("denied", "replayed", "conflict", "not found"):
            self.now_us, self.promises, self.repayments, self.heaps = before
        return answer

    def _step(self, step: Step) -> object:
        while self.now_us < step.at_us:
            self.now_us += 1
            self.repay()
        match step:
            case Grant(grant):
                answer = self.add(grant)
            case Debit(name, amount, at_us, overdraft):
                answer = self.debit(name, amount, at_us, overdraft)
            case Refund(name, amount, at_us):
                answer = self.refund(name, amount, at_us)
            case Void(name, at_us):
                answer = self.void(name, at_us)
        self.repay()
        return answer

    def repay(self) -> None:
        while self.promises and self.spendable(self.now_us):
            self.repayments.append(self.heaps[self.spendable(self.now_us)[0]].pop())
            self.promises -= 1

    def add(self, grant: CreditGrant) -> object:
        if grant.id in self.grants:
            return "replayed" if self.grants[grant.id] == grant else "conflict"
        self.grants[grant.id] = grant
        self.heaps[grant.id] = [Coin(grant.id) for _ in range(grant.amount)]
        return "added"

    def debit(self, name: str, amount: int, at_us: int, overdraft: int | None) -> object:
        coins = sum(len(self.heaps[grant]) for grant in self.spendable(at_us))
        promised = max(0, amount - coins)
        if promised and overdraft is not None and self.promises + promised > overdraft:
            return "denied"
        pile: list[Coin | None] = []
        for _ in range(amount):
            from_grants = self.spendable(at_us)
            pile.append(self.heaps[from_grants[0]].pop() if from_grants else PROMISE)
        self.promises += promised
        self.piles[name] = pile
        return counted([coin for coin in pile if coin]), promised

    def refund(self, name: str, amount: int, at_us: int) -> object:
        pile = self.piles.get(name, [])
        returned: list[Coin] = []
        forgiven = excess = lost = 0
        for _ in range(amount):
            if not pile:
                excess += 1
                continue
            coin = pile.pop()
            if coin is PROMISE and self.promises:
                self.promises -= 1
                forgiven += 1
                continue
            coin = coin or self.repayments.pop()
            if coin.grant in self.closed or self.expired(coin.grant, at_us):
                self.lost.append(coin)
                lost += 1
            else:
                self.heaps[coin.grant].append(coin)
                returned.append(coin)
        return counted(returned), forgiven, lost, excess

    def void(self, name: str, at_us: int) -> object:
        if name not in self.grants:
            return "not found"
        taken: list[Coin] = []
        if name not in self.closed and not self.expired(name, at_us):
            taken, self.heaps[name] = self.heaps[name], []
        self.closed.add(name)
        self.voided += taken
        return len(taken)


def counted(coins: list[Coin]) -> list[tuple[str, int]]:
    names = [coin.grant for coin in coins]
    return [(name, len(list(run))) for name, run in groupby(names)]
