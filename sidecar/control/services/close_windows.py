"""Carries unused amounts, and what was used of packs, from one window into the next.

A counter that takes part keeps what was carried into its window. Shortly before the window ends it
is closed for the time being, so that sidecars know what comes before the next window opens; once it
has ended it is closed for good, and its terms stay as they were. Usage that reaches the ledger
after that goes through the windows behind it once more, by those terms. Each step is a small
transaction, and may be taken twice: what it finds done, it leaves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Final

from msgspec.structs import replace

from sidecar.control.rules.window_closing import RollingCatalog, due_us, lead_us
from sidecar.control.services.attribution import load_index
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import CounterKey, RolloverWindow
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.packs import Carried, carried_on

PAGE: Final = 100
"""Windows closed in one transaction, at the most."""
FOLLOW_MAX: Final = 200
"""Windows that one push goes through once more, at the most; the rest follows behind it."""


class RollingCatalogs:
    """The catalog in force, kept from one transaction to the next. Not for threads side by side."""

    def __init__(self) -> None:
        self._kept: RollingCatalog | None = None

    def at(self, transaction: ReadTransaction) -> RollingCatalog:
        """The catalog that a transaction sees."""
        if self._kept is None or self._kept.index.version != transaction.catalog_version():
            self._kept = RollingCatalog(load_index(transaction))
        return self._kept


def any_due(store: PlaneStore, now_us: int) -> bool:
    """Whether a window is to be closed."""
    with store.read() as transaction:
        return bool(transaction.rollover_windows_due(now_us, 1))


def close_windows(store: PlaneStore, catalogs: RollingCatalogs, now_us: int) -> list[CounterKey]:
    """Close windows that are due, some of them; returns counters into which other amounts came."""
    with store.write() as transaction:
        keys = transaction.rollover_windows_due(now_us, PAGE)
        if not keys:
            return []
        version = transaction.next_ledger_version(now_us)
        closer = _Closer(transaction, catalogs.at(transaction), version, now_us)
        snapshots = transaction.snapshots({key.company for key in keys})
        for key in keys:
            closer.close(key, snapshots.get(key.company))
    return closer.changed


class _Closer:
    """Closes windows within one transaction."""

    def __init__(
        self, transaction: WriteTransaction, catalog: RollingCatalog, version: int, now_us: int
    ) -> None:
        self.changed: list[CounterKey] = []
        self._transaction = transaction
        self._catalog = catalog
        self._version = version
        self._now_us = now_us

    def close(self, key: CounterKey, snapshot: CompanySnapshot | None) -> None:
        """Close a window that is due. Without a snapshot, as of a company that is gone."""
        window = self._transaction.rollover_window(key)
        if window is None:
            return
        if window.settled:
            self._put(replace(window, due_us=None))
            if (following := _passed_on(self._transaction, window)) is not None:
                self._note(following)
            return
        closing = None if snapshot is None else self._catalog.closing(snapshot, key)
        ends_us = key.counter.window.end_us if closing is None else closing.ends_us
        over = ends_us <= self._now_us
        terms = None if closing is None else closing.terms
        closed = replace(window, terms=terms, settled=over, due_us=None if over else ends_us)
        lead = lead_us(key.counter.window, ends_us)
        if self._now_us < lead:  # it was to be cut short, and is not any more
            closed = replace(closed, terms=None, due_us=lead)
        self._put(closed)
        self._drop_others(window, closed, None if closing is None else closing.following)
        if closing is not None and snapshot is not None and closed.terms is not None:
            self._carry_into(closing.following, closed, snapshot)

    def _drop_others(
        self, before: RolloverWindow, closed: RolloverWindow, following: CounterKey | None
    ) -> None:
        """Drop windows after it that will never be, as the timeline is now."""
        others = [] if following is None else list(_beginning(self._transaction, closed.key))
        heir = None if before.terms is None else _heir(self._transaction, before)
        if heir is not None and (closed.terms is None or heir.key != following):
            others.append(heir)
        for other in others:
            if other.key != following or closed.terms is None:
                self._transaction.drop_rollover_window(other.key, self._version)
                self.changed.append(other.key)

    def _carry_into(
        self, key: CounterKey, window: RolloverWindow, snapshot: CompanySnapshot
    ) -> None:
        """Carry what is left of a closed window into the one named."""
        found = self._transaction.rollover_window(key)
        carried = _left(window)
        if found is None:
            found = RolloverWindow(key, 0, (), due_us=due_us(snapshot, key.counter))
        elif found.came_in == carried:
            return
        self._note(found.with_carried(carried))

    def _note(self, window: RolloverWindow) -> None:
        """Keep a window into which something else comes than before."""
        closed = window.terms is not None
        self._put(replace(window, due_us=self._now_us) if closed else window)
        self.changed.append(window.key)

    def _put(self, window: RolloverWindow) -> None:
        self._transaction.put_rollover_windows([window], self._version)


def follow(
    transaction: WriteTransaction, totals: Iterable[CounterTotal], now_us: int
) -> list[CounterKey]:
    """Carry on from closed windows whose usage may have changed just now.

    Returns the counters behind them that the change reached or whose windows are not over, for
    whoever changed it to know. Costs next to nothing where nothing rolls over.
    """
    touched = (
        CounterKey(total.company, total.feature, total.counter)
        for total in totals
        if total.carried is not None
    )
    closed = [key for key in touched if _is_closed(transaction, key)]
    if not closed:
        return []
    version = transaction.next_ledger_version(now_us)
    reached: dict[CounterKey, None] = {}
    waiting = [(key.counter.window.end_us, at, key) for at, key in enumerate(closed)]
    heapify(waiting)
    for at in range(FOLLOW_MAX):
        if not waiting:
            break
        window = transaction.rollover_window(heappop(waiting)[2])
        following = None if window is None else _passed_on(transaction, window)
        if following is not None:
            transaction.put_rollover_windows([following], version)
            reached[following.key] = None
            end_us = following.key.counter.window.end_us
            heappush(waiting, (end_us, len(closed) + at, following.key))
    _leave(transaction, (key for _, _, key in waiting), version, now_us)
    for key in closed:
        open_windows = transaction.rollover_windows_after(key, now_us, 2)
        reached.update((window.key, None) for window in open_windows)
    return list(reached)


def _is_closed(transaction: ReadTransaction, key: CounterKey) -> bool:
    window = transaction.rollover_window(key)
    return window is not None and window.terms is not None


def _leave(
    transaction: WriteTransaction, keys: Iterable[CounterKey], version: int, now_us: int
) -> None:
    """Leave the rest of the way to later steps. What is not settled is due anyhow."""
    for key in keys:
        window = transaction.rollover_window(key)
        if window is not None and window.settled:
            transaction.put_rollover_windows([replace(window, due_us=now_us)], version)


def following_of(transaction: ReadTransaction, window: RolloverWindow) -> RolloverWindow | None:
    """The window that a closed one passes on to."""
    if window.terms is None:
        return None
    if window.terms.following is None:
        return next(_beginning(transaction, window.key), None)
    return _heir(transaction, window)


def _passed_on(transaction: ReadTransaction, window: RolloverWindow) -> RolloverWindow | None:
    """The window after a closed one with what is carried into it, where that is not so yet."""
    following, carried = following_of(transaction, window), _left(window)
    if following is None or following.came_in == carried:
        return None
    return following.with_carried(carried)


def _heir(transaction: ReadTransaction, window: RolloverWindow) -> RolloverWindow | None:
    """The window of another generation that a closed one passes on to, if it is of another."""
    if window.terms is None or window.terms.following is None:
        return None
    return transaction.rollover_window(replace(window.key, counter=window.terms.following))


def _beginning(transaction: ReadTransaction, key: CounterKey) -> Iterator[RolloverWindow]:
    """Windows of the same row that begin where one ends: one, but for a timeline that changed."""
    end_us = key.counter.window.end_us
    for window in transaction.rollover_windows_after(key, end_us, 2):
        if window.key.counter.window.start_us == end_us:
            yield window


def _left(window: RolloverWindow) -> Carried:
    """What a window leaves for the next one."""
    terms = window.terms
    if terms is None:
        return Carried()
    return carried_on(terms.passing, terms.allowance, window.came_in, window.total)
