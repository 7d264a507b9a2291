"""Who holds which leases, for whoever operates: counter by counter, and what is done about them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby
from typing import Final

import msgspec

from sidecar.control.services.lease_terms import KeptTimelines, TermsFinder
from sidecar.control.services.names import first_id
from sidecar.control.storage.lease_values import HOLDERS_MAX, GrantedLease, LeaseFilter, LeasePlace
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey, KnownIncarnation
from sidecar.domain.time.units import MINUTE_US

SILENT_US: Final = MINUTE_US
"""A holder that watches nowhere and was not heard for so long is silent."""
LEASES_AT_ONCE: Final = 1_000
"""Leases that are looked through for one page, at the most."""
_HOLDERS_LIKELY: Final = 4
"""More of a counter are read where there are."""
_LAST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class LeasesWanted(msgspec.Struct, frozen=True):
    """Which leases are meant; empty for any. `with_ended`: also of windows that are over."""

    company: str = ""
    feature: str = ""
    incarnation: str = ""
    node: str = ""
    with_ended: bool = False


class Holder(msgspec.Struct, frozen=True):
    """What an incarnation holds of a counter. `known`: what else is known of it, if anything."""

    granted: GrantedLease
    known: KnownIncarnation | None
    is_silent: bool


class CounterLeases(msgspec.Struct, frozen=True):
    """A counter's account, and who holds something of it; quantities in the feature's unit.

    `company`: what it is called now. `limit`, `ceiling`: of what is leased by; empty and `None`
    where nothing is to be leased of it any more. `outstanding_before`: what may still be counted on
    it under leases on counters that the limit had before. `holders`: at most `HOLDERS_MAX`.
    """

    key: CounterKey
    company: str
    limit: str
    ceiling: int | None
    used: int
    outstanding_before: int
    holders: Sequence[Holder]

    @property
    def outstanding(self) -> int:
        """What holders may count still, as far as is known here."""
        return sum(holder.granted.outstanding for holder in self.holders)

    @property
    def burned(self) -> int:
        """The part of it that silent holders have: spent or not."""
        return sum(holder.granted.outstanding for holder in self.holders if holder.is_silent)

    @property
    def available(self) -> int | None:
        """What can be leased still, perhaps below 0."""
        if self.ceiling is None:
            return None
        return self.ceiling - self.used - self.outstanding - self.outstanding_before

    @property
    def overcommitted(self) -> int:
        """How much more is used and leased than the ceiling allows; all that is leased of none."""
        available = self.available
        return self.outstanding if available is None else max(0, -available)


class Presence:
    """Who is there. `watching`: those who watch here. Within one transaction."""

    def __init__(
        self, transaction: ReadTransaction, watching: Collection[str], now_us: int
    ) -> None:
        self._transaction = transaction
        self._watching = watching
        self._now_us = now_us
        self._known: dict[str, KnownIncarnation | None] = {}

    def known(self, incarnation: str) -> KnownIncarnation | None:
        """What is known of an incarnation."""
        if incarnation not in self._known:
            self._known[incarnation] = self._transaction.incarnation(incarnation)
        return self._known[incarnation]

    def is_silent(self, granted: GrantedLease, for_us: int = SILENT_US) -> bool:
        """Whether nothing was heard of a lease's holder for so long."""
        incarnation = granted.lease.incarnation
        if incarnation in self._watching:
            return False
        known = self.known(incarnation)
        heard_us = 0 if known is None else known.last_heard_us
        return max(heard_us, granted.lease.asked_us) <= self._now_us - for_us

    def may_return(self, granted: GrantedLease, silent_us: int) -> bool:
        """Whether a lease's holder may give something back when asked: one that is fenced is over.

        `silent_us`: of whom nothing was heard for so long is not there.
        """
        known = self.known(granted.lease.incarnation)
        is_fenced = known is not None and known.fenced
        return not is_fenced and not self.is_silent(granted, silent_us)

    def holder(self, granted: GrantedLease) -> Holder:
        """A lease with what is known of its holder."""
        known = self.known(granted.lease.incarnation)
        return Holder(granted, known, self.is_silent(granted))


