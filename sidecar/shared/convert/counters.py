"""Counters as sidecar and control plane name them to each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain import bounds
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.domain.slices import Slices
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import (
    END_INSTANT_US,
    FIRST_INSTANT_US,
    LIFETIME_END_US,
    Window,
)

# A slot names up to 16 dimensions and 16 fixed values, percent-encoded to thrice their size.
_SLOT_BYTES_MAX: Final = 32_768


def counter_to_message(counter: CounterRef) -> sync_pb2.Counter:
    """Turn a counter into a message."""
    return sync_pb2.Counter(
        slot=counter.slot,
        values=counter.values,
        window_start_us=counter.window.start_us,
        window_end_us=counter.window.end_us,
    )


def counter_from_message(message: sync_pb2.Counter, field: str) -> CounterRef:
    """Read a counter; `InvalidInput` without a slot, or with a window that no calendar has."""
    require_slot_and_values(message, field, _SLOT_BYTES_MAX)
    start_us, end_us = message.window_start_us, message.window_end_us
    if start_us >= end_us:
        raise InvalidInput(f"{field}.window_end_us", "must be after window_start_us")
    if start_us < FIRST_INSTANT_US or END_INSTANT_US < end_us != LIFETIME_END_US:
        raise InvalidInput(f"{field}.window_start_us", "the window must lie in the years 2 to 9998")
    return CounterRef(message.slot, tuple(message.values), Window(start_us, end_us))


def require_slot_and_values(
    message: sync_pb2.Counter | sync_pb2.RateAddress, field: str, slot_bytes_max: int
) -> None:
    """Raise `InvalidInput` where there can be no such slot, or no such values of its dimensions."""
    problem = KNOWN_NAMES.identifier_problem(message.slot, slot_bytes_max)
    if problem is not None:
        raise InvalidInput(f"{field}.slot", problem)
    if len(message.values) > bounds.DIMENSIONS_MAX:
        raise InvalidInput(f"{field}.values", f"must be at most {bounds.DIMENSIONS_MAX}")
    for at, value in enumerate(message.values):
        KNOWN_NAMES.require(f"{field}.values[{at}]", value, bounds.DIMENSION_VALUE_BYTES_MAX)


def total_to_message(total: CounterTotal) -> sync_pb2.CounterTotal:
    """Turn a total into a message."""
    return sync_pb2.CounterTotal(
        company=total.company,
        feature=total.feature,
        counter=counter_to_message(total.counter),
        total=total.total,
        own=total.own,
        version=total.version,
        carrying=total.carried is not None,
        carried=total.carried or (),
        corrections=total.corrections,
        packs_used=total.packs_used,
    )


def total_from_message(message: sync_pb2.CounterTotal, field: str) -> CounterTotal:
    """Read a total; `InvalidInput` for what cannot be kept: names, counter, amounts carried."""
    KNOWN_NAMES.require_identifier(f"{field}.company", message.company)
    KNOWN_NAMES.require_identifier(f"{field}.feature", message.feature)
    counter = counter_from_message(message.counter, f"{field}.counter")
    return CounterTotal(
        company=message.company,
        feature=message.feature,
        counter=counter,
        total=message.total,
        own=message.own,
        version=message.version,
        carried=_carried(message, f"{field}.carried") if message.carrying else None,
        corrections=message.corrections if message.HasField("corrections") else None,
        packs_used=_packs_used(message, f"{field}.packs_used") if message.carrying else 0,
    )


def totals_in_slices(
    messages: Sequence[sync_pb2.CounterTotal], field: str, newest: int
) -> Slices[tuple[CounterTotal, ...]]:
    """Read totals in slices; `field` is that which holds them all. `newest`: their last version.

    One that cannot be kept is left out: it must not keep all others away.
    """
    totals: list[CounterTotal] = []
    for at, message in enumerate(messages):
        with suppress(InvalidInput):
            total = total_from_message(message, f"{field}[{at}]")
            if total.version <= newest:
                totals.append(total)
        yield
    return tuple(totals)


def _packs_used(message: sync_pb2.CounterTotal, field: str) -> int:
    if message.packs_used < 0:
        raise InvalidInput(field, "must not be negative")
    return message.packs_used


def _carried(message: sync_pb2.CounterTotal, field: str) -> tuple[int, ...]:
    if len(message.carried) > bounds.ROLLOVER_WINDOWS_MAX:
        raise InvalidInput(field, f"must be at most {bounds.ROLLOVER_WINDOWS_MAX} amounts")
    if any(amount < 0 for amount in message.carried):
        raise InvalidInput(field, "must not be negative")
    return tuple(message.carried)
