"""Looks through all leases, a page at a time: for what is to be recalled or released, and sums."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from sidecar.control.services.heard import hear
from sidecar.control.services.lease_holders import CounterLeases, LeasePages, LeasesWanted
from sidecar.control.services.lease_settling import is_releasable
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.storage.lease_values import GrantedLease, LeaseFilter, LeasePlace
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.control.storage.witness_port import LeaseWitness, WitnessedHolder
from sidecar.domain.limits.counters import is_level
from sidecar.domain.time.units import DAY_US

PAGE: Final = 50
KEPT_US: Final = 36 * DAY_US
"""How long leases are kept after their window, as usage may be late by 35 days; and those of which
nothing is left, of limits that never end, after they were asked about."""
FORGOTTEN_AT_ONCE: Final = 500
_EVERYTHING: Final = LeasesWanted()
_LEASES_OF_ONE: Final = 1_000

Lease = tuple[str, CounterKey]
"""Whose lease, and of which counter."""


class FeatureLeases(msgspec.Struct):
    """What is leased of a feature, over all counters; `outstanding`, `burned` in its unit.

    `burned`: the part of it that is outstanding at silent sidecars. `overcommitted`: counters of
    which more is used and outstanding than their limits allow.
    """

    leases: int = 0
    outstanding: int = 0
    burned: int = 0
    overcommitted: int = 0

    def add(self, other: FeatureLeases) -> None:
        """Take in what is leased elsewhere."""
        self.leases += other.leases
        self.outstanding += other.outstanding
        self.burned += other.burned
        self.overcommitted += other.overcommitted


class Look(msgspec.Struct, frozen=True):
    """What a look at a page has found. `recalls`: of counters that are overcommitted.

    `releases`: of LIFETIME limits, of holders that have been silent for too long. `features`: sums
    of the page. `after`: where the next page begins; `None`: this was the last.
    """

    recalls: Sequence[Lease]
    releases: Sequence[tuple[CounterKey, str]]
    features: dict[str, FeatureLeases]
    after: LeasePlace | None


class LeaseLooker:
    """Looks at leases, page by page. Not for threads side by side."""

    def __init__(self, release_us: int) -> None:
        self._release_us = release_us
        self._timelines = KeptTimelines()

    def look(
        self,
        store: PlaneStore,
        after: LeasePlace | None,
        watching: Collection[str],
        now_us: int,
    ) -> Look:
        """Look at the page behind a place."""
        with store.read() as transaction:
            pages = LeasePages(transaction, self._timelines, watching, now_us)
            counters, place = pages.page(_EVERYTHING, after, PAGE)
            releases = [
                (counter.key, holder.granted.lease.incarnation)
                for counter in counters
                if counter.key.counter.window.never_ends
                for holder in counter.holders
                if is_releasable(holder.granted, pages.presence, self._release_us)
            ]
        return Look(list(_recalls(counters)), releases, _sums(counters), place)


def _recalls(counters: Sequence[CounterLeases]) -> Iterable[Lease]:
    for counter in counters:
        if counter.overcommitted:
            for holder in counter.holders:
                if not holder.is_silent:
                    yield holder.granted.lease.incarnation, counter.key


def _sums(counters: Sequence[CounterLeases]) -> dict[str, FeatureLeases]:
    features: dict[str, FeatureLeases] = {}
    for counter in counters:
        features.setdefault(counter.key.feature, FeatureLeases()).add(
            FeatureLeases(
                len(counter.holders),
                counter.outstanding,
                counter.burned,
                int(counter.overcommitted > 0),
            )
        )
    return features


def note_heard(store: PlaneStore, watching: Iterable[str], now_us: int, every_us: int) -> None:
    """Keep that those who watch were heard: who only watches is not silent, here or elsewhere.

    Unless that is known as of so long ago, or later.
    """
    with store.write() as transaction:
        for incarnation in watching:
            hear(transaction, incarnation, now_us, every_us)


def forget_leases(store: PlaneStore, now_us: int) -> bool:
    """Forget leases of windows that are long over, some of them; whether there may be more."""
    with store.write() as transaction:
        dropped = transaction.drop_ended_leases(now_us - KEPT_US, FORGOTTEN_AT_ONCE)
    return dropped == FORGOTTEN_AT_ONCE


def forget_spent(store: PlaneStore, after: LeasePlace | None, now_us: int) -> LeasePlace | None:
    """Forget what a page of leases has of LIFETIME limits that is spent, and was for long.

    No end of a window takes them along. Where it goes on; `None`: that was the last page.
    """
    with store.write() as transaction:
        page = transaction.leases_after(LeaseFilter(), after, FORGOTTEN_AT_ONCE)
        transaction.drop_leases(
            granted.lease for granted in page if _is_spent(granted, now_us - KEPT_US)
        )
    last = page[-1].lease if len(page) == FORGOTTEN_AT_ONCE else None
    return None if last is None else LeasePlace(last.key, last.incarnation)


def _is_spent(granted: GrantedLease, since_us: int) -> bool:
    """Whether a lease has nothing left, and was not asked about since.

    Of a level it may have again, by what comes back to its holder, who counts on it then.
    """
    lease = granted.lease
    if is_level(lease.key.counter.slot) and lease.granted > 0:
        return False
    is_lifetime = lease.key.counter.window.never_ends
    return is_lifetime and not granted.outstanding and lease.asked_us < since_us


def forget_witnessed(store: PlaneStore, witness: LeaseWitness, now_us: int) -> bool:
    """Have the witness forget holders that hold nothing any more; whether there may be more."""
    seen = witness.read()
    if seen is None:
        return False
    old = [
        (incarnation, holder)
        for incarnation, holder in seen.holders.items()
        if holder.until_us < now_us - KEPT_US
    ][:FORGOTTEN_AT_ONCE]
    with store.read() as transaction:
        gone = {
            incarnation: holder
            for incarnation, holder in old
            if not _may_hold_lifetime(transaction, incarnation, holder)
        }
    witness.forget(gone)
    return len(gone) == FORGOTTEN_AT_ONCE


def _may_hold_lifetime(
    transaction: ReadTransaction, incarnation: str, holder: WitnessedHolder
) -> bool:
    if not holder.has_lifetime:
        return False
    rows = transaction.leases_after(LeaseFilter(incarnation=incarnation), None, _LEASES_OF_ONE)
    return len(rows) == _LEASES_OF_ONE or any(
        granted.lease.key.counter.window.never_ends
        and (granted.outstanding or is_level(granted.lease.key.counter.slot))
        for granted in rows
    )
