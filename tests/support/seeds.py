"""Chance that can be had again, and more of it for those who have the time."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest


def seeded(seed: int | str) -> random.Random:
    """A source of chance; a test that fails shows its seed."""
    print(f"seed {seed}")
    return random.Random(seed)


def rounds(usual: int, seed: int, *, slow: int, seeds: Sequence[int]) -> list[object]:
    """Parameters of a test: how many rounds, and the seed.

    `usual` rounds with `seed` in every run; `slow` rounds with each of `seeds` in the long one.
    """
    return [
        pytest.param(usual, seed, id=f"{usual} rounds"),
        *(
            pytest.param(slow, other, id=f"{slow} rounds, seed {other}", marks=pytest.mark.slow)
            for other in seeds
        ),
    ]
