"""Reads the bytes of usage records in the outbox."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window
from sidecar.storage.damage import StoreDamaged, damaged
from sidecar.storage.record_reader import BurnedPart, RecordSummary


class UsageRecordReader:
    """Reads records with the generated class."""

    def is_record(self, record: bytes, /) -> bool:
        """Whether bytes are a record, with what the plane cannot do without."""
        try:
            message = _parse(record)
        except StoreDamaged:
            return False
        sound = message.quantity >= 0 or message.HasField("level")
        return bool(message.company and message.feature and sound)

    def summary(self, record: bytes, /) -> RecordSummary:
        """All that the store has to know of a record."""
        message = _parse(record)
        return RecordSummary(
            company=message.company,
            feature=message.feature,
            quantity=message.quantity,
            counters=tuple(_counter(counter) for counter in message.counters),
            keyed=bool(message.idempotency_key),
            burns=tuple(
                BurnedPart(burn.feature, _counter(burn.counter), burn.amount)
                for burn in message.burns
            ),
        )

    def amount(self, record: bytes, /) -> tuple[str, int]:
        """Feature and quantity."""
        message = _parse(record)
        return message.feature, message.quantity

    def accepted_us(self, record: bytes, /) -> int:
        """When it was accepted, in microseconds since the Unix epoch."""
        return _parse(record).accepted_time_us


def _counter(message: sync_pb2.Counter) -> CounterRef:
    window = Window(message.window_start_us, message.window_end_us)
    return CounterRef(message.slot, tuple(message.values), window)


def _parse(record: bytes) -> sync_pb2.UsageRecord:
    try:
        return sync_pb2.UsageRecord.FromString(record)
    except DecodeError as error:
        raise damaged(error, "a usage record") from error
