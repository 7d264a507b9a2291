"""Keeps leases up in the background: recalls, releases and forgets them, and sums them up.

Steps are small and apart from each other, so that calls go on between them, however many leases
there are.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.lease_maintenance import (
    FeatureLeases,
    LeaseLooker,
    forget_leases,
    forget_spent,
    forget_witnessed,
    note_heard,
)
from sidecar.control.services.lease_recovery import recovery_of
from sidecar.control.services.lease_settling import heard_within_us, release
from sidecar.control.storage.lease_values import LeasePlace
from sidecar.control.storage.values import CounterKey
from sidecar.control.storage.witness_port import LeaseWitness
from sidecar.domain.time.units import SECOND_US

REST_SHARE: Final = 10
"""A look is followed by a rest so many times as long as it was itself."""
REST_S_MAX: Final = 2.0
ROUND_S: Final = 10.0
"""All leases are looked through once in so long, or as soon as that goes."""
MAINTENANCE_S_MAX: Final = 60.0
SETTLED_US_MAX: Final = 600 * SECOND_US
"""Nothing is released so soon after a start, or sooner than leases wait for silent holders: they
may not have come back yet."""
_WATCHERS_AT_ONCE: Final = 200

_log = structlog.get_logger(__name__)


class LeaseTask:
    """The background task.

    `clock` gives microseconds since the Unix epoch, as far as they have come for certain: what is
    released stays so. `release_us`: how long leases of LIFETIME limits wait for silent holders.
    """

    def __init__(
        self,
        workers: Workers,
        hub: Hub,
        metrics: ControlMetrics,
        clock: Callable[[], int],
        witness: LeaseWitness,
        release_us: int,
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics.leases
        self._clock = clock
        self._witness = witness
        self._release_us = release_us
        self._looker = LeaseLooker(release_us)
        self._noted_us = heard_within_us(release_us) // 2
        self._maintenance_s = min(MAINTENANCE_S_MAX, self._noted_us / SECOND_US)
        self._settled_us = clock() + min(SETTLED_US_MAX, release_us)
        self._after: LeasePlace | None = None
        self._forgotten: LeasePlace | None = None
        self._features: dict[str, FeatureLeases] = {}
        self._round_due_s = 0.0
        self._maintenance_due_s = 0.0

    async def run(self) -> None:
        """Keep leases up, until cancelled."""
        await in_steps(self._step, "control.leases_not_kept_up")

    async def _step(self) -> bool:
        if time.monotonic() >= self._maintenance_due_s:
            more = await self._maintain()
            self._maintenance_due_s = time.monotonic() + (0.0 if more else self._maintenance_s)
        await self._tell_recovery()
        if self._after is None and time.monotonic() < self._round_due_s:
            return False
        began_s = time.monotonic()
        await self._look()
        rest_s = (time.monotonic() - began_s) * REST_SHARE
        await asyncio.sleep(min(rest_s, REST_S_MAX))
        return self._after is not None

    async def _look(self) -> None:
        """Look at one page of leases, and do what it asks for."""
        if self._after is None:
            self._round_due_s = time.monotonic() + ROUND_S
        now_us, watching = self._clock(), self._hub.watching_incarnations
        look = await self._workers.read(self._looker.look, self._after, watching, now_us)
        self._metrics.recalled.add(self._hub.recall(look.recalls))
        if look.releases and now_us >= self._settled_us:
            await self._release(look.releases, now_us)
        for feature, sums in look.features.items():
            self._features.setdefault(feature, FeatureLeases()).add(sums)
        self._after = look.after
        if look.after is None:
            self._metrics.features, self._features = self._features, {}

    async def _release(self, releases: Sequence[tuple[CounterKey, str]], now_us: int) -> None:
        watching = self._hub.watching_incarnations
        released = await self._workers.write(release, releases, watching, now_us, self._release_us)
        self._metrics.released.add(released)
        if released:
            _log.warning("control.leases_released", leases=released)

    async def _maintain(self) -> bool:
        """Note who is there, and forget some of what is over; whether there may be more."""
        now_us = self._clock()
        watching = iter(self._hub.watching_incarnations)
        while some := list(itertools.islice(watching, _WATCHERS_AT_ONCE)):
            await self._workers.write(note_heard, some, now_us, self._noted_us)
        more = await self._workers.write(forget_leases, now_us)
        self._forgotten = await self._workers.write(forget_spent, self._forgotten, now_us)
        return await self._workers.read(forget_witnessed, self._witness, now_us) or more

    async def _tell_recovery(self) -> None:
        """Keep what the metrics say of a recovery, and tell of its end."""
        recovery = await self._workers.read(recovery_of)
        is_waiting = recovery.is_waiting(self._clock())
        if self._metrics.recovering and not is_waiting:
            _log.info("control.leases_recovered", missing=recovery.missing.count)
        self._metrics.recovering = is_waiting
        self._metrics.witness_rewrites = self._witness.rewrites
        self._metrics.missing_holders = recovery.missing.count
