"""Balances as the plane finds them: their sources, and where the amounts of these are."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sidecar.control.services.credit_accounts import SourceAccount, account_of
from sidecar.control.services.lease_terms import KeptTimelines, TermsFinder
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.credits.grants import burn_order
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.credits.sources import CreditSource, grant_source, grants_of, sources_at


class HeldSource(msgspec.Struct, frozen=True):
    """A source of a balance, where its amount is, and whether it can be spent now."""

    source: CreditSource
    account: SourceAccount
    in_force: bool


class BalanceLook:
    """Looks at a company's balances within one transaction."""

    def __init__(self, transaction: ReadTransaction, company: CompanySnapshot, now_us: int) -> None:
        self._transaction = transaction
        self._timelines = KeptTimelines()
        self._finder = TermsFinder(transaction, self._timelines, now_us)
        self._company = company
        self._now_us = now_us

    def sources(self, feature: str) -> Iterator[HeldSource]:
        """Sources in force now, in burn order, and one-off grants that come later behind them."""
        index = self._timelines.index(self._transaction)
        segment = segment_at(self._company, self._now_us)
        entitlement = index.resolve(segment, feature)
        if entitlement is not None:
            now = sources_at(self._company, segment, entitlement, self._now_us)
            for source in now.sources:
                if source.counter != OVERDRAFT_COUNTER:
                    yield HeldSource(source, self._account(feature, source), in_force=True)
        later = (
            each for each in grants_of(self._company, feature) if each.effective_us > self._now_us
        )
        for grant in sorted(later, key=burn_order):
            source = grant_source(grant)
            yield HeldSource(source, self._account(feature, source), in_force=False)

    def debt(self, feature: str) -> int:
        """What a balance owes, in micro-credits."""
        key = CounterKey(self._company.company, feature, OVERDRAFT_COUNTER)
        return max(0, account_of(self._transaction, key, 0, self._now_us).burned)

    def overdraft(self, feature: str) -> int:
        """What it may owe by the company's entitlement of now."""
        index = self._timelines.index(self._transaction)
        entitlement = index.resolve(segment_at(self._company, self._now_us), feature)
        return 0 if entitlement is None else entitlement.overdraft

    def _account(self, feature: str, source: CreditSource) -> SourceAccount:
        key = CounterKey(self._company.company, feature, source.counter)
        amount, elsewhere = source.limit.amount or 0, 0
        if source.by_limit and (terms := self._finder.terms(key)) is not None:
            amount, elsewhere = terms.ceiling, terms.outstanding_before
        return account_of(self._transaction, key, amount, self._now_us, elsewhere=elsewhere)
