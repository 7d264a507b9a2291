"""Instants as people write them, in files and on command lines alike.

A file holds what is the same whenever it is read: a date, or an RFC 3339 date-time. On a command
line it may also be said as seen from now: `+30d`, `tomorrow`, `fri`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from sidecar.domain.time.units import datetime_of_instant, instant_of_datetime
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.domain.time.zones import load_zone
from sidecar.shared.durations import duration_of_text

_RFC_3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.(?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAYS_FROM_TODAY: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def instant_of_text(text: str, time_zone: str = "UTC") -> int:
    """Return microseconds since the epoch of an RFC 3339 date-time, or of a date's first moment.

    ValueError says what is wrong. A date-time without an offset is refused, since nobody could
    tell which instant is meant; so is one finer than a microsecond. A date is one of `time_zone`.
    """
    if _DATE.fullmatch(text):
        return _day_of_text(text, time_zone)
    found = _RFC_3339.fullmatch(text)
    if found is None:
        forms = '"2026-01-31T00:00:00Z" or a date such as 2026-01-31'
        raise ValueError(f"{text!r} is not a date-time such as {forms}")
    if found["offset"] is None:
        raise ValueError(f"{text!r} has no offset; end it in Z, or in one such as +01:00")
    if len(found["fraction"] or "") > 6:
        raise ValueError(f"{text!r} is finer than a microsecond")
    try:
        return instant_of_datetime(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time that the calendar has") from None


def moment_of_text(text: str, now_us: int, time_zone: str = "UTC") -> int:
    """The same, and as seen from now: `now`, a span such as `+30d` or `-2h`, a day such as `fri`.

    `today`, `tomorrow`, `yesterday` and weekdays are the first moment of that day in `time_zone`; a
    weekday is the next one after today. ValueError says what is wrong.
    """
    word = text.strip().lower()
    if word == "now":
        return now_us
    if word[:1] in ("+", "-"):
        span_us = duration_of_text(word[1:].lstrip())
        moment_us = now_us + (span_us if word[0] == "+" else -span_us)
        if not FIRST_INSTANT_US <= moment_us < END_INSTANT_US:
            raise ValueError(f"{text!r} is not a time that the calendar has")
        return moment_us
    if word in _DAYS_FROM_TODAY:
        return _day_from(now_us, _DAYS_FROM_TODAY[word], time_zone)
    if (weekday := _weekday_of(word)) is not None:
        today = datetime_of_instant(now_us).astimezone(load_zone(time_zone)).weekday()
        return _day_from(now_us, (weekday - today - 1) % 7 + 1, time_zone)
    try:
        return instant_of_text(text.strip(), time_zone)
    except ValueError as error:
        raise ValueError(f"{error}; now, +30d, -2h, tomorrow or fri are fine too") from None


def is_day(text: str) -> bool:
    """Whether a moment is said as a day, so that it depends on the time zone."""
    word = text.strip().lower()
    is_word = word in _DAYS_FROM_TODAY or _weekday_of(word) is not None
    return is_word or _DATE.fullmatch(word) is not None


def _weekday_of(word: str) -> int | None:
    """The number of a weekday from Monday on, by its name or the first letters, at least three."""
    if len(word) < 3:
        return None
    return next((at for at, name in enumerate(_WEEKDAYS) if name.startswith(word)), None)


def _day_of_text(text: str, time_zone: str) -> int:
    try:
        day = datetime.fromisoformat(text).replace(tzinfo=load_zone(time_zone))
        return instant_of_datetime(day.astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a day that the calendar has") from None


def _day_from(now_us: int, days: int, time_zone: str) -> int:
    try:
        today = datetime_of_instant(now_us).astimezone(load_zone(time_zone)).date()
        return _day_of_text((today + timedelta(days=days)).isoformat(), time_zone)
    except OverflowError:
        raise ValueError("the calendar has no such day") from None
