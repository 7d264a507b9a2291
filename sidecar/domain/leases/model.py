"""Leases: how much of a counter's limit a sidecar may count by itself. Values only.

A lease is a ceiling, not a balance. `granted` is the usage that one incarnation may reach on the
counter by its own records since the window began. So nothing is ever taken from a lease, or given
back to it: what was counted is what was spent, one number in one transaction, and the records that
reach the plane settle the lease by themselves. Per counter the plane holds, always

    ceiling = available + outstanding + used

`used`: the counter's total, corrections included. `outstanding`: over all incarnations, granted -
own where that is positive. `own`: what the plane has of the incarnation's records. What is
outstanding at an incarnation that is silent is called burned: it is spent or not, nobody knows.
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec

from sidecar.domain.limits.counters import CounterName


class LeaseStatus(enum.IntEnum):
    """What became of a request for a lease. Numbers as in the API."""

    GRANTED = 1
    EXHAUSTED = 2
    RECALLING = 3
    GONE = 4
    SUPERSEDED = 5
    REFUSED = 6
    RECOVERING = 7
    BEHIND = 8
    WITHHELD = 9


REFUSALS: Final = frozenset({LeaseStatus.SUPERSEDED, LeaseStatus.REFUSED})
"""Nothing is held after these, and who asked may be fenced: its next greeting tells."""
HAS_TOO_LITTLE: Final = frozenset({LeaseStatus.EXHAUSTED, LeaseStatus.WITHHELD})
"""Less than what was needed is to be had, whether it is used or held by who is not there."""
WITHOUT_LEASE: Final = REFUSALS | {LeaseStatus.GONE}
"""Answers after which nothing is held."""


class Lease(msgspec.Struct, frozen=True, gc=False):
    """What a sidecar holds of a counter, in the feature's unit.

    `granted`: up to where this incarnation may count on it. `refill_at`: from which usage of its
    own on more is asked for. `valid_until_us`: until when, by the time gone by. `amount`: of the
    limit by which it was granted; where a lower one is in force, nothing more is spent of it.
    """

    granted: int
    refill_at: int
    valid_until_us: int
    amount: int

    def left(self, own: int, amount: int, at_us: int) -> int:
        """What may be counted still by a limit of an amount, for an event at an instant.

        `own`: what this incarnation has counted.
        """
        if at_us >= self.valid_until_us or amount < self.amount:
            return 0
        return max(0, self.granted - own)


class LeaseNeed(msgspec.Struct, frozen=True):
    """What a call waits for: so much of a counter, in the feature's unit."""

    counter: CounterName
    quantity: int


class LeaseRequest(msgspec.Struct, frozen=True):
    """Asks for a lease, or gives it back. Quantities are cumulative; see `sync.proto`.

    `held`: up to where the caller may count still. `used`: what it has counted. `need`, `want`,
    `ahead`: on top of that; `want` 0 gives the lease back.
    """

    counter: CounterName
    number: int
    held: int
    used: int
    need: int
    want: int
    ahead: int = 0

    @property
    def most(self) -> int:
        """Up to where the caller may come to count by this request."""
        return max(self.held, self.used + max(self.want, self.ahead))


class LeaseResult(msgspec.Struct, frozen=True):
    """Answer to a request. `granted` means nothing where it was REFUSED or SUPERSEDED.

    `amount`: of the limit by which it was granted. `exact`: whether all who count on the limit know
    leases.
    """

    number: int
    status: LeaseStatus
    granted: int = 0
    valid_until_us: int = 0
    exact: bool = False
    retry_after_ms: int = 0
    amount: int = 0


class LeaseWish(msgspec.Struct, frozen=True):
    """What is to be asked for of a counter, before the store has given the request a number.

    `need`, `want`, `ahead`: as in `LeaseRequest`. `gives_back`: what is held and not used yet is
    given up first, durably.
    """

    counter: CounterName
    need: int = 0
    want: int = 0
    gives_back: bool = False
    ahead: int = 0


class LeaseEntry(msgspec.Struct, frozen=True):
    """A lease that a store holds, or held under an earlier incarnation, in the feature's unit.

    `own`: what that incarnation has counted. `number`: of the last request about it. `waits`:
    no answer to that was taken, so it is not known what the plane made of it; `granted_max`: then,
    up to where it may have been granted, else 0. `counted`: of an incarnation that was left since
    the plane lost state, what of it nobody sends again; `None` of others.
    """

    counter: CounterName
    incarnation: str
    granted: int
    own: int
    number: int
    valid_until_us: int
    waits: bool = False
    granted_max: int = 0
    counted: int | None = None
