"""Enforce: decide about a check and count it, in one atomic step.

The way of a call: look for an answer stored under the idempotency key; find the company (memory,
else store); read the counters and buckets of every limit and rate that applies; `decide`; write
counters, buckets, usage record and stored answer. All of it is one transaction of the store, and
nothing on the way waits.

Where knowledge or room is lacking, the feature's fail policy decides, and the answer's basis says
so. What has already happened is recorded in any case.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Final, Protocol, TypeAlias

import msgspec

from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.errors import Conflict, FieldError
from sidecar.domain.limits.decide import decide_unmetered
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, GrantMode, Reason
from sidecar.domain.limits.requests import Check, require_event_time
from sidecar.engine.admission import Admission, Gate
from sidecar.engine.balance_reading import balances_of
from sidecar.engine.batch_needs import BatchNeeds
from sidecar.engine.burning import burn, burning
from sidecar.engine.call import CheckCall
from sidecar.engine.check_reading import read_for_check
from sidecar.engine.leased import decided, mark_due
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.unheard import basis_or_needs, unheard_counters
from sidecar.engine.wanted import Wanted
from sidecar.storage.answer_codec import StoredAnswer
from sidecar.storage.record_wire import encode_owner, encode_record
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_RECORD_ONLY: Final = GrantMode.RECORD_ONLY
_ALLOWED: Final = Reason.ALLOWED


class EncodeResponse(Protocol):
    """Makes the bytes of an answer that is kept for retries."""

    def __call__(self, decision: Decision, basis: Basis, record_id: str) -> bytes:
        """Encode an answer."""
        ...


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What came of a check. Whoever was asked says it to the caller, each in his own way.

    `kept`: what retries get, encoded once; empty where nothing was counted, as nothing is kept
    then. Of a `Replay` there is nothing else. `record_id` is empty where nothing was counted.
    """

    decision: Decision
    basis: Basis
    record_id: str = ""
    kept: bytes = b""


class Replay(msgspec.Struct, frozen=True, gc=False):
    """What an earlier check under the same idempotency key was answered, as it was kept."""

    kept: bytes


Outcome: TypeAlias = Answer | Replay | FieldError


