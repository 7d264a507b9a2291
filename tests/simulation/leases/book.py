"""The book: what was counted, admitted, lost and voided, kept apart from the code that does it.

It reads each commit of a disk, and each line of the ledger, and nothing else: a record that reaches
a disk was counted, whoever lives to tell it. Each attempt to count has a name of its own in the
record's metadata, whatever incarnation carries it to the plane.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import Window
from sidecar.storage.keys import OUTBOX
from sidecar.storage.outbox_entry import record_in
from tests.simulation.leases.disks import Writes

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Pod

ATTEMPT: Final = "attempt"
KIND: Final = "kind"
CHECK: Final = "check"
REPORT: Final = "report"


@dataclass(slots=True)
class Counted:
    """One attempt that was counted. `voided`: the plane takes it for a repetition.

    `is_late`: it happened before it was asked, and goes by the limits of then.
    """

    attempt: str
    pod: str
    company: str
    key: str
    quantity: int
    is_check: bool
    is_late: bool
    counters: tuple[CounterName, ...]
    voided: bool = False
    lost_by_disk: bool = False
    lost_by_plane: bool = False


@dataclass(slots=True)
class Tallied:
    """A counter: what checks admitted and reports added, without what was voided."""

    admitted: int = 0
    reported: int = 0
    voided: int = 0
    moved: int = 0
    """Counted under one incarnation, and brought to the plane by another."""
    remembered: dict[str, int] = field(default_factory=dict)
    """By pod: what it has counted, and not lost."""


class Book:
    """Everything that was counted. `admissions`: since they were last looked at."""

    def __init__(self) -> None:
        self.counted: dict[str, Counted] = {}
        self.counters: dict[CounterName, Tallied] = defaultdict(Tallied)
        self.counted_by: Counter[tuple[CounterName, str]] = Counter()
        """By counter and incarnation: all that one has ever counted, also what was lost since."""
        self.admissions: list[Counted] = []
        self.unattributed: Counter[str] = Counter()
        """By company: what was reported of it where it was not known."""
        self.in_ledger: dict[str, int] = {}
        self._ledger_row = 0

    def written(self, pod: Pod, writes: Writes) -> None:
        """A disk has taken a commit."""
        for key, value in writes.items():
            if value is not None and key[:1] == OUTBOX:
                self._record(pod, record_in(value))

    def _record(self, pod: Pod, record: bytes) -> None:
        message = sync_pb2.UsageRecord.FromString(record)
        attempt = message.metadata[ATTEMPT]
        if attempt in self.counted:
            for name in self.counted[attempt].counters:
                self.counters[name].moved += message.quantity
            return
        is_check = message.metadata[KIND] == CHECK
        counters = tuple(
            CounterName(
                message.company,
                message.feature,
                CounterRef(
                    counter.slot,
                    tuple(counter.values),
                    Window(counter.window_start_us, counter.window_end_us),
                ),
            )
            for counter in message.counters
        )
        counted = Counted(
            attempt,
            pod.name,
            message.company,
            message.idempotency_key,
            message.quantity,
            is_check,
            message.event_time_us < message.accepted_time_us,
            counters,
        )
        self.counted[attempt] = counted
        if not counters:
            self.unattributed[counted.company] += counted.quantity
        assert pod.process is not None
        incarnation = pod.process.store.incarnation.id
        for name in counters:
            tallied = self.counters[name]
            tallied.remembered[pod.name] = tallied.remembered.get(pod.name, 0) + counted.quantity
            self.counted_by[name, incarnation] += counted.quantity
            if is_check:
                tallied.admitted += counted.quantity
            else:
                tallied.reported += counted.quantity
        if is_check:
            self.admissions.append(counted)

    def disk_went_back(self, pod: Pod) -> None:
        """A disk has lost its last commits: what it knows begins anew."""
        on_disk = {
            sync_pb2.UsageRecord.FromString(record_in(value)).metadata[ATTEMPT]
            for key, value in pod.disk.values.items()
            if key[:1] == OUTBOX
        }
        for counted in self.counted.values():
            if counted.pod == pod.name and counted.attempt not in on_disk:
                counted.lost_by_disk = True
        for tallied in self.counters.values():
            tallied.remembered.pop(pod.name, None)

    def disk_is_gone(self, pod: Pod) -> None:
        """A disk is thrown away, with what nobody else has."""
        for counted in self.counted.values():
            if counted.pod == pod.name:
                counted.lost_by_disk = True

    def read_ledger(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Take note of lines behind those that were read: (row, record, duplicate_of)."""
        for row, record, duplicate_of in rows:
            assert isinstance(row, int)
            assert isinstance(record, bytes)
            self._ledger_row = row
            attempt = sync_pb2.UsageRecord.FromString(record).metadata[ATTEMPT]
            if not duplicate_of:
                self.in_ledger[attempt] = self.in_ledger.get(attempt, 0) + 1
                continue
            self.in_ledger.setdefault(attempt, 0)
            self._void(self.counted[attempt])

    @property
    def ledger_row(self) -> int:
        """The last line that was read."""
        return self._ledger_row

    def ledger_went_back(self) -> None:
        """The plane has lost state: the ledger is to be read from its start."""
        for attempt in self.in_ledger:
            self.counted[attempt].lost_by_plane = True
        self.in_ledger.clear()
        self._ledger_row = 0

    def _void(self, counted: Counted) -> None:
        if counted.voided:
            return
        counted.voided = True
        for name in counted.counters:
            tallied = self.counters[name]
            tallied.voided += counted.quantity
            if counted.pod in tallied.remembered:
                tallied.remembered[counted.pod] -= counted.quantity
            if counted.is_check:
                tallied.admitted -= counted.quantity
            else:
                tallied.reported -= counted.quantity
