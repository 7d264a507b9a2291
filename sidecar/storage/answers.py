"""Answers that are kept for retries: in two partitions by time, within a quota of their own.

New answers go to the current partition; the one before is only read. Once the current one takes
half of the quota, or is as old as answers are kept, a new one begins, and what was before it goes
as a whole: in the order of its keys, so that whole pages come free, a few keys at a time. So the
oldest go first, a call pays one look-up more, and no index by time is kept up to date on its path.

Their age is what has elapsed (`SureTime.elapsed_us`): whatever clocks say, none goes sooner than
was promised. Where nobody saw time pass, as between two boots, they go later.

Answers never take the room that is reserved for records: where that is touched they go early, and
where half of it is gone none is kept. How far back keys are remembered is known exactly, and said.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from sidecar.storage import codec, keys, room
from sidecar.storage.answer_codec import NO_PARTITION, Partitions
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.storage.upgrade import take_over_answers

STEP_KEYS: Final = 200
"""Most answers that a step removes."""
_PAGES_FOR_BYTES: Final = 3, 2
"""Pages of a tree with keys in random order are two thirds full."""
_EXCESS_DIVISOR: Final = 8
"""By this part of the quota answers may be more, while what is over is being removed."""

log = structlog.get_logger(__name__)


class Answers:
    """Keeps the partitions within their bounds. Runs on the thread that owns the store.

    `kept_us`: how long an answer is promised to be kept. `forgotten`: answers that went before
    their time. `remembered`: what `remembered_us` was at the last step. `goes_on`: whether the
    time that ages are measured by, `elapsed_us` below, goes on from what it was before.
    """

    def __init__(
        self, store: Store, *, quota_bytes: int, kept_us: int, goes_on: bool = True
    ) -> None:
        self._store = store
        self._kept_us = kept_us
        self._place = store.answer_place
        self._state = store.transact(
            lambda transaction: take_over_answers(store.engine, transaction.keyspace)
        )
        if not goes_on:
            self._state = _aged_anew(self._state)
        self._not_kept_seen = self._place.not_kept
        self.remembered: int | None = None
        self.quota_bytes = quota_bytes
        self.forgotten = 0

    @property
    def size_bytes(self) -> int:
        """The room that answers take, as estimated."""
        state = self._state
        return self._current_bytes() + state.previous_bytes + state.going_bytes

    @property
    def not_kept(self) -> int:
        """Answers that there was no room to keep."""
        return self._place.not_kept

    def remembered_us(self, elapsed_us: int) -> int | None:
        """How far back idempotency keys are remembered; `None`: as far as promised."""
        if not self._place.takes:
            return 0
        age_us = elapsed_us - self._state.complete_from_us
        return None if age_us >= self._kept_us else max(0, age_us)

    def tend(self, elapsed_us: int) -> bool:
        """Take one small step; whether more is to be done at once."""
        before = self._state
        after = self._next(before, elapsed_us)
        going = after.going

        def work(transaction: Transaction) -> tuple[Partitions, int]:
            state, removed = after, 0
            if going is not None:
                removed = self._remove(transaction, going)
                if removed < STEP_KEYS:
                    state = self._without_going(transaction, state)
            if state != before:
                transaction.keyspace.put(keys.META_ANSWERS, codec.encode_value(state))
            return state, removed

        self._state, removed = self._store.transact(work)
        if after.going_early:
            self.forgotten += removed
        self._take_over(elapsed_us)
        return self._state.going is not None

    def _next(self, state: Partitions, elapsed_us: int) -> Partitions:
        """What is to be, by time, by size, and by the room that is left."""
        over_us = elapsed_us + self._kept_us
        state = msgspec.structs.replace(
            state,
            size_bytes=self._current_bytes(),
            # Not known yet; or of moments after the last that is known of a process before.
            since_us=min(state.since_us or elapsed_us, elapsed_us),
            previous_over_us=min(state.previous_over_us or over_us, over_us),
            complete_from_us=min(state.complete_from_us, elapsed_us),
        )
        if elapsed_us - state.complete_from_us >= self._kept_us:
            state = msgspec.structs.replace(state, complete_from_us=0)
        if not self._place.takes or self._place.not_kept != self._not_kept_seen:
            self._not_kept_seen = self._place.not_kept
            state = msgspec.structs.replace(state, complete_from_us=elapsed_us)
        if state.going is not None:
            return state
        is_short = self._is_in_the_way(state)
        if state.previous is not None and (
            is_short
            or state.previous_over_us <= elapsed_us
            or state.size_bytes + state.previous_bytes > self.quota_bytes
        ):
            return _without_previous(state, elapsed_us)
        if state.size_bytes and (
            is_short
            or state.size_bytes >= self.quota_bytes // 2
            or elapsed_us - state.since_us >= self._kept_us
        ):
            return self._with_new(_without_previous(state, elapsed_us), elapsed_us)
        return state

    def _is_in_the_way(self, state: Partitions) -> bool:
        """Whether records lack room that answers take; what is next to nothing may stay."""
        engine = self._store.engine
        return room.is_touched(engine) and (
            state.previous == NO_PARTITION or self.size_bytes >= room.reserve_bytes(engine) // 8
        )

    def _with_new(self, state: Partitions, elapsed_us: int) -> Partitions:
        """With a new partition, and the current one as the previous."""
        return msgspec.structs.replace(
            state,
            current=state.current + 1,
            since_us=elapsed_us,
            size_bytes=0,
            ordinal=self._store.incarnation.ordinal,
            previous=state.current,
            previous_over_us=elapsed_us + self._kept_us,
            previous_bytes=state.size_bytes,
            previous_ordinal=state.ordinal,
        )

    def _remove(self, transaction: Transaction, partition: int) -> int:
        """Remove some of a partition: how many."""
        kv, start = transaction.keyspace, keys.answers_of(partition)
        pairs = self._store.engine.scan(kv, start, keys.after(start), STEP_KEYS)
        for key, _ in pairs:
            kv.delete(key)
        return len(pairs)

    def _without_going(self, transaction: Transaction, state: Partitions) -> Partitions:
        """Without what has been removed, and the incarnations that only it referred to."""
        kv, engine = transaction.keyspace, self._store.engine
        oldest = _oldest_ordinal(state)
        for key, _ in engine.scan(kv, keys.name_key(0), keys.name_key(oldest), STEP_KEYS):
            kv.delete(key)
        return msgspec.structs.replace(state, going=None, going_bytes=0, going_early=False)

    def _current_bytes(self) -> int:
        times, by = _PAGES_FOR_BYTES
        return self._state.size_bytes + self._place.bytes_put * times // by

    def _take_over(self, elapsed_us: int) -> None:
        """Let calls see what was committed."""
        state, place = self._state, self._place
        place.take_over(state)
        place.bytes_put = 0
        if state.going is None:
            for ordinal in [known for known in place.names if known < _oldest_ordinal(state)]:
                del place.names[ordinal]
        excess_bytes = self.size_bytes - self.quota_bytes
        place.takes = (
            room.takes_answers(self._store.engine)
            and excess_bytes < self.quota_bytes // _EXCESS_DIVISOR
        )
        was_short, self.remembered = self.remembered is not None, self.remembered_us(elapsed_us)
        if was_short == (self.remembered is not None):
            return
        if not was_short:
            log.warning(
                "answers.forgotten_early",
                remembered_us=self.remembered,
                size_bytes=self.size_bytes,
                quota_bytes=self.quota_bytes,
            )
        else:
            log.info("answers.kept_as_promised", size_bytes=self.size_bytes)


def _oldest_ordinal(state: Partitions) -> int:
    """The first incarnation that kept answers may refer to."""
    return state.ordinal if state.previous is None else state.previous_ordinal


def _aged_anew(state: Partitions) -> Partitions:
    """With marks that are not known, where they are of a time that did not go on.

    What has been forgotten early, if anything, may have been so just now.
    """
    complete_from_us = (1 << 62) if state.complete_from_us else 0
    return msgspec.structs.replace(
        state, since_us=0, previous_over_us=0, complete_from_us=complete_from_us
    )


def _without_previous(state: Partitions, elapsed_us: int) -> Partitions:
    """With the previous partition, if there is one, on its way out."""
    if state.previous is None:
        return state
    is_early = state.previous_over_us > elapsed_us
    complete_from_us = state.complete_from_us
    return msgspec.structs.replace(
        state,
        previous=None,
        previous_bytes=0,
        going=state.previous,
        going_bytes=state.previous_bytes,
        going_early=is_early,
        # The last answer of the previous one came when the current one began.
        complete_from_us=max(complete_from_us, state.since_us) if is_early else complete_from_us,
    )
