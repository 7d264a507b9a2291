"""Enforce: decide about a check and count it, in one atomic step.

The way of a call: find the company (memory, else store); look for an answer stored under the
idempotency key; read the counters of every limit that applies; `decide`; write counters, usage
record and stored answer. All of it is one transaction of the store, and nothing on the way waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from sidecar.domain.catalog import FeatureKind
from sidecar.domain.decide import decide, decide_unmetered
from sidecar.domain.decision import (
    Basis,
    Decision,
    Gauge,
    GrantMode,
    Reason,
)
from sidecar.domain.errors import Conflict, FieldError
from sidecar.domain.requests import Check, payload_digest, require_event_time
from sidecar.service.directory import Directory, FeatureView, Place
from sidecar.service.standing import Standing
from sidecar.storage import keys
from sidecar.storage.codec import Counter, StoredAnswer
from sidecar.storage.record_wire import encode_owner, encode_record
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_NO_DIGEST: Final = b""
_METERED = FeatureKind.METERED
_REGARDLESS = GrantMode.REGARDLESS


class EncodeAnswer(Protocol):
    """Makes the bytes of an answer. They are stored for retries and sent as they are."""

    def __call__(self, decision: Decision, basis: Basis, record_id: str) -> bytes:
        """Encode an answer; `record_id` is empty where nothing was counted."""
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An encoded answer. `reason` is for metrics; `replayed` answers were stored before."""

    data: bytes
    allowed: bool
    reason: Reason
    replayed: bool = False


Outcome: TypeAlias = Answer | FieldError


