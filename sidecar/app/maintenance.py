"""Maintenance: what a sidecar does in the background, in steps too small to be felt by calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import msgspec
import structlog

from sidecar.app.store_watch import StoreWatch
from sidecar.domain.errors import FieldError
from sidecar.domain.time.sure import KnownTime
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.storage.answers import Answers
from sidecar.storage.contact import write_contact, write_time
from sidecar.storage.outbox import Outbox
from sidecar.storage.quarantine import quarantined
from sidecar.storage.store import Store
from sidecar.storage.sweep import Sweep

_SWEEP_KEYS: Final = 200
_SWEEP_SECONDS: Final = 0.05
_REST_SECONDS: Final = 60.0
_VITALS_SECONDS: Final = 1.0
_ROOM_SECONDS: Final = 0.1
_SETTLE_SECONDS: Final = 0.2
_CONTACT_SECONDS: Final = 1.0
_TIME_SECONDS: Final = 30.0
_ANSWERS_SECONDS: Final = 0.25
_REMOVAL_SECONDS: Final = 0.01
"""Between two steps of removing answers: faster than they can be given, and hardly felt."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Vitals(msgspec.Struct, frozen=True):
    """Figures of the store, taken once a second for metrics and status.

    `quarantined`: what was damaged and set aside, by kind.
    """

    outbox_bytes: int = 0
    oldest_accepted_us: int | None = None
    store_used_bytes: int = 0
    quarantined: Mapping[str, int] = {}


class Maintenance:
    """Sweeps the store and takes its vitals.

    `sure` gives what time has passed for certain, `elapsed` what ages are measured by.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        answers: Answers,
        plane_status: PlaneStatus,
        store_watch: StoreWatch,
        runner: Runner,
        sure: Callable[[], int],
        elapsed: Callable[[], int],
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._answers = answers
        self._plane_status = plane_status
        self._store_watch = store_watch
        self._sweep = Sweep(store)
        self._runner = runner
        self._sure = sure
        self._elapsed = elapsed
        self._contact_us: int | None = None
        self.vitals = Vitals()

    async def sweep(self) -> None:
        """Forget what is over, for ever: a few keys at a time, then a rest after each round."""
        while True:
            step = partial(self._sweep_step, self._sure())
            round_complete = await self._attempt(step, otherwise=True)
            await asyncio.sleep(_REST_SECONDS if round_complete else _SWEEP_SECONDS)

    async def tend_answers(self) -> None:
        """Keep answers for retries within their quota, for ever."""
        while True:
            more = await self.tend_answers_once()
            await asyncio.sleep(_REMOVAL_SECONDS if more else _ANSWERS_SECONDS)

    async def tend_answers_once(self) -> bool:
        """Take a step of it, and have every basis say what is remembered; whether more is due."""
        step = partial(self._answers.tend, self._elapsed())
        more = await self._attempt(step, otherwise=False)
        self._plane_status.remembered_us = self._answers.remembered
        return more

    async def watch_vitals(self) -> None:
        """Take the vitals once a second, for ever."""
        while True:
            self.vitals = await self._attempt(self._take_vitals, otherwise=self.vitals)
            await asyncio.sleep(_VITALS_SECONDS)

    async def watch_room(self) -> None:
        """See to the store's room on the disk, for ever."""
        while True:
            await self.keep_room()
            await asyncio.sleep(_ROOM_SECONDS)

    async def keep_room(self) -> None:
        """Make room before a call would have to wait for it, in steps that no call feels."""
        engine = self._store.engine
        if await self._attempt(engine.is_short_of_room, otherwise=False):
            more = await asyncio.to_thread(engine.allocate_ahead)
            while more:
                more = await self._attempt(engine.prepare_room, otherwise=False)
                await asyncio.sleep(0)
            await self._attempt(engine.make_room, otherwise=False)

    async def remember_contact(self, heard_us: Callable[[], int | None]) -> None:
        """Keep when the plane was last heard, for ever."""
        while True:
            await self.keep_contact(heard_us())
            await asyncio.sleep(_CONTACT_SECONDS)

    async def keep_contact(self, heard_us: int | None) -> None:
        """Keep when the plane was last heard, so that a restart without it knows."""
        if heard_us is not None and heard_us != self._contact_us:
            await self._attempt(partial(write_contact, self._store, heard_us), otherwise=None)
            self._contact_us = heard_us

    async def remember_time(self, known: Callable[[], KnownTime]) -> None:
        """Keep what is known of the time, for ever."""
        while True:
            await self.keep_time(known())
            await asyncio.sleep(_TIME_SECONDS)

    async def keep_time(self, known: KnownTime) -> None:
        """Keep what is known of the time, so that a restart notices a clock that was set."""
        await self._attempt(partial(write_time, self._store, known), otherwise=None)

    async def settle(self) -> None:
        """Standalone: there is no plane to wait for, so what is accepted is settled at once."""
        while True:
            more = await self._attempt(self._settle_step, otherwise=False)
            await asyncio.sleep(0 if more else _SETTLE_SECONDS)

    def _sweep_step(self, sure_us: int) -> bool:
        forgotten, round_complete = self._sweep.step(sure_us, _SWEEP_KEYS)
        if forgotten:
            log.debug("store.swept", keys=forgotten)
        return round_complete

    async def _attempt(self, step: Callable[[], T], *, otherwise: T) -> T:
        """Run a step; a store in trouble must not end what may mend it."""
        try:
            return await self._runner.run_alone(step)
        except FieldError as error:
            self._store_watch.failed(error.reason, error.message)
            return otherwise

    def _settle_step(self) -> bool:
        oldest = self._store.incarnations[0]
        return self._outbox.acknowledge(oldest.id, self._outbox.head_of(oldest).sequence)

    def _take_vitals(self) -> Vitals:
        return Vitals(
            outbox_bytes=self._outbox.waiting_bytes(),
            oldest_accepted_us=self._outbox.oldest_accepted_us(),
            store_used_bytes=self._store.engine.used_bytes(),
            quarantined=self._store.transact(lambda step: quarantined(step.keyspace)),
        )
