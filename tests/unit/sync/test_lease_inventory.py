"""What a sidecar holds is reported in an order in which the plane never knows less of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import pytest

from sidecar.domain.leases.model import LeaseEntry, LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.storage.leases import Leases
from sidecar.sync.lease_inventory import LeaseInventory
from sidecar.sync.plane_answers import PlaneAway
from tests.support.stores import MONTHLY, MemoryDisk, OpenedStore

COUNTER = CounterName("acme", "calls", MONTHLY)
T = TypeVar("T")


class _Runner:
    async def run_alone(self, work: Callable[[], T]) -> T:
        return work()


class _Calls:
    """What is told to the plane: by life, up to where it counts; and "" once all is."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    async def report(self, _: str, __: str, entries: Sequence[LeaseEntry]) -> None:
        self.told += [(entry.incarnation, entry.granted) for entry in entries]

    async def report_complete(self, _: str, __: str, numbers: Mapping[str, int]) -> None:
        self.told.append(("", len(numbers)))


def left(lower: bool) -> OpenedStore:
    """A store that has left a life with 30 granted, 5 acknowledged and 6 to be sent again."""
    opened = OpenedStore(MemoryDisk())
    leases = Leases(opened.store)
    [asked] = leases.request([LeaseWish(COUNTER, 1, 30)])
    result = LeaseResult(asked.number, LeaseStatus.GRANTED, 30, MONTHLY.window.end_us, amount=100)
    leases.take(opened.store.incarnation.id, [(COUNTER, result, 20)])
    opened.count_each(5, 6)
    if lower:
        leases.lower(b"")
    opened.outbox.begin_incarnation("life-2", "life-1", 1)
    return opened


def inventory_of(opened: OpenedStore) -> tuple[LeaseInventory, _Calls]:
    calls = _Calls()
    leases, nothing = Leases(opened.store), cast("Any", None)
    runner = cast("Any", _Runner())
    told = cast("Any", calls)
    parts = opened.store, leases, runner, told, nothing, nothing, nothing
    return LeaseInventory(*parts), calls


async def test_what_is_sent_again_is_reported_before_what_it_was_taken_off() -> None:
    opened = left(lower=True)
    while opened.outbox.move_fenced():
        pass
    inventory, calls = inventory_of(opened)
    await inventory.report("epoch-1")
    assert [("life-2", 6), ("life-1", 5), ("", 2)] == calls.told


@pytest.mark.parametrize("lower", [True, False])
async def test_nothing_is_reported_while_records_are_moved(lower: bool) -> None:
    opened = left(lower)
    inventory, calls = inventory_of(opened)
    with pytest.raises(PlaneAway):
        await inventory.report("epoch-1")
    assert [] == calls.told
