"""Keeps levels from falling below nothing: what is taken back twice is booked back by the plane.

Sidecars that do not know of each other may take back the same thing. Each record stays what it is;
the plane adds what was taken back too much (an excess) by a part of its own, in the transaction
that counts the record, so that the level stands at 0, and so does what is billed of it.

Rules
- Records of a step are gone through in their order, from where the counter stood before.
- What was taken back last was too much, whichever record arrives last.
- What more comes to be in use once it was accepted is in use: an excess of before stays.
- What was accepted before an excess, and arrives after it, was lacking when that was taken back: it
  makes up for the excess, the earliest first. So nothing stays in use for ever of what comes late,
  or is sent again to a plane that had lost it.
- Of what is billed an excess is a change at the instant at which it was taken back, and goes by
  the counter of the fewest dimensions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sidecar.control.rules.records import Record
from sidecar.control.storage.level_port import LevelInstant, excess_part
from sidecar.control.storage.port import WriteTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.domain.bounds import FOREVER_US, INT64_MAX

CHANGES_MAX: Final = 1_000
"""Later changes of a level that are looked through for what was taken back last."""
EXCESSES_MAX: Final = 16
"""Excesses of a counter that are kept apart; of more the two earliest become one."""


class LevelCorrections:
    """What is taken back too much by the records of one step, within its transaction."""

    def __init__(self, transaction: WriteTransaction) -> None:
        self._transaction = transaction
        self._levels: dict[CounterKey, _Level] = {}
        self._billed: dict[LevelInstant, int] = defaultdict(int)
        self._falls: dict[tuple[str, str], int] = defaultdict(int)

    def book(self, record: Record, counters: Sequence[CounterKey]) -> None:
        """Go through a record that counts on counters; those of before this step are read first."""
        if not record.is_level or not counters:
            return  # other usage never falls
        levels = [self._level(key, record.accepted_us) for key in counters]
        booked = []
        for level in levels:
            falls_us = record.accepted_us
            if level.would_exceed(record.quantity):
                falls_us = self._last_fall(record)
            booked.append(level.change(record.quantity, record.accepted_us, falls_us))
        if record.quantity < 0:
            fallen = self._falls[record.company, record.feature]
            self._falls[record.company, record.feature] = max(fallen, record.accepted_us)
        widest = min(range(len(counters)), key=lambda at: _breadth(counters[at]))
        for at_us, amount in booked[widest].items():
            self._billed[LevelInstant(record.company, record.feature, at_us)] += amount

    def write(self, version: int) -> None:
        """Count what was booked, once the records are counted."""
        by_instant: dict[int, dict[CounterKey, int]] = defaultdict(dict)
        for key, level in self._levels.items():
            for at_us, amount in level.differences():
                by_instant[at_us][key] = amount
        for at_us, amounts in by_instant.items():
            self._transaction.add_to_counters(excess_part(at_us), amounts, version)
            self._transaction.forget_made_up(at_us, amounts)
        billed = {instant: amount for instant, amount in self._billed.items() if amount}
        self._transaction.add_level_changes(billed)

    def _last_fall(self, record: Record) -> int:
        """When something was taken back last: it, or what came before it though it was later."""
        owner, at_us = (record.company, record.feature), record.accepted_us
        changes = self._transaction.level_changes(*owner, at_us, FOREVER_US, CHANGES_MAX)
        later = [change.at_us for change in changes if change.amount < 0]
        return max(at_us, self._falls[owner], *later)

    def _level(self, key: CounterKey, at_us: int) -> _Level:
        found = self._levels.get(key)
        if found is None:
            excesses = self._transaction.level_excesses(key)
            found = self._levels[key] = _Level(self._total(key), excesses, at_us)
        return found

    def _total(self, key: CounterKey) -> int:
        (total,) = self._transaction.totals([key], CORRECTIONS)
        if abs(total.total) < INT64_MAX:
            return total.total
        (state,) = self._transaction.counters([key])
        return sum(state.parts.values())


class _Level:
    """A counter on its way through a step. `excesses`: by the instant of each, microseconds."""

    def __init__(self, total: int, excesses: Mapping[int, int], at_us: int) -> None:
        self._total = total
        self._before, self._excesses = excesses, dict(excesses)
        self._unbilled: dict[int, int] = {}
        if total < 0:  # a plane of before kept no excesses
            self._exceed(self._unbilled, at_us)

    def would_exceed(self, quantity: int) -> bool:
        """Whether more would be taken back than is in use."""
        return quantity < 0 and self._total + quantity < 0

    def change(self, quantity: int, accepted_us: int, falls_us: int) -> dict[int, int]:
        """Change it; what excesses become more by it, or less, by their instants.

        `falls_us`: when something was taken back last, as far as that is known.
        """
        changed, self._unbilled = self._unbilled, {}
        for at_us in sorted(self._excesses) if quantity > 0 else ():
            if at_us > accepted_us and (made_up := min(quantity, self._excesses[at_us])):
                self._excesses[at_us] -= made_up
                quantity -= made_up
                changed[at_us] = changed.get(at_us, 0) - made_up
        self._total += quantity
        if self._total < 0:
            self._exceed(changed, falls_us)
        return changed

    def differences(self) -> Iterable[tuple[int, int]]:
        """By how much each excess differs from what is stored."""
        kept = self._excesses
        while len(instants := sorted(at_us for at_us in kept if kept[at_us])) > EXCESSES_MAX:
            first, second = instants[:2]
            kept[first] += kept.pop(second)
        for at_us in {**self._before, **kept}:
            difference = kept.get(at_us, 0) - self._before.get(at_us, 0)
            if difference:
                yield at_us, difference

    def _exceed(self, changed: dict[int, int], at_us: int) -> None:
        for amounts in (changed, self._excesses):
            amounts[at_us] = amounts.get(at_us, 0) - self._total
        self._total = 0


def _breadth(key: CounterKey) -> tuple[int, str]:
    return len(key.counter.values), key.counter.slot
