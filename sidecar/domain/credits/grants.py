"""Grants of credits, and the order in which they burn down. Amounts in micro-credits.

Rules
- A grant can be spent in `[effective, expires)`; `at_us` decides, as the caller passes it. Steps
  take effect in the order of the calls: late usage burns what is left now of the grants that were
  in force then.
- A debit burns all of its amount or nothing, in `burn_order`. Nothing is owed after a denial.
- What is given back to a grant that has expired or was voided is lost.

Pure functions on grants alone, for callers that keep debits elsewhere; `balance.py` keeps both in
one value.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US, INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import NEW_NAMES

PRIORITY_MAX = 2**31 - 1


class GrantKind(enum.IntEnum):
    """Whether a grant was bought. Numbers are stored, so they never change."""

    PAID = 1
    PROMOTIONAL = 2


class CreditGrant(msgspec.Struct, frozen=True):
    """An amount of credits, 1 to 2^63-1, that can be spent in `[effective_us, expires_us)`.

    `priority`: 0 to 2^31-1, lower burns first. `expires_us`: `FOREVER_US` for never.
    """

    id: str
    amount: int
    priority: int
    kind: GrantKind
    effective_us: int
    expires_us: int = FOREVER_US


class HeldGrant(msgspec.Struct, frozen=True):
    """A grant and what is left of it, whether or not that can be spent at the moment."""

    grant: CreditGrant
    left: int
    voided: bool = False


class Burn(msgspec.Struct, frozen=True):
    """A part of a debit, burned from one grant or returned to it; 1 or more."""

    grant: str
    amount: int


def burn_order(grant: CreditGrant) -> tuple[int, int, bool, int, str]:
    """Sort key: priority, expiry (never is last), PROMOTIONAL first, effective time, id.

    Ids compare by code point, which is the order of their UTF-8 bytes.
    """
    paid = grant.kind == GrantKind.PAID
    return grant.priority, grant.expires_us, paid, grant.effective_us, grant.id


def left_at(grants: Iterable[HeldGrant], at_us: int) -> int:
    """What a debit at that time may burn. O(grants)."""
    return sum(held.left for held in grants if _in_force(held.grant, at_us))


def burn(
    grants: tuple[HeldGrant, ...], amount: int, at_us: int
) -> tuple[tuple[HeldGrant, ...], tuple[Burn, ...]] | None:
    """The grants after a debit, and its parts in burn order; `None` if less is available.

    `grants` are sorted by `burn_order`. O(grants): a scan that ends where the amount is reached,
    and copies.
    """
    after = list(grants)
    burned: list[Burn] = []
    owed = amount
    for place, held in enumerate(grants):
        if not owed:
            break
        if held.left and _in_force(held.grant, at_us):
            part = min(held.left, owed)
            after[place] = HeldGrant(held.grant, held.left - part)
            burned.append(Burn(held.grant.id, part))
            owed -= part
    return None if owed else (tuple(after), tuple(burned))


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


def give_back(
    grants: tuple[HeldGrant, ...], parts: Iterable[Burn], at_us: int
) -> tuple[tuple[HeldGrant, ...], tuple[Burn, ...], int]:
    """The grants after parts of a debit have returned, the parts that did, and how much is lost.

    A part of a grant that is not held any more is lost. O(grants + parts).
    """
    after = list(grants)
    places = {held.grant.id: place for place, held in enumerate(grants)}
    returned: list[Burn] = []
    lost = 0
    for part in parts:
        place = places.get(part.grant)
        if place is None or _is_closed(after[place], at_us):
            lost += part.amount
        else:
            held = after[place]
            after[place] = HeldGrant(held.grant, held.left + part.amount)
            returned.append(part)
    return tuple(after), tuple(returned), lost


def close(held: HeldGrant, at_us: int) -> tuple[HeldGrant, int]:
    """The grant voided, and how much that took: nothing once it has expired or was voided."""
    taken = 0 if _is_closed(held, at_us) else held.left
    return HeldGrant(held.grant, 0, voided=True), taken


def require_grant(grant: CreditGrant) -> None:
    """A grant within its bounds, else `InvalidInput`."""
    NEW_NAMES.require_identifier("grant.id", grant.id)
    if not 1 <= grant.amount <= INT64_MAX:
        raise InvalidInput("grant.amount", f"must be 1 to 2^63-1, not {grant.amount}")
    if not 0 <= grant.priority <= PRIORITY_MAX:
        raise InvalidInput("grant.priority", f"must be 0 to 2^31-1, not {grant.priority}")
    if grant.effective_us < BEGINNING_US:
        raise InvalidInput("grant.effective_us", "must not lie before 1970")
    if not grant.effective_us < grant.expires_us <= FOREVER_US:
        raise InvalidInput("grant.expires_us", "must lie after the effective time")


def _in_force(grant: CreditGrant, at_us: int) -> bool:
    return grant.effective_us <= at_us < grant.expires_us


def _is_closed(held: HeldGrant, at_us: int) -> bool:
    return held.voided or at_us >= held.grant.expires_us
