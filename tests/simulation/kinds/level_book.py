"""What was counted of levels, read from each commit of a disk and each line of the ledger alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sidecar.api.sync.v1 import sync_pb2
from sidecar.storage.keys import OUTBOX
from sidecar.storage.outbox_entry import record_in
from tests.simulation.leases.book import ATTEMPT, Book
from tests.simulation.leases.disks import Writes
from tests.simulation.leases.sidecars import Pod

SET_TO: Final = "set_to"
"""In the metadata of a change: how much of its item is to be in use then."""
Level = tuple[str, str]
"""Company and feature."""


@dataclass(slots=True)
class Changed:
    """One change of a level. `repeats`: it is the second one that is to count once."""

    name: str
    pod: str
    level: Level
    amount: int
    key: str
    takes_back: bool
    repeats: bool
    lost_by_disk: bool = False
    lost_by_plane: bool = False


class Line(NamedTuple):
    """What a line of the ledger has changed, and when it says that it happened."""

    level: Level
    at_us: int
    amount: int
    accepted_us: int


class LevelBook(Book):
    """All changes of levels. `more`: what came to be used since it was last looked at.

    `in_use`: of each level, with what repeats counted once. `repeated`: how much was counted that
    is to count once: until the plane has found out, it may be had twice. `is_sure`: nothing was
    lost or copied, so nothing is taken back twice. `violation`: what no change may say.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, Changed] = {}
        self.more: list[Changed] = []
        self.in_use: Counter[Level] = Counter()
        self.repeated: Counter[Level] = Counter()
        self.lines: list[Line] = []
        self.is_sure = True
        self.violation = ""
        self._keys: set[tuple[str, str]] = set()
        self._twice: defaultdict[str, set[tuple[str, str, str]]] = defaultdict(set)

    def written(self, pod: Pod, writes: Writes) -> None:
        """A disk has taken a commit."""
        for key, value in writes.items():
            if value is not None and key[:1] == OUTBOX:
                self._changed(pod, sync_pb2.UsageRecord.FromString(record_in(value)))

    def _changed(self, pod: Pod, record: sync_pb2.UsageRecord) -> None:
        name = _name_of(record)
        level, amount = (record.company, record.feature), record.quantity
        known = self.changes.get(name)
        if known is not None:  # it goes on under another incarnation, or comes of a copied disk
            if record.level.expired and known.pod != pod.name:
                self.repeated[level] += abs(amount)
            return
        set_to = record.metadata.get(SET_TO, "")
        if set_to and record.level.item_level != int(set_to):
            self.violation = f"{name} sets {record.level.item} to {set_to}, {record.level}"
        item = (*level, record.level.item)
        key = record.idempotency_key
        repeats = bool(key) and (record.company, key) in self._keys
        if amount > 0:
            if repeats and record.level.item:
                self._twice[pod.name].add(item)
        else:
            repeats |= item in self._twice[pod.name]
        self._keys.add((record.company, key))
        takes_back = bool(record.level.origin)
        change = Changed(name, pod.name, level, amount, key, takes_back, repeats)
        self.changes[name] = change
        if repeats:
            self.repeated[level] += abs(amount)
            return
        self.in_use[level] += amount
        if amount > 0:
            self.more.append(change)

    def disk_went_back(self, pod: Pod) -> None:
        """A disk has lost its last commits."""
        self.is_sure = False
        on_disk = {
            _name_of(sync_pb2.UsageRecord.FromString(record_in(value)))
            for key, value in pod.disk.values.items()
            if key[:1] == OUTBOX
        }
        for change in self.changes.values():
            if change.pod == pod.name and change.name not in on_disk:
                change.lost_by_disk = True

    def copied(self, pod: Pod, copy: Pod) -> None:
        """A disk was copied: what its owner takes back, who has the copy may take back as well."""
        self.is_sure = False
        self._twice[copy.name] = set(self._twice[pod.name])

    def read_ledger(self, rows: Iterable[tuple[object, ...]]) -> None:
        """Take note of lines behind those that were read: (row, record, duplicate_of)."""
        for row, data, duplicate_of in rows:
            assert isinstance(row, int)
            assert isinstance(data, bytes)
            self._ledger_row = row
            record = sync_pb2.UsageRecord.FromString(data)
            name = _name_of(record)
            times = self.in_ledger.get(name, 0)
            self.in_ledger[name] = times + (not duplicate_of)
            if not duplicate_of:
                level = (record.company, record.feature)
                self.lines.append(
                    Line(level, record.event_time_us, record.quantity, record.accepted_time_us)
                )

    def booked(self) -> tuple[list[Line], set[Level]]:
        """The lines, and what the plane has to book back for no level to be below nothing.

        And of which levels it ever had to: at which instants goes by what arrived when.
        """
        in_use: Counter[Level] = Counter()
        too_much: Counter[tuple[Level, int]] = Counter()
        for level, _, amount, accepted_us in self.lines:
            in_use[level] += amount
            late = max(0, amount)
            for place in sorted(too_much):
                if place[0] == level and place[1] > accepted_us:
                    was_lacking = min(late, too_much[place])
                    late -= was_lacking
                    in_use[level] -= was_lacking
                    too_much[place] -= was_lacking
            if in_use[level] < 0:
                too_much[level, accepted_us] -= in_use[level]
                in_use[level] = 0
        back = [Line(level, at_us, amount, at_us) for (level, at_us), amount in too_much.items()]
        return self.lines + back, {level for level, _ in too_much}

    def ledger_went_back(self) -> None:
        """The plane has lost state: the ledger is to be read from its start."""
        self.is_sure = False
        for name in self.in_ledger:
            self.changes[name].lost_by_plane = True
        self.in_ledger.clear()
        self.lines.clear()
        self._ledger_row = 0


_EXPIRED: Final = "expired"


def _name_of(record: sync_pb2.UsageRecord) -> str:
    """What a change is known by, whatever incarnation carries it."""
    attempt = record.metadata[ATTEMPT]
    return attempt or f"{_EXPIRED} {record.level.origin} {record.accepted_time_us}"
