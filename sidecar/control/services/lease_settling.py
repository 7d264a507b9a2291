"""Ends leases without their holders' word: those of silent ones after a while, or by hand."""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from sidecar.control.rules.earlier_leases import counters_of_usage
from sidecar.control.services.close_windows import follow
from sidecar.control.services.lease_holders import LEASES_AT_ONCE, LeasesWanted, Presence
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.names import first_id
from sidecar.control.storage.lease_values import GrantedLease, LeaseFilter, LeasePlace
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.time.units import MINUTE_US

RELEASED_AT_ONCE: Final = 200
HEARD_WITHIN_US_MAX: Final = 10 * MINUTE_US


class Settlement(enum.Enum):
    """What becomes of what is left of a lease that is ended."""

    RELEASED = enum.auto()
    COUNTED = enum.auto()


class Settled(msgspec.Struct, frozen=True):
    """How many leases were ended, and how much was left of them; where it goes on, if it does."""

    leases: int
    quantity: int
    after: LeasePlace | None


def settle(
    store: PlaneStore,
    wanted: LeasesWanted,
    settlement: Settlement,
    after: LeasePlace | None,
    watching: Collection[str],
    now_us: int,
    *,
    dry_run: bool,
) -> Settled:
    """End leases of one holder by hand, a page of them.

    Raises `FailedPrecondition` (HOLDER_PRESENT) where it is heard of.
    """
    if dry_run:
        with store.read() as reading:
            return _chosen(reading, wanted, after, watching, now_us)[1]
    with store.write() as transaction:
        meant, settled = _chosen(transaction, wanted, after, watching, now_us)
        _end(transaction, meant)
        if settlement is Settlement.COUNTED:
            _count(transaction, meant, now_us)
    return settled


def _chosen(
    transaction: ReadTransaction,
    wanted: LeasesWanted,
    after: LeasePlace | None,
    watching: Collection[str],
    now_us: int,
) -> tuple[list[GrantedLease], Settled]:
    """Leases that are to be ended, and what comes of ending them."""
    company = first_id(transaction, wanted.company)
    rows = transaction.leases_after(LeaseFilter(company, wanted.incarnation), after, LEASES_AT_ONCE)
    presence = Presence(transaction, watching, now_us)
    meant = [
        granted
        for granted in rows
        if granted.outstanding and wanted.feature in ("", granted.lease.key.feature)
    ]
    if not all(map(presence.is_silent, meant)):
        message = "is there: recall its leases instead, and it gives back what it does not need"
        raise FailedPrecondition("filter.incarnation", message, "HOLDER_PRESENT")
    last = rows[-1].lease if len(rows) == LEASES_AT_ONCE else None
    quantity = sum(granted.outstanding for granted in meant)
    place = None if last is None else LeasePlace(last.key, last.incarnation)
    return meant, Settled(len(meant), min(quantity, INT64_MAX), place)


def release(
    store: PlaneStore,
    candidates: Iterable[tuple[CounterKey, str]],
    watching: Collection[str],
    now_us: int,
    release_us: int,
) -> int:
    """Release leases of LIFETIME limits whose holders have been silent for so long; how many.

    `candidates`: which may be. Whether they still are is seen in the transaction that ends them.
    """
    with store.write() as transaction:
        presence = Presence(transaction, watching, now_us)
        silent = [
            granted
            for key, incarnation in candidates
            for granted in _granted_now(transaction, key, incarnation)
            if is_releasable(granted, presence, release_us)
        ]
        _end(transaction, silent, keeps_counted=True)
    return len(silent)


def heard_within_us(release_us: int) -> int:
    """How exactly it is known when a holder was last heard that only watches, here or elsewhere.

    More exactly where leases are released sooner: who watches is never taken for silent so long.
    """
    return min(HEARD_WITHIN_US_MAX, release_us // 4)


def is_releasable(granted: GrantedLease, presence: Presence, release_us: int) -> bool:
    """Whether a lease has no window that ends, and a holder surely silent for so long."""
    return (
        granted.lease.key.counter.window.never_ends
        and not granted.lease.released
        and granted.lease.granted > granted.certain
        and presence.is_silent(granted, release_us + heard_within_us(release_us))
    )


def _granted_now(
    transaction: WriteTransaction, key: CounterKey, incarnation: str
) -> list[GrantedLease]:
    lease = transaction.lease_of(key, incarnation)
    if lease is None:
        return []
    (total,) = transaction.totals([key], incarnation)
    return [GrantedLease(lease, total.own)]


def _end(
    transaction: WriteTransaction, leases: Sequence[GrantedLease], *, keeps_counted: bool = False
) -> None:
    """Let nothing of leases be outstanding any more, unless it `keeps_counted`: but that."""
    if not leases:
        return
    transaction.put_leases(
        msgspec.structs.replace(
            granted.lease,
            granted=granted.own,
            released=True,
            counted=granted.lease.counted if keeps_counted else None,
        )
        for granted in leases
    )
    transaction.next_lease_revision()


def _count(transaction: WriteTransaction, leases: Sequence[GrantedLease], now_us: int) -> None:
    """Count what was left of leases as used, wherever usage of their counters is counted now."""
    amounts: dict[CounterKey, int] = {}
    timelines = KeptTimelines()
    for granted in leases:
        key = granted.lease.key
        snapshot = timelines.deciding(transaction, key.company)
        keys = [key]
        if snapshot is not None:
            keys = counters_of_usage(timelines.index(transaction), snapshot, key, now_us)
        for each in keys:
            amounts[each] = amounts.get(each, 0) + granted.outstanding
    if amounts:
        version = transaction.next_ledger_version(now_us)
        transaction.add_to_counters(CORRECTIONS, amounts, version)
        follow(transaction, transaction.totals(amounts, CORRECTIONS), now_us)
