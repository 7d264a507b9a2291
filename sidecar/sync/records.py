"""Reads the bytes of usage records in the outbox."""

from __future__ import annotations

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.counters import CounterRef
from sidecar.domain.windows import Window
from sidecar.storage.outbox import RecordSummary


def read_record(record: bytes) -> RecordSummary:
    """What a record says of itself."""
    message = sync_pb2.UsageRecord.FromString(record)
    return RecordSummary(
        company=message.company,
        feature=message.feature,
        quantity=message.quantity,
        accepted_us=message.accepted_time_us,
        counters=tuple(
            CounterRef(
                counter.slot,
                tuple(counter.values),
                Window(counter.window_start_us, counter.window_end_us),
            )
            for counter in message.counters
        ),
    )
