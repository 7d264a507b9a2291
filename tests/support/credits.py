"""What keeps a balance of credits: beside it all grants, open or not, and debits by their ids."""

from __future__ import annotations

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.balance import BalanceEffects, CreditBalance
from sidecar.domain.credits.grants import CreditGrant, GrantKind, burn_order
from sidecar.domain.credits.held_grants import HeldGrant
from sidecar.domain.credits.operations import (
    CreditDebit,
    DebitResult,
    GrantResult,
    RefundResult,
    VoidResult,
    add_grant,
    debit,
    forget,
    record,
    refund,
    void,
)


def paid(
    name: str, amount: int = 10, *, priority: int = 10, start: int = 0, end: int = FOREVER_US
) -> CreditGrant:
    """A paid grant."""
    return CreditGrant(name, amount, priority, GrantKind.PAID, start, end)


class BalanceKeeper:
    """Carries out operations, keeps what they say has changed, and checks that this is all."""

    def __init__(self) -> None:
        self.balance = CreditBalance()
        self.held: dict[str, HeldGrant] = {}
        self.debits: dict[str, CreditDebit] = {}
        self._forgotten: set[str] = set()

    def grant(self, grant: CreditGrant, at_us: int) -> GrantResult:
        after, result = add_grant(self.balance, grant, at_us, self.held.get)
        self._keep(after, result.effects)
        return result

    def debit(self, name: str, amount: int, at_us: int, overdraft: int = 0) -> DebitResult:
        after, result = debit(self.balance, amount, at_us, overdraft)
        return self._debited(name, after, result)

    def record(self, name: str, amount: int, at_us: int) -> DebitResult:
        after, result = record(self.balance, amount, at_us)
        return self._debited(name, after, result)

    def refund(self, name: str, amount: int, at_us: int) -> RefundResult:
        """An unknown debit has burned nothing."""
        of = self.debits.get(name, CreditDebit())
        after, result = refund(self.balance, of, amount, at_us, self.held.get)
        self._keep(after, result.effects)
        if name in self.debits:
            self.debits[name] = result.debit
        return result

    def void(self, name: str, at_us: int) -> VoidResult:
        after, result = void(self.balance, name, at_us, self.held.get)
        self._keep(after, result.effects)
        return result

    def forget(self, before_us: int) -> list[HeldGrant]:
        after, over = forget(self.balance, before_us)
        self._forgotten |= {held.grant.id for held in over}
        self._keep(after, BalanceEffects())
        return [*over]

    def _debited(self, name: str, after: CreditBalance, result: DebitResult) -> DebitResult:
        self._keep(after, result.effects)
        if result.debit is not None:
            self.debits[name] = result.debit
        return result

    def _keep(self, after: CreditBalance, effects: BalanceEffects) -> None:
        self.balance = after
        self.held |= {held.grant.id: held for held in effects.changed}
        held_open = [
            held
            for name, held in self.held.items()
            if held.left and not held.is_voided and name not in self._forgotten
        ]
        held_open.sort(key=lambda held: burn_order(held.grant))
        assert held_open == list(after.open)
