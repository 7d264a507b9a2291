"""A tiny control plane for the sync machines, written from the contract in sync.proto.

It keeps whole histories in lists, and works everything out from them each time.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.slices import whole
from sidecar.domain.time.windows import Window
from sidecar.storage.outbox import OutboxRun
from sidecar.storage.transaction import OutboxHead
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
from tests.support.stores import OpenedStore, chain_of

LINGER_US: Final = 50_000
RUN_RECORDS: Final = 7


class ModelPlane:
    """Histories of incarnations, and the sums that follow from them."""

    def __init__(self) -> None:
        self.histories: dict[str, list[bytes]] = {}
        self.fenced: set[str] = set()
        self._version = 0

    def hello(
        self, head: OutboxHead, acknowledged: int, chain: bytes, incarnation: str
    ) -> HelloAnswer:
        """What it has of an incarnation, as far as two chains can tell."""
        history = self.histories.get(incarnation, [])
        if acknowledged > len(history) or chain_of(*history[:acknowledged]) != chain:
            self.fenced.add(incarnation)
            return HelloAnswer(len(history), True, 0)
        if head.sequence > len(history) or chain_of(*history[: head.sequence]) != head.chain:
            # Only the records can tell what is common; the answer to the push will.
            return HelloAnswer(acknowledged, False, 0)
        if head.sequence < len(history) or incarnation in self.fenced:
            self.fenced.add(incarnation)
            return HelloAnswer(len(history), True, head.sequence)
        return HelloAnswer(head.sequence, False, 0)

    def push(self, run: OutboxRun) -> PushAnswer | PushGap | PushFenced:
        """Take a run, or refuse it."""
        history = self.histories.setdefault(run.incarnation, [])
        before = run.first_sequence - 1
        if before > len(history):
            return PushGap(len(history) + 1)
        known = history[before:]
        common = 0
        while common < min(len(known), len(run.records)) and known[common] == run.records[common]:
            common += 1
        diverged = common < min(len(known), len(run.records))
        if diverged or run.incarnation in self.fenced:
            self.fenced.add(run.incarnation)
            return PushFenced(before + common)
        assert chain_of(*history[:before]) == run.previous_chain
        history += run.records[common:]
        self._version += 1
        touched = {key for record in run.records for key in _counters(record)}
        return PushAnswer(len(history), [self._total(key, run.incarnation) for key in touched])

    def ledger(self) -> Tally[int]:
        """How often a record of each quantity was taken."""
        return Tally(
            sync_pb2.UsageRecord.FromString(record).quantity
            for history in self.histories.values()
            for record in history
        )

    def _total(self, key: tuple[str, str, CounterRef], incarnation: str) -> CounterTotal:
        company, feature, ref = key
        sums = {
            name: sum(
                sync_pb2.UsageRecord.FromString(record).quantity
                for record in history
                if key in _counters(record)
            )
            for name, history in self.histories.items()
        }
        own = sums.get(incarnation, 0)
        return CounterTotal(company, feature, ref, sum(sums.values()), own, self._version)


class SyncDriver:
    """Carries out what the push machine says, one exchange at a time, on virtual time.

    `between` is called between any two steps on the store, and may raise.
    """

    def __init__(
        self, opened: OpenedStore, plane: ModelPlane, between: Callable[[], None] = lambda: None
    ) -> None:
        self.now_us = 0
        self._between = between
        self._opened = opened
        self._plane = plane
        self.restart()

    def restart(self) -> None:
        """The process was started again: the machine knows nothing."""
        self._machine = PushMachine(
            linger_us=LINGER_US, records_max=RUN_RECORDS, uniform=lambda: 0.5
        )
        self._move_fenced()

    def step(self, *, delivered: int = 1, answered: bool = True) -> None:
        """Do the next thing. A request arrives so many times, and is answered or not."""
        store = self._opened.store
        oldest = store.incarnations[0]
        view = OutboxView(oldest.id, oldest.acknowledged_sequence, store.waiting_records())
        action = self._machine.next_action(self.now_us, view)
        if isinstance(action, Wait):
            self.now_us = action.until_us
        elif isinstance(action, SayHello):
            head = self._opened.outbox.head_of(oldest)
            acknowledged, chain = oldest.acknowledged_sequence, oldest.acknowledged_chain

            def hello() -> HelloAnswer:
                return self._plane.hello(head, acknowledged, chain, oldest.id)

            self._exchange(hello, delivered, answered)
        else:
            run = whole(self._opened.outbox.next_run(RUN_RECORDS, 1 << 20))
            assert run is not None
            assert (run.incarnation, run.first_sequence) == (
                action.incarnation,
                action.first_sequence,
            )
            self._exchange(lambda: self._plane.push(run), delivered, answered)

    def flush(self) -> None:
        """Go on without faults until everything is sent."""
        for _ in range(10_000):
            if not self._opened.store.waiting_records():
                return
            self.step()
        raise AssertionError("records are stuck")

    def _exchange(
        self,
        request: Callable[[], HelloAnswer | PushAnswer | PushGap | PushFenced],
        delivered: int,
        answered: bool,
    ) -> None:
        answers = [request() for _ in range(delivered)]
        machine = self._machine
        if not answers or not answered:
            machine.failed(self.now_us)
            return
        # A duplicate's answer may be the one that comes back.
        answer = answers[-1]
        if isinstance(answer, HelloAnswer):
            effects = machine.hello_answered(self.now_us, answer)
        elif isinstance(answer, PushAnswer):
            effects = machine.push_answered(self.now_us, answer)
        else:
            effects = machine.push_refused(self.now_us, answer)
        for effect in effects:
            self._take_effect(effect)

    def _take_effect(self, effect: Effect) -> None:
        outbox = self._opened.outbox
        if isinstance(effect, Acknowledge):
            self._in_steps(lambda: outbox.acknowledge(effect.incarnation, effect.watermark))
        elif isinstance(effect, Hear):
            for total in effect.totals:
                self._opened.counters.hear(effect.incarnation, [total])
                self._between()
        else:
            new = self._opened.new_incarnation()
            self._in_steps(
                lambda: outbox.begin_incarnation(new, effect.fenced, effect.common_sequence)
            )
            self._move_fenced()

    def _move_fenced(self) -> None:
        self._in_steps(self._opened.outbox.move_fenced)

    def _in_steps(self, step: Callable[[], bool]) -> None:
        while step():
            self._between()
        self._between()


def _counters(record: bytes) -> set[tuple[str, str, CounterRef]]:
    message = sync_pb2.UsageRecord.FromString(record)
    return {
        (
            message.company,
            message.feature,
            CounterRef(
                counter.slot,
                tuple(counter.values),
                Window(counter.window_start_us, counter.window_end_us),
            ),
        )
        for counter in message.counters
    }
