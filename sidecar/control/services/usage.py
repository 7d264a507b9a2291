"""Answers for the ledger and the counters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sidecar.control.rules.attribution import CountedLimit, limits_at
from sidecar.control.services.attribution import default_of, load_index
from sidecar.control.services.directory import no_company
from sidecar.control.services.names import Called, first_id
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import (
    CORRECTIONS,
    CounterKey,
    IncarnationTally,
    KnownIncarnation,
    LedgerLine,
    LineFilter,
    LinePosition,
    UsageSum,
)
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.limits.packs import Carried, beyond
from sidecar.domain.limits.rolling_limits import is_carried_on
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.limits.value_amounts import limit_of_values
from sidecar.domain.nearest import lacks
from sidecar.domain.time.windows import Window

LIMITS_MAX: Final = 10_000


class LedgerUsagePlace(msgspec.Struct, frozen=True):
    """Behind what a listing goes on, in the windows of `at_us`.

    `by_values`: all company-wide limits were told; otherwise those up to `feature`. Then it goes on
    with the feature's limit of that number, if it is of the slot, behind the counter of the values.
    """

    at_us: int
    by_values: bool
    feature: str
    limit: int = 0
    slot: str = ""
    behind: tuple[str, ...] = ()


class LedgerLimitUsage(msgspec.Struct, frozen=True):
    """Usage on a limit, for one combination of the values of its dimensions.

    `carried`: what rolled over into the window, and what packs had left then; `packs_left`: what
    they have left now. All in the feature's unit.
    """

    feature: str
    limit: Limit
    values: tuple[str, ...]
    window: Window
    used: int
    carried: int = 0
    packs_left: int = 0


class FeaturesByLimit(msgspec.Struct, frozen=True):
    """METERED features: granted without a limit that counts, with such limits, or not granted."""

    unlimited: list[str]
    limited: list[str]
    ungranted: list[str]


class LedgerUsagePage(msgspec.Struct, frozen=True):
    """A page of a company's usage; `after`: where it goes on, `None` for the last.

    `company_unknown`: the company is not there, though there is usage of it. `by_limit`: of
    the METERED features, `None` where there is no plan that could grant any.
    """

    limits: Sequence[LedgerLimitUsage]
    after: LedgerUsagePlace | None
    company_unknown: bool
    by_limit: FeaturesByLimit | None = None


def sum_usage(
    store: PlaneStore, wanted: LineFilter, by_company: bool, by_day: bool, limit: int
) -> tuple[list[UsageSum], bool]:
    """Sums of the ledger without duplicates, and whether the limit cut them short."""
    with store.read() as transaction:
        wanted = _by_first_id(transaction, wanted)
        sums = transaction.usage_sums(wanted, by_company, by_day, limit + 1)
        called = Called(transaction, (found.company for found in sums))
    told = [replace(found, company=called(found.company)) for found in sums[:limit]]
    return told, len(sums) > limit


def company_usage(
    store: PlaneStore,
    company: str,
    feature: str,
    at_us: int,
    most: int = LIMITS_MAX,
    after: LedgerUsagePlace | None = None,
) -> LedgerUsagePage:
    """A page of a company's usage against its limits in the windows of an instant.

    Company-wide limits come first, over all features, then those with dimensions: however many
    users one feature has, they hide no other's company-wide limit. An empty feature is every
    feature. Of a company that was removed, or that only the ledger knows, the limits are those of
    the default plan, if there is one. Raises `NotFound` for a company of which there is nothing, or
    a feature that the catalog lacks.
    """
    with store.read() as transaction:
        said, company = company, first_id(transaction, company)
        held = transaction.snapshots([company]).get(company)
        if held is None and not _is_in_ledger(transaction, company):
            raise no_company(transaction, said)
        index = load_index(transaction)
        if feature and feature not in index.features:
            raise NotFound("feature", lacks("feature", feature, index.features))
        snapshot = held or default_of(index, company)
        if snapshot is None:
            return LedgerUsagePage((), None, company_unknown=True)
        names = [feature] if feature else sorted(index.features)
        page = _UsagePage(transaction, index, snapshot, at_us, most)
        if after is None or not after.by_values:
            page.read_company_wide(names, "" if after is None else after.feature)
            after = None
        if page.after is None:
            page.read_by_values(names, after)
        by_limit = _by_limit(index, snapshot, names, at_us)
    return LedgerUsagePage(page.found, page.after, held is None, by_limit)


def _is_in_ledger(transaction: ReadTransaction, company: str) -> bool:
    """Whether a company that is not there was, or has used anything."""
    if transaction.tombstones([company]):
        return True
    return bool(transaction.lines(LineFilter(company), None, 1))


def _by_limit(
    index: CatalogIndex, snapshot: CompanySnapshot, features: Sequence[str], at_us: int
) -> FeaturesByLimit:
    by_limit = FeaturesByLimit([], [], [])
    segment = segment_at(snapshot, at_us)
    for feature in features:
        entitlement = index.resolve(segment, feature)
        assert entitlement is not None, "the index has what it named"
        if not entitlement.feature.kind.is_counted:
            continue
        if any(limit.is_counted for limit in entitlement.limits):
            by_limit.limited.append(feature)
        elif entitlement.granted:
            by_limit.unlimited.append(feature)
        else:
            by_limit.ungranted.append(feature)
    return by_limit


class _UsagePage:
    """Collects up to `most` usages; the company-wide limits of a feature come together."""

    def __init__(
        self,
        transaction: ReadTransaction,
        index: CatalogIndex,
        snapshot: CompanySnapshot,
        at_us: int,
        most: int,
    ) -> None:
        self.found: list[LedgerLimitUsage] = []
        self.after: LedgerUsagePlace | None = None
        self._transaction = transaction
        self._index = index
        self._snapshot = snapshot
        self._at_us = at_us
        self._most = most

    def read_company_wide(self, names: Sequence[str], behind: str) -> None:
        for name in names:
            if name <= behind:
                continue
            limits = [found for _, found in self._limits(name) if not found.limit.scope.dimensions]
            if self.found and len(self.found) + len(limits) > self._most:
                self.after = LedgerUsagePlace(self._at_us, by_values=False, feature=behind)
                return
            company = self._snapshot.company
            counters = [
                CounterKey(company, name, CounterRef(of.slot, (), of.window)) for of in limits
            ]
            totals = self._transaction.totals(counters, CORRECTIONS)
            self.found += map(_usage, limits, totals)
            behind = name

    def read_by_values(self, names: Sequence[str], after: LedgerUsagePlace | None) -> None:
        for name in names:
            if after is not None and name < after.feature:
                continue
            begin = after if after is not None and name == after.feature else None
            for number, of in self._limits(name):
                if not of.limit.scope.dimensions or (begin and number < begin.limit):
                    continue
                goes_on = begin is not None and (begin.limit, begin.slot) == (number, of.slot)
                behind = begin.behind if begin is not None and goes_on else ()
                if self._is_full(name, number, of, behind):
                    return

    def _is_full(self, name: str, number: int, of: CountedLimit, behind: tuple[str, ...]) -> bool:
        """Take what was counted by a limit; whether that is more than there is room for."""
        room = max(0, self._most - len(self.found))
        key = CounterKey(self._snapshot.company, name, CounterRef(of.slot, behind, of.window))
        totals = self._transaction.totals_of_slot(key, CORRECTIONS, room + 1)
        self.found += [_usage(of, total) for total in totals[:room]]
        if len(totals) <= room:
            return False
        if room:
            behind = totals[room - 1].counter.values
        self.after = LedgerUsagePlace(
            self._at_us, by_values=True, feature=name, limit=number, slot=of.slot, behind=behind
        )
        return True

    def _limits(self, name: str) -> Iterator[tuple[int, CountedLimit]]:
        return enumerate(limits_at(self._index, self._snapshot, name, self._at_us) or ())


def _usage(of: CountedLimit, total: CounterTotal) -> LedgerLimitUsage:
    values = total.counter.values
    limit = limit_of_values(of.limit, values)
    came_in = Carried() if total.carried is None else Carried(total.carried, total.packs_used)
    more, packs = beyond(limit, came_in) if is_carried_on(limit) else (0, 0)
    usage = QuotaUsage(limit, of.window, total.total, values, more, packs=packs)
    return LedgerLimitUsage(
        total.feature, limit, values, of.window, total.total, more, usage.packs_left
    )


def list_lines(
    store: PlaneStore, wanted: LineFilter, after: LinePosition | None, limit: int
) -> tuple[list[LedgerLine], LinePosition | None]:
    """Lines of one company, oldest event first, and where the next page starts, if there is one."""
    with store.read() as transaction:
        wanted = _by_first_id(transaction, wanted)
        lines = transaction.lines(wanted, after, limit + 1)
        called = Called(transaction, [wanted.company])(wanted.company)
    lines = [replace(line, company=called) for line in lines]
    if len(lines) <= limit:
        return lines, None
    last = lines[limit - 1]
    return lines[:limit], LinePosition(last.event_time_us, last.incarnation, last.sequence)


def _by_first_id(transaction: ReadTransaction, wanted: LineFilter) -> LineFilter:
    """The lines of a company are stored by its first id."""
    return replace(wanted, company=first_id(transaction, wanted.company))


def look_up_incarnation(
    store: PlaneStore, incarnation: str
) -> tuple[KnownIncarnation | None, list[IncarnationTally]]:
    """What is known of a sidecar's store, and its sums by feature."""
    with store.read() as transaction:
        return transaction.incarnation(incarnation), transaction.tallies(incarnation)
