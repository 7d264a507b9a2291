"""Windows hold their rules for any layout, zone and instant, and agree with a slow model.

The model shares nothing with the code under test but the zone files: it asks of one day of the
calendar after the other whether a window starts on it, and finds out when clocks show a time by
looking at what they show, where the code computes a boundary's number and relies on ``fold``.
"""

from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import count, pairwise
from typing import Final
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.domain.time.windows import (
    END_INSTANT_US,
    FIRST_INSTANT_US,
    UNENDING,
    Alignment,
    Window,
    WindowSpec,
    WindowUnit,
    window_at,
)
from sidecar.domain.time.zones import load_zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)
_CALENDAR_ANCHOR: Final = datetime(2001, 1, 1, tzinfo=UTC)
_LENGTHS: Final = {WindowUnit.MINUTE: timedelta(minutes=1), WindowUnit.HOUR: timedelta(hours=1)}
_DAYS: Final = {WindowUnit.DAY: 1, WindowUnit.WEEK: 7}
_MONTHS: Final = {WindowUnit.MONTH: 1, WindowUnit.QUARTER: 3, WindowUnit.YEAR: 12}

_ALL_ZONES: Final = sorted((resources.files("tzdata") / "zones").read_text("ascii").split())

# Moments at which something happens to the calendar or the clocks of a zone.
_EDGES: Final = {
    "UTC": ["2024-02-29T00:00Z", "2025-02-28T00:00Z", "2100-02-28T00:00Z"],
    "Europe/Berlin": ["2025-03-30T01:00Z", "2025-10-26T01:00Z"],
    "America/New_York": ["2025-03-09T07:00Z", "2025-11-02T06:00Z"],
    "America/Sao_Paulo": ["2018-11-04T03:00Z", "2019-02-17T02:00Z"],  # around midnight
    "Australia/Lord_Howe": ["2025-10-04T15:30Z", "2025-04-05T15:00Z"],  # by half an hour
    "Pacific/Apia": ["2011-12-30T10:00Z", "2012-03-31T14:00Z"],  # skips a day, then an hour back
    "Pacific/Kwajalein": ["1993-08-21T12:00Z"],  # skips a day
    "America/Juneau": ["1867-10-19T00:31:13Z"],  # repeats a day
    "Asia/Kathmandu": ["1985-12-31T18:30Z"],  # skips a quarter of an hour
    "Pacific/Chatham": ["2025-09-27T14:00Z", "2025-04-05T14:00Z"],
    "Africa/Cairo": ["2024-04-25T22:00Z", "2024-10-31T21:00Z"],  # skips and repeats midnight
}


