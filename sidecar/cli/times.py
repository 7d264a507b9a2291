"""Instants as people write and read them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from sidecar.domain.time.units import MILLISECOND_US, SECOND_US, datetime_of_instant
from sidecar.shared.instants import moment_of_text
from sidecar.shared.wall_clock import wall_us


class InstantType(click.ParamType[int]):
    """An instant; the value is in microseconds since the epoch.

    RFC 3339 with an offset, a date or weekday (its midnight, UTC), `now`, or a span from now such
    as `-2h`; see `sidecar.shared.instants`.
    """

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse it."""
        if isinstance(value, int):
            return value
        try:
            return moment_of_text(str(value), wall_us())
        except ValueError as error:
            self.fail(str(error), param, ctx)


def local_time(instant_us: int) -> str:
    """Write an instant as this machine's clocks show it, such as `2026-02-01 01:00:00 CET`."""
    return f"{_local(instant_us):%Y-%m-%d %H:%M:%S %Z}"


def local_minute(instant_us: int) -> str:
    """Write it for a table, such as `2026-02-01 01:00`."""
    return f"{_local(instant_us):%Y-%m-%d %H:%M}"


def until(instant_us: int, since_us: int) -> str:
    """Write an instant and how far it is from another, such as `in 2 h 5 min (2026-...)`."""
    distance_us = instant_us - since_us
    span = span_of(abs(distance_us))
    relative = f"in {span}" if distance_us >= 0 else f"{span} ago"
    return f"{relative} ({local_time(instant_us)})"


def span_of(span_us: int) -> str:
    """Write a length of time in its two largest units, such as `3 d 4 h`, `12 min` or `250 ms`."""
    if span_us < SECOND_US:
        return f"{span_us // MILLISECOND_US} ms"
    seconds = span_us // SECOND_US
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    first = next(at for at, (_, size) in enumerate(units) if seconds >= size)
    parts = []
    for name, size in units[first : first + 2]:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts)


def _local(instant_us: int) -> datetime:
    moment = datetime_of_instant(instant_us)
    # At the edge of what the platform's zone rules cover, UTC does.
    with suppress(OverflowError, ValueError, OSError):
        moment = moment.astimezone()
    return moment
