"""A balance of credits: what of its grants is open, and what is owed. Amounts in micro-credits.

Rules
- A debit burns all of its amount or nothing, in `burn_order`, of the grants that are in force at
  its time. Operations take effect in the order of the calls: late usage burns what is left now of
  the grants that were in force then.
- **Overdraft.** What the grants do not cover is owed, as far as the overdraft allows. A debt is one
  number, and no debit's in particular. It is repaid at once by whatever comes into force, is
  granted or returns, at that instant, in burn order; so where there is one, nothing is left in
  force.
- A balance has a time, the latest of any operation. Grants that came into force up to then have
  repaid, each at its own instant, whenever somebody looks.
- A grant is open while something is left of it and it is not voided. Those alone are in a balance,
  so an operation takes as long as they are many, whatever there was before. Each result says which
  grants have `changed`, and the caller keeps those; where one may be concerned that is not open,
  the caller is asked for it (`find`).
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US, INT64_MAX
from sidecar.domain.credits.grants import burn_order
from sidecar.domain.credits.held_grants import Burn, HeldGrant, add_part, parts_of
from sidecar.domain.errors import InvalidInput

REPAYMENTS_MAX: Final = 1_000
"""Repayments of debts that a balance remembers, so that refunds find them."""

FindGrant: TypeAlias = Callable[[str], HeldGrant | None]
"""A grant of the balance that is not open, by its id; `None` if there is none."""


class CreditBalance(msgspec.Struct, frozen=True):
    """A company's credits at `as_of_us`.

    `open`: its open grants, sorted by `burn_order`. `debt`: what is owed, 0 or more. `repayments`:
    what grants have repaid of debts and was not given back, the oldest first.
    """

    open: tuple[HeldGrant, ...] = ()
    debt: int = 0
    repayments: tuple[Burn, ...] = ()
    as_of_us: int = BEGINNING_US


class BalanceEffects(msgspec.Struct, frozen=True):
    """What an operation has done beside its answer.

    `repaid`: what grants repaid of the debt by then, in that order. `changed`: each grant that is
    not as it was before, as it is now, open or not.
    """

    repaid: tuple[Burn, ...] = ()
    changed: tuple[HeldGrant, ...] = ()


def balance_at(balance: CreditBalance, at_us: int) -> int:
    """What is left in force less what is owed, at an instant; below 0 while there is a debt."""
    balance, _ = advance(balance, at_us)
    return _left(balance, at_us) - balance.debt


def available(balance: CreditBalance, at_us: int, overdraft: int = 0) -> int:
    """What a debit at that time may burn with such an overdraft, 0 to 2^63-1. O(open grants)."""
    require_overdraft(overdraft)
    balance, _ = advance(balance, at_us)
    return min(INT64_MAX, _left(balance, at_us) + max(0, overdraft - balance.debt))


def advance(balance: CreditBalance, at_us: int) -> tuple[CreditBalance, BalanceEffects]:
    """The balance at a later time: what came into force has repaid. O(open grants)."""
    draft = BalanceDraft(balance)
    draft.reach(at_us)
    return draft.finished()


def require_overdraft(overdraft: int) -> None:
    """0 to 2^63-1, else `InvalidInput`."""
    if not 0 <= overdraft <= INT64_MAX:
        raise InvalidInput("overdraft", f"must be 0 to 2^63-1, not {overdraft}")


def _left(balance: CreditBalance, at_us: int) -> int:
    return sum(held.left for held in balance.open if held.is_in_force(at_us))


class BalanceDraft:
    """A balance while an operation changes it. Who drops it has changed nothing."""

    def __init__(self, balance: CreditBalance) -> None:
        self.debt = balance.debt
        self._open = list(balance.open)
        self._repayments = list(balance.repayments)
        self._as_of_us = balance.as_of_us
        self._repaid: list[Burn] = []
        self._changed: dict[str, HeldGrant] = {}

    def reach(self, at_us: int) -> None:
        """Go on to a time, unless it is past already. `InvalidInput` if there is no such time."""
        if not BEGINNING_US <= at_us < FOREVER_US:
            raise InvalidInput("at_us", f"must be 0 to 2^63-2, not {at_us}")
        if at_us <= self._as_of_us:
            return
        if self.debt:
            starts = {held.grant.effective_us for held in self._open}
            for start_us in sorted(starts):
                if self._as_of_us < start_us <= at_us:
                    self._repay(start_us)
        self._as_of_us = at_us

    def held(self, grant_id: str, find: FindGrant) -> HeldGrant | None:
        """A grant as it is by now, open or not."""
        for held in self._open:
            if held.grant.id == grant_id:
                return held
        return self._changed.get(grant_id) or find(grant_id)

    def put(self, held: HeldGrant, *, opens: bool = False) -> None:
        """Have a grant from now on as it is given. `opens`: also where it was not open before."""
        for place, each in enumerate(self._open):
            if each.grant.id == held.grant.id:
                self._set(place, held)
                return
        self._changed[held.grant.id] = held
        if opens:
            insort(self._open, held, key=lambda each: burn_order(each.grant))

    def burn(self, amount: int, at_us: int) -> tuple[tuple[Burn, ...], int]:
        """Burn as much of an amount as can be; its parts in burn order, and what is not covered."""
        in_force = ((held.grant.id, held.left) for held in self._open if held.is_in_force(at_us))
        parts, owed = parts_of(amount, in_force)
        place = 0
        for part in parts:
            while self._open[place].grant.id != part.grant:
                place += 1
            self._set(place, self._open[place].burn(part.amount))
        return parts, owed

    def take_back(self, amount: int) -> tuple[list[Burn], int]:
        """Take back repayments, the last first: parts of grants, and what none is known of."""
        parts: list[Burn] = []
        while amount and self._repayments:
            last = self._repayments.pop()
            part = min(last.amount, amount)
            if part < last.amount:
                self._repayments.append(Burn(last.grant, last.amount - part))
            parts.append(Burn(last.grant, part))
            amount -= part
        return parts, amount

    def finished(self) -> tuple[CreditBalance, BalanceEffects]:
        """The balance, once what is in force has repaid."""
        self._repay(self._as_of_us)
        repayments = tuple(self._repayments[-REPAYMENTS_MAX:])
        balance = CreditBalance(tuple(self._open), self.debt, repayments, self._as_of_us)
        return balance, BalanceEffects(tuple(self._repaid), tuple(self._changed.values()))

    def _repay(self, at_us: int) -> None:
        if not self.debt:
            return
        parts, self.debt = self.burn(self.debt, at_us)
        for part in parts:
            add_part(self._repaid, part)
            add_part(self._repayments, part)

    def _set(self, place: int, held: HeldGrant) -> None:
        self._changed[held.grant.id] = held
        if held.is_open:
            self._open[place] = held
        else:
            del self._open[place]
