"""Goes through balances that owe something, and has what has come into force repay it.

What sidecars hold of what would repay the rest is asked back.

Whatever is leased or burned of a balance has it repay first (`balances.py`); so this is for
those of which nobody asks for anything, since they are exhausted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from sidecar.control.services.balances import Balances
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey

DEBTS_AT_ONCE: Final = 20
FIRST_DEBT: Final = ("", "")
"""The place before all balances."""


class Repaid(msgspec.Struct, frozen=True):
    """Counters that have changed by repaying, and who holds what would repay the rest."""

    changed: Collection[CounterKey]
    holders: Sequence[tuple[str, CounterKey]]


def balances_in_debt(store: PlaneStore, after: tuple[str, str]) -> list[tuple[str, str]]:
    """A page of the balances that owe something, as (company, feature), behind one of them."""
    with store.read() as transaction:
        return transaction.credit_debts(after, DEBTS_AT_ONCE)


def repay_debts(store: PlaneStore, debts: Sequence[tuple[str, str]], now_us: int) -> Repaid:
    """Have balances repay what they owe, as far as something is left."""
    with store.write() as transaction:
        balances = Balances(transaction, KeptTimelines(), now_us)
        for company, feature in debts:
            balances.repay(company, feature)
        return Repaid(balances.keep().keys(), balances.holders())
