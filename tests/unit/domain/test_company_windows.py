"""Windows of companies whose time zone or billing anchor changes, by outcome."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

import msgspec
import pytest

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.company.model import Phase
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.windows import Alignment, Window, WindowSpec, WindowUnit, window_at
from tests.support.build import ANCHORED_MONTH, DAY, LIFETIME, MONTH

WEEK: Final = WindowSpec(WindowUnit.WEEK)
QUARTER: Final = WindowSpec(WindowUnit.QUARTER)
YEAR: Final = WindowSpec(WindowUnit.YEAR)
ANCHORED_DAY: Final = WindowSpec(WindowUnit.DAY, 1, Alignment.ANCHORED)
ANCHORED_YEAR: Final = WindowSpec(WindowUnit.YEAR, 1, Alignment.ANCHORED)
HOUR: Final = WindowSpec(WindowUnit.HOUR)
MINUTES: Final = WindowSpec(WindowUnit.MINUTE, 7, Alignment.ANCHORED)


def us(text: str) -> int:
    """Microseconds of a time such as `2026-03-10` or `2026-03-10T12:00`, UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def window(start: str, end: str) -> Window:
    return Window(us(start), us(end))


def timeline(*zones: str, anchor: str | None = None) -> list[Phase]:
    """A zone, then each further one as `instant zone`."""
    starts = [(BEGINNING_US, zones[0])]
    starts += [(us(at), zone) for at, zone in (text.split() for text in zones[1:])]
    ends = [from_us for from_us, _ in starts[1:]] + [FOREVER_US]
    return [
        Phase(from_us, until_us, time_zone=zone, anchor_us=None if anchor is None else us(anchor))
        for (from_us, zone), until_us in zip(starts, ends, strict=True)
    ]


def row(segments: list[Phase], spec: WindowSpec, at_us: int, until_us: int) -> list[int]:
    """The boundaries of the windows from that of an instant to that of another."""
    found = [company_window(segments, spec, at_us)]
    while found[-1].end_us <= until_us:
        found.append(company_window(segments, spec, found[-1].end_us))
    assert all(earlier.end_us == later.start_us for earlier, later in pairwise(found))
    return [found[0].start_us, *(of.end_us for of in found)]


@pytest.mark.parametrize(
    ("spec", "zone", "anchor", "at", "expected"),
    [
        (MONTH, "UTC", None, "2028-02-29T12:00", window("2028-02-01", "2028-03-01")),
        (ANCHORED_MONTH, "UTC", "2026-01-31", "2026-02-27", window("2026-01-31", "2026-02-28")),
        (ANCHORED_MONTH, "UTC", "2026-01-31", "2026-03-30", window("2026-02-28", "2026-03-31")),
        (ANCHORED_MONTH, "UTC", "2026-01-31", "2028-02-28", window("2028-01-31", "2028-02-29")),
        (ANCHORED_YEAR, "UTC", "2024-02-29", "2027-06-01", window("2027-02-28", "2028-02-29")),
        (
            DAY,
            "Europe/Berlin",
            None,
            "2026-03-29T12:00",
            window("2026-03-28T23:00", "2026-03-29T22:00"),
        ),
        (
            DAY,
            "Europe/Berlin",
            None,
            "2026-10-25T12:00",
            window("2026-10-24T22:00", "2026-10-25T23:00"),
        ),
        (
            DAY,
            "America/Sao_Paulo",
            None,
            "2018-11-04T12:00",
            window("2018-11-04T03:00", "2018-11-05T02:00"),
        ),
        (
            DAY,
            "Australia/Lord_Howe",
            None,
            "2025-10-05T12:00",
            window("2025-10-04T13:30", "2025-10-05T13:00"),
        ),
        (
            DAY,
            "Australia/Lord_Howe",
            None,
            "2026-04-05T12:00",
            window("2026-04-04T13:00", "2026-04-05T13:30"),
        ),
        (ANCHORED_MONTH, "UTC", None, "2026-03-15", window("2026-03-01", "2026-04-01")),
    ],
    ids=[
        "leap day",
        "28 February after 31 January",
        "31 March after 28 February",
        "29 February after 31 January",
        "29 February a year",
        "an hour is skipped",
        "an hour is repeated",
        "midnight is skipped",
        "half an hour is skipped",
        "half an hour is repeated",
        "no anchor",
    ],
)
def test_a_window_is_laid_out_by_zone_and_anchor(
    spec: WindowSpec, zone: str, anchor: str | None, at: str, expected: Window
) -> None:
    assert expected == company_window(timeline(zone, anchor=anchor), spec, us(at))


