"""When a balance of credits is low: it has fallen to a threshold, or below. In micro-credits.

What counts is what is left in force, of each source by itself, less what is owed: what may be owed
is no balance. A threshold is met once, by whatever takes the balance past it, and again after it
has risen above it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.credits.sources import CreditSource
from sidecar.domain.limits.usage import QuotaUsage, remaining


def reached(thresholds: Sequence[int], before: int, after: int) -> tuple[int, ...]:
    """The thresholds that a balance above them has come to, or below, in their order."""
    return tuple(threshold for threshold in thresholds if after <= threshold < before)


def part_of_balance(source: CreditSource, usage: QuotaUsage) -> int:
    """What a source adds to the balance: what is left of it; of the overdraft, what is owed.

    Never below 0 but for what is owed, which may be more than the overdraft allows.
    """
    if source.counter == OVERDRAFT_COUNTER:
        return -max(0, usage.used)
    left = remaining(usage)
    return INT64_MAX if left is None else left
