"""Windows of companies that change their time zone agree with a walk through time.

The model shares nothing with the code under test but the zone files. It goes from one half hour to
the next, looks at what clocks show, and so finds where windows of one zone start. Then it goes
along the windows: each ends where the zone in force at its start says.
"""

from __future__ import annotations

from bisect import bisect_right
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.company.model import Company, Phase, Subscription
from sidecar.domain.company.timeline import (
    HISTORY_US,
    compile_snapshot,
    continue_snapshot,
    segment_at,
)
from sidecar.domain.time.company_windows import company_window
from sidecar.domain.time.units import DAY_US, MINUTE_US
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit
from sidecar.domain.time.zones import load_zone
from tests.support.strategies import ZONES, window_specs

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STEP_US: Final = 30 * MINUTE_US
_DAYS: Final = {WindowUnit.DAY: 1, WindowUnit.WEEK: 7}
_MONTHS: Final = {WindowUnit.MONTH: 1, WindowUnit.QUARTER: 3}

_START_US: Final = 1_530_403_200_000_000
"""2018-07-01T00:00Z, before a summer time in each hemisphere and a midnight that is skipped."""
_STEPS: Final = 48 * 480
_FIRST_CHANGE, _LAST_CHANGE = 48 * 95, 48 * 290

# Anywhere, or so close that several fall into one window, about that midnight of 4 November.
_STEP_NUMBERS: Final = st.integers(_FIRST_CHANGE, _LAST_CHANGE) | st.integers(48 * 124, 48 * 130)
_CHANGES: Final = st.lists(
    st.tuples(_STEP_NUMBERS, ZONES), max_size=4, unique_by=lambda change: change[0]
).map(sorted)
# No zone skips the time of day that its clocks show at noon of UTC.
_ANCHORS: Final = st.sampled_from([_START_US + day * DAY_US + DAY_US // 2 for day in (0, 29, 30)])
_SPECS: Final = window_specs(st.sampled_from([*_DAYS, *_MONTHS])).filter(
    lambda spec: spec.interval * _MONTHS.get(spec.unit, 1) <= 3
)


def _timeline(
    first: str, changes: list[tuple[int, str]], anchor_us: int | None = None
) -> list[Phase]:
    starts = [
        (BEGINNING_US, first),
        *((_START_US + step * _STEP_US, zone) for step, zone in changes),
    ]
    ends = [from_us for from_us, _ in starts[1:]] + [FOREVER_US]
    return [
        Phase(from_us, until_us, time_zone=zone, anchor_us=anchor_us)
        for (from_us, zone), until_us in zip(starts, ends, strict=True)
    ]


@lru_cache(maxsize=16)
def _shown(zone: str) -> list[datetime]:
    """What the zone's clocks show at every step."""
    rules = load_zone(zone)
    instants = (
        _EPOCH + timedelta(microseconds=_START_US + step * _STEP_US) for step in range(_STEPS)
    )
    return [instant.astimezone(rules).replace(tzinfo=None) for instant in instants]


def _number(spec: WindowSpec, wall: datetime, anchor: datetime) -> int:
    """The number of the window whose clocks show a time, counted from the anchor's."""
    if spec.unit in _DAYS:
        return (wall - anchor) // timedelta(days=spec.interval * _DAYS[spec.unit])
    months = (wall.year - anchor.year) * 12 + wall.month - anchor.month
    day = min(anchor.day, monthrange(wall.year, wall.month)[1])
    if (wall.day, wall.time()) < (day, anchor.time()):
        months -= 1
    return months // (spec.interval * _MONTHS[spec.unit])


@lru_cache(maxsize=64)
def _boundaries(spec: WindowSpec, zone: str, anchor_us: int) -> list[int]:
    """Where windows of one zone start, but for the one that runs at the first step."""
    if spec.alignment is Alignment.CALENDAR:
        anchor = datetime(2001, 1, 1) + timedelta(days=spec.first_weekday)  # noqa: DTZ001
    else:
        anchor = _EPOCH + timedelta(microseconds=anchor_us)
        anchor = anchor.astimezone(load_zone(zone)).replace(tzinfo=None)
    found: list[int] = []
    latest: int | None = None
    for step, wall in enumerate(_shown(zone)):
        number = _number(spec, wall, anchor)
        if latest is not None and number > latest:
            found.append(_START_US + step * _STEP_US)
        latest = number if latest is None else max(number, latest)
    return found


def _model(segments: list[Phase], spec: WindowSpec, anchor_us: int) -> list[Window]:
    windows: list[Window] = []
    start_us = _boundaries(spec, segments[0].time_zone, anchor_us)[0]
    while start_us < _START_US + _LAST_CHANGE * _STEP_US:
        zone = next(of.time_zone for of in reversed(segments) if of.from_us <= start_us)
        boundaries = _boundaries(spec, zone, anchor_us)
        at = bisect_right(boundaries, start_us)
        before_us, end_us, next_us = boundaries[at - 1 : at + 2]
        left_us, length_us = end_us - start_us, end_us - before_us
        windows.append(Window(start_us, end_us if 2 * left_us >= length_us else next_us))
        start_us = windows[-1].end_us
    return windows


@settings(max_examples=40)
@example(
    WindowSpec(WindowUnit.DAY),
    "Pacific/Kiritimati",
    [(_FIRST_CHANGE, "Pacific/Pago_Pago"), (_FIRST_CHANGE + 20, "Pacific/Kiritimati")],
    _START_US,
)
@given(_SPECS, ZONES, _CHANGES, _ANCHORS)
def test_windows_are_those_of_a_walk_through_time(
    spec: WindowSpec, first: str, changes: list[tuple[int, str]], anchor_us: int
) -> None:
    segments = _timeline(first, changes, anchor_us)
    for expected in _model(segments, spec, anchor_us):
        middle_us = (expected.start_us + expected.end_us) // 2
        for at_us in (expected.start_us, middle_us, expected.end_us - 1):
            assert expected == company_window(segments, spec, at_us)


_ANY_SPEC: Final = window_specs(st.sampled_from([*_DAYS, *_MONTHS, WindowUnit.YEAR]))


@given(_ANY_SPEC, ZONES, _CHANGES, st.integers(0, _STEPS * _STEP_US))
def test_windows_hold_their_instant_and_end_where_the_next_one_starts(
    spec: WindowSpec, first: str, changes: list[tuple[int, str]], offset_us: int
) -> None:
    segments = _timeline(first, changes, _START_US)
    at_us = _START_US + offset_us
    window = company_window(segments, spec, at_us)
    assert window.start_us <= at_us < window.end_us
    assert window == company_window(segments, spec, window.start_us)
    assert window == company_window(segments, spec, window.end_us - 1)
    assert window.end_us == company_window(segments, spec, window.end_us).start_us
    assert window.start_us == company_window(segments, spec, window.start_us - 1).end_us


@given(_ANY_SPEC, ZONES, _CHANGES.filter(bool))
def test_windows_before_a_change_are_named_the_same_by_who_does_not_know_of_it(
    spec: WindowSpec, first: str, changes: list[tuple[int, str]]
) -> None:
    aware, unaware = _timeline(first, changes), _timeline(first, changes[:-1])
    change_us = aware[-1].from_us
    for at_us in range(change_us - 1, change_us - 90 * DAY_US, -7 * DAY_US):
        assert company_window(unaware, spec, at_us) == company_window(aware, spec, at_us)
    running = company_window(unaware, spec, change_us - 1)
    for at_us in (change_us, running.end_us - 1):
        if at_us < running.end_us:
            assert running == company_window(aware, spec, at_us)


_STEPS_OF_YEARS: Final = st.lists(
    st.tuples(st.integers(1, 90), ZONES, st.booleans(), st.booleans()), min_size=1, max_size=12
)


@given(_ANY_SPEC, ZONES, _STEPS_OF_YEARS)
def test_what_is_forgotten_renames_no_counter_that_goes_on(
    spec: WindowSpec, first: str, steps: list[tuple[int, str, bool, bool]]
) -> None:
    def company(zone: str, anchor_us: int) -> Company:
        return Company("acme", "", zone, Subscription("basic", anchor_us))

    now_us = anchor_us = _START_US
    snapshot = compile_snapshot(company(first, anchor_us), 1)
    known = [(BEGINNING_US, snapshot.phases[0])]
    for version, (days, zone, moves_anchor, resets_usage) in enumerate(steps, start=2):
        now_us += days * DAY_US
        anchor_us = now_us if moves_anchor else anchor_us
        snapshot = continue_snapshot(
            snapshot, company(zone, anchor_us), version, now_us, resets_usage=resets_usage
        )
        known.append((now_us, segment_at(snapshot, now_us)))
    everything = [
        msgspec.structs.replace(segment, from_us=from_us, until_us=until_us)
        for (from_us, segment), (until_us, _) in pairwise([*known, (FOREVER_US, known[-1][1])])
    ]
    started_us = segment_at(snapshot, now_us - HISTORY_US).generation
    oldest_us = max(started_us, now_us - 400 * DAY_US)
    for at_us in (*range(oldest_us, now_us, 5 * DAY_US), now_us, now_us + 400 * DAY_US):
        at = bisect_right(everything, at_us, key=lambda segment: segment.from_us) - 1
        found = segment_at(snapshot, at_us)
        expected = everything[at]
        assert (expected.generation, expected.anchored_generation) == (
            found.generation,
            found.anchored_generation,
        )
        window = company_window(everything, spec, at_us)
        assert window == company_window(snapshot.phases, spec, at_us)