def _us(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _instant(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def _shown(zone: ZoneInfo, instant: datetime) -> datetime:
    """What the zone's clocks show, as if it were UTC."""
    return instant.astimezone(zone).replace(tzinfo=UTC)


def _first_shown(zone: ZoneInfo, wall: datetime) -> datetime:
    """When clocks show ``wall`` for the first time; where they skip it, ``wall`` plus the gap."""
    hours = [wall + timedelta(hours=hour) for hour in range(-27, 28)]
    offsets = {_shown(zone, hour) - hour for hour in hours}
    instants = [wall - offset for offset in offsets if _shown(zone, wall - offset) == wall]
    if instants:
        return min(instants)
    for before, after in pairwise(hours):
        if _shown(zone, before) < wall < _shown(zone, after):
            gap = (_shown(zone, after) - after) - (_shown(zone, before) - before)
            return _first_shown(zone, wall + gap)
    raise AssertionError(f"{zone} neither shows nor skips {wall}")


def _starts_on(day: date, spec: WindowSpec, anchor: date) -> bool:
    """Whether a window of a layout of days or longer starts on a day of the calendar."""
    if spec.unit in _DAYS:
        return (day - anchor).days % (spec.interval * _DAYS[spec.unit]) == 0
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    ends_month = (day + _DAY).day == 1
    right_day = day.day == anchor.day or (ends_month and day.day < anchor.day)
    return right_day and months % (spec.interval * _MONTHS[spec.unit]) == 0


def _model(spec: WindowSpec, zone: ZoneInfo, at: datetime, anchor: datetime) -> Window:
    anchored = spec.alignment == Alignment.ANCHORED
    if spec.unit in _LENGTHS:
        length = spec.interval * _LENGTHS[spec.unit]
        start = at - (at - (anchor if anchored else _EPOCH)) % length
        return Window(_us(start), _us(start + length))
    wall_anchor = _shown(zone, anchor) if anchored else _CALENDAR_ANCHOR
    if not anchored and spec.unit == WindowUnit.WEEK:
        wall_anchor += spec.first_weekday * _DAY
    return Window(
        _us(_next_start(spec, zone, at, wall_anchor, step=-1)),
        _us(_next_start(spec, zone, at, wall_anchor, step=1)),
    )


def _next_start(
    spec: WindowSpec, zone: ZoneInfo, at: datetime, wall_anchor: datetime, step: int
) -> datetime:
    """The next start after ``at`` (step 1), or the last one at or before it (step -1)."""
    # Three days back, because no clock is further away from UTC or jumps further, together.
    for day_number in count(-3):
        day = at.date() + step * day_number * _DAY
        if _starts_on(day, spec, wall_anchor.date()):
            start = _first_shown(zone, datetime.combine(day, wall_anchor.timetz()))
            if (start > at) == (step > 0):
                return start
    raise AssertionError("unreachable")


def _specs(interval_max: int) -> st.SearchStrategy[WindowSpec]:
    return st.builds(
        WindowSpec,
        unit=st.sampled_from([unit for unit in WindowUnit if unit not in UNENDING]),
        interval=st.integers(1, interval_max),
        alignment=st.sampled_from(Alignment),
        first_weekday=st.integers(0, 6),
    )


@st.composite
def _zone_and_times(draw: st.DrawFn) -> tuple[str, int, int]:
    """A zone, an instant near one of its edges, and an anchor with boundaries near that edge."""
    zone = draw(st.sampled_from(sorted(_EDGES)))
    edge = datetime.fromisoformat(draw(st.sampled_from(_EDGES[zone])))
    at = edge + timedelta(minutes=draw(st.integers(-3000, 3000)))
    quarter_hours = draw(st.one_of(st.integers(-12, 12), st.integers(-200, 200)))
    anchor = edge + timedelta(draw(st.integers(-1500, 1500)), minutes=15 * quarter_hours)
    if draw(st.booleans()):
        anchor = anchor.replace(month=draw(st.sampled_from([1, 8, 10])), day=31)
    return zone, _us(at), _us(anchor)


_instants: Final = st.one_of(
    st.integers(_us(_EPOCH.replace(year=1840)), _us(_EPOCH.replace(year=2200))),
    st.integers(FIRST_INSTANT_US, END_INSTANT_US - 1),
)
_anywhere: Final = st.one_of(
    _zone_and_times(), st.tuples(st.sampled_from(_ALL_ZONES), _instants, _instants)
)


@settings(deadline=None, max_examples=300)
@given(spec=_specs(1000), where=_anywhere)
@example(WindowSpec(WindowUnit.YEAR, 1000), ("UTC", FIRST_INSTANT_US, 0))
@example(WindowSpec(WindowUnit.YEAR, 1000), ("UTC", END_INSTANT_US - 1, 0))
def test_windows_hold_their_instant_and_tile(spec: WindowSpec, where: tuple[str, int, int]) -> None:
    zone, at_us, anchor_us = where
    window = window_at(spec, at_us, time_zone=zone, anchor_us=anchor_us)
    assert window.start_us <= at_us < window.end_us
    if window.start_us > FIRST_INSTANT_US:
        before = window_at(spec, window.start_us - 1, time_zone=zone, anchor_us=anchor_us)
        assert window.start_us == before.end_us
    if window.end_us < END_INSTANT_US:
        after = window_at(spec, window.end_us, time_zone=zone, anchor_us=anchor_us)
        assert window.end_us == after.start_us


@settings(deadline=None, max_examples=200)
@given(spec=_specs(1000), where=_anywhere, data=st.data())
def test_every_instant_of_a_window_gives_that_window(
    spec: WindowSpec, where: tuple[str, int, int], data: st.DataObject
) -> None:
    zone, at_us, anchor_us = where
    window = window_at(spec, at_us, time_zone=zone, anchor_us=anchor_us)
    other_us = data.draw(st.integers(window.start_us, window.end_us - 1))
    assert window == window_at(spec, other_us, time_zone=zone, anchor_us=anchor_us)


@settings(deadline=None, max_examples=400)
@given(spec=_specs(5), where=_zone_and_times())
def test_windows_agree_with_the_slow_model(spec: WindowSpec, where: tuple[str, int, int]) -> None:
    zone, at_us, anchor_us = where
    expected = _model(spec, load_zone(zone), _instant(at_us), _instant(anchor_us))
    assert expected == window_at(spec, at_us, time_zone=zone, anchor_us=anchor_us)


@settings(deadline=None, max_examples=100)
@given(
    unit=st.sampled_from([*_LENGTHS, *_DAYS]),
    interval=st.integers(1, 12),
    where=_zone_and_times(),
    windows_away=st.integers(-500, 500),
)
def test_a_layout_is_the_same_from_any_of_its_boundaries(
    unit: WindowUnit, interval: int, where: tuple[str, int, int], windows_away: int
) -> None:
    _, at_us, anchor_us = where  # in UTC, where days have a fixed length too
    spec = WindowSpec(unit, interval, Alignment.ANCHORED)
    length = interval * (_LENGTHS.get(unit) or _DAYS[unit] * _DAY)
    other_anchor_us = anchor_us + windows_away * (length // timedelta(microseconds=1))
    expected = window_at(spec, at_us, anchor_us=anchor_us)
    assert expected == window_at(spec, at_us, anchor_us=other_anchor_us)
