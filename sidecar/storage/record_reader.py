"""What the store has to know of usage records, whose bytes are opaque to it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from sidecar.domain.limits.counters import CounterRef


class BurnedPart(msgspec.Struct, frozen=True):
    """What of a record's cost was burned from one source of a balance, in micro-credits."""

    feature: str
    counter: CounterRef
    amount: int


class RecordSummary(msgspec.Struct, frozen=True):
    """What the store has to know of a record: whose it is, how much, and where it was counted.

    `keyed`: it has an idempotency key. `burns`: parts of what it costs.
    """

    company: str
    feature: str
    quantity: int
    counters: tuple[CounterRef, ...]
    keyed: bool
    burns: tuple[BurnedPart, ...] = ()


class RecordReader(Protocol):
    """Understands the bytes of usage records; `StoreDamaged` for bytes that are none."""

    def is_record(self, record: bytes, /) -> bool:
        """Whether bytes are a record."""
        ...

    def summary(self, record: bytes, /) -> RecordSummary:
        """All that the store has to know of a record."""
        ...

    def amount(self, record: bytes, /) -> tuple[str, int]:
        """Feature and quantity alone: needed of every record, so it has to be quick."""
        ...

    def accepted_us(self, record: bytes, /) -> int:
        """When it was accepted, in microseconds since the Unix epoch."""
        ...
