"""Finds out by what leases of a counter are granted, and looks up what that takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

from msgspec.structs import replace

from sidecar.control.rules.filling import slot_text
from sidecar.control.rules.leases import LeasedSlot, leased_slot, terms_of
from sidecar.control.services.attribution import default_of, load_index
from sidecar.control.services.earlier_leases import UNSETTLED_US, EarlierLeases, KeptSums
from sidecar.control.services.filling_walk import is_to_be_filled
from sidecar.control.services.late_leases import LaterUse
from sidecar.control.services.lease_recovery import current
from sidecar.control.services.names import first_id
from sidecar.control.storage.filling_values import CountedBy, FillingStage
from sidecar.control.storage.lease_values import GrantedLease
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX
from sidecar.domain.catalog.canonical import canonical_scope, canonical_window
from sidecar.domain.catalog.model import FeatureKind, Limit
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER, is_of_balance
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.leases.account import GrantingTerms
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import generation_in
from sidecar.domain.limits.packs import Carried
from sidecar.domain.limits.rolling_limits import is_carried_on
from sidecar.domain.time.windows import Window

FILLING_RETRY_MS: Final = 200
RECOVERING_RETRY_MS: Final = 500
_TIMELINES_MAX: Final = 2_000
_EARLIER_LEASES_MAX: Final = 1_000

_SlotKey: TypeAlias = tuple[str, str, str, Window]


class KeptTimelines:
    """Catalog and companies' timelines, kept from one transaction to the next.

    And sums of leases that hold while those do. Not for threads side by side.
    """

    def __init__(self) -> None:
        self.sums = KeptSums()
        self._index: CatalogIndex | None = None
        self._revision = -1
        self._snapshots: dict[str, CompanySnapshot | None] = {}

    def index(self, transaction: ReadTransaction) -> CatalogIndex:
        """The catalog that a transaction sees."""
        if self._index is None or self._index.version != transaction.catalog_version():
            self._index = load_index(transaction)
        return self._index

    def snapshot(self, transaction: ReadTransaction, company: str) -> CompanySnapshot | None:
        """A company's timeline, as a transaction sees it; `None` for one that is not there."""
        revision = transaction.state().revision
        if revision != self._revision or len(self._snapshots) >= _TIMELINES_MAX:
            self._snapshots.clear()
            self.sums.clear()
            self._revision = revision
        if company not in self._snapshots:
            self._snapshots[company] = transaction.snapshots([company]).get(company)
        return self._snapshots[company]

    def deciding(self, transaction: ReadTransaction, company: str) -> CompanySnapshot | None:
        """What sidecars decide by: that timeline, or the default plan's for one that is not there.

        `None` without a default plan, and for an id that leads to another one: what is counted
        under it is that one's usage.
        """
        held = self.snapshot(transaction, company)
        if held is not None or first_id(transaction, company) != company:
            return held
        return default_of(self.index(transaction), company)


