"""Exchanges about leases: which are under way, about what, and when another one may begin.

Rules
- Each costs the plane the same few waits for its disk, whatever it is about. So what calls wait for
  goes at once only where nothing that calls wait for is under way. Else it gathers behind that, and
  goes together once that has ended.
- Where the last message was about several counters, calls come side by side: the next one gathers
  for a moment from the end of that, since those that it has served are about to ask again.
- One that lasts is overtaken by another: an answer that is lost, or a plane that is far away, holds
  up nobody for long.
- What nobody waits for has exchanges of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Final

from sidecar.domain.leases.model import LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import MILLISECOND_US
from sidecar.sync.machine.lease_actions import AskLeases

AWAITED_ASKS_MAX: Final = 2
UNAWAITED_ASKS_MAX: Final = 2
ASKS_MAX: Final = AWAITED_ASKS_MAX + UNAWAITED_ASKS_MAX
TOGETHER_US: Final = 2 * MILLISECOND_US
OVERTAKEN_US: Final = 50 * MILLISECOND_US


class LeaseAsks:
    """What is under way. Instants by the machine's clock."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._about: set[CounterName] = set()
        self._awaited: dict[int, int] = {}
        self._unawaited: set[int] = set()
        self._next_us = 0

    def __len__(self) -> int:
        return len(self._awaited) + len(self._unawaited)

    def __contains__(self, counter: CounterName) -> bool:
        return counter in self._about

    def begin(
        self, now_us: int, epoch: str, wishes: Sequence[LeaseWish], *, serves_calls: bool
    ) -> AskLeases:
        """Begin an exchange about counters that no other one is about."""
        number = next(self._numbers)
        self._about.update(wish.counter for wish in wishes)
        if serves_calls:
            self._awaited[number] = now_us
        else:
            self._unawaited.add(number)
        return AskLeases(number, epoch, wishes, serves_calls)

    def end(self, now_us: int, ask: AskLeases) -> None:
        """An exchange has ended."""
        self._about.difference_update(wish.counter for wish in ask.wishes)
        if ask.serves_calls:
            del self._awaited[ask.number]
            self._next_us = now_us + (TOGETHER_US if len(ask.wishes) > 1 else 0)
        else:
            self._unawaited.remove(ask.number)

    def awaited_from_us(self) -> int | None:
        """From when on one may begin that calls wait for; `None`: once another has ended."""
        if len(self._awaited) >= AWAITED_ASKS_MAX:
            return None
        if self._awaited:
            return max(self._awaited.values()) + OVERTAKEN_US
        return self._next_us

    def has_room_for_unawaited(self) -> bool:
        """Whether one may begin that nobody waits for."""
        return len(self._unawaited) < UNAWAITED_ASKS_MAX
