"""Finds the limits that newly roll over: where carrying from window to window begins.

It follows changes as a watcher does, in the order of (revision, company), a page at a time, and
goes through all companies again when other limits of the catalog roll over. How far it has come is
kept in the store. Where nothing rolls over, nothing is written, and no company is read in full.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.rules.window_closing import RollingCatalog, due_us, lead_us
from sidecar.control.services.close_windows import RollingCatalogs
from sidecar.control.storage.port import PlaneStore, WriteTransaction
from sidecar.control.storage.values import CounterKey, RolloverWalk, RolloverWindow, StoredCompany

PAGE: Final = 100
"""Companies looked at in one transaction, at the most."""


class WalkPage(msgspec.Struct, frozen=True):
    """Companies to look at, and how far the walk is after them."""

    companies: tuple[str, ...]
    walk: RolloverWalk


class Walker:
    """Where the walk is. Its methods are not for threads side by side."""

    def __init__(self, catalogs: RollingCatalogs) -> None:
        self._catalogs = catalogs
        self._walk: RolloverWalk | None = None
        self._stored_signature = ""

    def next_page(self, store: PlaneStore, now_us: int) -> WalkPage | None:
        """What to look at next; `None` where there is nothing new."""
        with store.read() as transaction:
            catalog = self._catalogs.at(transaction)
            if self._walk is None:
                self._walk = transaction.rollover_walk()
                self._stored_signature = self._walk.signature
            walk = _begun(self._walk, catalog, now_us)
            revision = transaction.state().revision
            if walk.revision > revision and walk.signature == self._stored_signature:
                return None
            by_overrides = not catalog.signature
            found = transaction.rollover_candidates(walk, PAGE, by_overrides=by_overrides)
        reached = found[-1] if len(found) == PAGE else (revision + 1, "")  # no id is empty
        walk = msgspec.structs.replace(walk, revision=reached[0], company=reached[1])
        if found or walk.signature != self._stored_signature:
            return WalkPage(tuple(company for _, company in found), walk)
        self._walk = walk
        return None

    def look_at(self, store: PlaneStore, page: WalkPage, now_us: int) -> list[CounterKey]:
        """Begin to carry where a company's limits roll over and nothing is carried yet.

        Returns the counters whose windows are open, for watchers to know that a chain begins.
        """
        with store.write() as transaction:
            catalog = self._catalogs.at(transaction)
            found = transaction.companies(page.companies)
            since_us = page.walk.since_us
            windows = [
                window
                for stored in found.values()
                for window in _new_windows(transaction, catalog, stored, since_us, now_us)
            ]
            if windows:
                transaction.put_rollover_windows(windows, transaction.next_ledger_version(now_us))
            transaction.put_rollover_walk(page.walk)
        self._walk = page.walk
        self._stored_signature = page.walk.signature
        return [window.key for window in windows if window.key.counter.window.start_us <= now_us]


def _begun(walk: RolloverWalk, catalog: RollingCatalog, now_us: int) -> RolloverWalk:
    """The walk as it is, or from the start where other limits roll over by the catalog."""
    if catalog.signature == walk.signature:
        return walk
    return RolloverWalk(since_us=now_us, signature=catalog.signature)


def _new_windows(
    transaction: WriteTransaction,
    catalog: RollingCatalog,
    stored: StoredCompany,
    since_us: int,
    now_us: int,
) -> list[RolloverWindow]:
    """Windows into which nothing was carried, of limits that roll over since a change.

    Where a window of another generation passes on to one, that window is closed when it does: it is
    due by then, and the rest follows from its closing.
    """
    seen_us = max(since_us, stored.changed_us)
    found = []
    for beginning in catalog.beginnings(stored.snapshot, seen_us):
        key, before = beginning.key, None
        if transaction.rollover_window(key) is not None:
            continue
        if beginning.before is not None:
            before = transaction.rollover_window(beginning.before)
            if before is None and beginning.passed_us > now_us:
                continue  # it will be there before it passes on
        if before is not None:  # also where it was settled, for what will not follow any more
            lead = lead_us(before.key.counter.window, beginning.passed_us)
            due = lead if before.due_us is None else min(before.due_us, lead)
            found.append(msgspec.structs.replace(before, settled=False, due_us=due))
        else:
            due = due_us(stored.snapshot, key.counter)
            found.append(RolloverWindow(key, 0, (), due_us=due))
    return found
