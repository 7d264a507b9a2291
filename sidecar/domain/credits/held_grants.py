"""Grants with what became of them, coin by coin. Amounts in micro-credits.

    amount = left + burned + lost + voided

- A grant can be spent in `[effective, expires)`, until it is voided.
- What is given back to a grant that has expired or was voided is lost.
- What was left at the expiry counts as expired; late usage from before may burn it still.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from sidecar.domain.credits.grants import CreditGrant

T = TypeVar("T")


class Burn(msgspec.Struct, frozen=True):
    """A part of a debit, burned from one grant or returned to it; 1 or more."""

    grant: str
    amount: int


class GrantAccount(msgspec.Struct, frozen=True):
    """Where a grant's amount is at an instant; the five add up to it.

    `left`: can be spent, now or once it is in force. `burned`: by debits, refunds taken off.
    `lost`: refunded when nothing could return any more.
    """

    left: int
    burned: int
    expired: int
    voided: int
    lost: int


class HeldGrant(msgspec.Struct, frozen=True):
    """A grant and what became of it. `burned`, `lost`: as in `GrantAccount`.

    `voided`: what its void took; `is_voided`: also where that was nothing.
    """

    grant: CreditGrant
    burned: int = 0
    lost: int = 0
    voided: int = 0
    is_voided: bool = False

    @property
    def left(self) -> int:
        """What has not gone anywhere yet, whether or not it can be spent at the moment."""
        return self.grant.amount - self.burned - self.lost - self.voided

    @property
    def is_open(self) -> bool:
        """Whether something is left that can be spent by usage of some time."""
        return self.left > 0 and not self.is_voided

    def is_in_force(self, at_us: int) -> bool:
        """Whether what is left can be spent by usage of that time."""
        grant = self.grant
        return grant.effective_us <= at_us < grant.expires_us and not self.is_voided

    def is_over(self, at_us: int) -> bool:
        """Whether nothing can return any more."""
        return self.is_voided or at_us >= self.grant.expires_us

    def account(self, at_us: int) -> GrantAccount:
        """Where the amount is at an instant."""
        left, expired = (0, self.left) if self.is_over(at_us) else (self.left, 0)
        return GrantAccount(left, self.burned, expired, self.voided, self.lost)

    def burn(self, amount: int) -> HeldGrant:
        """The grant after so much of what is left has burned."""
        return HeldGrant(self.grant, self.burned + amount, self.lost, self.voided, self.is_voided)

    def restore(self, amount: int) -> HeldGrant:
        """The grant after so much that had burned has returned."""
        return self.burn(-amount)

    def lose(self, amount: int) -> HeldGrant:
        """The grant after so much was refunded that had burned, and did not return."""
        burned, lost = self.burned - amount, self.lost + amount
        return HeldGrant(self.grant, burned, lost, self.voided, self.is_voided)

    def close(self, at_us: int) -> HeldGrant:
        """The grant voided: what is left is taken, unless it has expired or was taken before."""
        taken = 0 if self.is_over(at_us) else self.left
        return HeldGrant(self.grant, self.burned, self.lost, self.voided + taken, is_voided=True)


def add_part(parts: list[Burn], part: Burn) -> None:
    """Append a part, as one with the last where that is of the same grant."""
    if parts and parts[-1].grant == part.grant:
        parts[-1] = Burn(part.grant, parts[-1].amount + part.amount)
    else:
        parts.append(part)


def parts_of(amount: int, lefts: Iterable[tuple[str, int]]) -> tuple[tuple[Burn, ...], int]:
    """An amount in parts of what grants have left, and what of it they do not cover.

    `lefts`: grants by id with what may be burned of each, in burn order. No more of them are looked
    at than it takes, so a caller may read each when its turn comes.
    """
    parts, rest = split(amount, lefts)
    return tuple(Burn(grant, part) for grant, part in parts), rest


def split(amount: int, lefts: Iterable[tuple[T, int]]) -> tuple[list[tuple[T, int]], int]:
    """The same of whatever has something left."""
    parts: list[tuple[T, int]] = []
    if amount:
        for source, left in lefts:
            part = min(left, amount)
            if part > 0:
                parts.append((source, part))
                amount -= part
            if not amount:
                break
    return parts, amount


def last_burned(burned: Sequence[Burn], refunded: int, amount: int) -> list[Burn]:
    """The parts that a refund of an amount concerns, last burned first.

    `refunded`: how much of what was burned earlier refunds have taken, in the same order.
    """
    parts: list[Burn] = []
    for part in reversed(burned):
        skipped = min(part.amount, refunded)
        taken = min(part.amount - skipped, amount)
        refunded -= skipped
        amount -= taken
        if taken:
            parts.append(Burn(part.grant, taken))
    return parts
