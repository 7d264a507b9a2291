"""Who watches which company, and waking them when something of it may have changed.

A wake-up carries no news: who is woken reads the state. At most one is pending for each watch, so
that it costs no more however much happens. Everything here runs on the event loop, but for looking
up whether a company is watched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.domain.limits.counters import CounterTotal
from sidecar.storage.snapshots import SnapshotChanges

_TOUCHED_MAX: Final = 100
"""Past so many features that were touched, all of them count as touched."""


class Watch:
    """One who watches a company. Remembers what was touched since it was last asked."""

    __slots__ = ("_ended", "_everything", "_features", "_woken")

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._features: set[str] = set()
        self._everything = False
        self._ended = False

    def touch(self, feature: str) -> None:
        """Something of a feature may have changed; without a name, of everything."""
        if not feature or len(self._features) >= _TOUCHED_MAX:
            self._everything = True
        else:
            self._features.add(feature)
        self._woken.set()

    def end(self) -> None:
        """The sidecar stops."""
        self._ended = True
        self._woken.set()

    async def woken(self, seconds: float) -> bool:
        """Wait until something is touched, at most so long; whether it is.

        Raises `Unavailable` once the sidecar stops.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        if self._ended:
            raise _stopping()
        return True

    def take(self) -> set[str] | None:
        """The features that were touched since the last time; `None` for everything."""
        touched, everything = self._features, self._everything
        self._features, self._everything = set(), False
        if not self._ended:
            self._woken.clear()
        return None if everything else touched


class Watchlist:
    """Everyone who watches: at most `watches_max`. False while there is nobody.

    `watched`: the watches of each company, for looking only; empty while there is nobody.
    """

    def __init__(self, watches_max: int) -> None:
        self._watches_max = watches_max
        self._count = 0
        self.watched: dict[str, set[Watch]] = {}
        self._called: dict[str, set[str]] = {}  # watched otherwise than by their first ids
        self._closed = False

    def __bool__(self) -> bool:
        return bool(self.watched)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, company: object) -> bool:
        """Whether a company is watched, by any of its ids. May be asked on any thread."""
        return company in self.watched or company in self._called

    @contextmanager
    def watching(self, company: str) -> Iterator[Watch]:
        """Watch a company.

        Raises `Exhausted` where as many watch as may, `Unavailable` once the sidecar stops.
        """
        if self._closed:
            raise _stopping()
        if self._count >= self._watches_max:
            raise Exhausted("", f"{self._watches_max} watches are open already", "TOO_MANY_WATCHES")
        watch = Watch()
        watches = self.watched.setdefault(company, set())
        watches.add(watch)
        self._count += 1
        try:
            yield watch
        finally:
            self._count -= 1
            watches.discard(watch)
            if not watches:
                del self.watched[company]
                self._note_not_called(company)

    def note_called(self, name: str, company: str) -> None:
        """Who is watched by a name is this company, by its first id."""
        if name in self.watched and name not in self._called.get(company, ()):
            self._note_not_called(name)
            if name != company:
                self._called.setdefault(company, set()).add(name)

    def touch(self, company: str, feature: str = "") -> None:
        """Something of a company may have changed: of one feature, or of everything.

        It is meant by its first id, or by the one that it is watched by.
        """
        for name in (company, *self._called.get(company, ())):
            for watch in self.watched.get(name, ()):
                watch.touch(feature)

    def touch_all(self) -> None:
        """Something of every company may have changed."""
        for company in self.watched:
            self.touch(company)

    def heard(self, totals: Sequence[CounterTotal]) -> None:
        """The plane told totals, and they have been written."""
        if self:
            for total in totals:
                self.touch(total.company, total.feature)

    def applied(self, changes: SnapshotChanges) -> None:
        """Snapshots have been written."""
        if not self:
            return
        if changes.catalog is not None:
            self.touch_all()
            return
        for snapshot in changes.companies:
            # By its names, too: until now they may have been nobody's.
            for name in (snapshot.company, *snapshot.names):
                self.touch(name)
        for company in changes.removed:
            self.touch(company)

    def _note_not_called(self, name: str) -> None:
        for company, names in list(self._called.items()):
            names.discard(name)
            if not names:
                del self._called[company]

    def close(self) -> None:
        """End every watch: the sidecar stops."""
        self._closed = True
        for watches in self.watched.values():
            for watch in watches:
                watch.end()


def _stopping() -> Unavailable:
    return Unavailable("", "the sidecar is stopping", "STOPPING")
