"""What may be used of a window that others follow: what they have not taken already.

What a window does not use of its amount, of what was carried into it and of packs is there in the
windows after it, once. So usage that comes late for a window takes from them what may be used there
already. One rule for sidecar and control plane.

Rules
- A check may use as much of a window as leaves every later window with what was used there: none of
  them has more usage above what it may use than it has without the check.
- What later windows have used is looked at as far as a bounded number of them. What is behind these
  is taken to have used all that comes into it.
- What later windows can do without may be used: their own amounts, what would be lost to age, and
  what packs have left.
- What is known to have come into a later window, by the plane's word say, may differ from what
  comes of the usage that is known. Then late usage takes from that what it takes from the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.domain.limits.packs import Allowance, Carried, carried_on, packs_left
from sidecar.domain.limits.rollover import Passing, unused

LATER_WINDOWS_MAX: Final = 40
"""Most later windows that are looked at."""
_LOOKS_MAX: Final = 1_000
"""Most looks at a window while the most that may be used is searched for: some milliseconds."""


class LaterWindow(msgspec.Struct, frozen=True, gc=False):
    """A window to which the one before it passes on, `passing` by the allowance `passed_by`.

    `held_by`: by what its own usage is held to; `None` where it is not. `used`: in the feature's
    unit, with what may still come to be; `None` where it was not looked at. `came_in`: what is
    known to have come into it; `None`: it is to be worked out.
    """

    passing: Passing
    passed_by: Allowance
    held_by: Allowance | None
    used: int | None
    came_in: Carried | None = None


def most_usable(carried: Carried, used: int, most: int, later: Iterator[LaterWindow]) -> int:
    """The most that may be used in a window in all, of at most `most`; no less than `used` is.

    `carried` came into it, and `used` was used in it. `later`: windows behind it, in their order,
    of which no more are looked at than it takes.
    """
    return most if most <= used else _Search(carried, used, later).most(most)


class _AsItIs(msgspec.Struct, frozen=True, gc=False):
    """A later window without more usage: what came of the usage before it, and what came in."""

    window: LaterWindow
    worked_out: Carried
    came_in: Carried
    overage: int


class _Search:
    """Searches for the most that leaves later windows as they are.

    Of a unit more in a window each later one lacks one at most. So where one lacks some, the answer
    is at least as much smaller.
    """

    def __init__(self, carried: Carried, used: int, later: Iterator[LaterWindow]) -> None:
        self._carried = carried
        self._used = used
        self._looks = 0
        self._seen: list[_AsItIs] = []
        self._more = _as_they_are(carried, used, later)

    def most(self, most: int) -> int:
        """The most that is found, of at most so much."""
        passes = self._used
        while passes < most and self._looks < _LOOKS_MAX:
            lacking = self._lacking(most)
            if not lacking:
                return most
            most = max(passes, most - lacking)
            half = (passes + most + 1) // 2
            lacking = self._lacking(half)
            if lacking:
                most = max(passes, half - lacking)
            else:
                passes = half
        return passes

    def _lacking(self, used: int) -> int:
        """The most that a later window would lack if so much were used; 0 where none does."""
        came_in, lacking = self._carried, 0
        for at_hand in self._later():
            self._looks += 1
            window = at_hand.window
            worked_out = carried_on(window.passing, window.passed_by, came_in, used)
            if worked_out == at_hand.worked_out:
                break
            came_in = _lowered(at_hand, worked_out)
            lacking = max(lacking, _lacking_in(at_hand, worked_out, came_in))
            if window.used is None:
                break
            used = window.used
        return lacking

    def _later(self) -> Iterator[_AsItIs]:
        yield from self._seen
        for at_hand in self._more:
            self._seen.append(at_hand)
            yield at_hand


def _as_they_are(carried: Carried, used: int, later: Iterator[LaterWindow]) -> Iterator[_AsItIs]:
    for window in later:
        worked_out = carried_on(window.passing, window.passed_by, carried, used)
        carried = worked_out if window.came_in is None else window.came_in
        yield _AsItIs(window, worked_out, carried, _overage(window, carried))
        if window.used is None:
            return
        used = window.used


def _lowered(at_hand: _AsItIs, worked_out: Carried) -> Carried:
    """What came into a window, less what the usage takes of it."""
    without, came_in = at_hand.worked_out, at_hand.came_in
    if came_in == without:
        return worked_out
    lost = max(0, sum(without.by_age) - sum(worked_out.by_age))
    packs_used = came_in.packs_used + worked_out.packs_used - without.packs_used
    return Carried(unused(came_in.by_age, lost), packs_used)


def _lacking_in(at_hand: _AsItIs, worked_out: Carried, came_in: Carried) -> int:
    """What a window lacks of which less came in than `at_hand` says."""
    window, packs_used = at_hand.window, at_hand.came_in.packs_used
    if window.used is None:
        return sum(at_hand.came_in.by_age) - sum(came_in.by_age) + came_in.packs_used - packs_used
    # Where more of packs was used than usage says that is known, that much less is left of them.
    passed_by = window.passed_by
    left = packs_left(max(passed_by.packs, passed_by.packs_held), packs_used)
    beyond_packs = worked_out.packs_used - at_hand.worked_out.packs_used - left
    return max(0, beyond_packs, _overage(window, came_in) - at_hand.overage)


def _overage(window: LaterWindow, came_in: Carried) -> int:
    held_by, used = window.held_by, window.used
    if held_by is None or held_by.amount is None or used is None:
        return 0
    left = packs_left(held_by.packs, came_in.packs_used)
    return max(0, used - held_by.amount - sum(came_in.by_age) - left)
