"""A balance of credits: grants, debits, refunds and voids. Amounts in micro-credits.

Rules, beside those of `grants.py`
- Grants and debits are known by their ids. The same one again gets its first answer and changes
  nothing, even if it was refunded or voided since; with other content it is a conflict. The time
  of a debit is not part of its content: a client that stamps a retry anew means the same debit.
- A denied debit leaves no trace and is evaluated anew. A debit of 0 is always allowed.
- A refund goes back to the grants that the debit burned, last burned first. Lost or not, it is
  refunded: over all its refunds a debit gives back no more than it burned. What is asked beyond
  that is the result's `excess`.
- Refunds have no ids: who retries one has to know whether it was carried out.
- A void takes what is left of a grant, also before its effective time, and closes it for good, to
  late usage too. It takes nothing of a grant that has expired, since that was gone already.
- A lease is a debit whose unspent part is refunded.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.grants import (
    Burn,
    CreditGrant,
    HeldGrant,
    burn,
    burn_order,
    close,
    give_back,
    last_burned,
    left_at,
    require_grant,
)
from sidecar.domain.errors import Conflict, Exhausted, OutOfRange
from sidecar.domain.limits.requests import require_quantity
from sidecar.domain.text import NEW_NAMES

GRANTS_MAX = 10_000
"""Grants that one balance holds, spent and expired ones included; `forget` makes room."""
DEBITS_MAX = 10_000
"""Debits that one balance remembers; `forget` makes room."""


class CreditDebit(msgspec.Struct, frozen=True):
    """A debit that was allowed. `refunded`: how much of it was given back or lost in refunds."""

    amount: int
    at_us: int
    burned: tuple[Burn, ...]
    refunded: int = 0


class CreditBalance(msgspec.Struct, frozen=True):
    """A company's credits: its grants, sorted by `burn_order`, and its debits by id."""

    grants: tuple[HeldGrant, ...] = ()
    debits: Mapping[str, CreditDebit] = {}


class GrantResult(msgspec.Struct, frozen=True):
    """`replayed`: the grant was there already."""

    replayed: bool = False


class DebitResult(msgspec.Struct, frozen=True):
    """What was burned, in burn order. `replayed`: this is the answer given the first time."""

    allowed: bool
    burned: tuple[Burn, ...] = ()
    replayed: bool = False


class RefundResult(msgspec.Struct, frozen=True):
    """What came of a refund: `returned` (last burned first), `lost` and `excess` add up to it.

    `excess` is what the debit did not burn or has given back before: all of it where the debit is
    not known. Who would rather refuse such a refund drops the new balance.
    """

    returned: tuple[Burn, ...] = ()
    lost: int = 0
    excess: int = 0


class VoidResult(msgspec.Struct, frozen=True):
    """How much a void took. `found`: there is such a grant."""

    voided: int
    found: bool = True


def available(balance: CreditBalance, at_us: int) -> int:
    """What a debit at that time may burn, 0 to 2^63-1. O(grants)."""
    return left_at(balance.grants, at_us)


def add_grant(balance: CreditBalance, grant: CreditGrant) -> tuple[CreditBalance, GrantResult]:
    """Add a grant, once. O(grants).

    Raises `InvalidInput`, `Conflict` if the id belongs to another grant, `Exhausted` at
    `GRANTS_MAX`, and `OutOfRange` if all grants that are not voided would exceed 2^63-1.
    """
    require_grant(grant)
    granted = grant.amount
    for held in balance.grants:
        if held.grant.id == grant.id:
            if held.grant != grant:
                raise Conflict("grant.id", f"is the id of another grant: {grant.id}")
            return balance, GrantResult(replayed=True)
        if not held.voided:
            granted += held.grant.amount
    if granted > INT64_MAX:
        raise OutOfRange("grant.amount", "would make the grants of the balance exceed 2^63-1")
    if len(balance.grants) >= GRANTS_MAX:
        raise Exhausted("grant", f"the balance holds {GRANTS_MAX} grants already")
    grants = list(balance.grants)
    insort(grants, HeldGrant(grant, grant.amount), key=lambda held: burn_order(held.grant))
    return CreditBalance(tuple(grants), balance.debits), GrantResult()


def debit(
    balance: CreditBalance, debit_id: str, amount: int, at_us: int
) -> tuple[CreditBalance, DebitResult]:
    """Burn an amount (0 or more) if all of it is available, once for an id.

    O(grants) for the scan, which ends where the amount is reached, and for copies; O(debits) for
    one copy of a dictionary. Raises `InvalidInput`, `Conflict` if the id belongs to a debit of
    another amount, and `Exhausted` at `DEBITS_MAX`.
    """
    NEW_NAMES.require_identifier("debit", debit_id)
    require_quantity("amount", amount)
    known = balance.debits.get(debit_id)
    if known is not None:
        if known.amount != amount:
            raise Conflict("debit", f"is the id of another debit: {debit_id}")
        return balance, DebitResult(True, known.burned, replayed=True)
    after = burn(balance.grants, amount, at_us)
    if after is None:
        return balance, DebitResult(False)
    if len(balance.debits) >= DEBITS_MAX:
        raise Exhausted("debit", f"the balance remembers {DEBITS_MAX} debits already")
    grants, burned = after
    debits = {**balance.debits, debit_id: CreditDebit(amount, at_us, burned)}
    return CreditBalance(grants, debits), DebitResult(True, burned)


def refund(
    balance: CreditBalance, debit_id: str, amount: int, at_us: int
) -> tuple[CreditBalance, RefundResult]:
    """Give back an amount (0 or more) of a debit, as far as it was not given back before.

    O(grants + debits). Raises `InvalidInput`. An unknown debit gives back nothing.
    """
    require_quantity("amount", amount)
    known = balance.debits.get(debit_id)
    if known is None:
        return balance, RefundResult(excess=amount)
    given = min(amount, known.amount - known.refunded)
    parts = last_burned(known.burned, known.refunded, given)
    grants, returned, lost = give_back(balance.grants, parts, at_us)
    now_known = CreditDebit(known.amount, known.at_us, known.burned, known.refunded + given)
    debits = {**balance.debits, debit_id: now_known}
    return CreditBalance(grants, debits), RefundResult(returned, lost, amount - given)


def void(balance: CreditBalance, grant_id: str, at_us: int) -> tuple[CreditBalance, VoidResult]:
    """Take what is left of a grant and close it. O(grants). An unknown grant is not `found`."""
    for place, held in enumerate(balance.grants):
        if held.grant.id == grant_id:
            closed, taken = close(held, at_us)
            grants = (*balance.grants[:place], closed, *balance.grants[place + 1 :])
            return CreditBalance(grants, balance.debits), VoidResult(taken)
    return balance, VoidResult(0, found=False)


def forget(balance: CreditBalance, before_us: int) -> CreditBalance:
    """Drop debits made before an instant, and grants that ended before it. O(grants + debits).

    A grant has ended when it has expired, or when it is spent and no debit that is still remembered
    burned it. A call that concerns what was dropped must not come any more: a retried debit or a
    retried spent grant would count again, a refund find nothing, late usage miss its grant. So the
    instant lies as far back as late usage and retries reach.
    """
    debits = {name: known for name, known in balance.debits.items() if known.at_us >= before_us}
    burned = {part.grant for known in debits.values() for part in known.burned}
    grants = tuple(
        held
        for held in balance.grants
        if held.grant.expires_us > before_us
        and (held.left or held.voided or held.grant.id in burned)
    )
    return CreditBalance(grants, debits)
