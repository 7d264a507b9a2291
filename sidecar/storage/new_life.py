"""Going on under a new incarnation, where what a store counted itself cannot be told any more."""

from __future__ import annotations

from typing import NamedTuple

import structlog

from sidecar.storage.codec import Incarnation
from sidecar.storage.incarnations import read_head, with_new_incarnation, write_incarnations
from sidecar.storage.store import Store
from sidecar.storage.transaction import OutboxHead, Transaction

log = structlog.get_logger(__name__)


class NewLife(NamedTuple):
    """The incarnations with a new one, and how many records those before it have to send."""

    incarnations: tuple[Incarnation, ...]
    backlog_records: int


def write_new_life(store: Store, transaction: Transaction, incarnation_id: str) -> NewLife | None:
    """Leave the present incarnation, whose outbox is still sent; nothing is left of its leases.

    `None` where there are as many as may be. Once the step is committed, `live_on` takes it over.
    """
    kv, end = transaction.keyspace, transaction.head.sequence
    *earlier, left = store.incarnations
    kept = with_new_incarnation(store.incarnations, incarnation_id, end)
    if kept == store.incarnations:
        return None
    if end == left.acknowledged_sequence:
        kept = (*earlier, kept[-1])
    write_incarnations(kv, kept)
    heads = {known: read_head(store.engine, kv, known) for known in kept[:-1]}
    backlog = sum(head.sequence - known.acknowledged_sequence for known, head in heads.items())
    log.warning("store.new_life", left=left.id)
    return NewLife(kept, backlog)


def live_on(store: Store, life: NewLife) -> None:
    """Go on under the new incarnation that a committed step wrote."""
    store.set_incarnations(life.incarnations, OutboxHead(), life.backlog_records)
