"""The part of the port that is about levels; see `port.py` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from sidecar.control.storage.values import CounterKey
from sidecar.domain.levels.billing import ChangeAt

_EXCESS: Final = (2**64 - 1) << 64


class LevelInstant(NamedTuple):
    """An instant at which a company's level changed, by the events' time."""

    company: str
    feature: str
    at_us: int


def excess_part(at_us: int) -> str:
    """The part of a counter that was taken back too much at an instant, as `CORRECTIONS` is one.

    It stands in for an incarnation, and is none: none has an id of this version.
    """
    return str(UUID(int=_EXCESS | at_us))


def excess_us(part: UUID) -> int:
    """The instant of such a part, in microseconds since the Unix epoch."""
    return part.int ^ _EXCESS


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

    def level_excesses(self, key: CounterKey) -> dict[int, int]:
        """What was taken back too much of a counter, above 0 each, by the instants."""
        ...


class LevelWrites(LevelReads, Protocol):
    """Changes of them."""

    def add_level_changes(self, changes: Mapping[LevelInstant, int]) -> None:
        """Add amounts to what changed at instants."""
        ...

    def forget_made_up(self, at_us: int, keys: Iterable[CounterKey]) -> None:
        """Forget excesses of an instant of which nothing is left."""
        ...
