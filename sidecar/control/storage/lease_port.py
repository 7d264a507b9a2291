"""The part of the port that is about leases; see `port.py` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sidecar.control.storage.lease_values import (
    GrantedLease,
    LeaseFilter,
    LeaseLook,
    LeasePlace,
    LeasesElsewhere,
    StoredLease,
)
from sidecar.control.storage.values import CounterKey
from sidecar.domain.leases.account import LeaseAccount
from sidecar.domain.time.windows import Window


class LeaseReads(Protocol):
    """Questions about leases."""

    def lease_revision(self) -> int:
        """How many transactions have changed leases."""
        ...

    def known_counters(self, keys: Sequence[CounterKey]) -> set[CounterKey]:
        """Those of some counters that have usage or a lease: accounts of others are empty."""
        ...

    def lease_account(self, key: CounterKey, look: LeaseLook) -> LeaseAccount:
        """A counter's account as an incarnation's request finds it."""
        ...

    def lease_of(self, key: CounterKey, incarnation: str) -> StoredLease | None:
        """What an incarnation was granted of a counter."""
        ...

    def granted_leases(self, key: CounterKey, limit: int) -> list[GrantedLease]:
        """Leases of a counter of which anything is outstanding, those with the most first."""
        ...

    def leases_before(self, key: CounterKey, since_us: int, limit: int) -> list[GrantedLease]:
        """Leases of the same feature, without values, of windows that start no later than this one.

        Those of which anything is outstanding, the most first, and whose window ends after an
        instant, or which were asked about after that and after their window's end.
        """
        ...

    def leased_slots(self, company: str, feature: str) -> list[str]:
        """Slots of a company's feature of which there are leases, whatever is left of them."""
        ...

    def leased_windows(
        self, company: str, feature: str, slot: str, after_us: int, limit: int
    ) -> list[Window]:
        """Windows of a slot that have leases and end after an instant, those that end first."""
        ...

    def outstanding_elsewhere(self, wanted: LeasesElsewhere) -> tuple[int, int]:
        """How much is outstanding of leases on other counters, and how many were gone through."""
        ...

    def leases_elsewhere(self, wanted: LeasesElsewhere, limit: int) -> list[GrantedLease]:
        """Leases on other counters of which anything is outstanding."""
        ...

    def leases_after(
        self, wanted: LeaseFilter, after: LeasePlace | None, limit: int
    ) -> list[GrantedLease]:
        """Leases behind a place, in the order of counters' keys and incarnations."""
        ...


class LeaseWrites(LeaseReads, Protocol):
    """Changes of leases."""

    def next_lease_revision(self) -> int:
        """Move the revision of leases up by one and return it."""
        ...

    def put_leases(self, leases: Iterable[StoredLease]) -> None:
        """Create or replace leases: same counter and incarnation."""
        ...

    def drop_ended_leases(self, before_us: int, limit: int) -> int:
        """Forget at most so many of windows that ended before an instant; returns how many."""
        ...

    def drop_leases(self, leases: Iterable[StoredLease]) -> None:
        """Forget leases, whatever they are by now."""
        ...
