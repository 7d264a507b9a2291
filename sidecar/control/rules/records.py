"""Reads usage records as sidecars wrote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
from google.protobuf.message import DecodeError

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.storage.values import CounterKey
from sidecar.domain import bounds
from sidecar.domain.catalog.kinds import COSTS_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import is_level
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.shared.convert.counters import counter_from_message

_DIGEST_BYTES: Final = 16
_PROBLEM_MAX: Final = 200
NO_COSTS: Final[Mapping[str, int]] = {}


class CounterPart(NamedTuple):
    """What is counted on one counter: a part of a cost on a source's, in micro-credits."""

    key: CounterKey
    amount: int


class Record(msgspec.Struct, frozen=True):
    """What of a usage record the ledger works with. Quantities in the feature's unit.

    `burns`: what of its costs was burned by the sidecar. `costs`: all of them, by key of the
    credits feature. Both in micro-credits. `is_level`: the quantity is a change of what is in use.
    `takes_back`: id of the record of which it takes back something; empty for none. That was of
    `takes_back_of_us`. `ends_item`: nothing of the item is left then.
    """

    company: str
    feature: str
    quantity: int
    overage: int
    event_time_us: int
    accepted_us: int
    idempotency_key: str
    digest: bytes
    counters: tuple[CounterKey, ...]
    unattributed: bool
    burns: tuple[CounterPart, ...] = ()
    costs: Mapping[str, int] = NO_COSTS
    is_level: bool = False
    takes_back: str = ""
    takes_back_of_us: int = 0
    ends_item: bool = False

    @property
    def all_counters(self) -> tuple[CounterKey, ...]:
        """Every counter on which the sidecar has counted something of it."""
        if not self.burns:
            return self.counters
        return (*self.counters, *(part.key for part in self.burns))


class Unreadable(msgspec.Struct, frozen=True):
    """A record that the ledger cannot work with. `problem`: why, for people."""

    problem: str


def read_records(records: Sequence[bytes]) -> list[Record | Unreadable]:
    """Read a run. None of it is refused: a record that was would block all that come after it.

    Only what the ledger relies on is checked: usage that was accepted counts, but for that.
    """
    return [_read_or_say_why(record) for record in records]


def _read_or_say_why(record: bytes) -> Record | Unreadable:
    try:
        return _read(record, "record")
    except InvalidInput as error:
        return Unreadable(str(error)[:_PROBLEM_MAX])


def read_attributes(record: bytes) -> sync_pb2.UsageRecord | None:
    """The whole record, of a line that is in the ledger; `None` where it is damaged there."""
    try:
        return sync_pb2.UsageRecord.FromString(record)
    except DecodeError:
        return None


def _read(data: bytes, field: str) -> Record:
    try:
        message = sync_pb2.UsageRecord.FromString(data)
    except DecodeError:
        raise InvalidInput(field, "is no UsageRecord message") from None
    company, feature = message.company, message.feature
    event_time_us, accepted_us = message.event_time_us, message.accepted_time_us
    KNOWN_NAMES.require_identifier(f"{field}.company", company)
    KNOWN_NAMES.require_identifier(f"{field}.feature", feature)
    falls = message.quantity < 0 and not message.HasField("level")
    if falls or message.overage < 0:
        raise InvalidInput(f"{field}.quantity", "quantity and overage must not be negative")
    if not (0 <= event_time_us < END_INSTANT_US and 0 <= accepted_us < END_INSTANT_US):
        raise InvalidInput(f"{field}.event_time_us", "times must lie in the years 1970 to 9998")
    key, digest = message.idempotency_key, message.payload_digest
    KNOWN_NAMES.require(f"{field}.idempotency_key", key, bounds.IDENTIFIER_BYTES_MAX)
    if key and len(digest) != _DIGEST_BYTES:
        raise InvalidInput(f"{field}.payload_digest", f"must be {_DIGEST_BYTES} bytes")
    if len(message.counters) > bounds.LIMITS_MAX:
        raise InvalidInput(f"{field}.counters", f"must be at most {bounds.LIMITS_MAX}")
    return Record(
        company=company,
        feature=feature,
        quantity=message.quantity,
        overage=message.overage,
        event_time_us=event_time_us,
        accepted_us=accepted_us,
        idempotency_key=key,
        digest=digest,
        counters=_counters(message, field),
        unattributed=message.unattributed,
        burns=_burns(message, field) if message.burns else (),
        costs=_costs(message, field) if message.costs else NO_COSTS,
        is_level=message.HasField("level"),
        takes_back=message.level.origin,
        takes_back_of_us=message.level.origin_time_us,
        ends_item=bool(message.level.origin) and not message.level.item_level,
    )


def _burns(message: sync_pb2.UsageRecord, field: str) -> tuple[CounterPart, ...]:
    if len(message.burns) > bounds.BURNS_MAX:
        raise InvalidInput(f"{field}.burns", f"must be at most {bounds.BURNS_MAX}")
    parts = []
    for at, burn in enumerate(message.burns):
        name = f"{field}.burns[{at}]"
        KNOWN_NAMES.require_identifier(f"{name}.feature", burn.feature)
        if burn.amount < 0:
            raise InvalidInput(f"{name}.amount", "must not be negative")
        counter = counter_from_message(burn.counter, f"{name}.counter")
        parts.append(CounterPart(CounterKey(message.company, burn.feature, counter), burn.amount))
    return tuple(parts)


def _costs(message: sync_pb2.UsageRecord, field: str) -> Mapping[str, int]:
    if len(message.costs) > COSTS_MAX:
        raise InvalidInput(f"{field}.costs", f"must be at most {COSTS_MAX}")
    costs: dict[str, int] = {}
    for at, cost in enumerate(message.costs):
        KNOWN_NAMES.require_identifier(f"{field}.costs[{at}].feature", cost.feature)
        if cost.amount < 0:
            raise InvalidInput(f"{field}.costs[{at}].amount", "must not be negative")
        costs[cost.feature] = min(bounds.INT64_MAX, costs.get(cost.feature, 0) + cost.amount)
    return costs


def _counters(message: sync_pb2.UsageRecord, field: str) -> tuple[CounterKey, ...]:
    company, feature = message.company, message.feature
    keys = tuple(
        [
            CounterKey(company, feature, counter_from_message(counter, f"{field}.counters[{at}]"))
            for at, counter in enumerate(message.counters)
        ]
    )
    if message.HasField("level") and not all(is_level(key.counter.slot) for key in keys):
        raise InvalidInput(f"{field}.counters", "a level's change counts on levels alone")
    return keys
