"""Reads the bytes of usage records in the outbox."""

from __future__ import annotations

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window
from sidecar.storage.record_reader import RecordSummary

_parse = sync_pb2.UsageRecord.FromString


class UsageRecordReader:
    """Reads records with the generated class."""

    def summary(self, record: bytes, /) -> RecordSummary:
        """All that the store has to know of a record."""
        message = _parse(record)
        return RecordSummary(
            company=message.company,
            feature=message.feature,
            quantity=message.quantity,
            counters=tuple(
                CounterRef(
                    counter.slot,
                    tuple(counter.values),
                    Window(counter.window_start_us, counter.window_end_us),
                )
                for counter in message.counters
            ),
            keyed=bool(message.idempotency_key),
        )

    def amount(self, record: bytes, /) -> tuple[str, int]:
        """Feature and quantity."""
        message = _parse(record)
        return message.feature, message.quantity

    def accepted_us(self, record: bytes, /) -> int:
        """When it was accepted, in microseconds since the Unix epoch."""
        return _parse(record).accepted_time_us
