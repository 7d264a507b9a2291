"""A sidecar never knows less than what it admitted itself, whatever becomes of it or of the plane.

A store against a plane of a few lines, which is restored from backups, fences, corrects, and counts
for others: what the store says is never less than what it counted and was told, but for what was
corrected; and never more than what anybody has counted. News may come late, twice or never.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from contextlib import ExitStack
from typing import Final
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.domain.limits.counters import CounterTotal
from sidecar.storage import outbox
from tests.support.build import total
from tests.support.stores import MONTHLY, MemoryDisk, OpenedStore

LIVES_MAX: Final = 8
_OTHERS: Final = "others"


class Ledger:
    """What a plane has: the quantities of each incarnation's records, in order, and corrections."""

    def __init__(self) -> None:
        self.records: defaultdict[str, list[int]] = defaultdict(list)
        self.corrections = 0

    def told(self, incarnation: str, version: int) -> CounterTotal:
        """The total of the counter, as an incarnation is told."""
        counted = sum(map(sum, self.records.values()))
        own = sum(self.records[incarnation])
        whole = counted + self.corrections
        return total(MONTHLY, whole, own, version, corrections=self.corrections)


class NeverLess(RuleBasedStateMachine):
    """The store, the plane, and what is true."""

    def __init__(self) -> None:
        super().__init__()
        self.small_steps = ExitStack()
        self.small_steps.enter_context(patch.object(outbox, "STEP_RECORDS", 2))
        self.opened = OpenedStore(MemoryDisk())
        self.plane = Ledger()
        self.backups = [Ledger()]
        self.version = 0
        self.admitted = self.by_others = self.corrected = self.most_said = 0
        self.late: list[tuple[str, CounterTotal]] = []

    def teardown(self) -> None:
        self.small_steps.close()

    @rule(quantity=st.integers(1, 9))
    def count(self, quantity: int) -> None:
        self.opened.count(quantity)
        self.admitted += quantity

    @rule(quantity=st.integers(1, 99))
    def others_count(self, quantity: int) -> None:
        self.plane.records[_OTHERS].append(quantity)
        self.by_others += quantity

    @rule(share=st.integers(1, 100))
    def correct(self, share: int) -> None:
        counted = sum(map(sum, self.plane.records.values())) + self.plane.corrections
        lower = counted * share // 100
        self.plane.corrections -= lower
        self.corrected += lower

    @rule(most=st.integers(1, 5), is_answered=st.booleans())
    def push(self, most: int, is_answered: bool) -> None:
        """Send the oldest life's records; where the plane lacks what it had confirmed, it ends."""
        store = self.opened.store
        oldest = store.incarnations[0]
        has = self.plane.records[oldest.id]
        if len(has) < oldest.acknowledged_sequence:
            self.fence(oldest.id, len(has))
            return
        waiting = [
            (sequence, quantity)
            for life, sequence, quantity in self.opened.waiting()
            if life == oldest.id
        ]
        for sequence, quantity in waiting[:most]:
            if sequence == len(has) + 1:
                has.append(quantity)
        if is_answered:
            while self.opened.outbox.acknowledge(oldest.id, len(has)):
                pass

    @rule(most=st.integers(1, 9))
    def push_and_hear(self, most: int) -> None:
        """As it mostly goes."""
        self.push(most, is_answered=True)
        self.hear(is_late=False)

    def fence(self, life: str, common: int) -> None:
        if len(self.opened.store.incarnations) >= LIVES_MAX:
            return
        name = self.opened.new_incarnation()
        while self.opened.outbox.begin_incarnation(name, life, common):
            pass
        while self.opened.outbox.move_fenced():
            pass

    @precondition(lambda self: len(self.opened.store.incarnations) == 1)
    @rule()
    def end_history(self) -> None:
        """The plane refuses what comes next: a copy has gone on in this life's place."""
        oldest = self.opened.store.incarnations[0]
        if len(self.plane.records[oldest.id]) >= oldest.acknowledged_sequence:
            self.fence(oldest.id, len(self.plane.records[oldest.id]))

    @rule(is_late=st.booleans())
    def hear(self, is_late: bool) -> None:
        self.version += 1
        life = self.opened.store.incarnation.id
        news = life, self.plane.told(life, self.version)
        if is_late:
            self.late.append(news)
        else:
            self.opened.counters.hear(life, [news[1]])

    @precondition(lambda self: self.late)
    @rule(data=st.data(), again=st.booleans())
    def hear_late_news(self, data: st.DataObject, again: bool) -> None:
        at = data.draw(st.integers(0, len(self.late) - 1))
        life, news = self.late[at] if again else self.late.pop(at)
        self.opened.counters.hear(life, [news])

    @rule()
    def back_up(self) -> None:
        self.backups.append(copy.deepcopy(self.plane))

    @rule(data=st.data())
    def restore_the_plane(self, data: st.DataObject) -> None:
        """It goes back, as often as it likes; what it has lost does not come back with a backup."""
        at = data.draw(st.integers(0, len(self.backups) - 1))
        self.plane = copy.deepcopy(self.backups[at])
        del self.backups[at + 1 :]

    @rule()
    def restart(self) -> None:
        self.opened.reopen()

    @precondition(lambda self: len(self.opened.store.incarnations) < LIVES_MAX)
    @rule()
    def take_a_new_life(self) -> None:
        self.opened.reopen(power_lost=True)

    @invariant()
    def never_less(self) -> None:
        used = self.opened.used()
        self.most_said = max(self.most_said, used)
        assert used >= self.admitted - self.corrected, "less than it admitted itself"
        assert used >= self.most_said - self.corrected, "less than it said before"

    @invariant()
    def never_more(self) -> None:
        assert self.opened.used() <= self.admitted + self.by_others, "more than there is"


NeverLess.TestCase.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)
TestNeverLess = NeverLess.TestCase
