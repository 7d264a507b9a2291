"""Usage up: what the push machine says, carried out on virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.errors import Fenced, SequenceGap
from sidecar.domain.errors import FieldError
from sidecar.domain.slices import whole
from sidecar.domain.time.units import MILLISECOND_US
from sidecar.shared.convert.counters import total_from_message
from sidecar.sync.machine.push import (
    Acknowledge,
    Effect,
    Hear,
    HelloAnswer,
    OutboxView,
    PushAnswer,
    PushFenced,
    PushGap,
    PushMachine,
    SayHello,
    Wait,
)
from tests.simulation.leases.alarm import Alarm

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process

LINGER_US: Final = 100 * MILLISECOND_US
RECORDS_MAX: Final = 500
RUN_BYTES_MAX: Final = 1 << 20


class Pushing:
    """Empties the outbox of a process."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._machine = PushMachine(
            linger_us=LINGER_US, records_max=RECORDS_MAX, uniform=process.pod.random.random
        )
        self._is_asking = False
        self._alarm = Alarm(process, self.wake)
        self._hurried = False

    @property
    def is_through(self) -> bool:
        """Whether the plane has all that was ever counted here."""
        return not self._process.store.waiting_records()

    def plane_was_away(self) -> None:
        """Greet the plane again: it may be another."""
        self._machine.plane_was_away()
        self.wake()

    def hurry(self) -> None:
        """Do not let records gather."""
        self._hurried = True
        self.wake()

    def wake(self) -> None:
        """See what is to be done now."""
        if self._is_asking:
            return
        process = self._process
        while process.store.incarnations[0].fenced and process.outbox.move_fenced():
            pass
        oldest = process.store.incarnations[0]
        view = OutboxView(oldest.id, oldest.acknowledged_sequence, process.store.waiting_records())
        action = self._machine.next_action(process.ticks_us, view, hurry=self._hurried)
        if isinstance(action, Wait):
            # Who counts wakes it: without records it only asks to be looked at in a while.
            if view.waiting or action.until_us != process.ticks_us + LINGER_US:
                self._alarm.set(action.until_us)
            return
        self._is_asking = True
        if isinstance(action, SayHello):
            self._process.ask("Hello", self._greeting(), self._greeted)
        else:
            self._push()

    def _greeting(self) -> sync_pb2.HelloRequest:
        store, outbox = self._process.store, self._process.outbox
        oldest = store.incarnations[0]
        head = outbox.head_of(oldest)
        return sync_pb2.HelloRequest(
            incarnation=oldest.id,
            last_sequence=head.sequence,
            last_chain=head.chain,
            acknowledged_sequence=oldest.acknowledged_sequence,
            acknowledged_chain=oldest.acknowledged_chain,
            capabilities=[sync_pb2.CAPABILITY_LEASES],
        )

    def _greeted(self, answer: Any) -> None:
        self._is_asking = False
        now_us = self._process.ticks_us
        if not isinstance(answer, sync_pb2.HelloResponse):
            self._machine.failed(now_us)
            self._process.leasing.plane_away()
            self.wake()
            return
        grants_leases = sync_pb2.CAPABILITY_LEASES in answer.capabilities
        self._process.leasing.greeted(
            answer.epoch, grants_leases=grants_leases, is_fenced=answer.fenced
        )
        heard = HelloAnswer(answer.watermark, answer.fenced, answer.common_sequence)
        self._take(self._machine.hello_answered(now_us, heard))

    def _push(self) -> None:
        run = whole(self._process.outbox.next_run(RECORDS_MAX, RUN_BYTES_MAX))
        assert run is not None
        assert run.records
        request = sync_pb2.PushUsageRequest(
            incarnation=run.incarnation,
            first_sequence=run.first_sequence,
            previous_chain=run.previous_chain,
            records=run.records,
        )
        self._process.ask("PushUsage", request, self._pushed)

    def _pushed(self, answer: Any) -> None:
        self._is_asking = False
        now_us = self._process.ticks_us
        effects: Sequence[Effect]
        if isinstance(answer, sync_pb2.PushUsageResponse):
            totals = [total_from_message(total, "totals") for total in answer.totals]
            effects = self._machine.push_answered(now_us, PushAnswer(answer.watermark, totals))
        elif isinstance(answer, SequenceGap):
            effects = self._machine.push_refused(now_us, PushGap(answer.expected_sequence))
        elif isinstance(answer, Fenced):
            effects = self._machine.push_refused(now_us, PushFenced(answer.common_sequence))
        else:
            assert answer is None or isinstance(answer, FieldError)
            self._machine.failed(now_us)
            effects = ()
        self._take(effects)

    def _take(self, effects: Sequence[Effect]) -> None:
        process = self._process
        behind = len(process.store.incarnations) > 1
        for effect in effects:
            if isinstance(effect, Acknowledge):
                while process.outbox.acknowledge(effect.incarnation, effect.watermark):
                    pass
            elif isinstance(effect, Hear):
                process.watching.hear(effect.incarnation, effect.totals)
            else:
                new = process.world.new_incarnation()
                if effect.lost and effect.fenced == process.store.incarnation.id:
                    process.leasing.leave()
                while process.outbox.begin_incarnation(new, effect.fenced, effect.common_sequence):
                    pass
                while process.outbox.move_fenced():
                    pass
                process.leasing.incarnation_left()
                process.watching.reopen()
        if behind and len(process.store.incarnations) == 1:
            process.watching.reopen()  # news of others was left aside meanwhile
        if not process.store.waiting_records():
            self._hurried = False
        self.wake()
