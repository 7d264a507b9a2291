"""The part of the port that is about what is carried on; see `port.py` for what holds for all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from sidecar.control.storage.values import CounterKey, RolloverWalk, RolloverWindow


class RolloverReads(Protocol):
    """Questions about windows that unused amounts are carried into."""

    def rollover_window(self, key: CounterKey) -> RolloverWindow | None:
        """A counter, if it is one that unused amounts are carried into."""
        ...

    def rollover_windows_after(
        self, key: CounterKey, end_us: int, limit: int
    ) -> list[RolloverWindow]:
        """Such windows of the same feature and slot that end after an instant, in that order."""
        ...

    def rollover_windows_due(self, now_us: int, limit: int) -> list[CounterKey]:
        """Such windows that are due, the longest overdue first."""
        ...

    def rollover_walk(self) -> RolloverWalk:
        """How far companies were looked through; nowhere, before the first."""
        ...

    def rollover_candidates(
        self, walk: RolloverWalk, limit: int, *, by_overrides: bool
    ) -> list[tuple[int, str]]:
        """Companies that exist behind a position, as (revision, id) and in that order.

        `by_overrides`: only those with a limit of their own that rolls over, perhaps some more.
        """
        ...


class RolloverWrites(RolloverReads, Protocol):
    """Changes of them."""

    def put_rollover_windows(self, windows: Iterable[RolloverWindow], version: int) -> None:
        """Create or replace what is known of rollover; counted usage stays as it is.

        Where what is carried changes, the counter has a new version.
        """
        ...

    def drop_rollover_window(self, key: CounterKey, version: int) -> None:
        """Nothing is carried into a counter any more."""
        ...

    def put_rollover_walk(self, walk: RolloverWalk) -> None:
        """Replace how far companies were looked through."""
        ...