class Enforcer:
    """Answers checks from a store. Runs on the thread that owns the store."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        plane_status: PlaneStatus,
        encode: EncodeResponse,
        dimensions: RequestDimensions | None = None,
    ) -> None:
        self._store, self._directory = store, directory
        self._dimensions = dimensions or RequestDimensions(directory)
        self._gate = Gate(directory, plane_status)
        self._batch_needs = BatchNeeds(directory, self._gate, plane_status)
        self._plane_status = plane_status
        self._encode = encode

    def check_and_increment(
        self, check: Check, now_us: int, asked: Needs = NOTHING
    ) -> Answer | Replay | Needs:
        """Decide and count, or say what the plane has to be asked for first.

        A quantity of 0 is a question: it is decided, and nothing is written, no key either.
        `asked`: what it was asked for; if nothing is known of a company still, the fail policy
        decides. Raises `Conflict` for an idempotency key that was used with another payload,
        `OutOfRange` for an event time out of bounds, `InvalidInput` for dimensions that are not as
        declared, `Exhausted` or `Unavailable` where nothing can be written.
        """
        return self._store.transact(
            lambda transaction: self._step(transaction, check, now_us, asked)
        )

    def check_and_increment_each(
        self, checks: Sequence[Check | FieldError], now_us: int, asked: Needs = NOTHING
    ) -> list[Outcome] | Needs:
        """Decide and count each, in order, in one durable step.

        A check that fails counts nothing and does not touch the others; one that was invalid from
        the start is passed through. What is needed for any of them is needed before the first: so
        one state of the catalog decides them all. Raises only where nothing at all could be
        written.
        """

        def work(transaction: Transaction) -> list[Outcome] | Needs:
            needs = self._batch_needs.of(transaction, checks, now_us, asked)
            return needs or self._each(checks, now_us, asked)

        return self._store.transact(work)

    @property
    def uses_leases(self) -> bool:
        """Whether exact limits are counted on by leases alone."""
        return self._plane_status.leases

    def lease_needs(
        self,
        transaction: Transaction,
        checks: Sequence[Wanted],
        now_us: int,
        asked: Needs,
    ) -> Needs:
        """What is needed of leases for checks that are decided one by one; see `BatchNeeds`."""
        return self._batch_needs.leases(transaction, checks, now_us, asked)

    def _each(
        self, checks: Sequence[Check | FieldError], now_us: int, asked: Needs
    ) -> list[Outcome]:
        return [
            check if isinstance(check, FieldError) else self.attempt(check, now_us, asked)
            for check in checks
        ]

    def holds_all(self, companies: Set[str], now_us: int) -> bool:
        """Whether nothing has to be asked for to decide about companies."""
        part_heard = self._plane_status.part_heard
        found = (self._directory.company(name, now_us) for name in companies)
        return all(company and company.snapshot.company not in part_heard for company in found)

    def first_id(self, company: str) -> str:
        """The first id of a company, as far as it is in memory; for the event loop."""
        return self._directory.known_first_id(company)

    def balances_of(self, feature: str) -> list[str]:
        """Keys of the credits features that usage of a feature draws on; for the event loop."""
        index = self._directory.index
        known = None if index is None else index.features.get(feature)
        return [] if known is None else [each.credits for each in known.costs]

    def feature_of(self, company: str, feature: str, at_us: int) -> ResolvedFeature | None:
        """What decides about a company's feature at an instant, as far as it is known."""
        known = self._directory.company(company, at_us) or self._directory.default_company(company)
        return None if known is None else known.feature(feature)

    def attempt(self, check: Check, now_us: int, asked: Needs) -> Outcome:
        """Decide and count one of many that are decided as one, once nothing is needed any more.

        What is wrong with it is what came of it.
        """
        try:
            # A step of its own within the batch's, so that it is held to what steps must keep to.
            outcome = self.check_and_increment(check, now_us, asked.without_leases())
        except FieldError as error:
            return error
        assert not isinstance(outcome, Needs), "all needs were looked at before"
        return outcome

    def _step(
        self, transaction: Transaction, check: Check, now_us: int, asked: Needs
    ) -> Answer | Replay | Needs:
        call = CheckCall(transaction, check, now_us, self._directory)
        check = call.check
        stored = call.stored_answer()
        if stored is not None:
            return _replay(stored, call.digest)
        if check.event_time_us != now_us:
            machine_ahead_us = self._plane_status.machine_ahead_us
            require_event_time("event_time", check.event_time_us, now_us, machine_ahead_us)
        problem = self._dimensions.require(check)
        admission = self._gate.admit(check, now_us, asked)
        if isinstance(admission, Needs):
            return admission
        admission.require_counted()
        if problem:
            admission = msgspec.structs.replace(admission, dimension_problem=problem)
        if admission.denied:
            return Answer(decide_unmetered(admission.reason), admission.basis)
        if not admission.metered and check.mode is not _RECORD_ONLY:
            return Answer(admission.told(decide_unmetered(_ALLOWED)), admission.basis)
        feature = admission.feature
        if feature is None or not feature.entitlement.granted or not admission.metered:
            return self._record(call, admission)
        return self._meter(call, admission, feature, asked)

    def _meter(
        self, call: CheckCall, admission: Admission, feature: ResolvedFeature, asked: Needs
    ) -> Answer | Needs:
        check, now_us, transaction = call.check, call.now_us, call.transaction
        at_us, mode = check.event_time_us, admission.mode
        assert admission.company is not None
        status = self._plane_status
        reading = read_for_check(transaction, admission, feature, check, now_us, status)
        unheard = unheard_counters(reading, feature, check, now_us, status)
        basis = basis_or_needs(unheard, check, now_us, asked, admission.basis, status)
        if isinstance(basis, Needs):
            return basis
        told = decided(reading, feature, check, mode, now_us, asked, basis, status)
        balances = balances_of(transaction, admission, feature, check, now_us, status)
        told = burning(told, reading, balances, feature, check, mode, now_us, asked, status)
        if isinstance(told, Needs):
            return told
        decision, basis = told
        if status.rate_sharing.sidecars:
            reading.ask(status.rate_sharing, feature, check.quantity)
        if not decision.allowed:
            return Answer(decision, basis)
        if not admission.is_plain:
            decision = admission.told(decision)
        if check.quantity == 0:
            return Answer(decision, basis)
        if self._store.outbox_is_full():
            counted, basis = self._gate.admit_to_full_outbox(check, basis, now_us)
            if not counted:
                return Answer(decide_unmetered(Reason.OUTBOX_FULL), basis)
        self._store.require_room()
        granted = decision.granted
        reading.count(transaction, granted, now_us)
        mark_due(reading, feature, granted, status.lease_book)
        if reading.rates or reading.throttled:
            reading.fill(transaction, granted, now_us)
        record = encode_record(
            feature.owner,
            granted,
            at_us,
            now_us,
            check.idempotency_key,
            call.digest,
            check.dimensions,
            check.metadata,
            [address.wire for address, _ in reading.counted.values()],
            decision.overage,
            admission.company.is_default,  # where the company exists, the plane knows better
            burn(balances, decision.burned),
        )
        return self._commit(call, decision, basis, record)

    def _record(self, call: CheckCall, admission: Admission) -> Answer:
        """Allow, and record: for the plane to attribute where it is not known what it counts on."""
        check, basis = call.check, admission.basis
        decision = admission.told(Decision(True, _ALLOWED, check.quantity))
        if check.quantity == 0:
            return Answer(decision, basis)
        if self._store.outbox_is_full():
            counted, basis = self._gate.admit_to_full_outbox(check, basis, call.now_us)
            if not counted:
                return Answer(decide_unmetered(Reason.OUTBOX_FULL), basis)
        self._store.require_room()
        record = encode_record(
            encode_owner(check.company, check.feature),
            check.quantity,
            check.event_time_us,
            call.now_us,
            check.idempotency_key,
            call.digest,
            check.dimensions,
            check.metadata,
            (),
            0,
            admission.metered or admission.feature is None,
        )
        return self._commit(call, decision, basis, record)

    def _commit(self, call: CheckCall, decision: Decision, basis: Basis, record: bytes) -> Answer:
        transaction = call.transaction
        record_id = transaction.next_record_id()
        transaction.append(record)
        if not call.answer_hash:
            return Answer(decision, basis, record_id)
        kept = self._encode(decision, basis, record_id)
        transaction.keep_answer(call.answer_hash, call.digest, kept, record_id)
        return Answer(decision, basis, record_id, kept)


def _replay(stored: StoredAnswer, digest: bytes) -> Replay:
    if not stored.is_of(digest):
        raise Conflict("idempotency_key", "was used before with another payload")
    return Replay(stored.answer)
