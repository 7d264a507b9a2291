"""What is leased on counters that a limit had before, and may still be counted on the one it has.

`rules/earlier_leases.py` says which counters those are. Nothing has to be noted where a limit
changes: what is there is looked for whenever a lease is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from sidecar.control.rules.earlier_leases import slots_not_in_force, values_in
from sidecar.control.storage.lease_values import GrantedLease, LeasesElsewhere
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import begins_us
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import Window

UNSETTLED_US: Final = DAY_US
"""For so long after a window's end what its leases have outstanding is kept from other windows."""
_WINDOWS_MAX: Final = 16
"""Windows of one slot that end first after another has begun: those that overlap are among them,
since they are about as long."""
_KEPT_US_EACH: Final = 100
"""For so long for each lease gone through a sum does, where those are many: so they are a small
part of the work. It may only be too high: nothing is granted where no limit counts any more."""
_MANY: Final = 1_000
_KEPT_MAX: Final = 1_000


class KeptSums:
    """Sums that were long work, kept from one transaction to the next, while nothing changes."""

    def __init__(self) -> None:
        self._sums: dict[LeasesElsewhere, tuple[int, int, int]] = {}

    def clear(self) -> None:
        """Forget all: a catalog or a timeline is another one."""
        self._sums.clear()

    def outstanding(
        self, transaction: ReadTransaction, wanted: LeasesElsewhere, now_us: int
    ) -> int:
        """How much is outstanding of leases on other counters."""
        of = msgspec.structs.replace(wanted, ended_since_us=0)
        from_us, until_us, kept = self._sums.get(of, (0, 0, 0))
        if from_us <= now_us < until_us:
            return kept
        outstanding, leases = transaction.outstanding_elsewhere(wanted)
        if leases >= _MANY:
            if len(self._sums) >= _KEPT_MAX:
                self._sums.clear()
            self._sums[of] = (now_us, now_us + leases * _KEPT_US_EACH, outstanding)
        return outstanding


class EarlierLeases:
    """What is leased on counters that limits had before, within one transaction.

    Which slots and windows there are it finds out once for all values of a slot's window: mostly
    there are no others, and then that is all.
    """

    def __init__(self, transaction: ReadTransaction, kept: KeptSums, now_us: int) -> None:
        self._transaction = transaction
        self._kept = kept
        self._now_us = now_us
        self._slots: dict[tuple[str, str], list[str]] = {}
        self._earlier: dict[tuple[str, str, str, Window], tuple[str, ...]] = {}

    def outstanding(self, index: CatalogIndex, snapshot: CompanySnapshot, key: CounterKey) -> int:
        """How much may still be counted on a counter under leases on others."""
        return sum(
            self._kept.outstanding(self._transaction, wanted, self._now_us)
            for wanted in self._wanted(index, snapshot, key)
        )

    def holders(
        self, index: CatalogIndex, snapshot: CompanySnapshot, key: CounterKey, limit: int
    ) -> Sequence[GrantedLease]:
        """Those leases of which anything is outstanding, so many at most."""
        found: list[GrantedLease] = []
        for wanted in self._wanted(index, snapshot, key):
            found += self._transaction.leases_elsewhere(wanted, limit - len(found))
        return found

    def _wanted(
        self, index: CatalogIndex, snapshot: CompanySnapshot, key: CounterKey
    ) -> Iterator[LeasesElsewhere]:
        counter = key.counter
        of_window = key.company, key.feature, counter.slot, counter.window
        if of_window not in self._earlier:
            self._earlier[of_window] = self._earlier_of(index, snapshot, *of_window)
        for slot in self._earlier[of_window]:
            possible, values = values_in(slot, counter)
            if possible:
                since_us = self._now_us - UNSETTLED_US
                yield LeasesElsewhere(
                    key, slot, values, begins_us(counter.slot, counter.window), since_us
                )

    def _earlier_of(
        self,
        index: CatalogIndex,
        snapshot: CompanySnapshot,
        company: str,
        feature: str,
        slot: str,
        window: Window,
    ) -> tuple[str, ...]:
        """Slots of which there may be leases that count in a slot's window."""
        slots = self._slots_of(company, feature)
        others: tuple[str, ...] = ()
        if len(slots) > 1 or slot not in slots:
            others = slots_not_in_force(index, snapshot, feature, slot, window, slots, self._now_us)
        windows = self._transaction.leased_windows(
            company, feature, slot, window.start_us, _WINDOWS_MAX
        )
        if any(other != window and other.start_us < window.end_us for other in windows):
            return (*others, slot)
        return others

    def _slots_of(self, company: str, feature: str) -> list[str]:
        of = company, feature
        if of not in self._slots:
            self._slots[of] = self._transaction.leased_slots(*of)
        return self._slots[of]