class TermsFinder:
    """Finds terms within one transaction; what it found for a slot and window it keeps."""

    def __init__(self, transaction: ReadTransaction, timelines: KeptTimelines, now_us: int) -> None:
        self._transaction = transaction
        self._timelines = timelines
        self._now_us = now_us
        self._slots: dict[_SlotKey, LeasedSlot | None] = {}
        self._filled: dict[_SlotKey, bool] = {}
        self._recovery = current(transaction)
        self._earlier = EarlierLeases(transaction, timelines.sums, now_us)

    def terms(self, key: CounterKey) -> GrantingTerms | None:
        """The terms of a counter's leases; `None` where nothing of it is leased."""
        slot, limit = self._slot(key), self.limit(key)
        if slot is None or limit is None:
            return None
        carried, unsettled, usable = None, 0, None
        # While the window before runs, what is left of it is not certain, and is its own to use.
        if is_carried_on(limit) and key.counter.window.start_us <= self._now_us:
            carried, unsettled = self._came_in(key), self._unsettled(key)
            usable = self._usable(key, limit)
        terms = terms_of(limit, carried, unsettled, slot.valid_until_us, usable)
        terms = replace(
            terms,
            ceiling=terms.ceiling - self._owed(key),
            outstanding_before=self._earlier.outstanding(*self._known(key), key),
        )
        if self._recovery.withholds(key.counter.window, self._now_us):
            return replace(
                terms, withheld=LeaseStatus.RECOVERING, retry_after_ms=RECOVERING_RETRY_MS
            )
        if not self._is_filled(key, limit):
            return replace(terms, withheld=LeaseStatus.RECALLING, retry_after_ms=FILLING_RETRY_MS)
        return terms

    def limit(self, key: CounterKey) -> Limit | None:
        """The limit by which a counter is leased; `None` where nothing of it is."""
        slot = self._slot(key)
        return None if slot is None else slot.limit_of(key.counter)

    def leases_before(self, key: CounterKey, limit: int) -> Sequence[GrantedLease]:
        """Leases on counters that a leased counter's limit had before, so many at most."""
        return self._earlier.holders(*self._known(key), key, limit)

    def holders(self, key: CounterKey, limit: int) -> list[GrantedLease]:
        """Leases that may be counted on a counter: on it, or on those that its limit had before.

        Of each so many at most.
        """
        before = () if self.limit(key) is None else self.leases_before(key, limit)
        return [*self._transaction.granted_leases(key, limit), *before]

    def is_balance(self, feature: str) -> bool:
        """Whether a feature is one of credits."""
        known = self._timelines.index(self._transaction).features.get(feature)
        return known is not None and known.kind is FeatureKind.CREDITS

    def _owed(self, key: CounterKey) -> int:
        """What a source of credits will have to repay once it comes into force."""
        if key.counter.window.start_us <= self._now_us or not self.is_balance(key.feature):
            return 0
        debt_key = CounterKey(key.company, key.feature, OVERDRAFT_COUNTER)
        (total,) = self._transaction.totals([debt_key], CORRECTIONS)
        return max(0, total.total)

    def _known(self, key: CounterKey) -> tuple[CatalogIndex, CompanySnapshot]:
        """Catalog and timeline of a counter that is leased."""
        snapshot = self._timelines.deciding(self._transaction, key.company)
        assert snapshot is not None, "something of it is leased"
        return self._timelines.index(self._transaction), snapshot

    def _slot(self, key: CounterKey) -> LeasedSlot | None:
        of_slot = _slot_key(key)
        if of_slot not in self._slots:
            snapshot = self._timelines.deciding(self._transaction, key.company)
            index = self._timelines.index(self._transaction)
            self._slots[of_slot] = (
                None
                if snapshot is None
                else leased_slot(index, snapshot, *of_slot[1:], self._now_us)
            )
        return self._slots[of_slot]

    def _came_in(self, key: CounterKey) -> Carried | None:
        (total,) = self._transaction.totals([key], CORRECTIONS)
        return None if total.carried is None else Carried(total.carried, total.packs_used)

    def _unsettled(self, key: CounterKey) -> int:
        """What may still be used of the windows before: all of it may come to be missing."""
        slot, generation = _base_of(key.counter.slot), generation_in(key.counter.slot)
        start_us = key.counter.window.start_us
        since_us = self._now_us - UNSETTLED_US
        return sum(
            held.outstanding
            for held in self._transaction.leases_before(key, since_us, _EARLIER_LEASES_MAX)
            if _base_of(held.lease.key.counter.slot) == slot
            and (generation_in(held.lease.key.counter.slot), held.lease.key.counter.window.start_us)
            < (generation, start_us)
        )

    def _usable(self, key: CounterKey, limit: Limit) -> int | None:
        """The most that may be used in all, since later windows have used the rest."""
        slot = self._slot(key)
        is_followed = slot is not None and slot.valid_until_us <= self._now_us + EVENT_FUTURE_US_MAX
        if not is_followed or key.counter.values:
            return None
        later = LaterUse(self._transaction, *self._known(key), self._now_us)
        return later.most_usable(key, limit)

    def _is_filled(self, key: CounterKey, limit: Limit) -> bool:
        """Whether the counter has what the ledger has of its window, or is not to have it."""
        if is_of_balance(key.counter.slot):
            return True
        of_slot = _slot_key(key)
        if of_slot not in self._filled:
            self._filled[of_slot] = self._finds_it_filled(key, limit)
        return self._filled[of_slot]

    def _finds_it_filled(self, key: CounterKey, limit: Limit) -> bool:
        window, scope = canonical_window(limit.window), canonical_scope(limit.scope)
        counted_by = CountedBy(key.feature, window, scope)
        index = self._timelines.index(self._transaction)
        snapshot = self._timelines.snapshot(self._transaction, key.company)
        if snapshot is not None and is_to_be_filled(
            self._transaction, index, snapshot, counted_by, self._now_us
        ):
            return False
        slot = slot_text(counted_by)
        return not any(
            filling.slot == slot and filling.stage is not FillingStage.FILLED
            for filling in self._transaction.fillings_of(key.company, key.feature)
        )


def _slot_key(key: CounterKey) -> _SlotKey:
    return key.company, key.feature, key.counter.slot, key.counter.window


def _base_of(slot: str) -> str:
    """A slot without its generation."""
    return slot.rpartition("|")[0] if generation_in(slot) else slot
