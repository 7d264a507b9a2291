"""After state was lost: who may hold leases that this state does not know of says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sidecar.control.rules.lease_recovery import Recovery, begun, holders_since
from sidecar.control.services.heard import hear
from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.recovery_values import ExpectedHolder
from sidecar.control.storage.values import CounterKey
from sidecar.control.storage.witness_port import LeaseWitness, Witnessed, WitnessedHolder
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.time.units import HOUR_US, MINUTE_US
from sidecar.domain.time.windows import Window

MISSING_SHOWN_MAX: Final = 1_000
HOLDERS_MAX: Final = 1_000_000
"""More stores of sidecars than any plane has had."""
SHOWN_EVERY_US: Final = HOUR_US
REPORT_US: Final = MINUTE_US
"""How long those who are connected have to report where nobody knows who they are."""


class HeldLease(msgspec.Struct, frozen=True):
    """A lease as its holder reports it; see `sync.proto`.

    `granted_max`: up to where its last request may have been granted; 0 where that is known.
    `counted`: up to where it was counted for certain; `None` where that is not known.
    """

    key: CounterKey
    incarnation: str
    granted: int
    number: int
    valid_until_us: int
    granted_max: int = 0
    counted: int | None = None


class Reported(msgspec.Struct, frozen=True):
    """What came of a report. `learnt`: leases that the plane did not know so, and now does.

    `refused`: those that say more than was granted, though nothing of them can have been lost.
    """

    learnt: int
    refused: int


class Missing(msgspec.Struct, frozen=True):
    """An expected holder that has not reported, its node, and when it was last heard of."""

    holder: ExpectedHolder
    node: str
    heard_us: int | None


class RecoveryStatus(msgspec.Struct, frozen=True):
    """How the plane recovers; `missing` are the first of those that have not reported."""

    recovery: Recovery
    is_waiting: bool
    missing: Sequence[Missing]
    reported: int


def current(transaction: ReadTransaction) -> Recovery:
    """How the plane recovers, for the length of a transaction."""
    return Recovery(transaction.lease_recovery(), transaction.missing_holders())


def open_leases(store: PlaneStore, witness: LeaseWitness, now_us: int, lifetime_us: int) -> bool:
    """Compare a database with its witness, before anything is granted from it.

    Returns whether the database has turned out to be an older state; then it has another epoch,
    and recovers. `lifetime_us`: how long LIFETIME limits wait for that.
    """
    with store.write() as transaction:
        # Within, since another process on the database may be about to make a witness, or to grant.
        seen, revision = witness.read(), transaction.lease_revision()
        was_witnessed = transaction.is_witnessed()
        if seen is None:
            # One that is new, or of before there were leases, has never had a witness.
            is_older = was_witnessed
            if is_older:
                _recover(transaction, (), now_us, FOREVER_US, lifetime_us)
        else:
            is_older = revision < seen.revision
            if is_older:
                expected = holders_since(seen, revision)
                _recover(transaction, expected, max(now_us, seen.noted_us), 0, lifetime_us)
                transaction.raise_lease_revision(seen.revision)
                transaction.next_lease_revision()
        holders = {}
        if seen is None or revision != seen.revision:
            holders = _holders_of(transaction)
        revision = transaction.lease_revision()
    witness.note(Witnessed(revision, now_us, holders))
    if not was_witnessed:
        with store.write() as transaction:  # last: who dies between the two has lost nothing
            transaction.note_witnessed()
    return is_older


def note_older_state(
    transaction: WriteTransaction, now_us: int, agreed_us: int = FOREVER_US
) -> None:
    """A sidecar shows that the database is an older state, which its witness did not.

    `agreed_us`: when the database was last seen to have all that it knows; where that was before
    the last recovery, that is known already. Within an hour of one nobody is believed: who makes it
    up, again and again, must not keep leases from others.
    """
    before = transaction.lease_recovery()
    if before is not None:
        is_known = agreed_us <= before.restored_us
        if is_known or now_us < before.restored_us + SHOWN_EVERY_US:
            return
    _recover(transaction, (), now_us, now_us + REPORT_US, REPORT_US)


def _recover(
    transaction: WriteTransaction,
    expected: Sequence[ExpectedHolder],
    restored_us: int,
    unknown_until_us: int,
    lifetime_us: int,
) -> None:
    before = transaction.lease_recovery()
    if before is not None and before.ended_us is None:
        named = {holder.incarnation for holder in expected}
        missing = transaction.expected_holders(reported=False, limit=HOLDERS_MAX)
        expected = [*expected, *(one for one in missing if one.incarnation not in named)]
    transaction.renew_epoch()
    transaction.put_lease_recovery(begun(before, restored_us, unknown_until_us, lifetime_us))
    transaction.put_expected_holders(expected)


def _holders_of(transaction: ReadTransaction) -> dict[str, WitnessedHolder]:
    """Whom the database has granted anything, for a witness that does not know all of them."""
    revision = transaction.lease_revision()
    return {
        holder.incarnation: WitnessedHolder(
            revision, holder.until_us, holder.has_lifetime, holder.number
        )
        for holder in transaction.holders_of_leases()
    }


def witnessed(
    revision: int, now_us: int, incarnation: str, windows: Sequence[Window], number: int
) -> Witnessed:
    """What a witness has to see of leases of these windows that an incarnation was granted.

    `number`: of the last request.
    """
    ends = [window.end_us for window in windows if not window.never_ends]
    has_lifetime = any(window.never_ends for window in windows)
    holder = WitnessedHolder(revision, max(ends, default=0), has_lifetime, number)
    return Witnessed(revision, now_us, {incarnation: holder} if windows else {})


def report(
    store: PlaneStore,
    incarnation: str,
    epoch: str,
    held: Sequence[HeldLease],
    now_us: int,
    *,
    last_numbers: Mapping[str, int] | None = None,
) -> Reported:
    """Take what a sidecar holds, under its present incarnation and earlier ones of its store.

    `last_numbers`: with the last part, of the last requests of all of them. It ends the wait for
    those that are known to have asked no later, and for the sidecar's own incarnation.

    Of another incarnation than its own it is believed that it has given something back only where
    that one is fenced: else it may live, as the original of a copy does, and hold more. Raises
    `FailedPrecondition` (EPOCH_CHANGED) where the epoch is not the plane's.
    """
    with store.write() as transaction:
        hear(transaction, incarnation, now_us)
        if is_epoch(transaction, epoch):
            reported = _take(transaction, incarnation, held, now_us)
            if last_numbers is not None:
                transaction.note_reported(incarnation, {**last_numbers, incarnation: INT64_MAX})
            return reported
    raise epoch_changed()


def _take(
    transaction: WriteTransaction, incarnation: str, held: Sequence[HeldLease], now_us: int
) -> Reported:
    recovery = current(transaction)
    learnt, refused = [], 0
    for lease in held:
        known = transaction.lease_of(lease.key, lease.incarnation)
        may_be_more = recovery.may_have_been_leased(lease.key.counter.window)
        after = _after(_at_most(lease, known) if may_be_more else lease, known, now_us)
        is_more = after.granted > (0 if known is None else known.granted)
        if is_more and not may_be_more:
            refused += 1
        elif is_more or (
            after.number > (0 if known is None else known.number)
            # What came of it under a later incarnation is believed in these windows alone.
            and (may_be_more or incarnation == lease.incarnation)
            and _may_lower(transaction, incarnation, lease.incarnation)
        ):
            learnt.append(after)
    if learnt:
        transaction.put_leases(learnt)
        transaction.next_lease_revision()
    return Reported(len(learnt), refused)


def _may_lower(transaction: ReadTransaction, reporter: str, incarnation: str) -> bool:
    known = transaction.incarnation(incarnation)
    return reporter == incarnation or (known is not None and known.fenced)


def is_epoch(transaction: ReadTransaction, epoch: str) -> bool:
    """Whether an epoch is the plane's."""
    return epoch == transaction.state().epoch