@pytest.mark.parametrize(
    ("spec", "zones", "expected"),
    [
        pytest.param(
            DAY,
            ["America/New_York", "2026-03-10T12:00 Europe/Berlin"],
            ["2026-03-10T04:00", "2026-03-11T04:00", "2026-03-11T23:00", "2026-03-12T23:00"],
            id="a day, to the east",
        ),
        pytest.param(
            DAY,
            ["Europe/Berlin", "2026-03-10T12:00 America/New_York"],
            ["2026-03-09T23:00", "2026-03-10T23:00", "2026-03-12T04:00", "2026-03-13T04:00"],
            id="a day, to the west",
        ),
        pytest.param(
            DAY,
            ["Pacific/Pago_Pago", "2026-03-10T12:00 Pacific/Kiritimati"],
            ["2026-03-10T11:00", "2026-03-11T11:00", "2026-03-12T10:00", "2026-03-13T10:00"],
            id="a day, 25 hours to the east",
        ),
        pytest.param(
            DAY,
            ["Pacific/Kiritimati", "2026-03-10T12:00 Pacific/Pago_Pago"],
            ["2026-03-10T10:00", "2026-03-11T10:00", "2026-03-12T11:00", "2026-03-13T11:00"],
            id="a day, 25 hours to the west",
        ),
        pytest.param(
            DAY,
            ["Europe/Berlin", "2026-03-10T23:00 America/New_York"],
            ["2026-03-09T23:00", "2026-03-10T23:00", "2026-03-12T04:00", "2026-03-13T04:00"],
            id="a day, as it ends",
        ),
        pytest.param(
            DAY,
            ["UTC", "2026-03-10T06:00 Asia/Tokyo", "2026-03-10T12:00 Europe/Berlin"],
            ["2026-03-10T00:00", "2026-03-11T00:00", "2026-03-11T23:00", "2026-03-12T23:00"],
            id="a day, twice",
        ),
        pytest.param(
            DAY,
            ["UTC", "2026-03-10T06:00 Asia/Tokyo", "2026-03-10T12:00 UTC"],
            ["2026-03-10T00:00", "2026-03-11T00:00", "2026-03-12T00:00"],
            id="a day, there and back",
        ),
        pytest.param(
            DAY,
            [
                "Europe/Berlin",
                "2026-03-10T12:00 America/New_York",
                "2026-03-11T12:00 Europe/Berlin",
            ],
            ["2026-03-09T23:00", "2026-03-10T23:00", "2026-03-12T04:00", "2026-03-12T23:00"],
            id="a day, and the next one",
        ),
        pytest.param(
            DAY,
            ["America/New_York", "2026-03-28T12:00 Europe/Berlin"],
            ["2026-03-28T04:00", "2026-03-29T04:00", "2026-03-29T22:00", "2026-03-30T22:00"],
            id="a day, into one that skips an hour",
        ),
        pytest.param(
            DAY,
            ["America/New_York", "2026-10-24T12:00 Europe/Berlin"],
            ["2026-10-24T04:00", "2026-10-25T04:00", "2026-10-25T23:00", "2026-10-26T23:00"],
            id="a day, into one that repeats an hour",
        ),
        pytest.param(
            DAY,
            ["UTC", "2018-11-03T12:00 America/Sao_Paulo"],
            ["2018-11-03T00:00", "2018-11-04T00:00", "2018-11-05T02:00", "2018-11-06T02:00"],
            id="a day, into one that skips midnight",
        ),
        pytest.param(
            DAY,
            ["UTC", "2025-10-04T12:00 Australia/Lord_Howe"],
            ["2025-10-04T00:00", "2025-10-05T00:00", "2025-10-05T13:00", "2025-10-06T13:00"],
            id="a day, into one that skips half an hour",
        ),
        pytest.param(
            WEEK,
            ["Europe/Berlin", "2026-03-11T12:00 America/New_York"],
            ["2026-03-08T23:00", "2026-03-15T23:00", "2026-03-23T04:00", "2026-03-30T04:00"],
            id="a week, to the west",
        ),
        pytest.param(
            MONTH,
            ["Pacific/Pago_Pago", "2026-03-10T12:00 Pacific/Kiritimati"],
            ["2026-03-01T11:00", "2026-04-01T11:00", "2026-04-30T10:00", "2026-05-31T10:00"],
            id="a month, to the east",
        ),
        pytest.param(
            MONTH,
            ["Pacific/Kiritimati", "2026-03-10T12:00 Pacific/Pago_Pago"],
            ["2026-02-28T10:00", "2026-03-31T10:00", "2026-05-01T11:00", "2026-06-01T11:00"],
            id="a month, to the west",
        ),
        pytest.param(
            QUARTER,
            ["UTC", "2026-03-10T12:00 America/New_York"],
            ["2026-01-01T00:00", "2026-04-01T00:00", "2026-07-01T04:00", "2026-10-01T04:00"],
            id="a quarter, to the west",
        ),
        pytest.param(
            YEAR,
            ["UTC", "2026-03-10T12:00 Asia/Tokyo", "2026-11-10T12:00 America/New_York"],
            ["2026-01-01T00:00", "2027-01-01T00:00", "2028-01-01T05:00", "2029-01-01T05:00"],
            id="a year, twice",
        ),
        pytest.param(
            ANCHORED_MONTH,
            ["Europe/Berlin", "2026-02-10T12:00 Pacific/Kiritimati"],
            ["2026-01-31T20:00", "2026-02-28T20:00", "2026-03-31T20:00", "2026-04-30T20:00"],
            id="a billing month, to the east",
        ),
        pytest.param(
            ANCHORED_MONTH,
            ["Pacific/Kiritimati", "2026-03-10T12:00 Europe/Berlin"],
            ["2026-02-28T20:00", "2026-03-31T20:00", "2026-04-30T19:00", "2026-05-31T19:00"],
            id="a billing month, to the west",
        ),
    ],
)
def test_a_window_that_runs_when_the_zone_changes_ends_as_announced(
    spec: WindowSpec, zones: list[str], expected: list[str]
) -> None:
    segments = timeline(*zones, anchor="2026-01-31T20:00")
    start_us, last_us = us(expected[0]), us(expected[-2])
    assert [us(text) for text in expected] == row(segments, spec, start_us, last_us)
    assert (
        us(expected[1])
        == window_at(
            spec, segments[1].from_us - 1, time_zone=zones[0], anchor_us=segments[0].anchor_us
        ).end_us
    )


