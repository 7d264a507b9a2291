"""`tallyd seats`."""

from __future__ import annotations

import json
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

NOW_US: Final = 1_773_576_000_000_000
EXHAUSTED: Final = 15


def run(fake: FakeServer, *words: str, exit_code: int = ExitCode.OK) -> str:
    result = tallyd("seats", *words, "--control", fake.address, "--time-zone", "UTC")
    assert exit_code == result.exit_code, result.stderr
    return result.stdout


def listed(*holders: str, swaps: bool = False) -> control_pb2.ListSeatsResponse:
    limit = control_pb2.SeatLimit(limit="named", amount=5, held=len(holders))
    if swaps:
        limit.holders_left = 3
        limit.swaps_reset_at.CopyFrom(timestamp(NOW_US + DAY_US))
    seats = [
        control_pb2.SeatHolder(holder=holder, limit="named", assigned_at=timestamp(NOW_US))
        for holder in holders
    ]
    return control_pb2.ListSeatsResponse(limits=[limit], seats=seats)


def test_who_has_a_seat_is_listed_with_what_is_free(fake: FakeServer) -> None:
    fake.answers["ListSeats"] = listed("ann", "bob")
    shown = run(fake, "list", "acme", "members").splitlines()
    assert ["named", "2", "5", "3", "never"] == shown[1].split()
    assert ["ann", "named", "2026-03-15"] == shown[4].split()[:3]
    assert "HOLDERS LEFT" not in shown[0].upper()
    fake.answers["ListSeats"] = listed("ann", swaps=True)
    shown = run(fake, "list", "acme", "members").splitlines()
    assert "HOLDERS LEFT  SWAPS RESET" in shown[0].upper()
    assert all(len(line) <= 80 for line in shown)


def test_windows_and_what_is_unlimited_are_shown_as_such(fake: FakeServer) -> None:
    window = catalog_pb2.WindowInstance(start=timestamp(NOW_US), end=timestamp(NOW_US + DAY_US))
    limit = control_pb2.SeatLimit(limit="active", held=7, window=window)
    fake.answers["ListSeats"] = control_pb2.ListSeatsResponse(limits=[limit])
    shown = run(fake, "list", "acme", "members").splitlines()
    assert ["active", "7", "unlimited", "-", "2026-03-16"] == shown[1].split()[:5]


def test_seats_are_asked_for_page_by_page(fake: FakeServer) -> None:
    def page(request: control_pb2.ListSeatsRequest) -> control_pb2.ListSeatsResponse:
        answer = listed("bob" if request.page_token else "ann")
        answer.next_page_token = "" if request.page_token else "more"
        return answer

    fake.answers["ListSeats"] = page
    told = json.loads(run(fake, "list", "acme", "members", "--json"))
    assert ["ann", "bob"] == [seat["holder"] for seat in told["seats"]]
    assert not told["more"]
    assert "and more" in run(fake, "list", "acme", "members", "--max", "1")


def test_a_seat_is_given_and_who_gets_none_is_told_why(fake: FakeServer) -> None:
    words = ("acquire", "acme", "members", "ann")
    fake.answers["AcquireSeat"] = control_pb2.AcquireSeatResponse(held=True, assigned=True)
    assert "ann has a seat now\n" == run(fake, *words)
    fake.answers["AcquireSeat"] = control_pb2.AcquireSeatResponse(held=True)
    assert "ann has a seat already\n" == run(fake, *words)
    fake.answers["AcquireSeat"] = control_pb2.AcquireSeatResponse(
        reason=EXHAUSTED, retry_at=timestamp(NOW_US)
    )
    shown = run(fake, *words, exit_code=ExitCode.NEGATIVE)
    assert shown.startswith("ann has no seat: SEATS_EXHAUSTED; again from 2026-03-15")
    told = json.loads(run(fake, *words, "--json", exit_code=ExitCode.NEGATIVE))
    assert ("SEATS_EXHAUSTED", False) == (told["reason"], told["held"])


def test_who_asks_for_a_seat_is_told_how_many_are_held_of_how_many(fake: FakeServer) -> None:
    words = ("acquire", "acme", "members", "ann")
    window = catalog_pb2.WindowInstance(start=timestamp(NOW_US), end=timestamp(NOW_US + DAY_US))
    fake.answers["ListSeats"] = control_pb2.ListSeatsResponse(
        limits=[
            control_pb2.SeatLimit(limit="named", amount=5, held=5),
            control_pb2.SeatLimit(limit="active", held=7, window=window),
        ]
    )
    fake.answers["AcquireSeat"] = control_pb2.AcquireSeatResponse(held=True, assigned=True)
    assert "ann has a seat now; named: 5 of 5 held; active: 7 held\n" == run(fake, *words)
    fake.answers["AcquireSeat"] = control_pb2.AcquireSeatResponse(reason=EXHAUSTED)
    shown = run(fake, *words, exit_code=ExitCode.NEGATIVE)
    assert "ann has no seat: SEATS_EXHAUSTED; named: 5 of 5 held; active: 7 held\n" == shown


def test_a_seat_is_taken_back_unless_its_window_counts_it(fake: FakeServer) -> None:
    words = ("release", "acme", "members", "ann")
    fake.answers["ReleaseSeat"] = control_pb2.ReleaseSeatResponse(released=True)
    assert "ann: the seat is free\n" == run(fake, *words)
    fake.answers["ReleaseSeat"] = control_pb2.ReleaseSeatResponse()
    assert "ann has no seat\n" == run(fake, *words)
    counts_until = timestamp(NOW_US)
    fake.answers["ReleaseSeat"] = control_pb2.ReleaseSeatResponse(counts_until=counts_until)
    assert run(fake, *words).startswith("ann counts until 2026-03-15")
