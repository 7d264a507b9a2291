"""The part of the port that is about levels; see `port.py` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from sidecar.domain.levels.billing import ChangeAt


class LevelInstant(NamedTuple):
    """An instant at which a company's level changed, by the events' time."""

    company: str
    feature: str
    at_us: int


class LevelReads(Protocol):
    """Questions about levels."""

    def level_at(self, company: str, feature: str, at_us: int) -> int:
        """The sum of all changes of a level up to an instant, and of it."""
        ...

    def level_changes(
        self, company: str, feature: str, after_us: int, until_us: int, limit: int
    ) -> list[ChangeAt]:
        """Changes of a level behind an instant and before another, in their order."""
        ...

    def repeated_by(self, company: str, event_time_us: int, incarnation: str, sequence: int) -> str:
        """Id of the record that a line repeats; empty where it repeats none, or is not there."""
        ...


class LevelWrites(LevelReads, Protocol):
    """Changes of them."""

    def add_level_changes(self, changes: Mapping[LevelInstant, int]) -> None:
        """Add amounts to what changed at instants."""
        ...