def epoch_changed() -> FailedPrecondition:
    """What who goes by another epoch is refused with (EPOCH_CHANGED)."""
    return FailedPrecondition("epoch", "the plane's state was replaced", "EPOCH_CHANGED")


def _at_most(lease: HeldLease, known: StoredLease | None) -> HeldLease:
    """A lease with all that it may have been granted by a request that is lost here.

    What it was granted a copy of its store may not know, which was made before the answer.
    """
    if known is not None and known.number >= lease.number:
        return lease
    if not lease.granted_max:
        return lease
    return replace(lease, granted=max(lease.granted, lease.granted_max))


def _after(lease: HeldLease, known: StoredLease | None, now_us: int) -> StoredLease:
    """A lease as it is once it was reported.

    With a later number than the plane knows it is as the holder says, who has perhaps given
    something back since; else it holds no less than it was granted. Where it holds more, it has
    asked for that since: nobody knows until when.
    """
    if known is None:
        return StoredLease(
            lease.key,
            lease.incarnation,
            lease.granted,
            lease.number,
            lease.valid_until_us,
            amount=0,
            asked_us=now_us,
            since_us=now_us,
            counted=lease.counted,
        )
    is_later = lease.number > known.number
    return replace(
        known,
        granted=lease.granted if is_later else max(known.granted, lease.granted),
        number=max(known.number, lease.number),
        valid_until_us=max(known.valid_until_us, lease.valid_until_us),
        asked_us=now_us if lease.granted > known.granted else known.asked_us,
        released=known.released and lease.granted <= known.granted,
        counted=lease.counted if is_later else known.counted,
    )


def recovery_status(store: PlaneStore, now_us: int) -> RecoveryStatus:
    """How the plane recovers, and whom it waits for."""
    with store.read() as transaction:
        recovery = current(transaction)
        missing = transaction.expected_holders(reported=False, limit=MISSING_SHOWN_MAX)
        reported = len(transaction.expected_holders(reported=True, limit=MISSING_SHOWN_MAX))
        told = []
        for holder in missing:
            known = transaction.incarnation(holder.incarnation)
            heard_us = None if known is None else known.last_heard_us
            told.append(Missing(holder, "" if known is None else known.node, heard_us))
    return RecoveryStatus(recovery, recovery.is_waiting(now_us), told, reported)


def recovery_of(store: PlaneStore) -> Recovery:
    """How the plane recovers."""
    with store.read() as transaction:
        return current(transaction)


def end_recovery(store: PlaneStore, restored_us: int, now_us: int) -> bool:
    """Wait no longer for those who have not reported since a loss of state; whether it was so."""
    with store.write() as transaction:
        recovery = current(transaction)
        if recovery.last is None or recovery.last.restored_us != restored_us:
            return False
        if not recovery.is_waiting(now_us):
            return False
        transaction.put_lease_recovery(replace(recovery.last, ended_us=now_us))
        return True
