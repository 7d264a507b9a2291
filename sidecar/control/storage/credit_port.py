"""The part of the port that is about credits; see `port.py` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditRepayment,
    EntryFilter,
    GrantFilter,
    GrantPlace,
    StoredGrant,
)
from sidecar.control.storage.values import CounterKey, LedgerLine


class CreditReads(Protocol):
    """Questions about credits."""

    def credit_grant(self, company: str, id_: str) -> StoredGrant | None:
        """A company's grant by its id."""
        ...

    def credit_grants(
        self, wanted: GrantFilter, after: GrantPlace | None, limit: int
    ) -> list[StoredGrant]:
        """Grants behind a place, by feature, then in burn order."""
        ...

    def told_credit_grants(self, company: str) -> list[StoredGrant]:
        """Those that sidecars are told of, in the order of their ids."""
        ...

    def companies_with_credit_grants(self, after: str, limit: int) -> list[str]:
        """Companies that sidecars are told grants of, in the order of their ids, behind one."""
        ...

    def told_credit_features(self) -> dict[str, int]:
        """How many grants sidecars are told of, by feature, over all companies. O(those)."""
        ...

    def expired_credit_grants(
        self, wanted: EntryFilter, after: tuple[int, str], limit: int
    ) -> list[StoredGrant]:
        """Grants that expired within a time, in the order of (expiry, id), behind a place."""
        ...

    def credit_entries(
        self, wanted: EntryFilter, after: tuple[int, int], limit: int
    ) -> list[CreditEntry]:
        """Entries in the order of (time, number), behind a place."""
        ...

    def credit_entries_of(self, company: str, incarnation: str, sequence: int) -> list[CreditEntry]:
        """What the plane burned and gave back of a record, in the order of their numbers."""
        ...

    def credit_request(self, company: str, request: str) -> CreditEntry | None:
        """The entry that was made for a request."""
        ...

    def line_of_record(self, company: str, incarnation: str, sequence: int) -> LedgerLine | None:
        """A line of a company by its record. O(lines of the company), without reading them."""
        ...

    def credit_losses(self, keys: Iterable[CounterKey]) -> dict[CounterKey, int]:
        """What of counters was refunded and could not return; of those where anything was."""
        ...

    def credit_repayments(self, company: str, feature: str, limit: int) -> list[CreditRepayment]:
        """What counters have repaid of debts, the last first."""
        ...

    def credit_debts(self, after: tuple[str, str], limit: int) -> list[tuple[str, str]]:
        """Balances that owe something, as (company, feature) and in that order, behind one."""
        ...


class CreditWrites(CreditReads, Protocol):
    """Changes of credits."""

    def put_credit_grants(self, grants: Iterable[StoredGrant]) -> None:
        """Create or replace grants: same company and id."""
        ...

    def put_credit_entries(self, entries: Iterable[CreditEntry]) -> None:
        """Append entries; their numbers are given here."""
        ...

    def add_credit_losses(self, amounts: Mapping[CounterKey, int]) -> None:
        """Add to what of counters was refunded and could not return."""
        ...

    def put_credit_repayments(
        self, company: str, feature: str, repayments: Iterable[CreditRepayment], most: int
    ) -> None:
        """Append repayments, and forget the oldest of a balance's beyond so many."""
        ...

    def set_credit_repayments(self, rest: Mapping[int, int]) -> None:
        """What is left of repayments, by number; those of which nothing is are forgotten."""
        ...
