"""RFC 3339 instants, to the microsecond."""

from typing import Final

import pytest

from sidecar.shared.instants import instant_of_text, moment_of_text

SATURDAY_NOON: Final = "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "instant_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-02", 86_400_000_000),
        ("1970-01-01t00:00:01z", 1_000_000),
        ("1970-01-01 00:00:00.5Z", 500_000),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T19:00:00-05:00", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
    ],
)
def test_an_instant_is_read_exactly(text: str, instant_us: int) -> None:
    assert instant_us == instant_of_text(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-01", "is not a date-time"),
        ("tomorrow", "is not a date-time"),
        ("+1d", "is not a date-time"),
        ("2026-02-30", "is not a day that the calendar has"),
        ("2026-01-31T00:00Z", "is not a date-time"),
        ("20260131T000000Z", "is not a date-time"),
        ("2026-W05-6T00:00:00Z", "is not a date-time"),
        ("\u0662026-01-31T00:00:00Z", "is not a date-time"),
        ("2026-01-31T00:00:00", "has no offset"),
        ("2026-01-31T00:00:00.1234567Z", "is finer than a microsecond"),
        ("2026-02-29T00:00:00Z", "is not a time that the calendar has"),
        ("2026-01-31T24:00:01Z", "is not a time that the calendar has"),
        ("2026-01-31T00:00:60Z", "is not a time that the calendar has"),
        ("2026-01-31T00:00:00+25:00", "is not a time that the calendar has"),
        ("0001-01-01T00:00:00+01:00", "is not a time that the calendar has"),
    ],
)
def test_what_is_no_instant_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        instant_of_text(text)


@pytest.mark.parametrize(
    ("text", "time_zone", "meant"),
    [
        ("now", "UTC", SATURDAY_NOON),
        ("-90s", "UTC", "2026-01-31T11:58:30Z"),
        ("+2h", "UTC", "2026-01-31T14:00:00Z"),
        ("+ 2 days", "UTC", "2026-02-02T12:00:00Z"),
        ("+0.5h", "UTC", "2026-01-31T12:30:00Z"),
        ("today", "UTC", "2026-01-31T00:00:00Z"),
        ("tomorrow", "UTC", "2026-02-01T00:00:00Z"),
        ("Yesterday", "UTC", "2026-01-30T00:00:00Z"),
        ("sun", "UTC", "2026-02-01T00:00:00Z"),
        ("fri", "UTC", "2026-02-06T00:00:00Z"),
        ("Saturday", "UTC", "2026-02-07T00:00:00Z"),
        ("tues", "UTC", "2026-02-03T00:00:00Z"),
        ("tomorrow", "Europe/Berlin", "2026-01-31T23:00:00Z"),
        ("today", "Pacific/Kiritimati", "2026-01-31T10:00:00Z"),
        ("fri", "America/New_York", "2026-02-06T05:00:00Z"),
        ("2026-07-01", "Europe/Berlin", "2026-06-30T22:00:00Z"),
        ("2026-07-01T00:00:00Z", "Europe/Berlin", "2026-07-01T00:00:00Z"),
    ],
)
def test_a_moment_is_read_as_seen_from_now(text: str, time_zone: str, meant: str) -> None:
    now_us = instant_of_text(SATURDAY_NOON)

    assert instant_of_text(meant) == moment_of_text(text, now_us, time_zone)


@pytest.mark.parametrize("text", ["-999999d", "+9999999d", f"-{'9' * 15}d"])
def test_a_span_that_leaves_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time that the calendar has"):
        moment_of_text(text, instant_of_text(SATURDAY_NOON))


@pytest.mark.parametrize("text", ["", "t", "fr", "frx", "30d", "+", "+30", "- 2 weeks", "noon"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a (date-time|length of time)"):
        moment_of_text(text, 0)
