"""Seats at the plane: who is told what, what is listed, and what becomes of it over time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services.apply import Desired, apply
from sidecar.control.services.lease_recovery import open_leases
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.seat_lists import SeatPlace, list_seats, seat_changes
from sidecar.control.services.seats import assign_seats
from sidecar.control.services.sweep import RELEASED_US, forget_seats
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.witness_port import MemoryWitness
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.leases.model import LeaseRequest, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.seats.model import SeatRequest, SeatStatus
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.shared.wall_clock import wall_us
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.build import company
from tests.support.seats import ACTIVE, NAMED, SWAPPED, seats_catalog
from tests.unit.control.leasing_plane import leased
from tests.unit.control.plane import Calls, refusal, running
from tests.unit.control.support import ALICE, NOW_US

EXHAUSTED: Final = int(Reason.SEATS_EXHAUSTED)


class Seats:
    """A plane's seats in a store."""

    def __init__(self, store: PlaneStore, *limits: object, now_us: int = NOW_US) -> None:
        self.store = store
        self.now_us = now_us
        self.witness = MemoryWitness()
        self._timelines = KeptTimelines()
        apply(store, Desired(seats_catalog(*limits), (company(),)), now_us)  # type: ignore[arg-type]

    def ask(
        self,
        holder: str,
        *,
        release: bool = False,
        at_us: int | None = None,
        happened: bool = False,
    ) -> SeatStatus:
        at_us = self.now_us if at_us is None else at_us
        request = SeatRequest("acme", "members", holder, at_us, release, happened)
        answer = assign_seats(
            self.store, self._timelines, ALICE, [request], self.witness, self.now_us
        )
        return answer.results[0].status


def test_a_page_of_seats_goes_on_behind_the_last_one(store: PlaneStore) -> None:
    seats = Seats(store, NAMED, ACTIVE)
    for holder in ("cat", "ann", "bob"):
        seats.ask(holder)
    found: list[tuple[int, str]] = []
    place: SeatPlace | None = SeatPlace(NOW_US)
    while place is not None:
        page = list_seats(store, "acme", "members", place, 2)
        found += [(number, seat.holder) for number, seat in page.seats]
        place = page.after
    assert [(limit, who) for limit in (0, 1) for who in ("ann", "bob", "cat")] == found
    assert [3, 3] == [limit.pool.held for limit in page.limits]


def test_seats_count_as_usage_of_their_limit(store: PlaneStore) -> None:
    seats = Seats(store, NAMED)
    seats.ask("ann")
    seats.ask("bob")
    seats.ask("ann", release=True)
    with store.read() as transaction:
        (total,) = transaction.unended_totals("acme", None, NOW_US, ALICE, 10)
    assert (1, 0, 1) == (total.total, total.own, total.corrections)


def test_changes_are_told_once_and_in_their_order(store: PlaneStore) -> None:
    seats = Seats(store, NAMED)
    seats.ask("ann")
    first = seat_changes(store, 0, "")
    assert first.is_anew
    assert ["ann"] == [seat.holder for seat in first.changes]
    seats.ask("bob")
    seats.ask("ann", release=True)
    then = seat_changes(store, first.until_version, first.epoch)
    assert not then.is_anew
    assert [("bob", True), ("ann", False)] == [(each.holder, each.is_held) for each in then.changes]
    assert () == seat_changes(store, then.until_version, then.epoch).changes


def test_who_knows_more_than_there_is_starts_over(store: PlaneStore) -> None:
    seats = Seats(store, NAMED)
    seats.ask("ann")
    told = seat_changes(store, 0, "")
    assert seat_changes(store, told.until_version + 1, told.epoch).is_anew
    assert seat_changes(store, told.until_version, "another").is_anew
    alone = seat_changes(store, 0, "", alone=True)
    assert (True, ()) == (alone.is_anew, alone.changes)


def test_what_is_over_is_forgotten_and_who_missed_that_starts_over(store: PlaneStore) -> None:
    seats = Seats(store, NAMED, ACTIVE)
    seats.ask("ann")
    before = seat_changes(store, 0, "")
    seats.ask("ann", release=True)
    while forget_seats(store, NOW_US + DAY_US):
        pass
    assert 2 == len(seat_changes(store, 0, "").changes)
    while forget_seats(store, NOW_US + HISTORY_US + 2 * DAY_US):
        pass
    assert 1 == len(seat_changes(store, 0, "").changes)
    while forget_seats(store, NOW_US + RELEASED_US + DAY_US):
        pass
    assert () == seat_changes(store, 0, "").changes
    assert seat_changes(store, before.until_version, before.epoch).is_anew


def test_what_happened_without_the_plane_is_taken_past_the_number(store: PlaneStore) -> None:
    seats = Seats(store, NAMED)
    for holder in ("ann", "bob", "cat"):
        seats.ask(holder)
    assert SeatStatus.EXHAUSTED is seats.ask("dan")
    assert SeatStatus.ASSIGNED is seats.ask("dan", happened=True)
    assert SeatStatus.HELD is seats.ask("dan", happened=True)
    page = list_seats(store, "acme", "members", SeatPlace(NOW_US), 10)
    assert 4 == page.limits[0].pool.held


