"""Something of all that a plane keeps about credits."""

from __future__ import annotations

from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditEntryKind,
    CreditRepayment,
    StoredGrant,
)
from sidecar.control.storage.port import WriteTransaction
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from tests.unit.control.support import NOW_US


def put_credits(transaction: WriteTransaction) -> None:
    """Put a grant, an entry, a loss and a repayment of acme."""
    grant = CreditGrant("welcome", 100, 0, GrantKind.PAID, NOW_US)
    stored = StoredGrant("acme", "credits", grant, NOW_US)
    transaction.put_credit_grants([stored])
    granted = CreditEntryKind.GRANTED
    transaction.put_credit_entries([CreditEntry("acme", "credits", NOW_US, granted)])
    transaction.add_credit_losses({stored.key: 1})
    repayment = CreditRepayment(stored.key.counter, 1)
    transaction.put_credit_repayments("acme", "credits", [repayment], most=9)
