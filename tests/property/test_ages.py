"""Whatever clocks do, and whatever is believed of it: no answer is forgotten before its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.storage import keys
from sidecar.storage.answers import Answers
from sidecar.storage.contact import read_time, write_time
from tests.support.node_time import Node
from tests.support.stores import MemoryDisk, OpenedStore, keep_answer

KEPT_US: Final = DAY_US
YEAR_US: Final = 365 * DAY_US
_LOOKS: Final = 30
"""At the clocks, while time passes; with each an exchange, and a step of forgetting."""

Step = tuple[str, int]
"""What happens, and by how much, in microseconds."""

_SPANS: Final = st.integers(3 * SECOND_US, YEAR_US) | st.sampled_from(
    [3 * SECOND_US, MINUTE_US, HOUR_US, 23 * HOUR_US, DAY_US, 2 * DAY_US, YEAR_US]
)
_JUMPS: Final = st.tuples(
    st.sampled_from(["plane jumps", "machine jumps"]), _SPANS | _SPANS.map(lambda span_us: -span_us)
)
_SHORT: Final = st.integers(SECOND_US, 2 * DAY_US) | st.sampled_from([3 * SECOND_US, HOUR_US])
_OTHERS: Final = st.tuples(
    st.sampled_from(
        (
            *("elapse", "elapse", "elapse", "clocks are right", "plane goes", "plane comes"),
            *("restart", "killed", "reboot", "time is lost"),
        )
    ),
    _SHORT,
)
_FEW: Final = st.lists(_JUMPS | _OTHERS, max_size=25)


class Sidecar:
    """What forgets answers, on a machine whose clocks are set; and a list of what was kept when.

    True time, by which that list goes, is the test's own.
    """

    def __init__(self, *, standalone: bool) -> None:
        self.opened = OpenedStore(MemoryDisk())
        self.node = Node(authority=standalone)
        self.kept: dict[bytes, int] = {}
        self.count = self.boots = 0
        self.hears = not standalone
        self.open()

    def open(self) -> None:
        known = read_time(self.opened.store)
        self.node.open(known)
        self.answers = Answers(
            self.opened.store, quota_bytes=1 << 30, kept_us=KEPT_US, goes_on=known is not None
        )
        self.keep_time()

    def keep_time(self) -> None:
        write_time(self.opened.store, self.node.estimate.known(self.node.ticks_us))

    def keep(self) -> None:
        self.count += 1
        name = keys.answer_hash("acme", str(self.count))
        self.opened.store.transact(lambda transaction: keep_answer(transaction, name))
        self.kept[name] = self.node.true_us

    def tend(self) -> None:
        while self.answers.tend(self.node.estimate.elapsed_us(self.node.ticks_us)):
            pass
        assert 0 == self.answers.forgotten
        found = self.opened.store.transact(lambda t: [n for n in self.kept if t.answer(n)])
        early = {*self.kept} - {*found}
        assert [] == [n for n in early if self.node.true_us - self.kept[n] < KEPT_US]
        assert self.answers.remembered is None
        self.kept = {name: self.kept[name] for name in found}

    def elapse(self, for_us: int) -> None:
        each_us = max(1, for_us // _LOOKS)
        for look in range(_LOOKS):
            self.node.goes_on(each_us, exchanges=self.hears, each_us=each_us)
            self.tend()
            if look == _LOOKS // 2:
                self.keep_time()  # so that a kill finds some of it not noted
        self.keep()

    def restart(self, how: str, down_us: int) -> None:
        node, boots = self.node, how in ("reboot", "time is lost")
        self.boots += boots
        if how == "restart":
            self.keep_time()
        if how == "time is lost":
            self.opened.store.transact(lambda t: t.keyspace.delete(keys.META_TIME))
        self.opened.reopen()
        node.true_us += down_us
        node.ticks_us = MINUTE_US if boots else node.ticks_us + down_us
        node.boot = f"boot {self.boots}"
        self.open()

    def take(self, step: Step) -> None:
        what, by_us = step
        node = self.node
        match what:
            case "elapse":
                self.elapse(by_us)
            case "plane jumps":
                node.plane_us = max(-2 * YEAR_US, min(2 * YEAR_US, node.plane_us + by_us))
            case "machine jumps":
                node.wall_us = max(-2 * YEAR_US, min(2 * YEAR_US, node.wall_us + by_us))
            case "clocks are right":
                node.plane_us = node.wall_us = 0
            case "plane goes":
                self.hears = False
            case "plane comes":
                self.hears = not node.authority
            case _:
                self.restart(what, by_us)
        self.keep()
        self.tend()

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.take(step)
        old = {*self.kept}
        for _ in range(3):
            self.elapse(KEPT_US)
        assert not old & {*self.kept}  # their room has come free


@given(_FEW, st.booleans())
@example([("elapse", HOUR_US), ("plane jumps", YEAR_US), ("elapse", 25 * HOUR_US)], False)
@settings(max_examples=60)
def test_no_answer_is_forgotten_before_its_time_and_in_the_end_each_is(
    steps: list[Step], standalone: bool
) -> None:
    Sidecar(standalone=standalone).run(steps)


@pytest.mark.parametrize("by_us", [-3 * SECOND_US, -HOUR_US, -2 * DAY_US, -YEAR_US, YEAR_US])
@pytest.mark.parametrize("clock", ["plane", "machine"])
@pytest.mark.parametrize("for_us", [3 * SECOND_US, 2 * HOUR_US, 25 * HOUR_US])
def test_a_clock_that_was_wrong_for_a_while_leaves_all_that_it_found(
    clock: str, by_us: int, for_us: int
) -> None:
    """Doubted or believed; and while it is, no answer says that less is remembered."""
    sidecar = Sidecar(standalone=clock == "machine")
    wrong = [(f"{clock} jumps", by_us), ("elapse", for_us)]
    right = [("clocks are right", 0), ("elapse", 75 * SECOND_US)]
    sidecar.run([("elapse", MINUTE_US), *wrong, *right, *wrong, *right])
