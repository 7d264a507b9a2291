"""What the plane gave up without holders' word, and how much more may come to be used by that.

A lease that is released may have been spent, or may be yet; and so may one of somebody who is no
longer waited for after a loss of state. That is the known risk: what such a holder has counted
beyond what was known of it comes on top, and nothing else does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from sidecar.control.services import lease_recovery
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.windows import LIFETIME_WINDOW
from tests.simulation.leases.accounts import KEY, name_of
from tests.simulation.leases.book import Book
from tests.simulation.leases.plane_store import PlaneDatabase

_KEY: Final = ", ".join(f"l.{column}" for column in KEY.split(", "))
_LEASES: Final = (
    f"SELECT {_KEY}, l.incarnation, coalesce(p.amount, 0) AS own, CASE WHEN l.released "
    "THEN coalesce(l.counted, p.amount, 0) ELSE l.granted END AS reach, l.released FROM lease l "
    f"LEFT JOIN counter_part p USING ({KEY}, incarnation)"
)
_OUTSTANDING: Final = f"SELECT * FROM ({_LEASES}) WHERE reach > own"
_RELEASED: Final = f"SELECT * FROM ({_LEASES}) WHERE released"
_GRANTED: Final = f"SELECT {_KEY}, l.incarnation, l.granted FROM lease l"

Held = tuple[CounterName, str]
"""A counter, and who holds something of it."""


class GivenUp:
    """What was given up in a run. `counted`: what of it the plane has counted as used.

    `violation`: what must not have been given up; empty for nothing.
    """

    def __init__(self, book: Book) -> None:
        self.counted: Counter[CounterName] = Counter()
        self._settled: Counter[tuple[str, str]] = Counter()
        self.violation = ""
        self._book = book
        self._known: dict[CounterName, dict[str, tuple[int, int]]] = {}
        self._granted: dict[Held, int] = {}
        self._waited_out: set[int] = set()

    def allows(self, name: CounterName) -> int:
        """How much more of a counter may come to be used than there is."""
        return sum(
            min(given_up, max(0, self._book.counted_by[name, holder] - known))
            for holder, (known, given_up) in self._known.get(name, {}).items()
        )

    @contextmanager
    def noted(
        self, store: PlaneDatabase, present: Collection[str] = (), *, is_counted: bool = False
    ) -> Iterator[None]:
        """Note what is given up within the block. `is_counted`: it is counted as used.

        `present`: of whom nothing may be.
        """
        before = outstanding_in(store)
        try:
            yield
        finally:  # also where the plane died of it
            self._note_released(store, before, present, is_counted=is_counted)

    def _note_released(
        self,
        store: PlaneDatabase,
        before: Mapping[Held, tuple[int, int]],
        present: Collection[str],
        *,
        is_counted: bool,
    ) -> None:
        for row in store.rows(_RELEASED):
            held = name_of(row[:6]), str(UUID(bytes=row[6]))
            own, reach, _ = row[7:]
            known = max(own, reach)
            reach_before, _ = before.get(held, (known, own))
            if (released := reach_before - known) > 0:
                if held[1] in present:
                    self.violation = f"{released} of {held} are released though it is there"
                self._note(held, known, released)
                self.counted[held[0]] += released * is_counted
                self._settled[held[0].company, held[0].feature] += released * is_counted

    def settled_of(self, name: CounterName) -> int:
        """What was ever counted as used of a feature, though the plane may have lost that."""
        return self._settled[name.company, name.feature]

    def told(self, name: CounterName, holder: str, granted: int) -> None:
        """Somebody was told up to where it may count."""
        held = name, holder
        self._granted[held] = max(self._granted.get(held, 0), granted)

    def waited_out(self, store: PlaneDatabase, now_us: int) -> None:
        """Note where a plane that lost state has waited for LIFETIME limits for as long as it does.

        To be called before it grants anything.
        """
        with store.read() as reading:
            last = lease_recovery.current(reading).last
        if last is None or last.ended_us is not None or now_us < last.lifetime_until_us:
            return
        if last.restored_us not in self._waited_out:
            self._waited_out.add(last.restored_us)
            self._not_waited_for(store, now_us, is_of_all=False)

    def end_waiting(self, store: PlaneDatabase, now_us: int) -> bool:
        """Have a plane that lost state wait for nobody any more; whether it did."""
        with store.read() as reading:
            recovery = lease_recovery.current(reading)
        if recovery.last is None or not recovery.is_waiting(now_us):
            return False
        self._not_waited_for(store, now_us, is_of_all=True)
        return lease_recovery.end_recovery(store, recovery.last.restored_us, now_us)

    def _not_waited_for(self, store: PlaneDatabase, now_us: int, *, is_of_all: bool) -> None:
        """Note what those who have not reported were granted beyond what the plane knows."""
        status = lease_recovery.recovery_status(store, now_us)
        last = status.recovery.last
        missing = {one.holder.incarnation for one in status.missing}
        anybody = last is not None and now_us < last.unknown_until_us
        rows = store.rows(_GRANTED)
        known = {(name_of(row[:6]), str(UUID(bytes=row[6]))): row[7] for row in rows}
        for held, most in self._granted.items():
            name, holder = held
            is_meant = is_of_all or name.counter.window == LIFETIME_WINDOW
            if is_meant and (anybody or holder in missing) and most > known.get(held, 0):
                self._note(held, known.get(held, 0), most - known.get(held, 0))

    def _note(self, held: Held, known: int, given_up: int) -> None:
        name, holder = held
        holders = self._known.setdefault(name, {})
        known_before, given_up_before = holders.get(holder, (known, 0))
        holders[holder] = min(known, known_before), given_up + given_up_before


def outstanding_in(store: PlaneDatabase) -> dict[Held, tuple[int, int]]:
    """All that is outstanding: up to where each may count, and what of it was reported."""
    return {
        (name_of(row[:6]), str(UUID(bytes=row[6]))): (row[8], row[7])
        for row in store.rows(_OUTSTANDING)
    }
