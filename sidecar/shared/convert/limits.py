"""What limits are made of: windows, scopes, rates and rollover."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.catalog.model import LimitChange, Rate, RateChange, Rollover, Scope
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.windows import UNENDING, Alignment, WindowSpec, WindowUnit
from sidecar.shared.convert._checks import below, member
from sidecar.shared.convert.times import duration, duration_us

_shared_spec: Final = lru_cache(maxsize=1024)(WindowSpec)
"""Equal layouts are one: a catalog has many limits, and few layouts."""


def window_to_message(window: WindowSpec) -> catalog_pb2.Window:
    """Turn a window layout into a message."""
    return catalog_pb2.Window(
        unit=catalog_pb2.WindowUnit.ValueType(window.unit),
        interval=window.interval,
        alignment=catalog_pb2.Alignment.ValueType(window.alignment),
        first_weekday=window.first_weekday,
    )


def window_from_message(
    message: catalog_pb2.Window, field: str, default: Alignment | None = None
) -> WindowSpec:
    """Read a window layout; an interval of 0 is 1. LIFETIME and REQUEST need no alignment.

    `default` is the alignment of a window that names none; without one it is refused.
    """
    unit = member(WindowUnit, message.unit, below(field, "unit"))
    if unit in UNENDING:
        default = Alignment.CALENDAR
    alignment = member(Alignment, message.alignment, below(field, "alignment"), default)
    try:
        return _shared_spec(unit, message.interval or 1, alignment, message.first_weekday)
    except ValueError as error:
        name, _, text = str(error).partition(": ")
        raise InvalidInput(below(field, name), text) from None


def scope_to_message(scope: Scope) -> catalog_pb2.Scope:
    """Turn a scope into a message."""
    values: dict[str, list[str]] = {}
    for name, value in scope.match:
        values.setdefault(name, []).append(value)
    return catalog_pb2.Scope(
        dimensions=scope.dimensions,
        match={name: only for name, (only, *others) in values.items() if not others},
        match_any=[
            catalog_pb2.DimensionValues(name=name, values=several)
            for name, several in values.items()
            if len(several) > 1
        ],
    )


def scope_from_message(message: catalog_pb2.Scope) -> Scope:
    """Read a scope; fixed values come sorted, since a message keeps no order of theirs."""
    match = list(message.match.items())
    match += [(several.name, value) for several in message.match_any for value in several.values]
    return Scope(tuple(message.dimensions), tuple(sorted(match)))


def rate_to_message(rate: Rate) -> catalog_pb2.Rate:
    """Turn a rate into a message."""
    return catalog_pb2.Rate(count=rate.count, period=duration(rate.period_us), burst=rate.burst)


def rate_from_message(message: catalog_pb2.Rate, field: str) -> Rate:
    """Read a rate; a burst of 0 is the count."""
    path = below(field, "period")
    if not message.HasField("period"):
        raise InvalidInput(path, "must be set")
    period_us = duration_us(message.period, path)
    return Rate(message.count, period_us, message.burst or message.count)


def rollover_to_message(rollover: Rollover) -> catalog_pb2.Rollover:
    """Turn what becomes of the unused rest into a message."""
    return catalog_pb2.Rollover(
        windows=rollover.windows,
        max_amount=rollover.amount_max,
        max_percent=rollover.percent_max,
        while_paused=None if rollover.while_paused else False,
    )


def rollover_from_message(message: catalog_pb2.Rollover) -> Rollover:
    """Read what becomes of the unused rest; a number of windows of 0 is 1."""
    return Rollover(
        windows=message.windows or 1,
        amount_max=message.max_amount if message.HasField("max_amount") else None,
        percent_max=message.max_percent if message.HasField("max_percent") else None,
        while_paused=message.while_paused if message.HasField("while_paused") else True,
    )


def limit_change_to_message(change: LimitChange) -> catalog_pb2.LimitChange:
    """Turn a change of a limit into a message."""
    return catalog_pb2.LimitChange(limit=change.limit, amount=change.amount, adds=change.adds)


def limit_change_from_message(message: catalog_pb2.LimitChange) -> LimitChange:
    """Read a change of a limit. Its bounds are checked with those of what it is a part of."""
    amount = message.amount if message.HasField("amount") else None
    return LimitChange(message.limit, amount, message.adds)


def rate_change_to_message(change: RateChange) -> catalog_pb2.RateChange:
    """Turn a change of a rate into a message."""
    return catalog_pb2.RateChange(
        rate=change.rate, count=change.count, burst=change.burst, adds=change.adds
    )


def rate_change_from_message(message: catalog_pb2.RateChange) -> RateChange:
    """Read a change of a rate; a burst of 0 is the count."""
    return RateChange(message.rate, message.count, message.burst or message.count, message.adds)
