"""What was accepted, collected in small steps while records come, leave, move and are undone.

The answer is always exact for the sequence that it names, however much happened meanwhile.
"""

from __future__ import annotations

from contextlib import ExitStack
from operator import methodcaller
from typing import Final
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from sidecar.domain.slices import Slices
from sidecar.storage import outbox, tallies
from sidecar.storage.codec import Tally
from sidecar.storage.sweep import Sweep
from sidecar.storage.tallies import AcceptedUsage
from tests.support.build import NOW_US
from tests.support.stores import MemoryDisk, OpenedStore, record_of

FEATURES: Final = ("a", "b", "c", "d", "e")


class TalliesMachine(RuleBasedStateMachine):
    """An outbox, and the amounts that its present incarnation has accepted, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.small_steps = ExitStack()
        for module, name in ((outbox, "STEP_RECORDS"), (tallies, "COUNTED_AT_ONCE")):
            self.small_steps.enter_context(patch.object(module, name, 2))
        self.opened = OpenedStore(MemoryDisk())
        self.accepted: list[tuple[str, int]] = []
        self.asked: Slices[AcceptedUsage] | None = None

    def teardown(self) -> None:
        self.small_steps.close()

    @rule(amounts=st.lists(st.tuples(st.sampled_from(FEATURES), st.integers(0, 9)), max_size=4))
    def count(self, amounts: list[tuple[str, int]]) -> None:
        self._append(amounts)
        self.accepted += amounts

    @rule(amounts=st.lists(st.tuples(st.sampled_from(FEATURES), st.integers(0, 9)), max_size=4))
    def count_in_a_group_that_fails(self, amounts: list[tuple[str, int]]) -> None:
        try:
            with self.opened.store.group():
                self._append(amounts)
                raise KeyError
        except KeyError:
            pass

    @rule(records=st.integers(1, 8))
    def acknowledge(self, records: int) -> None:
        incarnation = self.opened.store.incarnations[0]
        watermark = incarnation.acknowledged_sequence + records
        while self.opened.outbox.acknowledge(incarnation.id, watermark):
            pass

    @rule(steps=st.integers(1, 3))
    def collect(self, steps: int) -> None:
        self.asked = self.asked or self.opened.outbox.accepted()
        try:
            for _ in range(steps):
                next(self.asked)
        except StopIteration as end:
            self.asked = None
            self._expect(end.value)

    @rule()
    def collect_to_the_end(self) -> None:
        self.collect(1_000)
        assert self.asked is None, "never done"

    @rule(event=st.sampled_from([*["nothing"] * 8, "fence", "restart"]), common=st.integers(0, 5))
    def now_and_then(self, event: str, common: int) -> None:
        if event == "fence":
            self._fence(common)
        elif event == "restart":
            self.asked = None
            self.opened.reopen()

    def _fence(self, common: int) -> None:
        """Behind it, what is over is swept."""
        box, incarnation = self.opened.outbox, self.opened.store.incarnation
        before = self.opened.store.head.sequence
        sequence = min(before, incarnation.acknowledged_sequence + common)
        name = self.opened.new_incarnation()
        while box.begin_incarnation(name, incarnation.id, sequence):
            pass
        while box.move_fenced():
            pass
        self.accepted = self.accepted[sequence:]
        Sweep(self.opened.store).step(NOW_US, 1_000)

    def _append(self, amounts: list[tuple[str, int]]) -> None:
        for feature, quantity in amounts:
            record = record_of(quantity, feature=feature)
            self.opened.store.transact(methodcaller("append", record))

    def _expect(self, found: AcceptedUsage) -> None:
        taken = self.accepted[: found.sequence]
        assert found.sequence == len(taken)
        assert self.opened.store.incarnation.ordinal == found.incarnation.ordinal
        expected: dict[str, Tally] = {}
        for feature, quantity in taken:
            expected[feature] = expected.get(feature, Tally()).plus(quantity)
        assert expected == found.tallies


TalliesMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestTallies = TalliesMachine.TestCase
