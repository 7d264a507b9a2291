"""Seats, served: requests to the thread that writes, and changes to sidecars that watch.

A watch reads changes from the store, by version, whoever made them; wake-ups carry nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final

from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import seat_answers
from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.request_validation import require_count, require_incarnation
from sidecar.control.rpc.seat_answers import SeatDesk
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.seat_lists import seat_changes, seats_held
from sidecar.control.services.seats import AssignedSeats
from sidecar.control.services.sweep import forget_seats
from sidecar.control.storage.witness_port import LeaseWitness
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.seats.model import SeatStatus, SeatsTold
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.ops.instruments import (
    Instrument,
    LabelledCounter,
    LabelledReading,
    MetricReading,
)

HEARTBEAT_S: Final = 4.0
"""Longest silence on a watch; the API promises 5 seconds."""
POLL_S: Final = 2.0
"""How soon changes are noticed that other processes on the database have made."""
GATHER_S: Final = 0.05
_LOOK_S: Final = 10.0
_FEATURES_MAX: Final = 200

Clock = Callable[[], int]


class SeatServing:
    """Answers sidecars and people.

    `clock`: microseconds since the Unix epoch; `sure`: as far as they have come for certain.
    """

    def __init__(
        self, workers: Workers, hub: Hub, witness: LeaseWitness, clock: Clock, sure: Clock
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._clock, self._sure = clock, sure
        self._desk = SeatDesk(witness)
        self._watchers: set[asyncio.Event] = set()
        self._outcomes = LabelledCounter(
            "tallyd_seat_requests", "Requests for seats, and to give them back.", "outcome"
        )
        self._held: Sequence[tuple[str, int]] = ()
        self._look_due_s = 0.0

    async def assign(self, request: sync_pb2.AssignSeatsRequest) -> sync_pb2.AssignSeatsResponse:
        """Answer to a sidecar's requests."""
        response, assigned = await self._workers.write(self._desk.assign, request, self._clock())
        self._note(assigned)
        return response

    async def acquire(
        self, request: control_pb2.AcquireSeatRequest
    ) -> control_pb2.AcquireSeatResponse:
        """Give somebody a seat."""
        response, assigned = await self._workers.write(self._desk.acquire, request, self._clock())
        self._note(assigned)
        return response

    async def release(
        self, request: control_pb2.ReleaseSeatRequest
    ) -> control_pb2.ReleaseSeatResponse:
        """Take a seat back."""
        response, assigned = await self._workers.write(self._desk.release, request, self._clock())
        self._note(assigned)
        return response

    async def list_of_counter(
        self, request: sync_pb2.ListSeatsRequest
    ) -> sync_pb2.ListSeatsResponse:
        """Who holds seats of a counter."""
        return await self._workers.read(seat_answers.list_of_counter, request, self._clock())

    async def list_seats(
        self, request: control_pb2.ListSeatsRequest
    ) -> control_pb2.ListSeatsResponse:
        """Who holds seats of a company's feature."""
        return await self._workers.read(seat_answers.list_seats, request, self._clock())

    async def watch(
        self, request: sync_pb2.WatchSeatsRequest
    ) -> AsyncIterator[sync_pb2.WatchSeatsResponse]:
        """Changes as they come, and a heartbeat where nothing else came."""
        require_incarnation(request.incarnation)
        version = require_count("resume_version", request.resume_version, 0, INT64_MAX - 1)
        KNOWN_NAMES.require("epoch", request.epoch, IDENTIFIER_BYTES_MAX)
        epoch, alone = request.epoch, request.changes_alone
        with self._watching() as changed:
            due_s = 0.0
            while not self._hub.closing:
                changed.clear()
                told = await self._workers.read(seat_changes, version, epoch, alone=alone)
                version, epoch = told.until_version, told.epoch
                if _says_something(told) or time.monotonic() >= due_s:
                    yield seat_answers.told(told, self._clock())
                    due_s = time.monotonic() + HEARTBEAT_S
                if not told.changes:
                    await self._next_change(changed)

    async def keep_up(self) -> None:
        """Forget what is over, and count what is held, until cancelled."""
        await in_steps(self._step, "control.seats_not_kept_up")

    def instruments(self) -> list[Instrument]:
        """What Prometheus reads."""

        def held() -> Iterator[tuple[Sequence[str], float]]:
            for feature, seats in islice(self._held, _FEATURES_MAX):
                yield (feature,), seats

        return [
            self._outcomes,
            LabelledReading(
                "tallyd_seats_held", "Named seats that are held, as of lately.", ["feature"], held
            ),
            MetricReading(
                "tallyd_seat_watchers",
                "Sidecars that watch for changes of seats.",
                lambda: len(self._watchers),
            ),
        ]

    async def _step(self) -> bool:
        if time.monotonic() < self._look_due_s:
            return False
        more = await self._workers.write(forget_seats, self._sure())
        if not more:
            self._held = await self._workers.read(seats_held, _FEATURES_MAX)
            self._look_due_s = time.monotonic() + _LOOK_S
        return more

    async def _next_change(self, changed: asyncio.Event) -> None:
        """Wait for a change, or until it is time to look for those of others."""
        try:
            await asyncio.wait_for(changed.wait(), POLL_S)
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_S)

    @contextmanager
    def _watching(self) -> Iterator[asyncio.Event]:
        changed = asyncio.Event()
        self._watchers.add(changed)
        try:
            yield changed
        finally:
            self._watchers.discard(changed)

    def _note(self, assigned: AssignedSeats) -> None:
        for result in assigned.results:
            self._outcomes.add(_OUTCOMES[result.status])
        if assigned.revision is not None:
            self._hub.note_change()
            for changed in self._watchers:
                changed.set()


def _says_something(told: SeatsTold) -> bool:
    return bool(told.changes) or told.is_anew


_OUTCOMES: Final = {status: status.name.lower() for status in SeatStatus}
