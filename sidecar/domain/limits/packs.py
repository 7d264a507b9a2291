"""Packs: amounts that are given once, and last until they are used.

What of a limit is carried from window to window is what was left of earlier windows, and how much
of the packs was used before.

Rules
- Usage takes what was carried and the window's own amount first, then the packs. So a window uses
  of them, at its end, what lies above the rest, by the amount and the packs that are held then.
- What is left of packs is what they hold less what was used of them, never below 0. One that is
  dropped takes with it what was used of it: whoever buys it again has all of it.
- A window that a reset starts anew has used nothing of them. One that is cut short by a new billing
  cycle has used what it has.
- While a limit is unlimited, or the plan lacks it, nothing of its packs is used.
- What was used of packs that are held and not in force is not forgotten: under a plan that follows
  a trial or a grace, which of them are held is not said, so all that was used stays (`held_packs`).
  A window that such a plan ends has used of them what the plan before it makes of its usage.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit, Rollover
from sidecar.domain.limits.rollover import Passing, passed_on


class Carried(msgspec.Struct, frozen=True, gc=False):
    """What comes into a window from those before, in the feature's unit.

    `by_age`: what was left of them, the youngest first. `packs_used`: what they used of packs.
    """

    by_age: tuple[int, ...] = ()
    packs_used: int = 0


class Allowance(msgspec.Struct, frozen=True, gc=False):
    """What a window passes on by: the limit's amount, rollover and packs, as they are at its end.

    `amount`: `None` for unlimited, also for a plan that lacks the limit. `rollover`: `None` where
    only packs are passed on. `amount_lasting`: the amount without what is granted for a time,
    `None` where all of it lasts. `packs_held`: with those that are not in force, at most INT64_MAX.
    `packs_past`: the amount past which packs were used, where that is not `amount`.
    """

    amount: int | None
    rollover: Rollover | None
    packs: int = 0
    amount_lasting: int | None = None
    packs_held: int = 0
    packs_past: int | None = None

    @property
    def is_in_force(self) -> bool:
        """Whether usage is held to it at the window's end, and not to what was there before."""
        return self.amount is not None and self.packs_past is None


def allowance_of(limit: Limit) -> Allowance:
    """What a limit's windows pass on by."""
    return Allowance(limit.amount, limit.rollover, limit.packs)


def carried_on(passing: Passing, allowance: Allowance, carried: Carried, used: int) -> Carried:
    """What a window passes on; `carried` came into it, and `used` was used in it."""
    amount, rollover = allowance.amount, allowance.rollover
    by_age: tuple[int, ...] = ()
    if amount is not None and rollover is not None:
        by_age = passed_on(
            passing, rollover, amount, carried.by_age, used, allowance.amount_lasting
        )
    packs_used = carried.packs_used
    past = amount if allowance.packs_past is None else allowance.packs_past
    if past is not None and passing is not Passing.ALL:
        above = max(0, used - past - sum(carried.by_age))
        packs_used += min(packs_left(allowance.packs, packs_used), above)
    return Carried(by_age, min(packs_used, max(allowance.packs, allowance.packs_held)))


def packs_left(packs: int, packs_used: int) -> int:
    """What is left of packs of which so much was used."""
    return max(0, packs - packs_used)


def beyond(limit: Limit, carried: Carried) -> tuple[int, int]:
    """What may be used in a window beyond the limit's amount, and what of it is of packs.

    With the amount it is at most INT64_MAX.
    """
    if limit.amount is None:
        return 0, 0
    left = packs_left(limit.packs, carried.packs_used)
    all_of_it = min(INT64_MAX - limit.amount, sum(carried.by_age) + left)
    return all_of_it, min(left, all_of_it)
