"""The store: running steps on it, each of them atomic.

Invariants
- One process, one thread: every step runs on the thread that owns the store.
- Counter, stored answer and outbox entry of a call change in one step, or none of them does.
- Sequences of an incarnation grow by one; each record is chained to the one before.
- What a step changed in memory (the head of the outbox) is undone when the step fails.
- A store in which damage was found takes no further step: its process ends, and the next one looks
  through all of it before it answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import structlog

from sidecar.domain.errors import Exhausted, FieldError, Unavailable
from sidecar.storage.codec import Incarnation
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.incarnations import read_head
from sidecar.storage.kv_engine import (
    KvDamaged,
    KvEnded,
    KvEngine,
    KvFailure,
    KvFull,
    KvShort,
    KvTransaction,
)
from sidecar.storage.room import STEP_BYTES_MAX, no_room
from sidecar.storage.transaction import AnswerPlace, OutboxHead, Transaction

T = TypeVar("T")

_ROOM_CHECK_EVERY: Final = 256
"""Most steps between two looks at the room that is left."""

log = structlog.get_logger(__name__)


class Store:
    """A sidecar's store on an engine. Use `open_store` (`opening.py`)."""

    def __init__(
        self,
        engine: KvEngine,
        incarnations: tuple[Incarnation, ...],
        head: OutboxHead,
        outbox_records_max: int,
        answer_place: AnswerPlace,
    ) -> None:
        self._engine = engine
        self._incarnations = incarnations
        self._transaction = Transaction(engine, incarnations[-1], head, answer_place)
        self._outbox_records_max = outbox_records_max
        self._sequence_max = 0  # of the present incarnation, once as many records wait as may
        self._steps_to_room_check = 0
        self._backlog_records = 0
        self._head_before = head
        self._answer_bytes_before = 0
        self._group_failed = False
        self.answer_place = answer_place
        self._begin_kv: Callable[[], KvTransaction] = engine.begin
        self._ended_by: FieldError | None = None
        self._when_ended: Callable[[FieldError], None] | None = None

    @property
    def incarnations(self) -> tuple[Incarnation, ...]:
        """Lives of the store with records to send, oldest first; the last is the present one."""
        return self._incarnations

    @property
    def incarnation(self) -> Incarnation:
        """The present life of the store."""
        return self._incarnations[-1]

    @property
    def head(self) -> OutboxHead:
        """Where the outbox of the present incarnation ends."""
        return self._transaction.head

    @property
    def engine(self) -> KvEngine:
        """What the store stands on; for the other modules of this room."""
        return self._engine

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run a step; what it wrote is committed when it returns, and undone when it raises.

        A step that did not fit is run again once room was made for it. Within a group the commit
        comes with the group's, and a step cannot be undone alone: `work` must not write before
        everything that it may raise of itself is behind it. Raises `Exhausted` where there is no
        room, `Unavailable` where the disk fails or the store has ended, and `StoreDamaged`.
        """
        transaction = self._transaction
        if transaction.kv is not None:
            return self.step_in_group(work)
        while True:
            try:
                # As `_begin`: a call more is felt on the path of a check.
                self._head_before, self._group_failed = transaction.head, False
                self._answer_bytes_before = self.answer_place.bytes_put
                kv = transaction.kv = self._begin_kv()
                try:
                    result = work(transaction)
                    if self._group_failed:
                        raise _left_half_way()
                    kv.commit()
                except BaseException:
                    self.abort_group()
                    raise
            except self._engine.failures as error:
                self._make_room_or_raise(error)
            except StoreDamaged as error:
                self.end(error)
                raise
            else:
                transaction.kv = None
                return result

    def begin_group(self) -> None:
        """Begin a transaction that the steps up to `commit_group` share.

        Each of them has its own outcome: one that raises a `FieldError` has written nothing, and
        the others stand. One that raises anything else ends the group: it cannot be committed then.
        The same holds for steps within a step.
        """
        try:
            self._begin()
        except self._engine.failures as error:
            raise self._as_domain_error(error) from error

    def step_in_group(self, work: Callable[[Transaction], T]) -> T:
        """Run a step between `begin_group` and `commit_group`, as `transact` does there."""
        transaction = self._transaction
        before = transaction.head
        try:
            return work(transaction)
        except BaseException as error:
            if transaction.head is not before or not isinstance(error, FieldError):
                self._group_failed = True
            transaction.head = before
            if isinstance(error, StoreDamaged):
                self._group_failed = True
                self.end(error)
            raise

    def commit_group(self) -> None:
        """Commit what the steps since `begin_group` wrote.

        Raises as `transact` does, and then none of them happened; each alone may fit.
        """
        transaction = self._transaction
        kv = transaction.kv
        assert kv is not None, "no group is under way"
        if self._group_failed:
            self.abort_group()
            raise _left_half_way()
        try:
            kv.commit()
        except self._engine.failures as error:
            self.abort_group()
            raise self._as_domain_error(error) from error
        except BaseException:
            self.abort_group()
            raise
        transaction.kv = None

    def abort_group(self) -> None:
        """Undo all since `begin_group`."""
        transaction = self._transaction
        kv, transaction.kv = transaction.kv, None
        assert kv is not None, "no group is under way"
        transaction.head = self._head_before
        self.answer_place.bytes_put = self._answer_bytes_before
        kv.abort()

    @contextmanager
    def group(self) -> Iterator[None]:
        """Commit the steps within as one; if one of them raises, none of them happened."""
        self.begin_group()
        try:
            yield
        except self._engine.failures as error:
            self.abort_group()
            raise self._as_domain_error(error) from error
        except BaseException:
            self.abort_group()
            raise
        self.commit_group()

    def outbox_is_full(self) -> bool:
        """Whether as many records wait as may; the fail policy then decides about more."""
        return self._transaction.head.sequence >= self._sequence_max

    def require_room(self) -> None:
        """Raise `Exhausted` where the store has no room for more: before a record is added."""
        self._steps_to_room_check -= 1
        if self._steps_to_room_check < 0:
            room_steps = self._engine.room_bytes() // STEP_BYTES_MAX
            self._steps_to_room_check = min(room_steps, _ROOM_CHECK_EVERY) - 1
            if room_steps == 0:
                raise no_room()

    def admits(self) -> bool:
        """Whether one more record may wait. Raises `Exhausted` where there is no room for it."""
        self._steps_to_room_check -= 1
        if self._steps_to_room_check < 0:
            self._steps_to_room_check = 0
            self.require_room()
        return self._transaction.head.sequence < self._sequence_max

    def waiting_records(self) -> int:
        """Records that wait to be sent, over all incarnations."""
        sent = self._incarnations[-1].acknowledged_sequence
        return self._backlog_records + self._transaction.head.sequence - sent

    def lives(self) -> list[tuple[Incarnation, OutboxHead]]:
        """Its incarnations, and where the outbox of each ends."""

        def work(transaction: Transaction) -> list[tuple[Incarnation, OutboxHead]]:
            *earlier, present = self._incarnations
            kv = transaction.keyspace
            return [
                *((known, read_head(self._engine, kv, known)) for known in earlier),
                (present, transaction.head),
            ]

        return self.transact(work)

    def set_incarnations(
        self, incarnations: tuple[Incarnation, ...], head: OutboxHead, backlog_records: int
    ) -> None:
        """Take over what a committed step wrote of the incarnations; for the outbox module."""
        self._incarnations = incarnations
        self._transaction.incarnation = incarnations[-1]
        self.answer_place.names[incarnations[-1].ordinal] = incarnations[-1].id
        self._transaction.head = head
        self._backlog_records = backlog_records
        sent = incarnations[-1].acknowledged_sequence
        self._sequence_max = sent + self._outbox_records_max - backlog_records

    @property
    def ended_by(self) -> FieldError | None:
        """Why no further step is taken; `None` while steps are."""
        return self._ended_by

    def when_ended(self, told: Callable[[FieldError], None]) -> None:
        """Have somebody told, on the thread of the store, once no further step is taken."""
        self._when_ended = told
        if self._ended_by is not None:
            told(self._ended_by)

    def end(self, error: FieldError) -> None:
        """Take no further step, since what is stored cannot be relied on any more.

        Steps raise `Unavailable` from now on, with the error's reason. May be called again.
        """
        if self._ended_by is not None:
            return
        self._ended_by = error
        self._begin_kv = self._refuse
        log.error("store.ended", error=str(error), reason=error.reason)
        if self._when_ended is not None:
            self._when_ended(error)

    def _refuse(self) -> KvTransaction:
        assert self._ended_by is not None
        raise Unavailable("", f"the sidecar ends: {self._ended_by}", self._ended_by.reason)

    def close(self) -> None:
        """Let go of it."""
        self._engine.close()

    def _begin(self) -> None:
        transaction = self._transaction
        assert transaction.kv is None, "a step is under way"
        self._head_before = transaction.head
        self._answer_bytes_before = self.answer_place.bytes_put
        self._group_failed = False
        transaction.kv = self._begin_kv()

    def _make_room_or_raise(self, error: Exception) -> None:
        """Make room for a step that did not fit, so that it may be run again."""
        failure = self._engine.failure_of(error)
        if not (isinstance(failure, KvShort) and self._engine.make_room(urgent=True)):
            raise self._as_domain_error(error) from error

    def _as_domain_error(self, error: Exception) -> FieldError:
        failure = self._engine.failure_of(error)
        if isinstance(failure, KvDamaged):
            damage = StoreDamaged(f"damage in the store: {failure}")
            self.end(damage)
            return damage
        found = _domain_error_of(failure)
        if isinstance(failure, KvEnded):
            self.end(found)
        return found


def _left_half_way() -> Unavailable:
    return Unavailable("", "one of several steps failed half-way", "STORE_FAILED")


def _domain_error_of(failure: KvFailure) -> Exhausted | Unavailable:
    if isinstance(failure, KvFull):
        return Exhausted("", f"the store has no room: {failure}", "STORE_FULL")
    return Unavailable("", f"the store failed: {failure}", "STORE_FAILED")
