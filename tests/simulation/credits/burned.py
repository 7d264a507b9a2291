"""The book, with what usage burned: read from the records on disks, never from the code behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import Window
from tests.simulation.leases.book import ATTEMPT, Book, Counted

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Pod

Parts = tuple[tuple[CounterName, int], ...]


@dataclass(slots=True)
class Burned:
    """What an attempt has cost, and burned where it was counted: parts of sources, in that order.

    `is_unattributed`: it was counted where nothing was known of its company.
    """

    counted: Counted
    feature: str
    model: str
    event_us: int
    cost: int
    parts: Parts
    is_unattributed: bool


class BurnBook(Book):
    """Everything that was counted and burned. `burns`: since they were last looked at.

    What was burned of a counter is admitted on it, by reports too: all of it goes by leases.
    """

    def __init__(self) -> None:
        super().__init__()
        self.burned: dict[str, Burned] = {}
        self.burns: list[Burned] = []

    def _record(self, pod: Pod, record: bytes) -> None:
        super()._record(pod, record)
        message = sync_pb2.UsageRecord.FromString(record)
        parts = parts_of(message)
        attempt = message.metadata[ATTEMPT]
        if attempt in self.burned:
            for name, amount in parts:
                self.counters[name].moved += amount
            return
        burned = Burned(
            self.counted[attempt],
            message.feature,
            message.dimensions.get("model", ""),
            message.event_time_us,
            sum(cost.amount for cost in message.costs),
            parts,
            message.unattributed,
        )
        self.burned[attempt] = burned
        self.burns.append(burned)
        assert pod.process is not None
        incarnation = pod.process.store.incarnation.id
        for name, amount in parts:
            tallied = self.counters[name]
            tallied.remembered[pod.name] = tallied.remembered.get(pod.name, 0) + amount
            tallied.admitted += amount
            self.counted_by[name, incarnation] += amount

    def _void(self, counted: Counted) -> None:
        if counted.voided:
            return
        super()._void(counted)
        for name, amount in self.burned[counted.attempt].parts:
            tallied = self.counters[name]
            tallied.voided += amount
            tallied.admitted -= amount
            if counted.pod in tallied.remembered:
                tallied.remembered[counted.pod] -= amount


def parts_of(message: sync_pb2.UsageRecord) -> Parts:
    """The parts of sources that a record names."""
    return tuple(
        (
            CounterName(
                message.company,
                burn.feature,
                CounterRef(
                    burn.counter.slot,
                    tuple(burn.counter.values),
                    Window(burn.counter.window_start_us, burn.counter.window_end_us),
                ),
            ),
            burn.amount,
        )
        for burn in message.burns
    )
