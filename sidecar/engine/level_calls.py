"""A change of a level on its way through a step: what is asked, what is known, what is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec.structs import replace

from sidecar.directory.meters import CounterAddress
from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.catalog.model import Scope
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.levels.changes import LevelAction, LevelChange
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, GrantMode
from sidecar.engine.admission import Admission
from sidecar.engine.call import CheckCall
from sidecar.engine.check_reading import read_for_check
from sidecar.engine.level_taking import addresses_before
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.level_items import LevelItem, counted_on


class LevelAnswer(msgspec.Struct, frozen=True):
    """What came of a change: by how much the level changed, and the item as it is then.

    `record_id` and `kept`: as of an `Answer`, empty where nothing changed or no key was given.
    """

    decision: Decision
    basis: Basis
    changed: int = 0
    item: LevelItem | None = None
    record_id: str = ""
    kept: bytes = b""


class ExpiredItems(msgspec.Struct, frozen=True):
    """Items that were over, and when the next one is; `None` for never.

    That is not in the future where there are more of them.
    """

    items: Sequence[LevelItem]
    next_us: int | None


class EncodeLevelAnswer(Protocol):
    """Makes the bytes of an answer that is kept for retries."""

    def __call__(self, answer: LevelAnswer) -> bytes:
        """Encode an answer."""
        ...


class LevelCall:
    """A change on its way through a step, and what is known of it.

    `before`: where it was counted that no limit counts now; `None` where limits do, or it is named.
    """

    __slots__ = ("asked", "before", "change", "check", "item", "now_us", "stored", "transaction")

    def __init__(
        self, stored: CheckCall, change: LevelChange, item: LevelItem | None, asked: Needs
    ) -> None:
        self.stored = stored
        self.transaction, self.now_us = stored.transaction, stored.now_us
        self.change, self.item, self.asked = change, item, asked
        self.check = stored.check
        self.before: dict[bytes, CounterAddress] | None = None
        if item is None or not item.dimensions:
            return
        if change.dimensions and change.dimensions != item.dimensions:
            message = f"item {item.item!r} is counted with others: take it back before"
            raise InvalidInput("dimensions", message)
        self.check = replace(self.check, dimensions=item.dimensions)

    def item_after(
        self, difference: int, refs: Sequence[CounterRef], record_id: str
    ) -> LevelItem | None:
        """The item once a difference was counted on counters; `None` where none is left."""
        change, item = self.change, self.item
        level = difference + (0 if item is None else item.level)
        if not (change.item and level):
            return None
        expires_us = 0 if item is None else item.expires_us
        if change.ttl_us is not None:
            expires_us = self.now_us + change.ttl_us
        counters = dict.fromkeys(() if item is None else item.counters)
        counters.update(dict.fromkeys(map(counted_on, refs)))
        return LevelItem(
            self.check.company,
            change.feature,
            change.item,
            level,
            record_id,
            change.event_time_us,
            expires_us,
            dict(self.check.dimensions),
            tuple(counters),
        )


def level_in_use(call: LevelCall, admission: Admission, *, authority: bool) -> int | Needs | None:
    """How much is in use that no item is named of; `None` where it may not be, and none is known.

    Where a level is set, on the narrowest limit that applies; where it is adjusted, the least on
    any of them, so that none falls below nothing. Where more would be taken back, the plane is
    asked first, unless this process is the `authority`: others may have counted it. Where no limit
    counts it any more, what was counted before can be taken back still.
    """
    dimensions, now_us, feature = call.check.dimensions, call.now_us, admission.feature
    used: list[tuple[int, CounterRef, int]] = []
    for meter in () if feature is None else feature.meters:
        address = meter.address(dimensions, now_us)
        if address is not None:
            counter = call.transaction.counter(address.key, address.ref.values)
            in_use = 0 if counter is None else counter.used
            used.append((_narrowness(meter.limit.scope), address.ref, in_use))
    if not used:
        used = _used_before(call, feature)
    if not used:
        if admission.denied:
            return None
        raise not_counted()
    if call.change.action is LevelAction.SET:
        return max(used, key=lambda each: each[0])[2]
    least = min(in_use for _, _, in_use in used)
    if least + call.change.amount < 0 and not call.asked.counters and not authority:
        company, key = call.check.company, call.change.feature
        return Needs(counters=frozenset(CounterName(company, key, ref) for _, ref, _ in used))
    return least


def not_counted() -> FailedPrecondition:
    """More is in use that nobody could take back."""
    message = "no limit counts it: name what is in use, so that it can be taken back"
    return FailedPrecondition("item", message, "NOT_COUNTED")


def decided_after(
    call: LevelCall, admission: Admission, quantity: int, status: PlaneStatus
) -> Decision:
    """What is told once a quantity is taken back: it is allowed, with what limits show then."""
    feature = admission.feature
    if feature is None or admission.company is None:
        return decide(0, GrantMode.RECORD_ONLY, (), call.now_us)
    admitted = replace(admission, mode=GrantMode.RECORD_ONLY)
    reading = read_for_check(call.transaction, admitted, feature, call.check, call.now_us, status)
    usages = [replace(usage, used=max(0, usage.used - quantity)) for usage in reading.deciding]
    return decide(0, GrantMode.RECORD_ONLY, usages, call.now_us)


def go_by_leases(reading: LimitUsage, quantity: int) -> None:
    """Have leases alone decide about limits that are leased.

    What others have in use may have fallen since it was heard. What is leased was there, and
    whether more is to be had the plane alone can tell; but for what no limit ever has.
    """
    for at, usage in enumerate(reading.usages):
        amount = usage.limit.amount
        if usage.lease is not None and amount is not None and quantity <= amount:
            reading.usages[at] = replace(usage, used=min(usage.used, amount - quantity))
    by_id = {usage.id: usage for usage in reading.usages}
    reading.leased = [(by_id[usage.id], address) for usage, address in reading.leased]


def _used_before(
    call: LevelCall, feature: ResolvedFeature | None
) -> list[tuple[int, CounterRef, int]]:
    """What is in use on counters that no limit of now has, as they are known here."""
    found = []
    call.before = {}
    company, key = call.check.company, call.change.feature
    addresses = addresses_before(company, key, feature, call.check.dimensions, call.now_us)
    for address in addresses.values():
        counter = call.transaction.counter(address.key, address.ref.values)
        if counter is not None:
            call.before[address.key] = address
            found.append((len(address.ref.values), address.ref, counter.used))
    return found


def _narrowness(scope: Scope) -> int:
    return len(scope.dimensions) + len({name for name, _ in scope.match})
