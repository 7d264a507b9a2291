"""Instants as people write and read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import click

from sidecar.cli.common import F
from sidecar.cli.output import Cell, Painted
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US, datetime_of_instant
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit, window_at
from sidecar.domain.time.zones import load_zone
from sidecar.shared.instants import is_day, moment_of_text
from sidecar.shared.wall_clock import wall_us

_ZONE_META: Final = "tallyd.time_zone"
"""Where click's context says which zone --time-zone named."""
_ZONE_SOURCE_META: Final = "tallyd.time_zone.source"
"""Where it has what returns the zone otherwise."""
_CALENDAR: Final = ("day", "week", "month", "quarter", "year")


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
            zone = time_zone(ctx) if is_day(str(value)) else "UTC"
            return moment_of_text(str(value), wall_us(), zone)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class LastType(click.ParamType[Window]):
    """A stretch of time up to now, such as `7d`, or the last whole `month`; the value is a window.

    Days, weeks, months, quarters and years are those of the calendar.
    """

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Window:
        """Parse it."""
        if isinstance(value, Window):
            return value
        text, now_us = str(value).strip().lower(), wall_us()
        if text in _CALENDAR:
            unit = WindowSpec(WindowUnit[text.upper()])
            running = window_at(unit, now_us, time_zone=time_zone(ctx), anchor_us=None)
            return window_at(unit, running.start_us - 1, time_zone=time_zone(ctx), anchor_us=None)
        try:
            return Window(moment_of_text(f"-{text}", now_us), now_us)
        except ValueError as error:
            self.fail(f"{error}, nor one of {', '.join(_CALENDAR)}", param, ctx)


def month_of(instant_us: int, zone: str) -> Window:
    """Return the calendar's month that holds an instant; empty at the calendar's ends."""
    try:
        return window_at(WindowSpec(WindowUnit.MONTH), instant_us, time_zone=zone)
    except ValueError:
        return Window(instant_us, instant_us)


def time_zone_option(command: F) -> F:
    """Add --time-zone, in which days begin and times are shown; see `time_zone`."""

    def keep(ctx: click.Context, param: click.Parameter, name: str | None) -> None:
        if name is None:
            return
        try:
            load_zone(name)
        except ValueError:
            raise click.BadParameter(f"{name!r} is not a time zone such as Europe/Berlin") from None
        ctx.meta[_ZONE_META] = name

    return click.option(
        "--time-zone",
        metavar="NAME",
        callback=keep,
        is_eager=True,
        expose_value=False,
        help="Days begin and times are shown in this zone, such as Europe/Berlin or UTC.",
    )(command)


def time_zone(ctx: click.Context | None = None) -> str:
    """Return the zone in which days begin: that of --time-zone, else of the company, or UTC."""
    context = ctx or click.get_current_context(silent=True)
    if context is None:
        return "UTC"
    if _ZONE_META not in context.meta and _ZONE_SOURCE_META in context.meta:
        return str(context.meta[_ZONE_SOURCE_META]())
    return str(context.meta.get(_ZONE_META, "UTC"))


def take_zone_from(ctx: click.Context, source: Callable[[], str]) -> None:
    """Let days be those of the zone that this returns, where one is asked for."""
    ctx.meta[_ZONE_SOURCE_META] = source


def local_time(instant_us: int) -> str:
    """Write an instant as this machine's clocks show it, such as `2026-02-01 01:00:00 CET`.

    In the zone of --time-zone where that is given.
    """
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


def at_facts(at_us: int, present_us: int) -> Iterator[tuple[str, Cell]]:
    """Say which instant is meant, and that not all is kept of one that is long ago."""
    yield "at", until(at_us, present_us)
    if at_us < present_us - EVENT_PAST_US_MAX:
        yield "note", Painted("what was in force and used that long ago is not kept", "yellow")


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
    context = click.get_current_context(silent=True)
    zone = None if context is None else context.meta.get(_ZONE_META)
    # At the edge of what the platform's zone rules cover, UTC does.
    with suppress(OverflowError, ValueError, OSError):
        moment = moment.astimezone(None if zone is None else load_zone(zone))
    return moment
