"""What features of one kind alone have: prices, overdraft, swaps, levels. Values only."""

from __future__ import annotations

import enum
from typing import Final

from sidecar.domain.catalog.value import Value
from sidecar.domain.credits.prices import CostTable
from sidecar.domain.time.windows import WindowSpec

COSTS_MAX: Final = 4
"""Most credits features that usage of one feature draws on."""
LIMIT_PRIORITY_MAX: Final = 1000


class FeatureCost(Value, frozen=True):
    """What usage of a METERED feature costs: it draws on the balance of a CREDITS feature.

    `credits`: that feature's key. `table`: micro-credits for so many units.
    """

    credits: str
    table: CostTable


class LevelMeasure(enum.IntEnum):
    """What of a level a window is billed for. Numbers as in the API."""

    PEAK = 1
    AVERAGE = 2


class LevelBilling(Value, frozen=True):
    """How a LEVEL is billed: the highest in each window, or the average weighted by time."""

    measure: LevelMeasure
    window: WindowSpec


class Swaps(Value, frozen=True):
    """Most seats that may change hands in a window: released, and taken by somebody else."""

    amount: int
    window: WindowSpec


class OverdraftChange(Value, frozen=True):
    """A change of the overdraft that is granted already, in micro-credits.

    `adds`: on top of what there is.
    """

    amount: int
    adds: bool = False
