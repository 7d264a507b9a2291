"""The pusher: carries out what the push machine says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final

import structlog

from sidecar.domain.errors import FieldError
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_steps
from sidecar.storage.outbox import Outbox, OutboxRun
from sidecar.storage.quarantine import lost_records
from sidecar.storage.store import Store
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.coverage_keeper import CoverageKeeper
from sidecar.sync.flush_goal import FlushGoal
from sidecar.sync.machine.push import (
    Acknowledge,
    Effect,
    Hear,
    OutboxView,
    Push,
    PushAnswer,
    PushFenced,
    PushGap,
    PushMachine,
    SayHello,
    TakeNewIncarnation,
    Wait,
)
from sidecar.sync.plane import HelloFacts, PlaneClient
from sidecar.sync.plane_answers import PlaneAway, PlaneRefuses
from sidecar.sync.resting import rest

RUN_BYTES_MAX: Final = 1 << 20

log = structlog.get_logger(__name__)


class Pusher:
    """Empties the outbox in the background, for as long as `run` is running.

    `contact` is told whether the plane answers, `caught_up` when earlier incarnations are through.
    `hearing` takes over the totals of answers; `keeper` is told where such an answer is lost,
    and where the store becomes another. `leaving`: entered while it leaves an incarnation whose
    leases nobody else can spend.
    """

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        hearing: TotalsApplier,
        keeper: CoverageKeeper,
        runner: Runner,
        plane: PlaneClient,
        machine: PushMachine,
        *,
        records_max: int,
        new_incarnation: Callable[[], str],
        leaving: Callable[[], AbstractAsyncContextManager[None]],
        contact: Callable[[bool], None],
        caught_up: Callable[[], None],
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._runner = runner
        self._plane = plane
        self._machine = machine
        self._records_max = records_max
        self._new_incarnation, self._leaving = new_incarnation, leaving
        self._contact, self._caught_up = contact, caught_up
        self._hearing = hearing
        self._keeper, self._coverage = keeper, keeper.coverage
        self._wake = asyncio.Event()
        self._progress = asyncio.Condition()
        self._hurried = 0
        self._failing = False
        self._told: set[type[Exception]] = set()
        self._may_try_early = True

    async def run(self) -> None:
        """Push until cancelled."""
        while True:
            await self._move_what_is_left()
            action = self._machine.next_action(
                _now_us(), self._view(), hurry=self._hurried > 0 and not self._failing
            )
            try:
                await self._carry_out(action)
            except Exception as error:
                # Whatever an exchange raises is a failed exchange: the next one may go well.
                self._tell(error)
                await self._failed()

    async def _move_what_is_left(self) -> None:
        """Go on with a move that a process before, or a failure, has ended half-way."""
        if not self._store.incarnations[0].fenced:
            return
        try:
            await self._move_fenced()
        except Exception as error:
            self._tell(error)
            await self._failed()

    def plane_was_away(self) -> None:
        """The plane was not there for a while: greet it again, though nothing waits."""
        self._machine.plane_was_away()
        self._wake.set()

    async def flush(self, seconds: float, *, while_plane_takes: bool = False) -> bool:
        """Send without delay what has been accepted so far; whether the plane has all of it.

        `while_plane_takes`: give up as soon as an exchange has failed, as at a stop: what waits is
        on disk, and goes out after the next start.
        """
        goal = FlushGoal(self._store)
        self._hurried += 1
        self._wake.set()
        try:
            async with asyncio.timeout(seconds), self._progress:
                await self._progress.wait_for(
                    lambda: goal.is_reached() or (while_plane_takes and self._failing)
                )
        except TimeoutError:
            return False
        finally:
            self._hurried -= 1
        return goal.is_reached()

    async def _carry_out(self, action: SayHello | Push | Wait) -> None:
        if isinstance(action, Wait):
            await self._pause(action.until_us)
        elif isinstance(action, SayHello):
            await self._say_hello()
        else:
            await self._push()

    async def _say_hello(self) -> None:
        facts = await self._runner.run_alone(self._hello_facts)
        answer = await self._plane.hello(facts)
        said = answer.common_sequence if answer.fenced else answer.watermark
        _require_sent(said, facts.last_sequence)
        self._reached()
        if not self._store.waiting_records():
            self._told.clear()
        await self._take_effect(self._machine.hello_answered(_now_us(), answer))

    async def _push(self) -> None:
        waiting = self._outbox.next_run(self._records_max, RUN_BYTES_MAX)
        run = await in_steps(self._runner, waiting)
        if run is None:
            # What was seen to wait was undone since: the writer thread's commit failed.
            self._machine.failed(_now_us())
            return
        if not run.records:
            await self._leave_damaged(run)
            return
        heard = False
        self._coverage.push_began()
        try:
            heard = await self._send(run)
        finally:
            self._coverage.push_ended(heard=heard)

    async def _send(self, run: OutboxRun) -> bool:
        """Send a run, and do what follows from the answer; whether it brought totals."""
        answer = await self._plane.push(run)
        if isinstance(answer, PushAnswer):
            _require_sent(answer.watermark, run.first_sequence + len(run.records) - 1)
            effects = self._machine.push_answered(_now_us(), answer)
            self._told.clear()
        else:
            facts = await self._runner.run_alone(self._hello_facts)
            _require_sent(_sequence_in(answer), facts.last_sequence)
            effects = self._machine.push_refused(_now_us(), answer)
        self._reached()
        await self._take_effect(effects)
        return isinstance(answer, PushAnswer)

    async def _leave_damaged(self, run: OutboxRun) -> None:
        """Go on under a new incarnation: what waits first is not what was written.

        Nobody can send it, nor anything behind it in this chain. All before it is acknowledged.
        """
        common = run.first_sequence - 1
        log.error("outbox.damaged", incarnation=run.incarnation, sequence=run.first_sequence)
        await self._take_effect(self._machine.push_refused(_now_us(), PushFenced(common)))

    async def _take_effect(self, effects: Sequence[Effect]) -> None:
        behind = len(self._store.incarnations) > 1
        for effect in effects:
            if isinstance(effect, Acknowledge):
                await self._acknowledge(effect)
            elif isinstance(effect, Hear):
                await self._hearing.hear(effect.incarnation, effect.totals)
            else:
                await self._take_new_incarnation(effect)
        if behind and len(self._store.incarnations) == 1:
            # News of others was left aside meanwhile.
            self._caught_up()
        async with self._progress:
            self._progress.notify_all()

    async def _acknowledge(self, effect: Acknowledge) -> None:
        await self._in_steps(lambda: self._outbox.acknowledge(effect.incarnation, effect.watermark))

    async def _take_new_incarnation(self, effect: TakeNewIncarnation) -> None:
        incarnation, left = self._new_incarnation(), effect.fenced
        log.warning(
            "sync.fenced",
            left=left,
            incarnation=incarnation,
            common_sequence=effect.common_sequence,
            plane_lost_state=effect.lost,
        )
        begin = partial(self._outbox.begin_incarnation, incarnation, left, effect.common_sequence)
        # Else a clone may spend what was leased, or more was counted than is known: power was lost.
        is_sole = effect.lost and left == self._store.incarnation.id
        async with self._leaving() if is_sole else nullcontext():
            await self._in_steps(begin)
            self._keeper.incarnation_left()
            await self._move_fenced()

    async def _move_fenced(self) -> None:
        await self._in_steps(self._outbox.move_fenced)

    async def _in_steps(self, step: Callable[[], bool]) -> None:
        """Repeat a step of maintenance until it says that it is done, letting calls in between."""
        more = True
        while more:
            more = await self._runner.run_alone(step)
            await asyncio.sleep(0)

    async def _pause(self, until_us: int) -> None:
        if self._hurried and not self._failing:
            # Nothing is left to hurry with; look again as soon as something may have changed.
            until_us = min(until_us, _now_us() + 5_000)
        self._wake.clear()
        await rest(self._wake, until_us - _now_us())

    def connected(self) -> None:
        """The plane can be reached again: try at once, once after each outage."""
        if self._failing and self._may_try_early:
            self._may_try_early = False
            self._machine.connected(_now_us())
            self._wake.set()

    def _reached(self) -> None:
        self._failing, self._may_try_early = False, True
        self._contact(True)

    def _tell(self, error: Exception) -> None:
        """Log a failure, once of each kind until records get through again."""
        kind = type(error)
        if kind in self._told:
            return
        self._told.add(kind)
        if isinstance(error, PlaneRefuses):
            # Somebody has to look: the records stay in the outbox until the plane takes them.
            log.error("sync.plane_refuses", error=str(error))
        elif isinstance(error, PlaneAway):
            log.warning("sync.plane_away", error=str(error))
        elif isinstance(error, FieldError):
            # What the plane sent does not make sense, or the store is in trouble.
            log.error("sync.push_failed", error=str(error), reason=error.reason)
        else:
            log.error("sync.push_failed", reason="INTERNAL", exc_info=error)

    async def _failed(self) -> None:
        self._failing = True
        self._contact(False)
        self._machine.failed(_now_us())
        async with self._progress:
            self._progress.notify_all()

    def _view(self) -> OutboxView:
        oldest = self._store.incarnations[0]
        return OutboxView(
            incarnation=oldest.id,
            acknowledged_sequence=oldest.acknowledged_sequence,
            waiting=self._store.waiting_records(),
        )

    def _hello_facts(self) -> HelloFacts:
        oldest = self._store.incarnations[0]
        head = self._outbox.head_of(oldest)
        return HelloFacts(
            incarnation=oldest.id,
            last_sequence=head.sequence,
            last_chain=head.chain,
            acknowledged_sequence=oldest.acknowledged_sequence,
            acknowledged_chain=oldest.acknowledged_chain,
            lost_records=self._store.transact(lambda step: lost_records(step.keyspace)),
        )


def _require_sent(sequence: int, last_sequence: int) -> None:
    """Raise `PlaneAway` where the plane is said to have records that were never written.

    What it has is forgotten here, so this must not be believed.
    """
    if not 0 <= sequence <= last_sequence:
        raise PlaneAway(f"it says that it has record {sequence}, of {last_sequence}")


def _sequence_in(refusal: PushGap | PushFenced) -> int:
    """The last record that the plane has, as a refusal says."""
    if isinstance(refusal, PushFenced):
        return refusal.common_sequence
    return refusal.expected_sequence - 1


def _now_us() -> int:
    return time.monotonic_ns() // 1000