class Enforcer:
    """Answers checks from a store. Runs on the thread that owns the store."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        standing: Standing,
        encode: EncodeAnswer,
        *,
        answers_kept_us: int,
    ) -> None:
        self._store = store
        self._directory = directory
        self._standing = standing
        self._encode = encode
        self._answers_kept_us = answers_kept_us

    def check_and_increment(self, check: Check, now_us: int) -> Answer:
        """Decide and count.

        Raises `Conflict` for an idempotency key that was used with another payload, `OutOfRange`
        for an event time out of bounds or where a counter would overflow, `Exhausted` or
        `Unavailable` where nothing can be written.
        """
        return self._store.transact(lambda transaction: self._step(transaction, check, now_us))

    def check_and_increment_each(
        self, checks: Sequence[Check | FieldError], now_us: int
    ) -> list[Outcome]:
        """Decide and count each, in order, in one durable step.

        A check that fails counts nothing and does not touch the others; one that was invalid from
        the start is passed through. Raises only where nothing at all could be written.
        """

        def work(transaction: Transaction) -> list[Outcome]:
            return [
                check
                if isinstance(check, FieldError)
                else self._attempt(transaction, check, now_us)
                for check in checks
            ]

        return self._store.transact(work)

    def _attempt(self, transaction: Transaction, check: Check, now_us: int) -> Outcome:
        try:
            return self._step(transaction, check, now_us)
        except FieldError as error:
            return error

    def _step(self, transaction: Transaction, check: Check, now_us: int) -> Answer:
        answer_key = b""
        digest = _NO_DIGEST
        if check.idempotency_key:
            answer_key = keys.answer_key(check.company, check.idempotency_key)
            digest = payload_digest(check)
            stored = transaction.answer(answer_key, now_us)
            if stored is not None:
                return _replay(stored, digest)
        if check.event_time_us != now_us:
            require_event_time("event_time", check.event_time_us, now_us)
        company = self._directory.company(check.company, check.event_time_us)
        if company is None:
            basis = self._standing.fallback_basis(now_us)
            return self._refuse(
                transaction, check, Reason.UNKNOWN_COMPANY, basis, answer_key, digest, now_us
            )
        feature = company.feature(check.feature)
        basis = self._standing.basis(company.version, now_us)
        if feature is None:
            return self._refuse(
                transaction, check, Reason.UNKNOWN_FEATURE, basis, answer_key, digest, now_us
            )
        if not feature.entitlement.entitled:
            reason = feature.entitlement.reason
            return self._refuse(transaction, check, reason, basis, answer_key, digest, now_us)
        if feature.entitlement.feature.kind is not _METERED and check.mode is not _REGARDLESS:
            return self._answer(decide_unmetered(Reason.ALLOWED), basis, "")
        return self._meter(transaction, check, feature, basis, answer_key, digest, now_us)

    def _meter(
        self,
        transaction: Transaction,
        check: Check,
        feature: FeatureView,
        basis: Basis,
        answer_key: bytes,
        digest: bytes,
        now_us: int,
    ) -> Answer:
        gauges: list[Gauge] = []
        # By key, since limits that count the same thing share a counter: it is counted on once.
        counted: dict[bytes, tuple[Place, Counter | None]] = {}
        for meter in feature.meters:
            place = meter.place(check.dimensions, check.event_time_us)
            if place is None:
                continue
            counter = transaction.counter(place.key, place.ref.values)
            used = 0 if counter is None else counter.used
            gauges.append(Gauge(meter.limit, place.ref.window, used, place.ref.values))
            counted[place.key] = (place, counter)
        decision = decide(check.quantity, check.mode, gauges, now_us)
        if not decision.allowed:
            return self._answer(decision, basis, "")
        self._store.require_room()
        for key, (place, counter) in counted.items():
            transaction.put_counter(key, _increased(place, counter, decision.granted))
        record = encode_record(
            feature.owner,
            decision.granted,
            check.event_time_us,
            now_us,
            check.idempotency_key,
            digest,
            check.dimensions,
            check.metadata,
            [place.wire for place, _ in counted.values()],
            decision.overage,
            False,
        )
        return self._commit(transaction, decision, basis, record, answer_key, digest, now_us)

    def _refuse(
        self,
        transaction: Transaction,
        check: Check,
        reason: Reason,
        basis: Basis,
        answer_key: bytes,
        digest: bytes,
        now_us: int,
    ) -> Answer:
        """Deny; but what has already happened is recorded, for the plane to attribute."""
        if check.mode is not _REGARDLESS:
            return self._answer(decide_unmetered(reason), basis, "")
        self._store.require_room()
        record = encode_record(
            encode_owner(check.company, check.feature),
            check.quantity,
            check.event_time_us,
            now_us,
            check.idempotency_key,
            digest,
            check.dimensions,
            check.metadata,
            (),
            0,
            True,
        )
        decision = Decision(True, reason, check.quantity)
        return self._commit(transaction, decision, basis, record, answer_key, digest, now_us)

    def _commit(
        self,
        transaction: Transaction,
        decision: Decision,
        basis: Basis,
        record: bytes,
        answer_key: bytes,
        digest: bytes,
        now_us: int,
    ) -> Answer:
        record_id = transaction.next_record_id()
        transaction.append(record)
        answer = self._answer(decision, basis, record_id)
        if answer_key:
            stored = StoredAnswer(now_us + self._answers_kept_us, digest, answer.data)
            transaction.put_answer(answer_key, stored)
        return answer

    def _answer(self, decision: Decision, basis: Basis, record_id: str) -> Answer:
        data = self._encode(decision, basis, record_id)
        return Answer(data, decision.allowed, decision.reason)


def _replay(stored: StoredAnswer, digest: bytes) -> Answer:
    if stored.digest != digest:
        raise Conflict("idempotency_key", "was used before with another payload")
    return Answer(stored.answer, True, Reason.ALLOWED, replayed=True)


def _increased(place: Place, counter: Counter | None, quantity: int) -> Counter:
    if counter is None:
        return Counter(quantity, 0, 0, place.ref.window.end_us, place.ref.values)
    return Counter(
        counter.own + quantity,
        counter.others,
        counter.heard,
        counter.window_end_us,
        counter.values,
    )
