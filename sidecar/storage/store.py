"""The store: opening it, and running steps on it, each of them atomic.

Invariants
- One process, one thread: every step runs on the thread that owns the store.
- Counter, stored answer and outbox entry of a call change in one step, or none of them does.
- Sequences of an incarnation grow by one; each record is chained to the one before.
- What a step changed in memory (the head of the outbox) is undone when the step fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import structlog

from sidecar.domain.errors import Exhausted, FieldError, Unavailable
from sidecar.storage import codec, keys
from sidecar.storage.codec import Incarnation, StoreFormatError
from sidecar.storage.incarnations import (
    read_head,
    read_incarnations,
    read_names,
    with_new_incarnation,
    write_incarnations,
)
from sidecar.storage.kv_engine import KvEngine, KvFailure, KvFull, KvShort, KvTransaction
from sidecar.storage.room import STEP_BYTES_MAX, no_room
from sidecar.storage.transaction import AnswerPlace, OutboxHead, Transaction
from sidecar.storage.upgrade import take_over_answers, take_over_tallies

T = TypeVar("T")

_ROOM_CHECK_EVERY: Final = 256
"""Most steps between two looks at the room that is left."""

log = structlog.get_logger(__name__)


class Store:
    """A sidecar's store on an engine. Use `open_store`."""

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
        room and `Unavailable` where the disk fails.
        """
        transaction = self._transaction
        if transaction.kv is not None:
            return self.step_in_group(work)
        while True:
            try:
                # As `_begin`: a call more is felt on the path of a check.
                self._head_before, self._group_failed = transaction.head, False
                self._answer_bytes_before = self.answer_place.bytes_put
                kv = transaction.kv = self._engine.begin()
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
            raise _as_domain_error(self._engine.failure_of(error)) from error

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
            raise _as_domain_error(self._engine.failure_of(error)) from error
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
            raise _as_domain_error(self._engine.failure_of(error)) from error
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

    def close(self) -> None:
        """Let go of it."""
        self._engine.close()

    def _begin(self) -> None:
        transaction = self._transaction
        assert transaction.kv is None, "a step is under way"
        self._head_before = transaction.head
        self._answer_bytes_before = self.answer_place.bytes_put
        self._group_failed = False
        transaction.kv = self._engine.begin()

    def _make_room_or_raise(self, error: Exception) -> None:
        """Make room for a step that did not fit, so that it may be run again."""
        failure = self._engine.failure_of(error)
        if not (isinstance(failure, KvShort) and self._engine.make_room(urgent=True)):
            raise _as_domain_error(failure) from error


def open_store(
    engine: KvEngine,
    *,
    new_incarnation: Callable[[], str],
    outbox_records_max: int = 1_000_000,
    power_lost: bool = False,
) -> Store:
    """Open the store on an engine, or start one.

    After a loss of power the store may be older than what was answered: it goes on under a new
    incarnation, behind what waits in its outbox. Raises `StoreFormatError` for a store that a newer
    program wrote.
    """
    kv = engine.begin()
    try:
        _require_format(kv)
        stored = incarnations = read_incarnations(kv)
        if not incarnations:
            incarnations = (Incarnation(1, new_incarnation()),)
        elif power_lost:
            log.warning("store.power_lost", left=incarnations[-1].id)
            incarnations = with_new_incarnation(incarnations, new_incarnation())
        heads = {incarnation: read_head(engine, kv, incarnation) for incarnation in incarnations}
        *earlier, present = incarnations
        waiting = {
            incarnation: heads[incarnation].sequence - incarnation.acknowledged_sequence
            for incarnation in earlier
        }
        incarnations = (*(incarnation for incarnation in earlier if waiting[incarnation]), present)
        take_over_tallies(engine, kv, present)
        names = read_names(engine, kv)
        answer_place = AnswerPlace(names)
        answer_place.take_over(take_over_answers(engine, kv))
        # On a full disk nothing more can be written.
        if incarnations != stored or present.ordinal not in names:
            write_incarnations(kv, incarnations)
            names[present.ordinal] = present.id
        kv.commit()
    except BaseException:
        kv.abort()
        raise
    store = Store(engine, incarnations, heads[present], outbox_records_max, answer_place)
    store.set_incarnations(incarnations, heads[present], sum(waiting.values()))
    return store


def _require_format(kv: KvTransaction) -> None:
    """Refuse a newer format. An older one is read as it is, and from now on is of this format."""
    data = kv.get(keys.META_FORMAT)
    if data is None or int(data) < codec.STORE_FORMAT:
        kv.put(keys.META_FORMAT, str(codec.STORE_FORMAT).encode())
    elif int(data) > codec.STORE_FORMAT:
        raise StoreFormatError(
            f"the store has format {int(data)}, written by a newer tallyd; this one reads up to "
            f"{codec.STORE_FORMAT}: use the newer program, or another store path"
        )


def _left_half_way() -> Unavailable:
    return Unavailable("", "one of several steps failed half-way", "STORE_FAILED")


def _as_domain_error(failure: KvFailure) -> Exhausted | Unavailable:
    if isinstance(failure, KvFull):
        return Exhausted("", f"the store has no room: {failure}", "STORE_FULL")
    return Unavailable("", f"the store failed: {failure}", "STORE_FAILED")
