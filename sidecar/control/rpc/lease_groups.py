"""Calls for leases that wait at the same time, answered as a group.

Rules
- A group shares one commit of the database, and behind that one of the witness: each waits for the
  disk, whatever it is of. No answer leaves before both.
- Calls come in the order in which they arrived. A group is bounded, and so is each one's part in
  it; one with more requests goes on behind those that arrived meanwhile.
- An error is told to those alone whom it concerns: what is wrong with a call is its own, and where
  a group fails for no reason that is known, its calls are answered one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from typing import Final

from sidecar.control.rpc.lease_answers import LeaseCall
from sidecar.control.services.lease_recovery import witnessed
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.leases import AskedLeases, Leased, request_leases
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.witness_port import NOTHING_SEEN, LeaseWitness, Witnessed
from sidecar.domain.errors import FailedPrecondition, FieldError, Unavailable

PART_MAX: Final = 250
"""Requests of one call in a group."""
GROUP_MAX: Final = 1_000
"""Requests of a group, over all its calls."""

_Part = tuple[LeaseCall, AskedLeases]


class LeaseGroups:
    """What waits to be answered. Calls may be added on any thread, and are answered on one."""

    def __init__(self, witness: LeaseWitness) -> None:
        self._witness = witness
        self._timelines = KeptTimelines()
        self._waiting: deque[LeaseCall] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, call: LeaseCall) -> None:
        """A call waits."""
        self._waiting.append(call)

    def answer_next(
        self, store: PlaneStore, now_us: int, watching: Collection[str] = ()
    ) -> list[LeaseCall]:
        """Answer a group; the calls that are over with it.

        What was granted is known to the witness by then: without it, nothing is answered.
        `watching`: incarnations that have a watch open.
        """
        calls, parts = self._next_group()
        if parts:
            self._answer(store, parts, now_us, watching)
        self._waiting.extend(call for call in calls if not call.is_over)
        return [call for call in calls if call.is_over]

    def _next_group(self) -> tuple[list[LeaseCall], list[_Part]]:
        calls: list[LeaseCall] = []
        parts: list[_Part] = []
        room = GROUP_MAX
        while self._waiting and room > 0:
            call = self._waiting.popleft()
            if call.is_left:
                continue
            calls.append(call)
            try:
                part = call.next_part(min(PART_MAX, room))
            except FieldError as error:
                call.error = error
                room -= 1
            else:
                parts.append((call, part))
                room -= len(part.requests)
        return calls, parts

    def _answer(
        self, store: PlaneStore, parts: Sequence[_Part], now_us: int, watching: Collection[str]
    ) -> None:
        asked = [part for _, part in parts]
        try:
            answered = request_leases(store, self._timelines, asked, now_us, watching=watching)
            self._witness.note(_seen(asked, answered, now_us))
        except Exception as error:
            if len(parts) > 1 and not isinstance(error, Unavailable):
                for one in parts:
                    self._answer(store, [one], now_us, watching)
                return
            for call, _ in parts:
                call.error = error
            return
        for (call, _), leased in zip(parts, answered, strict=True):
            if isinstance(leased, Leased):
                call.add(leased)
            else:
                call.error = leased


def _seen(
    asked: Sequence[AskedLeases], answered: Sequence[Leased | FailedPrecondition], now_us: int
) -> Witnessed:
    """What the witness has to see of what was granted."""
    seen = NOTHING_SEEN
    for each, leased in zip(asked, answered, strict=True):
        if isinstance(leased, Leased) and leased.revision is not None:
            number = max(result.number for result in leased.results)
            windows, revision = leased.windows, leased.revision
            granted = witnessed(revision, now_us, each.incarnation, windows, number)
            seen = seen.joined(granted)
    return seen
