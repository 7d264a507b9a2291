"""What may be leased of a window that others follow: what those have not used already."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sidecar.control.services.close_windows import following_of
from sidecar.control.storage.lease_values import HOLDERS_MAX
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey, RolloverWindow
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.limits.late_use import LATER_WINDOWS_MAX, LaterWindow, most_usable
from sidecar.domain.limits.packs import Allowance, Carried, beyond
from sidecar.domain.limits.rollover import Passing
from sidecar.domain.limits.rollover_links import held_by, link_after


class _Seen(NamedTuple):
    """A window: its counter's key and usage, and what is carried, where that is known."""

    key: CounterKey
    used: int
    carrying: RolloverWindow | None

    @property
    def came_in(self) -> Carried | None:
        return None if self.carrying is None else self.carrying.came_in


class _Step(NamedTuple):
    """From a window, which passes on by `allowance` at `ends_us`, to the one that follows it."""

    passing: Passing
    allowance: Allowance
    ends_us: int
    following: CounterKey


class LaterUse:
    """What later windows have used, within one transaction."""

    def __init__(
        self,
        transaction: ReadTransaction,
        index: CatalogIndex,
        snapshot: CompanySnapshot,
        now_us: int,
    ) -> None:
        self._transaction = transaction
        self._index = index
        self._snapshot = snapshot
        self._now_us = now_us

    def most_usable(self, key: CounterKey, limit: Limit) -> int | None:
        """The most that may be used in all of a counter, by a limit; `None` where none follows it.

        What is outstanding of later windows counts as used: it may be so already.
        """
        window = self._seen(key)
        came_in = window.came_in
        if came_in is None or limit.amount is None or window.carrying is None:
            return None
        most = limit.amount + beyond(limit, came_in)[0]
        return most_usable(came_in, window.used, most, self._behind(window))

    def _behind(self, window: _Seen) -> Iterator[LaterWindow]:
        """Windows that may have usage, in their order, and whether there are more of them."""
        step, all_outstanding = self._step(window), 0
        for _ in range(LATER_WINDOWS_MAX):
            if step is None:
                return
            window = self._seen(step.following)
            ahead = self._step(window)
            # What came in does not know of what may be used still of windows before.
            came_in = None if all_outstanding else window.came_in
            outstanding = self._outstanding(window.key)
            all_outstanding += outstanding
            yield LaterWindow(
                step.passing,
                step.allowance,
                self._held_by(window, ahead),
                window.used + outstanding,
                came_in,
            )
            step = ahead
        if step is not None:
            yield LaterWindow(step.passing, step.allowance, None, None)

    def _outstanding(self, key: CounterKey) -> int:
        leases = self._transaction.granted_leases(key, HOLDERS_MAX)
        return sum(held.outstanding for held in leases)

    def _seen(self, key: CounterKey) -> _Seen:
        (total,) = self._transaction.totals([key], CORRECTIONS)
        carries = total.carried is not None
        return _Seen(key, total.total, self._transaction.rollover_window(key) if carries else None)

    def _step(self, window: _Seen) -> _Step | None:
        carrying = window.carrying
        if carrying is not None and carrying.settled:
            following = following_of(self._transaction, carrying)
            if carrying.terms is None or following is None:
                return None
            terms, ends_us = carrying.terms, window.key.counter.window.end_us
            return _Step(terms.passing, terms.allowance, ends_us, following.key)
        ref, feature = window.key.counter, window.key.feature
        link = link_after(self._index, self._snapshot, feature, ref.slot, ref.window)
        if link is None or link.ends_us > self._now_us + EVENT_FUTURE_US_MAX:
            return None
        counter = CounterRef(link.following_slot, (), link.following)
        key = CounterKey(window.key.company, feature, counter)
        return _Step(link.passing, link.allowance, link.ends_us, key)

    def _held_by(self, window: _Seen, ahead: _Step | None) -> Allowance | None:
        if ahead is not None and ahead.ends_us <= self._now_us and ahead.allowance.is_in_force:
            return ahead.allowance
        ref, feature = window.key.counter, window.key.feature
        return held_by(self._index, self._snapshot, feature, ref.slot, ref.window, self._now_us)
