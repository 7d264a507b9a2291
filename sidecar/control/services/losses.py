"""Usage that is known to be gone is remembered until an operator has seen it.

A sidecar forgets records once the plane has confirmed them. So where a sidecar was told of more
than the ledger has, as after a restored or a deleted database, the rest is nowhere any more. And a
sidecar whose store was deleted, or cut, tells that when it comes back. A record that cannot be read
is booked as such: nobody knows whose usage it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.control.rules.records import Record, Unreadable
from sidecar.control.storage.port import PlaneStore, WriteTransaction
from sidecar.control.storage.values import KnownIncarnation, Loss, LossCount

LISTED_MAX: Final = 1_000
_LEDGER: Final = "the ledger had confirmed them and no longer has them"


class LostStore(msgspec.Struct, frozen=True):
    """A store that a sidecar had and has no more; `incarnation` is empty where it is not known."""

    incarnation: str
    noticed_us: int
    reason: str


def note_ledger_loss(
    transaction: WriteTransaction,
    known: KnownIncarnation,
    confirmed_sequence: int,
    node: str,
    now_us: int,
) -> None:
    """Remember that an incarnation was told of more records than the ledger has, if it was."""
    if confirmed_sequence <= known.watermark:
        return
    first = known.watermark + 1
    before = next(iter(transaction.losses_of(known.id, first)), None)
    if before is not None and before.last_sequence >= confirmed_sequence:
        return  # told again
    noticed_us = now_us if before is None else before.noticed_us
    transaction.put_loss(Loss(known.id, first, confirmed_sequence, _LEDGER, node, noticed_us))


def note_unreadable(
    transaction: WriteTransaction,
    known: KnownIncarnation,
    records: Sequence[Record | Unreadable],
    now_us: int,
) -> int:
    """Remember which of the records behind the watermark cannot be read; how many they are.

    Neighbours are one loss. Their bytes are kept, and they are in no sum.
    """
    count, before, first, reason = 0, False, 0, ""
    for sequence, record in enumerate(records, start=known.watermark + 1):
        is_unreadable = isinstance(record, Unreadable)
        if isinstance(record, Unreadable):
            count += 1
            if not before:
                first, reason = sequence, f"cannot be read: {record.problem}"
            transaction.put_loss(Loss(known.id, first, sequence, reason, known.node, now_us))
        before = is_unreadable
    return count


def note_lost_stores(transaction: WriteTransaction, stores: Sequence[LostStore], node: str) -> None:
    """Remember stores that a sidecar has lost, each once: it tells of them at every connect."""
    for store in stores:
        known = transaction.losses_of(store.incarnation, 0)
        if all(loss.noticed_us != store.noticed_us for loss in known):
            reason = f"the sidecar's store: {store.reason}"
            transaction.put_loss(Loss(store.incarnation, 0, 0, reason, node, store.noticed_us))


def list_losses(store: PlaneStore, *, with_acknowledged: bool) -> tuple[Sequence[Loss], LossCount]:
    """Losses, newest first and at most `LISTED_MAX`, and how many nobody has acknowledged."""
    with store.read() as transaction:
        losses = transaction.losses(LISTED_MAX, with_acknowledged=with_acknowledged)
        return losses, transaction.loss_count()


def count_losses(store: PlaneStore) -> LossCount:
    """Losses that nobody has acknowledged."""
    with store.read() as transaction:
        return transaction.loss_count()


def acknowledge_losses(store: PlaneStore, noticed_until_us: int, now_us: int) -> int:
    """Say that losses were seen; how many of them were not before."""
    with store.write() as transaction:
        return transaction.acknowledge_losses(noticed_until_us, now_us)
