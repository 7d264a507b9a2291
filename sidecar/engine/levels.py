"""Levels: decide about a change of what is in use and count it, in one atomic step.

The way of a change: look for an answer stored under the idempotency key; find the item, which may
be over; find the company; then count more, as a check does, or take back, which nothing denies.
Counters, item, usage record and stored answer change in one transaction, or none of them does.

What is in use changes now, by what is in force now, whenever it happened: the event time is for
billing alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.errors import Conflict
from sidecar.domain.levels.changes import (
    LevelChange,
    changed_by,
    level_digest,
    require_fits,
    require_lives,
)
from sidecar.domain.limits.decide import decide_unmetered
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, GrantMode, Reason
from sidecar.domain.limits.requests import Check, require_event_time
from sidecar.engine.admission import Admission, Gate
from sidecar.engine.call import CheckCall
from sidecar.engine.check_reading import read_for_check
from sidecar.engine.enforce import Replay
from sidecar.engine.leased import decided, mark_due
from sidecar.engine.level_calls import (
    EncodeLevelAnswer,
    ExpiredItems,
    LevelAnswer,
    LevelCall,
    decided_after,
    go_by_leases,
    level_in_use,
    not_counted,
)
from sidecar.engine.level_taking import addresses_of, count_down, end_item
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.storage.level_items import LevelItem, item_of, items_over, next_expiry_us, put_item
from sidecar.storage.record_wire import encode_level, encode_owner, encode_record
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

LevelOutcome: TypeAlias = LevelAnswer | Replay | Needs

_RECORD_ONLY: Final = GrantMode.RECORD_ONLY


class Levels:
    """Changes levels in a store. Runs on the thread that owns the store.

    `on_expiring`: called on that thread where an item gets a time to live.
    """

    def __init__(
        self,
        store: Store,
        directory: Directory,
        plane_status: PlaneStatus,
        encode: EncodeLevelAnswer,
        dimensions: RequestDimensions | None = None,
    ) -> None:
        self._store, self._directory = store, directory
        self._plane_status = plane_status
        self._encode = encode
        self._dimensions = dimensions or RequestDimensions(directory)
        self._gate = Gate(directory, plane_status, FeatureKind.LEVEL)
        self.on_expiring: Callable[[], object] = lambda: None

    def change(self, change: LevelChange, now_us: int, asked: Needs) -> LevelOutcome:
        """Change a level, or say what the plane has to be asked for first.

        Raises as `Enforcer.check_and_increment`, and `FailedPrecondition` (BELOW_ZERO) where more
        would be taken back than is in use: nothing has moved then.
        """
        return self._store.transact(
            lambda transaction: self._step(transaction, change, now_us, asked)
        )

    def expire(self, now_us: int, most: int) -> ExpiredItems:
        """Take back items that are over, so many at most."""

        def work(transaction: Transaction) -> ExpiredItems:
            engine = self._store.engine
            over = items_over(engine, transaction, now_us, most)
            if over:
                self._store.require_room()
            for item in over:
                self._end(transaction, item, now_us)
            return ExpiredItems(over, next_expiry_us(engine, transaction))

        return self._store.transact(work)

    def _end(self, transaction: Transaction, item: LevelItem, now_us: int) -> None:
        end_item(transaction, item, self._feature_of(item, now_us), now_us)
        put_item(transaction, item, None)

    def _feature_of(self, item: LevelItem, now_us: int) -> ResolvedFeature | None:
        company = self._directory.company(item.company, now_us)
        return None if company is None else company.feature(item.feature)

    def _step(
        self, transaction: Transaction, change: LevelChange, now_us: int, asked: Needs
    ) -> LevelOutcome:
        stored = CheckCall(transaction, _as_check(change, now_us), now_us, self._directory)
        if stored.answer_hash:
            stored.digest = level_digest(change)
        kept = stored.stored_answer()
        if kept is not None:
            if not kept.is_of(stored.digest):
                raise Conflict("idempotency_key", "was used before with another payload")
            return Replay(kept.answer)
        if change.event_time_us != now_us:
            ahead_us = self._plane_status.machine_ahead_us
            require_event_time("event_time", change.event_time_us, now_us, ahead_us)
        item = self._item(transaction, stored.check.company, change, now_us)
        call = LevelCall(stored, change, item, asked)
        problem = self._dimensions.require(call.check)
        admission = self._gate.admit(call.check, now_us, asked)
        if isinstance(admission, Needs):
            return admission
        if problem:
            admission = replace(admission, dimension_problem=problem)
        return self._changed(call, admission)

    def _item(
        self, transaction: Transaction, company: str, change: LevelChange, now_us: int
    ) -> LevelItem | None:
        """The item that is meant; one that is over is taken back before."""
        if not change.item:
            return None
        item = item_of(transaction, company, change.feature, change.item)
        if item is not None and 0 < item.expires_us <= now_us:
            self._store.require_room()
            self._end(transaction, item, now_us)
            return None
        return item

    def _changed(self, call: LevelCall, admission: Admission) -> LevelOutcome:
        change, item = call.change, call.item
        if change.item:
            difference = changed_by(change, 0 if item is None else item.level)
        else:
            in_use = level_in_use(call, admission, authority=self._plane_status.authority)
            if isinstance(in_use, Needs):
                return in_use
            if in_use is None:
                return LevelAnswer(decide_unmetered(admission.reason), admission.basis)
            difference = changed_by(change, in_use)
        if difference > 0 and call.before is not None and not admission.denied:
            raise not_counted()
        if difference > 0:
            return self._more(call, admission, difference)
        if difference < 0:
            return self._less(call, admission, -difference)
        return self._renewed(call, admission)

    def _more(self, call: LevelCall, admission: Admission, difference: int) -> LevelOutcome:
        if admission.denied:
            return LevelAnswer(decide_unmetered(admission.reason), admission.basis)
        feature, status, now_us = admission.feature, self._plane_status, call.now_us
        basis, check = admission.basis, replace(call.check, quantity=difference)
        if feature is None or admission.company is None:
            decision = admission.told(Decision(True, Reason.ALLOWED, difference))
            return self._record(call, admission, decision, basis, difference, None)
        lives = call.item is not None and call.item.expires_us > 0
        require_lives(call.change, feature.entitlement.feature.ttl_max_us, lives=lives)
        reading = read_for_check(call.transaction, admission, feature, check, now_us, status)
        require_fits(call.change, difference, (usage.used for usage in reading.usages))
        go_by_leases(reading, difference)
        told = decided(reading, feature, check, admission.mode, now_us, call.asked, basis, status)
        if isinstance(told, Needs):
            return told
        decision, basis = told
        if not decision.allowed:
            return LevelAnswer(decision, basis)
        if not admission.is_plain:
            decision = admission.told(decision)
        return self._record(call, admission, decision, basis, difference, reading)

    def _less(self, call: LevelCall, admission: Admission, quantity: int) -> LevelAnswer:
        """Take back, whatever the company may do: nothing more is used by that."""
        decision = decided_after(call, admission, quantity, self._plane_status)
        return self._record(call, admission, decision, admission.basis, -quantity, None)

    def _renewed(self, call: LevelCall, admission: Admission) -> LevelAnswer:
        """As much is in use as before; perhaps for longer."""
        item, change = call.item, call.change
        if item is not None and change.ttl_us is not None:
            if admission.feature is not None:
                ttl_max_us = admission.feature.entitlement.feature.ttl_max_us
                require_lives(change, ttl_max_us, lives=True)
            renewed = replace(item, expires_us=call.now_us + change.ttl_us)
            self._put(call.transaction, item, renewed)
            item = renewed
        decision = decided_after(call, admission, 0, self._plane_status)
        return LevelAnswer(decision, admission.basis, 0, item)

    def _record(
        self,
        call: LevelCall,
        admission: Admission,
        decision: Decision,
        basis: Basis,
        difference: int,
        reading: LimitUsage | None,
    ) -> LevelAnswer:
        """Count and record a difference. `reading`: what more is counted on, if that is known."""
        if self._store.outbox_is_full():
            check = call.check if difference > 0 else replace(call.check, mode=_RECORD_ONLY)
            counted, basis = self._gate.admit_to_full_outbox(check, basis, call.now_us)
            if not counted:
                return LevelAnswer(decide_unmetered(Reason.OUTBOX_FULL), basis)
        self._store.require_room()
        transaction, change, now_us = call.transaction, call.change, call.now_us
        feature, dimensions = admission.feature, call.check.dimensions
        addresses = call.before
        if addresses is None:
            addresses = addresses_of(call.item, feature, dimensions, now_us)
        if difference < 0:
            count_down(transaction, addresses, -difference)
        elif reading is not None and feature is not None:
            addresses = {key: address for key, (address, _) in reading.counted.items()}
            reading.count(transaction, difference, now_us)
            mark_due(reading, feature, difference, self._plane_status.lease_book)
        else:
            addresses = {}
        record_id = transaction.next_record_id()
        refs = [address.ref for address in addresses.values()]
        item = call.item_after(difference, refs, record_id)
        is_default = admission.company is not None and admission.company.is_default
        is_known = feature is not None and feature.entitlement.granted
        record = encode_record(
            encode_owner(call.check.company, change.feature),
            difference,
            change.event_time_us,
            now_us,
            change.idempotency_key,
            call.stored.digest,
            dimensions,
            change.metadata,
            [address.wire for address in addresses.values()],
            decision.overage,
            is_default or not (is_known or addresses),
        )
        left, expires_us = (0, 0) if item is None else (item.level, item.expires_us)
        origin, origin_us = "", 0
        if call.item is not None and difference < 0:
            origin, origin_us = call.item.record_id, call.item.event_us
        level = encode_level(change.item, left, expires_us, origin=origin, origin_us=origin_us)
        transaction.append(record + level)
        if change.item:
            self._put(transaction, call.item, item)
        answer = LevelAnswer(decision, basis, difference, item, record_id)
        if not call.stored.answer_hash:
            return answer
        kept = self._encode(answer)
        transaction.keep_answer(call.stored.answer_hash, call.stored.digest, kept, record_id)
        return replace(answer, kept=kept)

    def _put(
        self, transaction: Transaction, before: LevelItem | None, after: LevelItem | None
    ) -> None:
        put_item(transaction, before, after)
        if after is not None and after.expires_us:
            self.on_expiring()


def _as_check(change: LevelChange, now_us: int) -> Check:
    """The change as what admits it: usage of now, by what is in force now."""
    return Check(
        change.company,
        change.feature,
        0,
        now_us,
        idempotency_key=change.idempotency_key,
        dimensions=change.dimensions,
        metadata=change.metadata,
    )
