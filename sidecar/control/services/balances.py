"""Balances of credits at the plane: what it burns itself of them, and how debts are repaid.

What usage costs and no sidecar had leases for is burned here, by the plane's own parts of the
counters: from what nobody else may burn, in burn order, and the rest as a debt, past its floor if
need be. A debt is repaid by whatever is in force and has something left; what sidecars hold of
that is asked back while anything is owed, since it is to repay before it expires.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from sidecar.control.services.attribution import default_of
from sidecar.control.services.lease_terms import KeptTimelines, TermsFinder
from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditEntryKind,
    CreditRepayment,
    EntryPart,
)
from sidecar.control.storage.lease_values import HOLDERS_MAX, LeaseLook
from sidecar.control.storage.port import WriteTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.credits.balance import REPAYMENTS_MAX
from sidecar.domain.credits.held_grants import split
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.credits.sources import CreditSource, sources_at
from sidecar.domain.leases.model import LeaseStatus

_NOBODY = LeaseLook(CORRECTIONS, FOREVER_US, FOREVER_US)


class PlaneBurn(msgspec.Struct, frozen=True):
    """What the plane is to burn of what a record costs, in micro-credits.

    `at_us`: the event's time. `is_anew`: it is all of the cost, in place of what the record says.
    """

    company: str
    feature: str
    amount: int
    at_us: int
    incarnation: str
    sequence: int
    is_anew: bool = False


class Balances:
    """Burns and repays within one transaction; what it changes is written by `keep`.

    It counts on what was written before: parts of sidecars come first. What it does is noted, so
    that history and refunds find it.
    """

    def __init__(
        self, transaction: WriteTransaction, timelines: KeptTimelines, now_us: int
    ) -> None:
        self._transaction = transaction
        self._timelines = timelines
        self._finder = TermsFinder(transaction, timelines, now_us)
        self._now_us = now_us
        self._available: dict[CounterKey, int] = {}
        self._changes: dict[CounterKey, int] = defaultdict(int)
        self._entries: list[CreditEntry] = []
        self._owing: dict[tuple[str, str], None] = {}

    def burn(self, burn: PlaneBurn) -> None:
        """Burn what usage of an instant has cost, whatever there is."""
        company, feature, amount, at_us = burn.company, burn.feature, burn.amount, burn.at_us
        sources = self._sources(company, feature, at_us)
        lefts = ((key, self._left(key, source)) for key, source in sources)
        parts, owed = split(amount, lefts)
        for key, part in parts:
            self._move(key, part)
        if owed:
            parts.append((_debt_key(company, feature), owed))
            self._move(*parts[-1])
        kind = CreditEntryKind.BURNED_ANEW if burn.is_anew else CreditEntryKind.BURNED
        self._note(kind, company, feature, parts, burn.incarnation, burn.sequence)

    def repay(self, company: str, feature: str) -> None:
        """Have what is in force repay what is owed, as far as nobody else may burn it."""
        debt_key = _debt_key(company, feature)
        (total,) = self._transaction.totals([debt_key], CORRECTIONS)
        debt = total.total + self._changes.get(debt_key, 0)
        if debt <= 0:
            return
        sources = self._sources(company, feature, self._now_us)
        parts, owed = split(debt, ((key, self._left(key, source)) for key, source in sources))
        for key, part in parts:
            self._move(key, part)
            self._move(debt_key, -part)
        if parts:
            self._note(CreditEntryKind.REPAID, company, feature, parts)
        if owed:
            self._owing[company, feature] = None

    def holders(self) -> list[tuple[str, CounterKey]]:
        """Who holds leases of what would repay what is still owed; they are asked to give back."""
        return [
            (held.lease.incarnation, held.lease.key)
            for company, feature in self._owing
            for key, _ in self._sources(company, feature, self._now_us)
            for held in self._finder.holders(key, HOLDERS_MAX)
        ]

    def keep(self) -> Mapping[CounterKey, int]:
        """Write what has changed; by counter, how much."""
        changes = {key: amount for key, amount in self._changes.items() if amount}
        if changes:
            version = self._transaction.next_ledger_version(self._now_us)
            self._transaction.add_to_counters(CORRECTIONS, changes, version)
        self._transaction.put_credit_entries(self._entries)
        for entry in self._entries:
            if entry.kind is CreditEntryKind.REPAID:
                repayments = [CreditRepayment(part.counter, part.amount) for part in entry.parts]
                self._transaction.put_credit_repayments(
                    entry.company, entry.feature, repayments, REPAYMENTS_MAX
                )
        self._changes.clear()
        self._entries.clear()
        return changes

    def _sources(
        self, company: str, feature: str, at_us: int
    ) -> Iterator[tuple[CounterKey, CreditSource]]:
        """The sources of a balance at an instant, in burn order, but for the overdraft."""
        index = self._timelines.index(self._transaction)
        snapshot = self._timelines.snapshot(self._transaction, company)
        snapshot = snapshot or default_of(index, company)
        if snapshot is None:
            return
        segment = segment_at(snapshot, at_us)
        entitlement = index.resolve(segment, feature)
        if entitlement is None:
            return
        for source in sources_at(snapshot, segment, entitlement, at_us).sources:
            if source.counter != OVERDRAFT_COUNTER:
                yield CounterKey(company, feature, source.counter), source

    def _left(self, key: CounterKey, source: CreditSource) -> int:
        """What nobody else may burn of a source."""
        if key not in self._available:
            self._available[key] = self._found_left(key, source)
        return self._available[key]

    def _found_left(self, key: CounterKey, source: CreditSource) -> int:
        if source.limit.amount is None:
            return INT64_MAX
        terms = self._finder.terms(key)
        # Who may hold leases of it that are not known here may have burned it.
        if terms is None or terms.withheld is LeaseStatus.RECOVERING:
            return 0
        account = self._transaction.lease_account(key, _NOBODY)
        taken = account.used + account.outstanding_of_others + terms.outstanding_before
        return max(0, terms.ceiling - taken)

    def _note(
        self,
        kind: CreditEntryKind,
        company: str,
        feature: str,
        parts: Iterable[tuple[CounterKey, int]],
        incarnation: str = "",
        sequence: int = 0,
    ) -> None:
        entry = CreditEntry(
            company,
            feature,
            self._now_us,
            kind,
            tuple(EntryPart(key.counter, amount) for key, amount in parts),
            incarnation=incarnation,
            sequence=sequence,
        )
        self._entries.append(entry)

    def _move(self, key: CounterKey, amount: int) -> None:
        self._changes[key] += amount
        if key in self._available:
            self._available[key] -= amount


def _debt_key(company: str, feature: str) -> CounterKey:
    return CounterKey(company, feature, OVERDRAFT_COUNTER)
