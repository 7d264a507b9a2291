"""What window_at answers, as tables; each row is named by its outcome."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit, window_at

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _us(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)


def _window(start: str, end: str) -> Window:
    return Window(_us(start), _us(end))


def _anchored(unit: WindowUnit, interval: int = 1) -> WindowSpec:
    return WindowSpec(unit, interval, Alignment.ANCHORED)


@pytest.mark.parametrize(
    ("spec", "anchor", "at", "expected"),
    [
        pytest.param(
            _anchored(WindowUnit.MONTH),
            "2025-01-31T00:00Z",
            "2025-02-10T00:00Z",
            _window("2025-01-31T00:00Z", "2025-02-28T00:00Z"),
            id="anchor 31 ends on the last day of February",
        ),
        pytest.param(
            _anchored(WindowUnit.MONTH),
            "2025-01-31T00:00Z",
            "2025-03-03T00:00Z",
            _window("2025-02-28T00:00Z", "2025-03-31T00:00Z"),
            id="anchor 31 comes back to the 31st after a short month",
        ),
        pytest.param(
            _anchored(WindowUnit.MONTH),
            "2023-12-30T10:00Z",
            "2024-02-29T09:59:59.999999Z",
            _window("2024-01-30T10:00Z", "2024-02-29T10:00Z"),
            id="anchor 30 is the 29th in a leap February",
        ),
        pytest.param(
            _anchored(WindowUnit.MONTH, 2),
            "2025-08-31T00:00Z",
            "2024-03-01T00:00Z",
            _window("2024-02-29T00:00Z", "2024-04-30T00:00Z"),
            id="months before the anchor clamp as well",
        ),
        pytest.param(
            _anchored(WindowUnit.QUARTER),
            "2025-11-30T00:00Z",
            "2026-02-28T00:00Z",
            _window("2026-02-28T00:00Z", "2026-05-30T00:00Z"),
            id="a quarter is three months from the anchor's day",
        ),
        pytest.param(
            _anchored(WindowUnit.YEAR),
            "2024-02-29T00:00Z",
            "2027-12-31T00:00Z",
            _window("2027-02-28T00:00Z", "2028-02-29T00:00Z"),
            id="anchor 29 February returns in the next leap year",
        ),
        pytest.param(
            _anchored(WindowUnit.YEAR),
            "2024-02-29T00:00Z",
            "2100-03-01T00:00Z",
            _window("2100-02-28T00:00Z", "2101-02-28T00:00Z"),
            id="a century is no leap year",
        ),
        pytest.param(
            _anchored(WindowUnit.DAY, 10),
            "2025-01-01T00:00:00.000001Z",
            "2025-01-01T00:00Z",
            _window("2024-12-22T00:00:00.000001Z", "2025-01-01T00:00:00.000001Z"),
            id="a microsecond before the anchor is the window before",
        ),
        pytest.param(
            _anchored(WindowUnit.HOUR, 7),
            "2025-01-01T00:30Z",
            "2024-12-31T23:00Z",
            _window("2024-12-31T17:30Z", "2025-01-01T00:30Z"),
            id="hours before the anchor count back from it",
        ),
        pytest.param(
            _anchored(WindowUnit.MINUTE, 90),
            "2025-01-01T00:00:07Z",
            "2025-01-01T03:00:07Z",
            _window("2025-01-01T03:00:07Z", "2025-01-01T04:30:07Z"),
            id="a start belongs to its own window",
        ),
    ],
)
def test_anchored(spec: WindowSpec, anchor: str, at: str, expected: Window) -> None:
    assert expected == window_at(spec, _us(at), anchor_us=_us(anchor))


@pytest.mark.parametrize(
    ("spec", "zone", "at", "expected"),
    [
        pytest.param(
            WindowSpec(WindowUnit.MINUTE, 7),
            "Asia/Kathmandu",
            "1970-01-01T00:06:59Z",
            _window("1970-01-01T00:00Z", "1970-01-01T00:07Z"),
            id="minutes count from the epoch in every zone",
        ),
        pytest.param(
            WindowSpec(WindowUnit.HOUR, 5),
            "UTC",
            "1969-12-31T23:00Z",
            _window("1969-12-31T19:00Z", "1970-01-01T00:00Z"),
            id="hours before the epoch",
        ),
        pytest.param(
            WindowSpec(WindowUnit.DAY),
            "Asia/Kathmandu",
            "2025-06-01T18:15Z",
            _window("2025-06-01T18:15Z", "2025-06-02T18:15Z"),
            id="a day starts at local midnight",
        ),
        pytest.param(
            WindowSpec(WindowUnit.WEEK),
            "UTC",
            "2025-06-01T23:59:59Z",
            _window("2025-05-26T00:00Z", "2025-06-02T00:00Z"),
            id="a week starts on Monday",
        ),
        pytest.param(
            WindowSpec(WindowUnit.WEEK, first_weekday=6),
            "UTC",
            "2025-06-01T00:00Z",
            _window("2025-06-01T00:00Z", "2025-06-08T00:00Z"),
            id="a week starts on Sunday where asked",
        ),
        pytest.param(
            WindowSpec(WindowUnit.WEEK, 3, first_weekday=5),
            "UTC",
            "2001-01-05T23:59Z",
            _window("2000-12-16T00:00Z", "2001-01-06T00:00Z"),
            id="several weeks count from the first such weekday of 2001",
        ),
        pytest.param(
            WindowSpec(WindowUnit.DAY, 10, first_weekday=5),
            "UTC",
            "2001-01-10T00:00Z",
            _window("2001-01-01T00:00Z", "2001-01-11T00:00Z"),
            id="the first weekday moves weeks only",
        ),
        pytest.param(
            WindowSpec(WindowUnit.MONTH, 5),
            "Europe/Berlin",
            "2001-06-15T00:00Z",
            _window("2001-05-31T22:00Z", "2001-10-31T23:00Z"),
            id="five months count from January 2001, not within the year",
        ),
        pytest.param(
            WindowSpec(WindowUnit.QUARTER),
            "America/New_York",
            "2025-04-01T03:59Z",
            _window("2025-01-01T05:00Z", "2025-04-01T04:00Z"),
            id="a quarter ends at local midnight",
        ),
        pytest.param(
            WindowSpec(WindowUnit.YEAR, 1000),
            "UTC",
            "2000-12-31T00:00Z",
            _window("1001-01-01T00:00Z", "2001-01-01T00:00Z"),
            id="the widest window",
        ),
    ],
)
def test_calendar(spec: WindowSpec, zone: str, at: str, expected: Window) -> None:
    assert expected == window_at(spec, _us(at), time_zone=zone)


@pytest.mark.parametrize(
    ("zone", "anchor", "at", "expected"),
    [
        pytest.param(
            "America/New_York",
            "2025-01-01T02:30-05:00",
            "2025-03-09T03:15-04:00",
            _window("2025-03-08T02:30-05:00", "2025-03-09T03:30-04:00"),
            id="a skipped end moves forward by the gap",
        ),
        pytest.param(
            "America/New_York",
            "2025-01-01T02:30-05:00",
            "2025-03-09T03:30-04:00",
            _window("2025-03-09T03:30-04:00", "2025-03-10T02:30-04:00"),
            id="a skipped start moves forward by the gap",
        ),
        pytest.param(
            "Europe/Berlin",
            "2025-01-01T02:30+01:00",
            "2025-10-26T02:10+01:00",
            _window("2025-10-26T02:30+02:00", "2025-10-27T02:30+01:00"),
            id="a repeated start is its first occurrence",
        ),
        pytest.param(
            "Europe/Berlin",
            "2025-10-26T02:30+01:00",
            "2025-10-26T02:30+01:00",
            _window("2025-10-26T02:30+02:00", "2025-10-27T02:30+01:00"),
            id="an anchor in the second pass counts from the first",
        ),
        pytest.param(
            "Australia/Lord_Howe",
            "2025-01-01T02:15+11:00",
            "2025-10-05T02:44+11:00",
            _window("2025-10-04T02:15+10:30", "2025-10-05T02:45+11:00"),
            id="a half-hour gap moves a start by half an hour",
        ),
        pytest.param(
            "America/Sao_Paulo",
            "2018-01-01T00:00-02:00",
            "2018-11-04T12:00-02:00",
            _window("2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
            id="a skipped midnight starts the day at one",
        ),
        pytest.param(
            "Pacific/Apia",
            "2011-12-01T12:00-10:00",
            "2011-12-31T11:59+14:00",
            _window("2011-12-29T12:00-10:00", "2011-12-31T12:00+14:00"),
            id="the day before a skipped day ends where the next one starts",
        ),
        pytest.param(
            "Pacific/Apia",
            "2011-12-01T12:00-10:00",
            "2011-12-31T12:00+14:00",
            _window("2011-12-31T12:00+14:00", "2012-01-01T12:00+14:00"),
            id="a skipped day has no window of its own",
        ),
        pytest.param(
            "America/Juneau",
            "1867-10-10T12:00+15:02:19",
            "1867-10-19T12:00-08:57:41",
            _window("1867-10-19T12:00+15:02:19", "1867-10-20T12:00-08:57:41"),
            id="a repeated day is one window of 48 hours",
        ),
    ],
)
def test_days_on_the_wall_clock(zone: str, anchor: str, at: str, expected: Window) -> None:
    spec = _anchored(WindowUnit.DAY)
    assert expected == window_at(spec, _us(at), time_zone=zone, anchor_us=_us(anchor))
