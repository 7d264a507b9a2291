"""Whatever the order of usage, pushes and resets: each generation has the usage of its time.

The model knows nothing of slots or timelines. It holds the hours at which counters started anew,
and the usage of each hour; quantities are powers of two, so that a sum tells what is in it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.rules.attribution import attribute
from sidecar.control.services import apply, ingest
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangeTime,
    DropPlannedChanges,
    RenewSubscription,
    ResetUsage,
    SubscriptionChange,
    When,
)
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import generation_in, is_anchored
from sidecar.domain.time.units import HOUR_US
from tests.unit.control.support import DAY_START_US, Writer, record
from tests.unit.control.test_attribution import ACME, SOLD

INDEX: Final = CatalogIndex(SOLD, 1)
SIDECARS: Final = 2
DAY_HOURS: Final = 24


def instant(hour: int) -> int:
    return DAY_START_US + hour * HOUR_US


@dataclass
class Sidecar:
    """Counts by the timeline that it holds, and pushes when it can."""

    writer: Writer
    held: CompanySnapshot
    pushed: int = 0


@dataclass
class World:
    """A plane, its sidecars, and the model: hours of usage, and of what started counters anew."""

    store: PlaneStore
    sidecars: list[Sidecar] = field(default_factory=list)
    now: int = 0
    usage: list[int] = field(default_factory=list)
    resets: set[int] = field(default_factory=set)
    moves: set[int] = field(default_factory=set)

    def snapshot(self) -> CompanySnapshot:
        with self.store.read() as transaction:
            return transaction.snapshots(["acme"])["acme"]

    def use(self, sidecars: list[Sidecar], hours_ago: int) -> None:
        """The same usage at one sidecar or, retried, at several."""
        hour = max(0, self.now - hours_ago)
        number = len(self.usage)
        self.usage.append(hour)
        for sidecar in sidecars:
            found = attribute(INDEX, sidecar.held, "tokens", instant(hour), {})
            assert found is not None
            refs = [key.counter for key in found]
            data = record(1 << number, key=f"k{number}", at_us=instant(hour), counters=refs)
            sidecar.writer.write(data)

    def push(self, sidecar: Sidecar) -> None:
        if sidecar.pushed < len(sidecar.writer.records):
            run = sidecar.writer.run(sidecar.pushed + 1)
            now_us = instant(self.now)
            pushed = ingest.push(self.store, sidecar.writer.incarnation, run, now_us, now_us)
            sidecar.pushed = pushed.watermark

    def change(self, change: SubscriptionChange, when: When = NOW) -> None:
        change_subscription(self.store, "acme", change, when, instant(self.now))

    def totals(self) -> list[tuple[bool, int, int, int]]:
        """What the plane has on its counters, with all their windows."""
        found = set()
        with self.store.read() as transaction:
            for hour in range(-2 * DAY_HOURS, self.now + 2 * DAY_HOURS):
                for total in transaction.unended_totals("acme", None, instant(hour), "plane", 999):
                    ref = total.counter
                    anchored = is_anchored(ref.slot)
                    start_us = ref.window.start_us if anchored else 0
                    found.add((anchored, generation_in(ref.slot), start_us, total.total))
        return sorted(one for one in found if one[-1])

    def expected(self) -> list[tuple[bool, int, int, int]]:
        """What it must have; generations are told by their number, as long as they hold usage."""
        sums: dict[tuple[bool, int, int], int] = {}
        for number, hour in enumerate(self.usage):
            reset = max([-1, *(at for at in self.resets if at <= hour)])
            anchor = max([0, *(at for at in self.moves if at <= hour)])
            anew = max([-1, *(at for at in self.resets | self.moves if at <= hour)])
            day = anchor + (hour - anchor) // DAY_HOURS * DAY_HOURS
            for key in ((False, reset, 0), (True, anew, instant(day))):
                sums[key] = sums.get(key, 0) + (1 << number)
        return sorted((*key, amount) for key, amount in sums.items())


KINDS: Final = ("use",) * 6 + (
    *("retry", "push", "push", "fetch"),
    *("reset", "plan", "move", "drop"),
)
STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(
            ["use"] * 6 + ["retry", "push", "push", "fetch", "reset", "plan", "move", "drop"]
        ),
        st.integers(0, SIDECARS - 1),
        st.integers(0, 30),
    ),
    max_size=40,
)


def _run(world: World, steps: list[tuple[str, int, int]]) -> None:
    for kind, at, number in steps:
        world.now += 1
        sidecar = world.sidecars[at]
        if kind == "use":
            world.use([sidecar], number)
        elif kind == "retry":
            world.use(world.sidecars, number)
        elif kind == "push":
            world.push(sidecar)
        elif kind == "fetch":
            sidecar.held = world.snapshot()
        elif kind == "reset":
            world.change(ResetUsage())
            world.resets.add(world.now)
        elif kind == "plan":
            later = world.now + 1 + number
            world.change(ResetUsage(), When(ChangeTime.AT, instant(later)))
            world.resets.add(later)
        elif kind == "move":
            world.change(RenewSubscription(moves_anchor=True))
            world.moves.add(world.now)
        else:
            world.change(DropPlannedChanges())
            world.resets = {hour for hour in world.resets if hour <= world.now}


def _without_names(sums: list[tuple[bool, int, int, int]]) -> list[Any]:
    """Kinds, windows and amounts in the order of the generations."""
    return [(anchored, start_us, amount) for anchored, _, start_us, amount in sums]


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_each_generation_has_the_usage_of_its_time(steps: list[tuple[str, int, int]]) -> None:
    store = SqliteStore()
    try:
        apply.apply(store, Desired(SOLD, (ACME,)), instant(0))
        world = World(store)
        world.sidecars = [
            Sidecar(Writer(str(UUID(int=number + 1))), world.snapshot())
            for number in range(SIDECARS)
        ]
        _run(world, steps)
        world.now += 1
        for sidecar in world.sidecars:
            world.push(sidecar)
        assert _without_names(world.expected()) == _without_names(world.totals())
    finally:
        store.close()
