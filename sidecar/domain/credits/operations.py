"""Operations on a balance of credits: grants, debits, refunds, voids. Amounts in micro-credits.

Rules, beside those of `balance.py`
- A grant is known by its id. The same one again changes nothing, even if it was spent or voided
  since; with other content it is a conflict.
- A denied debit leaves no trace and is evaluated anew. A debit of 0 is always allowed. What has
  happened already is recorded past any floor.
- A balance knows no debits: who keeps them (`CreditDebit`) has to know a retry.
- A refund goes back where its debit's credits came from, last burned first: what was overdrawn
  lowers the debt, and where that was repaid meanwhile, goes back to the grants that repaid, the
  last first; then to the grants that burned. Lost or not, it is refunded: over all its refunds a
  debit gives back no more than it burned. What is asked beyond that is the result's `excess`.
- A void takes what is left of a grant, also before its effective time, and closes it for good, to
  late usage too. It takes nothing of a grant that has expired, since that was gone already.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.balance import (
    BalanceDraft,
    BalanceEffects,
    CreditBalance,
    FindGrant,
    require_overdraft,
)
from sidecar.domain.credits.grants import CreditGrant, require_grant
from sidecar.domain.credits.held_grants import Burn, HeldGrant, add_part, last_burned
from sidecar.domain.errors import Conflict, Exhausted, OutOfRange
from sidecar.domain.limits.requests import require_quantity

OPEN_GRANTS_MAX: Final = 1_000
"""Open grants of a balance, those included that have expired and are not forgotten."""


class CreditDebit(msgspec.Struct, frozen=True):
    """A debit that was allowed: what it burned, in burn order, and what was overdrawn after that.

    `refunded`: how much of it was given back or lost in refunds.
    """

    burned: tuple[Burn, ...] = ()
    overdrawn: int = 0
    refunded: int = 0

    @property
    def amount(self) -> int:
        """What it has cost."""
        return sum(part.amount for part in self.burned) + self.overdrawn


class GrantResult(msgspec.Struct, frozen=True):
    """`replayed`: the grant was there already."""

    replayed: bool = False
    effects: BalanceEffects = BalanceEffects()


class DebitResult(msgspec.Struct, frozen=True):
    """`debit`: what was burned; `None` where less was available, and nothing has changed."""

    debit: CreditDebit | None = None
    effects: BalanceEffects = BalanceEffects()


class RefundResult(msgspec.Struct, frozen=True):
    """What came of a refund: `returned`, `forgiven`, `lost` and `excess` add up to it.

    `debit`: as it is now. `returned`: to grants, in that order. `forgiven`: what lowered the debt.
    `excess`: what the debit did not burn or has given back before. Who would rather refuse such a
    refund drops the new balance.
    """

    debit: CreditDebit
    returned: tuple[Burn, ...] = ()
    forgiven: int = 0
    lost: int = 0
    excess: int = 0
    effects: BalanceEffects = BalanceEffects()


class VoidResult(msgspec.Struct, frozen=True):
    """How much a void took. `found`: there is such a grant."""

    voided: int = 0
    found: bool = True
    effects: BalanceEffects = BalanceEffects()


def add_grant(
    balance: CreditBalance, grant: CreditGrant, at_us: int, find: FindGrant
) -> tuple[CreditBalance, GrantResult]:
    """Add a grant, once. O(open grants).

    Raises `InvalidInput`, `Conflict` if the id belongs to another grant, `Exhausted` at
    `OPEN_GRANTS_MAX`, and `OutOfRange` if more than 2^63-1 would be left.
    """
    require_grant(grant)
    draft = BalanceDraft(balance)
    known = draft.held(grant.id, find)
    if known is not None:
        if known.grant != grant:
            raise Conflict("grant.id", f"is the id of another grant: {grant.id}")
        return balance, GrantResult(replayed=True)
    if sum(held.left for held in balance.open) + grant.amount > INT64_MAX:
        raise OutOfRange("grant.amount", "would make the balance exceed 2^63-1")
    if len(balance.open) >= OPEN_GRANTS_MAX:
        raise Exhausted("grant", f"the balance has {OPEN_GRANTS_MAX} open grants already")
    draft.reach(at_us)
    draft.put(HeldGrant(grant), opens=True)
    after, effects = draft.finished()
    return after, GrantResult(effects=effects)


def debit(
    balance: CreditBalance, amount: int, at_us: int, overdraft: int = 0
) -> tuple[CreditBalance, DebitResult]:
    """Burn an amount (0 or more), if grants and overdraft cover all of it.

    O(open grants): it ends where the amount is reached, but for copies. Raises `InvalidInput`.
    """
    require_overdraft(overdraft)
    return _burn(balance, amount, at_us, overdraft)


def record(balance: CreditBalance, amount: int, at_us: int) -> tuple[CreditBalance, DebitResult]:
    """Burn an amount (0 or more) that is used already: what grants do not cover is owed.

    O(open grants). Raises `InvalidInput`, and `OutOfRange` if more than 2^63-1 would be owed.
    """
    return _burn(balance, amount, at_us, None)


def _burn(
    balance: CreditBalance, amount: int, at_us: int, overdraft: int | None
) -> tuple[CreditBalance, DebitResult]:
    require_quantity("amount", amount)
    draft = BalanceDraft(balance)
    draft.reach(at_us)
    burned, owed = draft.burn(amount, at_us)
    if owed and overdraft is not None and draft.debt + owed > overdraft:
        return balance, DebitResult()
    if draft.debt + owed > INT64_MAX:
        raise OutOfRange("amount", "would make the debt exceed 2^63-1")
    draft.debt += owed
    after, effects = draft.finished()
    return after, DebitResult(CreditDebit(burned, owed), effects)


def refund(
    balance: CreditBalance, debit: CreditDebit, amount: int, at_us: int, find: FindGrant
) -> tuple[CreditBalance, RefundResult]:
    """Give back an amount (0 or more) of a debit, as far as it was not given back before.

    O(open grants x parts of the debit). Raises `InvalidInput`.
    """
    require_quantity("amount", amount)
    given = min(amount, debit.amount - debit.refunded)
    draft = BalanceDraft(balance)
    draft.reach(at_us)
    overdrawn_before = min(debit.overdrawn, debit.refunded)
    overdrawn = min(debit.overdrawn - overdrawn_before, given)
    forgiven = min(draft.debt, overdrawn)
    draft.debt -= forgiven
    parts, lost = draft.take_back(overdrawn - forgiven)
    parts += last_burned(debit.burned, debit.refunded - overdrawn_before, given - overdrawn)
    returned, lost_parts = _give_back(draft, parts, at_us, find)
    after, effects = draft.finished()
    return after, RefundResult(
        msgspec.structs.replace(debit, refunded=debit.refunded + given),
        returned,
        forgiven,
        lost + lost_parts,
        amount - given,
        effects,
    )


def _give_back(
    draft: BalanceDraft, parts: Iterable[Burn], at_us: int, find: FindGrant
) -> tuple[tuple[Burn, ...], int]:
    """The parts that return to their grants, and how much is lost."""
    returned: list[Burn] = []
    lost = 0
    for part in parts:
        held = draft.held(part.grant, find)
        if held is None:
            lost += part.amount
        elif held.is_over(at_us):
            lost += part.amount
            draft.put(held.lose(part.amount))
        else:
            draft.put(held.restore(part.amount), opens=True)
            add_part(returned, part)
    return tuple(returned), lost


def void(
    balance: CreditBalance, grant_id: str, at_us: int, find: FindGrant
) -> tuple[CreditBalance, VoidResult]:
    """Take what is left of a grant and close it. O(open grants). Raises `InvalidInput`."""
    draft = BalanceDraft(balance)
    draft.reach(at_us)
    held = draft.held(grant_id, find)
    if held is None:
        return balance, VoidResult(found=False)
    closed = held.close(at_us)
    draft.put(closed)
    after, effects = draft.finished()
    return after, VoidResult(closed.voided - held.voided, effects=effects)


def forget(balance: CreditBalance, before_us: int) -> tuple[CreditBalance, tuple[HeldGrant, ...]]:
    """Drop grants that expired at an instant or before it; they come back beside the balance.

    Late usage of before must not come any more: it would miss its grant. So the instant lies as far
    back as late usage reaches. O(open grants).
    """
    over = tuple(held for held in balance.open if held.grant.expires_us <= before_us)
    if not over:
        return balance, ()
    rest = tuple(held for held in balance.open if held.grant.expires_us > before_us)
    return msgspec.structs.replace(balance, open=rest), over
