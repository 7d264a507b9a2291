"""Chance that can be had again."""

from __future__ import annotations

import random


def seeded(seed: int | str) -> random.Random:
    """A source of chance; a test that fails shows its seed."""
    print(f"seed {seed}")
    return random.Random(seed)