@pytest.mark.parametrize("spec", [HOUR, MINUTES, LIFETIME], ids=["hour", "minutes", "lifetime"])
def test_windows_of_fixed_length_know_no_zone(spec: WindowSpec) -> None:
    zones = ["UTC", "2026-03-10T12:20 Asia/Kathmandu"]
    anchor = "2026-01-31T20:00"
    at_us = us("2026-03-10T12:20")
    expected = window_at(spec, at_us, anchor_us=us(anchor))
    assert expected == company_window(timeline(*zones, anchor=anchor), spec, at_us)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (MONTH, 3),
        (LIFETIME, 3),
        (HOUR, 3),
        (ANCHORED_MONTH, 5),
        (MINUTES, 5),
        (WindowSpec(WindowUnit.LIFETIME, 1, Alignment.ANCHORED), 3),
    ],
)
def test_only_anchored_windows_have_a_generation_of_their_own(
    spec: WindowSpec, expected: int
) -> None:
    assert expected == generation_of(Phase(generation=3, anchored_generation=5), spec)


BERLIN, NEW_YORK = timeline(
    "Europe/Berlin", "2026-03-10T12:00 America/New_York", anchor="2026-01-31T20:00"
)


@pytest.mark.parametrize(
    ("spec", "generation", "anchored_generation", "expected"),
    [
        (DAY, 0, 0, window("2026-03-09T23:00", "2026-03-10T23:00")),
        (DAY, 0, 1, window("2026-03-09T23:00", "2026-03-10T23:00")),
        (DAY, 1, 1, window("2026-03-10T04:00", "2026-03-11T04:00")),
        (ANCHORED_DAY, 0, 0, window("2026-03-09T20:00", "2026-03-10T20:00")),
        (ANCHORED_DAY, 0, 1, window("2026-03-09T19:00", "2026-03-10T19:00")),
        (ANCHORED_DAY, 1, 1, window("2026-03-09T19:00", "2026-03-10T19:00")),
    ],
)
def test_a_new_generation_starts_its_windows_anew(
    spec: WindowSpec, generation: int, anchored_generation: int, expected: Window
) -> None:
    later = msgspec.structs.replace(
        NEW_YORK, generation=generation, anchored_generation=anchored_generation
    )
    assert expected == company_window([BERLIN, later], spec, us("2026-03-10T12:00"))
