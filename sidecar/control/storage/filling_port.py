"""The part of the port that is about fillings; see `port.py` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from sidecar.control.storage.filling_values import Filling, FillingWalk
from sidecar.control.storage.values import CounterKey


class FillingReads(Protocol):
    """Questions about fillings."""

    def fillings_of(self, company: str, feature: str) -> list[Filling]:
        """Fillings of a company's feature, in the order of their slots."""
        ...

    def any_filling(self) -> bool:
        """Whether there is any."""
        ...

    def unfinished_fillings(self, after: tuple[str, str, str], limit: int) -> list[Filling]:
        """Fillings that are not FILLED yet, behind a (company, feature, slot) and in that order."""
        ...

    def filling_sums(self, filling: Filling, limit: int) -> list[tuple[CounterKey, int]]:
        """Some counters of a filling, with the sum of the lines that were gone through."""
        ...

    def filling_has_sum(self, filling: Filling, key: CounterKey) -> bool:
        """Whether a counter's sum is kept."""
        ...

    def filling_walk(self) -> FillingWalk:
        """How far companies were looked through; nowhere, before the first."""
        ...


class FillingWrites(FillingReads, Protocol):
    """Changes of fillings."""

    def put_filling(self, filling: Filling) -> None:
        """Create or replace a filling; its sums stay as they are."""
        ...

    def add_to_filling_sums(self, filling: Filling, amounts: Mapping[CounterKey, int]) -> None:
        """Add to the sums of a filling's counters."""
        ...

    def drop_filling_sums(self, filling: Filling, keys: Iterable[CounterKey]) -> None:
        """Forget sums of a filling."""
        ...

    def forget_fillings(self, before_us: int, limit: int) -> int:
        """Forget at most so many that are FILLED and kept until before an instant; how many."""
        ...

    def put_filling_walk(self, walk: FillingWalk) -> None:
        """Replace how far companies were looked through."""
        ...
