"""Answers for the ledger and the counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from sidecar.control.rules.attribution import limits_at
from sidecar.control.services.attribution import load_index
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import (
    CORRECTIONS,
    IncarnationTally,
    KnownIncarnation,
    LedgerLine,
    LineFilter,
    LinePosition,
    UsageSum,
)
from sidecar.domain.catalog.model import Limit
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.windows import Window

LIMITS_MAX: Final = 10_000

_Slot = tuple[str, str, Window]


class LedgerLimitUsage(msgspec.Struct, frozen=True):
    """Usage on a limit, for one combination of the values of its dimensions.

    `carried`: what rolled over into the window. Both in the feature's unit.
    """

    feature: str
    limit: Limit
    values: tuple[str, ...]
    window: Window
    used: int
    carried: int = 0


def sum_usage(
    store: PlaneStore, wanted: LineFilter, by_company: bool, by_day: bool, limit: int
) -> tuple[list[UsageSum], bool]:
    """Sums of the ledger without duplicates, and whether the limit cut them short."""
    with store.read() as transaction:
        sums = transaction.usage_sums(wanted, by_company, by_day, limit + 1)
    return sums[:limit], len(sums) > limit


def company_usage(
    store: PlaneStore, company: str, feature: str, at_us: int
) -> tuple[list[LedgerLimitUsage], bool]:
    """Usage of a company against its limits in the windows of an instant; at most 10,000.

    Also says whether that bound cut the answer short. An empty feature is every feature. Raises
    `NotFound` for a company or a feature that is unknown.
    """
    with store.read() as transaction:
        snapshot = transaction.snapshots([company]).get(company)
        if snapshot is None:
            raise NotFound("company", f"there is no company {company!r}")
        index = load_index(transaction)
        if feature and feature not in index.features:
            raise NotFound("feature", f"the catalog has no feature {feature!r}")
        totals = transaction.open_counters(company, feature, at_us, CORRECTIONS, LIMITS_MAX + 1)
    by_slot: dict[_Slot, list[CounterTotal]] = defaultdict(list)
    for total in totals:
        by_slot[(total.feature, total.counter.slot, total.counter.window)].append(total)
    usage: list[LedgerLimitUsage] = []
    for key in [feature] if feature else sorted(index.features):
        for limit, slot, window in limits_at(index, snapshot, key, at_us) or ():
            counted = by_slot[(key, slot, window)]
            usage += _on_limit(key, limit, window, counted)
    return usage[:LIMITS_MAX], max(len(usage), len(totals)) > LIMITS_MAX


def _on_limit(
    feature: str, limit: Limit, window: Window, counted: Sequence[CounterTotal]
) -> Iterator[LedgerLimitUsage]:
    if not counted and not limit.scope.dimensions:
        yield LedgerLimitUsage(feature, limit, (), window, 0)
    for total in counted:
        carried = sum(total.carried or ()) if limit.rollover is not None else 0
        yield LedgerLimitUsage(feature, limit, total.counter.values, window, total.total, carried)


def list_lines(
    store: PlaneStore, wanted: LineFilter, after: LinePosition | None, limit: int
) -> tuple[list[LedgerLine], LinePosition | None]:
    """Lines of one company, oldest event first, and where the next page starts, if there is one."""
    with store.read() as transaction:
        lines = transaction.lines(wanted, after, limit + 1)
    if len(lines) <= limit:
        return lines, None
    last = lines[limit - 1]
    return lines[:limit], LinePosition(last.event_time_us, last.incarnation, last.sequence)


def look_up_incarnation(
    store: PlaneStore, incarnation: str
) -> tuple[KnownIncarnation | None, list[IncarnationTally]]:
    """What is known of a sidecar's store, and its sums by feature."""
    with store.read() as transaction:
        return transaction.incarnation(incarnation), transaction.tallies(incarnation)
