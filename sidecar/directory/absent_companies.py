"""Which companies the control plane is known not to have: for them the default plan stands in."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.storage.absent import note_absent, read_absent
from sidecar.storage.room import require_room_for_snapshots
from sidecar.storage.store import Store

ABSENT_MAX: Final = 10_000
"""Of more, those go of which the plane said so longest ago."""


class AbsentCompanies:
    """At most `ABSENT_MAX` of them, in memory and in the store.

    After a start they are those that the store knows, the ones of the oldest revision first out,
    and each is asked for again as soon as it is needed: what the plane said last holds only where
    it cannot be asked.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        kept = read_absent(store)
        # Until when the plane need not be asked again, those asked for last at the end.
        self._until_us = OrderedDict.fromkeys(sorted(kept, key=kept.__getitem__), BEGINNING_US)

    def __contains__(self, company: object) -> bool:
        return company in self._until_us

    def __iter__(self) -> Iterator[str]:
        return iter(self._until_us)

    def until_us(self, company: str) -> int:
        """Until when the plane need not be asked for a company; `BEGINNING_US` for any other."""
        return self._until_us.get(company, BEGINNING_US)

    def remember(self, companies: Sequence[str], until_us: int, revision: int) -> None:
        """The plane, as of a revision, does not have them, and need not be asked until then."""
        new = [company for company in companies if company not in self._until_us]
        for company in companies:
            self._until_us[company] = until_us
            self._until_us.move_to_end(company)
        excess = max(0, len(self._until_us) - ABSENT_MAX)
        gone = [self._until_us.popitem(last=False)[0] for _ in range(excess)]
        # Where that has no room, they are asked for once more after a restart.
        with suppress(Exhausted, Unavailable):
            if new or gone:
                require_room_for_snapshots(self._store.engine)
                note_absent(self._store, new, revision, gone)

    def called(self, names: Sequence[str]) -> None:
        """Companies are called so, of which nothing may be held: they are to be asked for."""
        gone = [name for name in names if self._until_us.pop(name, None) is not None]
        with suppress(Exhausted, Unavailable):
            if gone:
                note_absent(self._store, (), 0, gone)

    def arrived(self, *names: str) -> None:
        """A company is there now, with these ids; the store knows by its snapshot."""
        for name in names:
            self._until_us.pop(name, None)
