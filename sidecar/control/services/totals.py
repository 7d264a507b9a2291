"""Tells sidecars what all of them have counted, in pages of which none leaves anything out.

All that can still count comes in the order of the counters' keys, company by company: no counter
ever changes its place there, and one that is added has a later version than the ledger had when
the first page was read. What changed comes in the order of versions: a counter that changes moves
behind every position. So, once all pages are read, everything up to the version of the first one
has been told, however many transactions it took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey, CounterState, TotalsPosition
from sidecar.domain.limits.counters import CounterTotal

PAGE_TOTALS: Final = 2_000
PAGE_BYTES: Final = 1 << 20
"""A page ends with the total that reaches it; far below gRPC's usual 4 MiB, whatever is named."""
_READ_AT_ONCE: Final = 100
_TOTAL_BYTES: Final = 96
"""Of a total's numbers and tags; its names come on top."""


class TotalsPlace(msgspec.Struct, frozen=True):
    """Behind which counter of which company a listing goes on.

    `version`: where it goes through changes, the one that the counter had.
    """

    company: str = ""
    version: int = 0
    key: CounterKey | None = None


class TotalsPage(msgspec.Struct, frozen=True):
    """Totals as of a version of the ledger, and where they go on; `None`: those were the last."""

    totals: Sequence[CounterTotal]
    after: TotalsPlace | None
    version: int


NO_TOTALS: Final = TotalsPage((), None, 0)


class TotalsWanted(msgspec.Struct, frozen=True):
    """Which totals are asked for, and by whom.

    Of windows that have not ended, or what changed after a version. `companies`: whose; empty for
    all of them, of what changed.
    """

    incarnation: str
    companies: Sequence[str]
    after_version: int = 0


def list_totals(
    store: PlaneStore, wanted: TotalsWanted, place: TotalsPlace, now_us: int
) -> TotalsPage:
    """The page behind a place."""
    with store.read() as transaction:
        return page_of(transaction, wanted, place, now_us)


def page_of(
    transaction: ReadTransaction, wanted: TotalsWanted, place: TotalsPlace, now_us: int
) -> TotalsPage:
    """The same within a transaction."""
    version = version_of(transaction)
    totals: list[CounterTotal] = []
    room = PAGE_BYTES
    for company in sorted(set(wanted.companies)) or [""]:
        if company < place.company:
            continue
        here = place
        if company != place.company or place.key is None:
            here = TotalsPlace(company, wanted.after_version)
        more = True
        while more:
            found = _behind(transaction, wanted, here, now_us)
            more = len(found) == _READ_AT_ONCE
            for total in found:
                totals.append(total)
                room -= _bytes_of(total)
                key = CounterKey(total.company, total.feature, total.counter)
                here = TotalsPlace(company, total.version, key)
                if room <= 0 or len(totals) == PAGE_TOTALS:
                    return TotalsPage(totals, here, version)
    return TotalsPage(totals, None, version)


def get_totals(
    store: PlaneStore, keys: Sequence[CounterKey], incarnation: str
) -> tuple[list[CounterTotal], int]:
    """Totals of single counters, and as of which version of the ledger."""
    with store.read() as transaction:
        return transaction.totals(keys, incarnation), version_of(transaction)


def changes(store: PlaneStore, after: TotalsPosition, limit: int) -> tuple[list[CounterState], int]:
    """What changed behind a position, with all parts, and the version of the ledger."""
    with store.read() as transaction:
        return transaction.changed_counters(after, limit), version_of(transaction)


def newest_version(store: PlaneStore) -> int:
    """Version of the ledger."""
    with store.read() as transaction:
        return version_of(transaction)


def version_of(transaction: ReadTransaction) -> int:
    """Version of the ledger; 1 before the first usage, as 0 says nothing on the wire."""
    return max(1, transaction.ledger_version())


def _behind(
    transaction: ReadTransaction, wanted: TotalsWanted, place: TotalsPlace, now_us: int
) -> list[CounterTotal]:
    company, incarnation = place.company, wanted.incarnation
    if wanted.after_version:
        position = TotalsPosition(place.version, place.key)
        return transaction.changed_totals(company, position, incarnation, _READ_AT_ONCE)
    return transaction.unended_totals(company, place.key, now_us, incarnation, _READ_AT_ONCE)


def total_told(incarnation: str, state: CounterState) -> CounterTotal:
    """What one incarnation is told of a counter."""
    key = state.key
    return CounterTotal(
        key.company,
        key.feature,
        key.counter,
        state.total,
        state.parts.get(incarnation, 0),
        state.version,
        state.carried,
        state.parts.get(CORRECTIONS, 0),
        state.packs_used,
    )


def _bytes_of(total: CounterTotal) -> int:
    """About the size of a total as a message."""
    names = (total.company, total.feature, total.counter.slot, *total.counter.values)
    return _TOTAL_BYTES + sum(len(name.encode()) + 3 for name in names)