def test_what_happened_before_a_later_change_is_left(store: PlaneStore) -> None:
    seats = Seats(store, NAMED)
    seats.ask("ann", at_us=NOW_US - SECOND_US)
    earlier = NOW_US - 2 * SECOND_US
    gone = seats.ask("ann", release=True, at_us=earlier, happened=True)
    assert SeatStatus.NOT_HELD is gone
    seats.ask("ann", release=True)
    assert SeatStatus.HELD is seats.ask("ann", at_us=earlier, happened=True)
    page = list_seats(store, "acme", "members", SeatPlace(NOW_US), 10)
    assert 0 == page.limits[0].pool.held


def test_a_database_that_has_forgotten_seats_is_known_by_its_witness() -> None:
    store = SqliteStore()
    seats = Seats(store, NAMED)
    open_leases(store, seats.witness, NOW_US, DAY_US)
    seats.ask("ann")
    older = SqliteStore()
    Seats(older, NAMED)
    with older.write() as transaction:
        transaction.note_witnessed()
    assert open_leases(older, seats.witness, NOW_US, DAY_US)
    older.close()
    store.close()


def test_nothing_of_a_limit_on_seats_is_leased(store: PlaneStore) -> None:
    Seats(store, NAMED)
    counter = CounterName("acme", "members", CounterRef("LIFETIME||", (), LIFETIME_WINDOW))
    answer = leased(store, ALICE, [LeaseRequest(counter, 1, 0, 0, 1, 1)], NOW_US)
    assert LeaseStatus.GONE is answer.results[0].status


@pytest.fixture
async def calls(store: PlaneStore) -> AsyncIterator[Calls]:
    async with running(store) as calls:
        yield calls


def _ask(holder: str, *, release: bool = False) -> sync_pb2.AssignSeatsRequest:
    asked = sync_pb2.SeatRequest(
        company="acme", feature="members", holder=holder, at_us=wall_us(), release=release
    )
    return sync_pb2.AssignSeatsRequest(incarnation=ALICE, requests=[asked])


async def test_people_and_sidecars_share_seats_and_watchers_hear_of_both(
    store: PlaneStore, calls: Calls
) -> None:
    Seats(store, NAMED, now_us=wall_us() - DAY_US)
    request = sync_pb2.WatchSeatsRequest(incarnation=ALICE)
    heard: list[tuple[str, bool]] = []
    watch = calls.sync.WatchSeats(request)
    who: dict[str, Any] = {"company": "acme", "feature": "members"}
    async with asyncio.timeout(HANG_SECONDS_MAX):
        first = await watch.read()
        assert first.anew
        for holder in ("ann", "bob"):
            answer = await calls.sync.AssignSeats(_ask(holder))
            assert sync_pb2.SEAT_STATUS_ASSIGNED == answer.results[0].status
        mine = await calls.control.AcquireSeat(control_pb2.AcquireSeatRequest(**who, holder="cat"))
        assert (True, True) == (mine.held, mine.assigned)
        full = await calls.control.AcquireSeat(control_pb2.AcquireSeatRequest(**who, holder="dan"))
        assert (False, EXHAUSTED) == (full.held, full.reason)
        gone = await calls.control.ReleaseSeat(control_pb2.ReleaseSeatRequest(**who, holder="ann"))
        assert gone.released
        while ("ann", False) not in heard:
            told = await watch.read()
            heard += [(each.holder, not each.HasField("released_us")) for each in told.changes]
        listed = await calls.control.ListSeats(control_pb2.ListSeatsRequest(**who))
    watch.cancel()
    assert ["bob", "cat"] == [seat.holder for seat in listed.seats]
    assert (2, 3) == (listed.limits[0].held, listed.limits[0].amount)
    assert {("bob", True), ("cat", True)} < set(heard)


async def test_what_is_wrong_with_a_request_is_named_and_nothing_is_changed(
    store: PlaneStore, calls: Calls
) -> None:
    Seats(store, SWAPPED, now_us=wall_us() - DAY_US)
    nobody = await refusal(calls.sync.AssignSeats(_ask("")))
    assert (grpc.StatusCode.INVALID_ARGUMENT, "requests[0].holder") == (
        nobody.code,
        nobody.metadata["field"],
    )
    for fields, code, field in (
        ({"company": "acme", "feature": "calls", "holder": "a"}, "INVALID_ARGUMENT", "feature"),
        ({"company": "acme", "feature": "member", "holder": "a"}, "NOT_FOUND", "feature"),
        ({"company": "acmee", "feature": "members", "holder": "a"}, "NOT_FOUND", "company"),
        ({"company": "acme", "feature": "members", "holder": ""}, "INVALID_ARGUMENT", "holder"),
    ):
        refused = await refusal(calls.control.AcquireSeat(control_pb2.AcquireSeatRequest(**fields)))
        assert (grpc.StatusCode[code], field) == (refused.code, refused.metadata["field"])
    listing = control_pb2.ListSeatsRequest(company="acme", feature="members", page_token="x")
    assert "page_token" == (await refusal(calls.control.ListSeats(listing))).metadata["field"]
    listed = await calls.control.ListSeats(
        control_pb2.ListSeatsRequest(company="acme", feature="members")
    )
    assert (0, 4) == (listed.limits[0].held, listed.limits[0].holders_left)
