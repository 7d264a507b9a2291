"""Disks that can be copied, lose their last commits, and kill who writes to them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from sidecar.storage.memory import MemoryEngine

UNDONE_MAX: Final = 400
"""Most commits that a disk can lose."""

Writes = Mapping[bytes, bytes | None]


class Killed(BaseException):
    """A process has ended here. Nothing that handles errors may take it for one of them."""


class KillSwitch:
    """Ends a process at one of its next durability points: before a commit, or right behind it."""

    def __init__(self) -> None:
        self._left = 0
        self._before = False

    def arm(self, points: int, *, before: bool) -> None:
        """Kill at a commit, 1 for the next; `before`: it does not come to it."""
        self._left, self._before = points, before

    def disarm(self) -> None:
        """Kill nobody."""
        self._left = 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Kill nobody for as long as the block lasts, and count no commit."""
        left, self._left = self._left, 0
        try:
            yield
        finally:
            self._left = left

    def committing(self) -> None:
        """Something is about to be committed."""
        if self._left == 1 and self._before:
            self._left = 0
            raise Killed

    def committed(self) -> None:
        """Something was committed."""
        if self._left == 1:
            self._left = 0
            raise Killed
        self._left = max(0, self._left - 1)


class Disk(MemoryEngine):
    """A sidecar's disk. `written` is told of each commit, before anybody else knows of it."""

    def __init__(self, written: Callable[[Writes], None]) -> None:
        super().__init__()
        self.kill = KillSwitch()
        self._written = written
        self._undo: deque[Writes] = deque(maxlen=UNDONE_MAX)

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        """Commit, and perhaps end the process that does."""
        if not writes:
            return
        self.kill.committing()
        before = {key: self.values.get(key) for key in writes}
        super().apply(writes)
        self._undo.append(before)
        self._written(writes)
        self.kill.committed()

    def lose(self, commits: int) -> int:
        """Go back by so many of the last commits, as far as they are known; by how many it went."""
        lost = 0
        while self._undo and lost < commits:
            super().apply(dict(self._undo.pop()))
            lost += 1
        return lost

    def copied(self, written: Callable[[Writes], None], lost: int = 0) -> Disk:
        """The same, byte for byte, as it was before so many of its last commits."""
        copy = Disk(written)
        MemoryEngine.apply(copy, dict(self.values))
        copy._undo.extend(self._undo)
        copy.lose(lost)
        return copy
