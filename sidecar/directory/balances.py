"""Balances: a company's credits, arranged so that the counters that they burn from are found."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sidecar.directory.meters import CounterAddress, Meter
from sidecar.domain.company.model import CompanySnapshot, Segment
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.credits.sources import CreditSource, sources_at
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.limits.counters import CounterName
from sidecar.storage import keys
from sidecar.storage.record_wire import encode_source


class BalanceSource(msgspec.Struct, frozen=True, gc=False):
    """A source, and where it is kept: its counter, and its part of a record's burns.

    `meter`: of a limit of which something is carried on from window to window; else `None`.
    """

    source: CreditSource
    name: CounterName
    address: CounterAddress
    meter: Meter | None


class Balance:
    """What a company's credits burn from in a segment of its timeline. Keeps the last it found."""

    __slots__ = ("_entitlement", "_from_us", "_meters", "_segment", "_snapshot", "_sources",
                 "_until_us")  # fmt: skip

    def __init__(
        self,
        snapshot: CompanySnapshot,
        segment: Segment,
        entitlement: Entitlement,
        meters: Sequence[Meter],
    ) -> None:
        self._snapshot, self._segment, self._entitlement = snapshot, segment, entitlement
        self._meters = {meter.slot: meter for meter in meters if not meter.plain}
        self._sources: tuple[BalanceSource, ...] = ()
        self._from_us = self._until_us = 0

    def at(self, at_us: int) -> tuple[BalanceSource, ...]:
        """The sources at an instant of the segment, in burn order."""
        if not self._from_us <= at_us < self._until_us:
            found = sources_at(self._snapshot, self._segment, self._entitlement, at_us)
            self._sources = tuple(self._placed(source) for source in found.sources)
            self._from_us, self._until_us = found.from_us, found.until_us
        return self._sources

    @property
    def overdraft(self) -> int:
        """What may be owed, in micro-credits."""
        return self._entitlement.overdraft

    @property
    def debt_key(self) -> bytes:
        """Of the counter of what is owed, also where nothing may be."""
        company, feature = self._snapshot.company, self._entitlement.feature.key
        base = keys.counter_base(company, feature, OVERDRAFT_COUNTER.slot, ())
        return keys.counter_key(base, OVERDRAFT_COUNTER.window.start_us)

    @property
    def low(self) -> tuple[int, ...]:
        """Balances that are low, the highest first, in micro-credits."""
        return self._entitlement.low_balance

    def span(self, at_us: int) -> tuple[int, int]:
        """From when until when the sources of an instant stay as they are."""
        self.at(at_us)
        return self._from_us, self._until_us

    def _placed(self, source: CreditSource) -> BalanceSource:
        company, feature = self._snapshot.company, self._entitlement.feature.key
        ref = source.counter
        key = keys.counter_key(
            keys.counter_base(company, feature, ref.slot, ()), ref.window.start_us
        )
        wire = encode_source(feature, ref.slot, ref.window)
        meter = self._meters.get(ref.slot) if source.by_limit else None
        return BalanceSource(
            source, CounterName(company, feature, ref), CounterAddress(ref, key, wire), meter
        )
