"""Rollover: what of a limit was left unused at a window's end, carried into the next window.

Carried amounts are kept by age, the youngest first: `(4, 0, 2)` is 4 units left of the window
before, none of the one before that, 2 of the one before that.

Rules
- Usage takes the oldest carried amounts first, then younger ones, then the window's own amount.
- What is left at a window's end is a window older in the next. What is older than the rollover's
  `windows` is lost.
- After that, no more is carried in total than `amount_max` and `percent_max` of the amount allow;
  the oldest is lost first. Percentages round down.
- The amount and the rollover that count are those in force when the window ends. Of what is left of
  the amount no more than what lasts of it is a window older: what an override adds or sets for a
  time is used before that, and does not outlive its end.
- A window that ends in a pause may earn nothing: its own amount is lost then, whoever used what.
- A window that is cut short by a new billing cycle passes on what was carried and is not used; one
  that a reset starts anew passes on all that was carried (`rollover_links`).
"""

from __future__ import annotations

import enum

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rollover


class Passing(enum.IntEnum):
    """What a window passes on. Numbers as they are stored."""

    REST = 0
    """What is left of its own amount and of what was carried into it, a window older."""
    REST_OF_CARRIED = 1
    """What is left of what was carried into it, a window older."""
    UNUSED = 2
    """What is left of what was carried into it, as old as it is."""
    ALL = 3
    """All that was carried into it, as old as it is."""


def passed_on(
    passing: Passing,
    rollover: Rollover,
    amount: int,
    carried: tuple[int, ...],
    used: int,
    amount_lasting: int | None = None,
) -> tuple[int, ...]:
    """What a window passes on, by age; the arguments are those of `carry`."""
    match passing:
        case Passing.REST:
            return carry(rollover, amount, carried, used, amount_lasting)
        case Passing.REST_OF_CARRIED:
            aged = (0, *unused(carried, used))
            most = _most(rollover, _lasting(amount, amount_lasting))
            return _cut(list(aged[: rollover.windows]), most)
        case Passing.UNUSED:
            return unused(carried, used)
        case Passing.ALL:
            return carried


def carry(
    rollover: Rollover,
    amount: int,
    carried: tuple[int, ...],
    used: int,
    amount_lasting: int | None = None,
) -> tuple[int, ...]:
    """What goes into the next window from one that ends, by age.

    `amount` is the limit's, `carried` went into the window that ends, and `used` was used in it,
    which may be more than there was; all in the feature's unit. `amount_lasting`: the amount
    without what is granted for a time; `None`: all of it lasts. The answer has at most
    `rollover.windows` entries, the last of them is not 0, and their sum is at most INT64_MAX.
    """
    lasting = _lasting(amount, amount_lasting)
    own, *rest = _left((amount, *carried), used)
    return _cut([min(own, lasting), *rest][: rollover.windows], _most(rollover, lasting))


def _lasting(amount: int, amount_lasting: int | None) -> int:
    return amount if amount_lasting is None else min(amount, amount_lasting)


def unused(carried: tuple[int, ...], used: int) -> tuple[int, ...]:
    """What usage leaves of what was carried, as old as it is."""
    return _cut(_left(carried, used), INT64_MAX)


def _left(amounts: tuple[int, ...], used: int) -> list[int]:
    """What usage leaves of amounts by age, the oldest of which it takes first."""
    to_take = max(0, used)
    left = []
    for available in reversed(amounts):
        taken = min(to_take, available)
        to_take -= taken
        left.append(available - taken)
    return left[::-1]


def _most(rollover: Rollover, amount: int) -> int:
    """The most that may be carried in total."""
    most = INT64_MAX if rollover.amount_max is None else rollover.amount_max
    if rollover.percent_max is not None:
        most = min(most, amount * rollover.percent_max // 100)
    return most


def _cut(amounts: list[int], most: int) -> tuple[int, ...]:
    """The amounts by age, cut to a total from the oldest end, without zeros at that end."""
    kept = []
    for amount in amounts:
        kept.append(min(amount, most))
        most -= kept[-1]
    while kept and not kept[-1]:
        kept.pop()
    return tuple(kept)
