"""The stretches of time and time zones of `tallyd usage`, and how it fits a terminal."""

from __future__ import annotations

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.cli import times
from sidecar.cli.common import ExitCode
from sidecar.shared.instants import instant_of_text
from tests.unit.cli.fakes import FakeServer, tallyd
from tests.unit.cli.test_usage import NOON_US, ledger, plane, usage

__all__ = ["plane"]

pytestmark = pytest.mark.usefixtures("in_utc")


def test_a_terminal_is_told_the_instant_and_the_time_zone(
    plane: FakeServer, on_terminal: None
) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(limits=[usage(1, 10)])
    berlin = ("--time-zone", "Europe/Berlin", "--control", plane.address)

    limits = tallyd("usage", "acme", "--at", "2026-01-31", *berlin)
    sums = tallyd("usage", "--from", "2026-01-31", "--until", "2026-02-01", *berlin)

    assert limits.stdout.startswith("acme at 2026-01-31 00:00:00 CET\n")
    assert "2026-02-01 01:00" in limits.stdout
    assert sums.stdout.startswith("from 2026-01-31 00:00:00 CET to 2026-02-01 00:00:00 CET\n")


def test_an_unknown_time_zone_is_told() -> None:
    result = tallyd("usage", "--time-zone", "Berlin")

    assert ExitCode.USAGE == result.exit_code
    assert "'Berlin' is not a time zone such as Europe/Berlin" in result.stderr


@pytest.mark.parametrize(
    ("last", "from_day", "until_day"),
    [
        ("day", "2026-01-30", "2026-01-31"),
        ("week", "2026-01-19", "2026-01-26"),
        ("month", "2025-12-01", "2026-01-01"),
        ("quarter", "2025-10-01", "2026-01-01"),
        ("year", "2025-01-01", "2026-01-01"),
        ("7d", "2026-01-24T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("90 minutes", "2026-01-31T10:30:00Z", "2026-01-31T12:00:00Z"),
    ],
)
def test_the_last_stretch_of_time_is_asked_for(
    plane: FakeServer, monkeypatch: pytest.MonkeyPatch, last: str, from_day: str, until_day: str
) -> None:
    monkeypatch.setattr(times, "wall_us", lambda: NOON_US)

    result = tallyd("usage", "acme", "--last", last, "--control", plane.address)

    assert ExitCode.OK == result.exit_code
    (request,) = plane.requests
    asked = (getattr(request, "from").ToMicroseconds(), request.until.ToMicroseconds())
    assert (instant_of_text(from_day), instant_of_text(until_day)) == asked


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["acme", "--last", "7d", "--from", "-1d"], "--last is instead of --from and --until"),
        (["acme", "--last", "999999d"], "is not a time that the calendar has"),
        (["acme", "--last", "moon"], "nor one of day, week, month, quarter, year"),
    ],
)
def test_a_stretch_that_is_none_is_told(args: list[str], message: str) -> None:
    result = tallyd("usage", *args)

    assert ExitCode.USAGE == result.exit_code
    assert message in result.stderr


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_the_ends_of_the_calendar_can_be_asked_for(plane: FakeServer, at: str) -> None:
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse()

    result = tallyd("usage", "acme", "--at", at, "--control", plane.address)

    assert (ExitCode.OK, "") == (result.exit_code, result.stderr)


def test_on_80_columns_what_holds_nothing_gives_way_and_numbers_stay_whole(
    plane: FakeServer, on_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    plane.answers["GetCompanyUsage"] = control_pb2.GetCompanyUsageResponse(
        limits=[usage(250_000, 1_000_000), usage(7, 200_000_000)]
    )

    lines = tallyd("usage", "acme", "--control", plane.address).stdout.splitlines()

    assert max(map(len, lines)) <= 80
    titles = next(line.split() for line in lines if "feature" in line)
    assert ["feature", "limit", "used", "amount", "share", "left", "resets"] == titles
    words = " ".join(lines).split()
    assert {"250,000", "1,000,000", "200,000,000", "199,999,993", "2026-02-01"} <= set(words)


def test_on_80_columns_lines_of_the_ledger_keep_their_words(
    fake: FakeServer, on_terminal: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    fake.answers["ListRecords"] = ledger

    told = tallyd("usage", "acme", "--records", "--max", "1", "--control", fake.address).stdout

    assert max(map(len, told.splitlines())) <= 80
    assert "model=large" in told
    assert "duplicate" not in told
