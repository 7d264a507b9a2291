"""The push machine: brings the outbox to the control plane, exactly once.

Rules
- One run is under way at a time, so records arrive in order; the plane ignores what it has.
- An incarnation introduces itself (`SayHello`) before its first push and after every failure, since
  the plane or this store may have been restored in between; and once the plane was away, though
  there is nothing to push: what it has lost is then known at once.
- Records are forgotten only up to a watermark that the plane has confirmed.
- The plane has more than this store ever wrote, or another history: fenced. The store takes a new
  incarnation and offers again what the plane does not have.
- The plane has less than it once confirmed: it lost state. What was forgotten here is gone; the
  rest is offered again under a new incarnation, so that the flow does not stop for ever.
- Whatever does not bring the records on backs off: a failure, a refusal, an answer that takes
  nothing, a new incarnation. A greeting that succeeds ends that only where no push has failed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec

from sidecar.domain.limits.counters import CounterTotal
from sidecar.shared.backoff import Backoff


class OutboxView(msgspec.Struct, frozen=True):
    """What the machine has to know of the outbox: the oldest incarnation with records to send.

    `waiting`: records of all incarnations that wait.
    """

    incarnation: str
    acknowledged_sequence: int
    waiting: int


class SayHello(msgspec.Struct, frozen=True):
    """Introduce an incarnation to the plane."""

    incarnation: str


class Push(msgspec.Struct, frozen=True):
    """Send the oldest records that wait, from this sequence on."""

    incarnation: str
    first_sequence: int


class Wait(msgspec.Struct, frozen=True):
    """Do nothing until an instant, or until something changes."""

    until_us: int


Action: TypeAlias = SayHello | Push | Wait


class HelloAnswer(msgspec.Struct, frozen=True):
    """What the plane has of an incarnation."""

    watermark: int
    fenced: bool
    common_sequence: int


class PushAnswer(msgspec.Struct, frozen=True):
    """A run was taken."""

    watermark: int
    totals: Sequence[CounterTotal]


class PushGap(msgspec.Struct, frozen=True):
    """A run was refused: the plane expects another sequence."""

    expected_sequence: int


class PushFenced(msgspec.Struct, frozen=True):
    """A run was refused: the history is another one after this sequence."""

    common_sequence: int


class Acknowledge(msgspec.Struct, frozen=True):
    """Forget records of an incarnation up to a sequence."""

    incarnation: str
    watermark: int


class Hear(msgspec.Struct, frozen=True):
    """Take over totals that were sent to an incarnation."""

    incarnation: str
    totals: Sequence[CounterTotal]


class TakeNewIncarnation(msgspec.Struct, frozen=True):
    """Leave an incarnation; the plane has its records up to a sequence.

    `lost`: the plane has lost records that it had confirmed.
    """

    fenced: str
    common_sequence: int
    lost: bool


Effect: TypeAlias = Acknowledge | Hear | TakeNewIncarnation


class _State(enum.Enum):
    STRANGER = enum.auto()
    READY = enum.auto()
    UNDER_WAY = enum.auto()


class PushMachine:
    """Decides what to send when. Times in microseconds of any clock that only grows.

    `linger_us`: how long records may gather before they are sent. `records_max`: as many are sent
    at once. `uniform`: randomness for the back-off.
    """

    def __init__(self, *, linger_us: int, records_max: int, uniform: Callable[[], float]) -> None:
        self._linger_us = linger_us
        self._records_max = records_max
        self._backoff = Backoff(uniform)
        self._state = _State.STRANGER
        self._greeted = ""
        self._greet_again = False
        self._pushed: Push | None = None
        self._acknowledged_sequence = 0
        self._not_before_us = 0
        self._pushes_fail = False  # since the last one that was taken
        self._gathering_since_us: int | None = None

    def next_action(self, now_us: int, outbox: OutboxView, *, hurry: bool = False) -> Action:
        """What to do now. `hurry`: do not let records gather."""
        assert self._state is not _State.UNDER_WAY, "one exchange at a time"
        if now_us < self._not_before_us:
            return Wait(self._not_before_us)
        if (
            self._state is _State.STRANGER
            or self._greeted != outbox.incarnation
            or self._greet_again
        ):
            self._greet_again = False
            self._state = _State.UNDER_WAY
            self._greeted = outbox.incarnation
            self._acknowledged_sequence = outbox.acknowledged_sequence
            return SayHello(outbox.incarnation)
        if not outbox.waiting:
            self._gathering_since_us = None
            return Wait(now_us + self._linger_us)
        if self._gathering_since_us is None:
            self._gathering_since_us = now_us
        ripe_us = self._gathering_since_us + self._linger_us
        if now_us < ripe_us and outbox.waiting < self._records_max and not hurry:
            return Wait(ripe_us)
        self._gathering_since_us = None
        self._state = _State.UNDER_WAY
        self._pushed = Push(outbox.incarnation, outbox.acknowledged_sequence + 1)
        return self._pushed

    def plane_was_away(self) -> None:
        """Introduce the incarnation again before anything else: the plane may be another one."""
        self._greet_again = True

    def hello_answered(self, now_us: int, answer: HelloAnswer) -> Sequence[Effect]:
        """The plane has said what it has."""
        if answer.fenced:
            lost = answer.watermark < self._acknowledged_sequence
            return self._leave(now_us, self._greeted, answer.common_sequence, lost=lost)
        if not self._pushes_fail:
            self._backoff.succeeded()
        self._state = _State.READY
        return (Acknowledge(self._greeted, answer.watermark),)

    def push_answered(self, now_us: int, answer: PushAnswer) -> Sequence[Effect]:
        """The plane has taken a run, or says so."""
        pushed = self._finish()
        if answer.watermark < pushed.first_sequence:
            self._back_off(now_us)
        else:
            self._pushes_fail = False
            self._backoff.succeeded()
        return (
            Acknowledge(pushed.incarnation, answer.watermark),
            Hear(pushed.incarnation, answer.totals),
        )

    def push_refused(self, now_us: int, refusal: PushGap | PushFenced) -> Sequence[Effect]:
        """The plane has refused a run."""
        pushed = self._finish()
        if isinstance(refusal, PushFenced):
            common = refusal.common_sequence
            return self._leave(now_us, pushed.incarnation, common, lost=False)
        if refusal.expected_sequence < pushed.first_sequence:
            acknowledged = pushed.first_sequence - 1
            return self._leave(now_us, pushed.incarnation, acknowledged, lost=True)
        # The plane is ahead of this run: an answer was lost.
        self._back_off(now_us)
        return (Acknowledge(pushed.incarnation, refusal.expected_sequence - 1),)

    def connected(self, now_us: int) -> None:
        """The plane can be reached again: there is no more reason to wait."""
        self._not_before_us = now_us

    def failed(self, now_us: int) -> None:
        """No answer came, or one that says nothing about the records."""
        self._state = _State.STRANGER
        self._back_off(now_us, push_failed=self._pushed is not None)
        self._pushed = None

    def _leave(
        self, now_us: int, incarnation: str, common_sequence: int, *, lost: bool
    ) -> Sequence[Effect]:
        """Go on under another incarnation; not at once, lest one follows another in a loop."""
        self._state = _State.STRANGER
        self._back_off(now_us)
        return (TakeNewIncarnation(incarnation, common_sequence, lost),)

    def _back_off(self, now_us: int, *, push_failed: bool = True) -> None:
        """Do nothing for a while: what was done has not brought the records on."""
        self._pushes_fail |= push_failed
        self._not_before_us = now_us + self._backoff.failed()

    def _finish(self) -> Push:
        assert self._pushed is not None
        pushed, self._pushed = self._pushed, None
        self._state = _State.READY
        return pushed
