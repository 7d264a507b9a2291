"""Whatever is lost, doubled or restarted on the way, every record reaches the ledger once.

Steps on the store are small here; between any two of them calls are counted, and the process may be
killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.storage import outbox
from tests.support.plane import ModelPlane, SyncDriver
from tests.support.stores import MemoryDisk, OpenedStore


class Event(NamedTuple):
    """What happens next."""

    name: str
    amount: int = 0


_COUNT: Final = st.builds(Event, st.just("count"), st.integers(1, 12))
_EXCHANGES: Final = st.sampled_from(
    [Event(name) for name in ("ok", "ok", "ok", "request lost", "answer lost", "doubled")]
)
_RESTARTS: Final = st.sampled_from([Event("restart"), Event("power lost")])
_SOON: Final = st.builds(Event, st.sampled_from(["soon kill", "soon count"]), st.integers(0, 4))
_PLANS: Final = st.lists(_COUNT | _EXCHANGES | _EXCHANGES | _RESTARTS, max_size=60)
_PLANS_WITH_FENCES: Final = st.lists(
    _COUNT | _EXCHANGES | _EXCHANGES | _RESTARTS | _SOON | st.just(Event("fence")), max_size=60
)


class Killed(Exception):
    """The process is no more."""


class World:
    """One sidecar's store, its sync, and a plane. Records differ in their quantity.

    `soon`: what happens between the next steps on the store.
    """

    def __init__(self) -> None:
        self.records = 0
        self.soon: deque[str] = deque()
        self.plane = ModelPlane()
        self.opened = OpenedStore(MemoryDisk())
        self.sync = SyncDriver(self.opened, self.plane, self._between)

    def happen(self, event: Event) -> None:
        try:
            self._happen(event)
        except Killed:
            self.happen(Event("restart"))

    def _happen(self, event: Event) -> None:
        if event.name == "count":
            for _ in range(event.amount):
                self._count()
        elif event.name == "soon kill":
            self.soon += ["nothing"] * event.amount + ["kill"]
        elif event.name == "soon count":
            self.soon += ["count"] * event.amount
        elif event.name in ("restart", "power lost"):
            self.opened.reopen(power_lost=event.name == "power lost")
            self.sync.restart()
        elif event.name == "fence":
            # As if a clone had come by: the plane refuses what is being sent.
            self.plane.fenced.add(self.opened.store.incarnations[0].id)
        else:
            delivered = {"request lost": 0, "doubled": 2}.get(event.name, 1)
            self.sync.step(delivered=delivered, answered=event.name != "answer lost")

    def _count(self) -> None:
        self.records += 1
        self.opened.count(self.records)

    def _between(self) -> None:
        what = self.soon.popleft() if self.soon else "nothing"
        if what == "count":
            self._count()
        elif what == "kill":
            raise Killed

    @property
    def counted(self) -> int:
        return self.records * (self.records + 1) // 2

    def check_ledger(self) -> None:
        """Nothing is in the ledger twice, and nothing that was never counted."""
        taken = self.plane.ledger()
        assert all(1 == times for times in taken.values())
        assert set(taken) <= set(range(1, self.records + 1))

    def settle(self) -> None:
        self.soon.clear()
        self.sync.flush()
        assert dict.fromkeys(range(1, self.records + 1), 1) == dict(self.plane.ledger())
        assert self.counted == self.opened.used()


@pytest.fixture(autouse=True, scope="module")
def _small_steps() -> Iterator[None]:
    with patch.object(outbox, "STEP_RECORDS", 2):
        yield


@settings(max_examples=150)
@given(_PLANS)
def test_every_record_reaches_the_ledger_once(plan: list[Event]) -> None:
    world = World()
    for event in plan:
        world.happen(event)
        world.check_ledger()
    world.settle()


@settings(max_examples=150)
@given(_PLANS_WITH_FENCES)
def test_fencing_neither_loses_nor_doubles_a_record(plan: list[Event]) -> None:
    world = World()
    for event in plan:
        world.happen(event)
        world.check_ledger()
    world.settle()


@settings(max_examples=100)
@given(st.lists(_COUNT | _EXCHANGES | st.just(Event("restart")), max_size=60))
def test_usage_is_exact_at_every_moment_while_one_sidecar_counts(plan: list[Event]) -> None:
    world = World()
    for event in plan:
        world.happen(event)
        assert world.counted == world.opened.used()
