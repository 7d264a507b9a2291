"""Figures out of rounds. Pure.

The machine's speed drifts while a benchmark runs. So what is compared is measured in pairs, one
right after the other, and the median of the pairs' ratios is reported, never the ratio of two
figures that were taken minutes apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Rounds: TypeAlias = Mapping[str, Sequence[float]]
"""What was measured in each round, by the keys of the figures."""
Section: TypeAlias = dict[str, float | Rounds]
"""Figures by key, and the rounds that they come from under `rounds`."""

_DECIMALS = 3


def summary(rounds: Rounds) -> Section:
    """The median of each figure, and the rounds themselves."""
    section: Section = {key: round(median(values), _DECIMALS) for key, values in rounds.items()}
    section["rounds"] = {
        key: [round(value, _DECIMALS) for value in values] for key, values in rounds.items()
    }
    return section


def nearest_rank(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile. ValueError where there are no values."""
    if not values:
        raise ValueError("no values have a percentile")
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)]


def pair_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """The ratio in each round. ValueError where the rounds do not pair up."""
    return [above / below for above, below in zip(numerators, denominators, strict=True)]


def pair_differences(from_values: Sequence[float], values: Sequence[float]) -> list[float]:
    """The difference in each round. ValueError where the rounds do not pair up."""
    return [above - below for above, below in zip(from_values, values, strict=True)]


def turn_order(things: Sequence[T], turn: int) -> list[T]:
    """The order in which to measure in a turn: every second one reversed, so none is favoured."""
    return list(reversed(things)) if turn % 2 else list(things)