class LeasePages:
    """Pages of leases in the order of counters, within one transaction."""

    def __init__(
        self,
        transaction: ReadTransaction,
        timelines: KeptTimelines,
        watching: Collection[str],
        now_us: int,
    ) -> None:
        self.presence = Presence(transaction, watching, now_us)
        self._transaction = transaction
        self._finder = TermsFinder(transaction, timelines, now_us)
        self._now_us = now_us

    def page(
        self, wanted: LeasesWanted, after: LeasePlace | None, most: int
    ) -> tuple[list[CounterLeases], LeasePlace | None]:
        """Counters behind a place, so many at most, and where it goes on; `None`: that was all."""
        company = first_id(self._transaction, wanted.company) if wanted.company else ""
        rows_max = min(LEASES_AT_ONCE, most * _HOLDERS_LIKELY)
        rows = self._transaction.leases_after(
            LeaseFilter(company, wanted.incarnation), after, rows_max
        )
        found: list[CounterLeases] = []
        place = None
        for key in _counters_of(rows):
            if len(found) == most:
                return found, place
            place = behind(key)
            counter = self._counter(key, wanted) if self._is_wanted(key, wanted) else None
            if counter is not None:
                found.append(counter)
        return found, place if len(rows) == rows_max else None

    def _is_wanted(self, key: CounterKey, wanted: LeasesWanted) -> bool:
        if wanted.feature not in ("", key.feature):
            return False
        return wanted.with_ended or key.counter.window.end_us > self._now_us

    def _counter(self, key: CounterKey, wanted: LeasesWanted) -> CounterLeases | None:
        """A counter as a whole; `None` where nobody who is wanted has anything of it."""
        leases = self._transaction.granted_leases(key, HOLDERS_MAX)
        holders = [self.presence.holder(granted) for granted in leases]
        if not any(_is_meant(holder, wanted) for holder in holders):
            return None
        (total,) = self._transaction.totals([key], CORRECTIONS)
        terms, limit = self._finder.terms(key), self._finder.limit(key)
        return CounterLeases(
            key,
            self._transaction.called([key.company]).get(key.company, key.company),
            "" if limit is None else limit.id,
            None if terms is None else terms.ceiling,
            total.total,
            0 if terms is None else terms.outstanding_before,
            holders,
        )


def list_leases(
    store: PlaneStore,
    wanted: LeasesWanted,
    after: LeasePlace | None,
    most: int,
    watching: Collection[str],
    now_us: int,
) -> tuple[list[CounterLeases], LeasePlace | None]:
    """A page of counters of which anything is leased to whoever is wanted."""
    with store.read() as transaction:
        pages = LeasePages(transaction, KeptTimelines(), watching, now_us)
        return pages.page(wanted, after, most)


def leases_meant(
    counters: Sequence[CounterLeases], wanted: LeasesWanted
) -> Iterator[tuple[CounterLeases, Holder]]:
    """The leases of counters that are wanted, with their counters."""
    for counter in counters:
        for holder in counter.holders:
            if _is_meant(holder, wanted):
                yield counter, holder


def behind(key: CounterKey) -> LeasePlace:
    """The place behind all leases of a counter."""
    return LeasePlace(key, _LAST)


def _is_meant(holder: Holder, wanted: LeasesWanted) -> bool:
    if wanted.incarnation not in ("", holder.granted.lease.incarnation):
        return False
    node = "" if holder.known is None else holder.known.node
    return wanted.node in ("", node)


def _counters_of(rows: Sequence[GrantedLease]) -> Iterator[CounterKey]:
    for key, _ in groupby(rows, lambda granted: granted.lease.key):
        yield key
