"""A plane says anything of seats: what cannot be is refused, and counted, and nobody waits long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.errors import Exhausted
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.seats.model import Seat
from sidecar.domain.time.units import DAY_US
from sidecar.rpc.seats import SeatMethods
from sidecar.shared.convert.seats import seat_to_message
from sidecar.shared.convert.times import timestamp
from sidecar.storage.seats import named_seats
from sidecar.sync import seating
from sidecar.sync.retry_wait import RetryWait
from sidecar.sync.seat_calls import CHANGES_MAX, SEATS_OF_RESULT_MAX
from sidecar.sync.seating import Seating
from tests.support.bounded import Bench, bench_of
from tests.support.build import NOW_US
from tests.support.method_calls import Caller, answer_of
from tests.support.processes import until
from tests.support.seats import NAMED, seats_catalog
from tests.support.stub_plane import StubPlane

COUNTER: Final = named_seats("acme", "members")
EPOCH: Final = "one"
VERSION: Final = NOW_US
WAIT_SECONDS: Final = 60.0


def seat(holder: str, version: int = VERSION, counter: CounterName = COUNTER) -> Any:
    return seat_to_message(Seat(counter, holder, NOW_US, version))


def total(version: int = VERSION, feature: str = "members") -> Any:
    address = seat("ann").counter
    return sync_pb2.CounterTotal(
        company="acme", feature=feature, counter=address.counter, total=1, version=version
    )


def result(*seats: Any, status: int = sync_pb2.SEAT_STATUS_ASSIGNED, **more: Any) -> Any:
    return sync_pb2.SeatResult(status=sync_pb2.SeatStatus.ValueType(status), seats=seats, **more)


def assigned(*results: Any, version: int = VERSION, epoch: str = EPOCH) -> bytes:
    return sync_pb2.AssignSeatsResponse(
        results=results, version=version, epoch=epoch, plane_time=timestamp(NOW_US)
    ).SerializeToString()


def told(*seats: Any, until_version: int = VERSION, anew: bool = False, epoch: str = EPOCH) -> Any:
    return sync_pb2.WatchSeatsResponse(
        changes=seats,
        until_version=until_version,
        anew=anew,
        epoch=epoch,
        plane_time=timestamp(NOW_US),
    ).SerializeToString()


def listed(*seats: Any, more: bool = False) -> bytes:
    return sync_pb2.ListSeatsResponse(
        seats=seats, more=more, plane_time=timestamp(NOW_US)
    ).SerializeToString()


class _Stream:
    """Says what it is given, and then ends, or says nothing more."""

    def __init__(self, messages: Iterator[bytes], *, ends: bool) -> None:
        self._messages = messages
        self._ends = ends

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for message in self._messages:
            await asyncio.sleep(0)
            yield message
        if not self._ends:
            await asyncio.Event().wait()

    def cancel(self) -> None:
        """It is given up."""


class _System:
    """A sidecar that knows a company with three seats, and whose plane says what a test sets."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.asked = 0
        self.assigns: Callable[[Any], bytes] = lambda _: assigned(result(seat("ann")))
        self.lists: Callable[[Any], bytes] = lambda _: listed(seat("ann"))
        self.says: Callable[[], Iterator[bytes]] = lambda: iter(())
        self.ends = False
        assert bench.container.link is not None
        self.seating: Seating = bench.container.link.seating
        self.methods: SeatMethods = bench.container.seat_methods
        bench.apply(seats_catalog(NAMED), "acme")
        bench.container.plane_status.heard(NOW_US)
        bench.container.seats.begin_anew(EPOCH)
        for name, answer in (
            ("AssignSeats", self._assign),
            ("ListSeats", self._list),
            ("WatchSeats", self._watch),
        ):
            patch.setattr(StubPlane, name, answer, raising=False)

    async def acquire(self, holder: str) -> pb.AcquireSeatResponse:
        request = pb.AcquireSeatRequest(company="acme", feature="members", holder=holder)
        handler = self.methods.acquire_seat
        data = await answer_of(handler, request.SerializeToString(), WAIT_SECONDS)
        return pb.AcquireSeatResponse.FromString(data)

    async def listing(self, page_size: int = 2) -> pb.ListSeatsResponse:
        request = pb.ListSeatsRequest(company="acme", feature="members", page_size=page_size)
        data = await self.methods.list_seats(request.SerializeToString(), Caller(WAIT_SECONDS))
        return pb.ListSeatsResponse.FromString(data)

    def known(self) -> list[str]:
        """Who has a seat, as far as is known here."""
        store, seats = self.bench.container.store, self.bench.container.seats
        found, _ = store.transact(lambda step: seats.listed(step, COUNTER, "", 1_000))
        return [each.holder for each in found]

    async def _assign(self, request: Any, **_: Any) -> bytes:
        await asyncio.sleep(0)
        self.asked += 1
        return self.assigns(request)

    async def _list(self, request: Any, **_: Any) -> bytes:
        await asyncio.sleep(0)
        return self.lists(request)

    def _watch(self, request: Any) -> _Stream:
        self.asked += 1
        return _Stream(self.says(), ends=self.ends)


@asynccontextmanager
async def system(patch: pytest.MonkeyPatch, folder: Path) -> AsyncIterator[_System]:
    async with bench_of(patch, folder, fetch_timeout_ms=60_000) as bench:
        yield _System(bench, patch)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(assigned(), id="no answer"),
        pytest.param(assigned(result(seat("ann")), result()), id="one answer too many"),
        pytest.param(assigned(result(seat("bob"))), id="the seat of somebody else"),
        pytest.param(assigned(result(seat("ann"), seat("bob"))), id="one of somebody else, too"),
        pytest.param(
            assigned(result(seat("ann", counter=named_seats("acme", "calls")))),
            id="a seat of another feature",
        ),
        pytest.param(
            assigned(result(seat("ann"), seat("ann", counter=named_seats("globex", "members")))),
            id="seats of two companies",
        ),
        pytest.param(assigned(result(seat("ann"), totals=[total(feature="calls")])), id="a total"),
        pytest.param(
            assigned(result(*[seat("ann")] * (SEATS_OF_RESULT_MAX + 1))), id="too many seats"
        ),
        pytest.param(
            assigned(result(seat("ann"), totals=[total()] * (SEATS_OF_RESULT_MAX + 1))),
            id="too many totals",
        ),
        pytest.param(
            assigned(result(seat("ann", VERSION + 1))), id="a seat of a version not reached"
        ),
        pytest.param(
            assigned(result(seat("ann"), totals=[total(VERSION + 1)])),
            id="a total of a version not reached",
        ),
        pytest.param(
            assigned(result(seat("ann")), version=NOW_US + 2 * DAY_US),
            id="as of a version of the day after tomorrow",
        ),
        pytest.param(assigned(result(seat("ann")), version=INT64_MAX), id="as of no version"),
        pytest.param(assigned(result(seat("ann")), version=-1), id="as of less than none"),
        pytest.param(assigned(result(seat("ann")), epoch="x" * 129), id="an epoch too long"),
        pytest.param(
            assigned(result(seat("ann"), status=sync_pb2.SEAT_STATUS_RELEASED)),
            id="given back, which was not asked for",
        ),
        pytest.param(assigned(result(seat("ann"), status=77)), id="an unknown outcome"),
        pytest.param(b"\xff\xff", id="no message"),
    ],
)
async def test_an_odd_answer_to_who_asks_for_a_seat_gives_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes
) -> None:
    async with system(monkeypatch, tmp_path) as odd, odd.bench.running(odd.seating.run()):
        odd.assigns = lambda _: answer
        refused = await odd.acquire("ann")
        assert pb.REASON_LEASE_UNAVAILABLE == refused.decision.reason
        assert ([], 1) == (odd.known(), odd.seating.failures)

        odd.assigns = lambda _: assigned(result(seat("ann"), totals=[total()]))
        assert (await odd.acquire("ann")).assigned
        assert ["ann"] == odd.known()


async def test_a_full_queue_refuses_more_and_those_in_it_are_answered(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(seating, "WAITING_MAX", 3)
    async with system(monkeypatch, tmp_path) as odd:
        odd.assigns = lambda request: assigned(
            *(result(seat(each.holder)) for each in request.requests)
        )
        waiting = [asyncio.create_task(odd.acquire(f"user {number}")) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Exhausted) as refused:
            await odd.acquire("one more")
        assert "BUSY" == refused.value.reason
        async with odd.bench.running(odd.seating.run()):
            assert all(answer.assigned for answer in await asyncio.gather(*waiting))
            assert (await odd.acquire("one more")).assigned
        assert 2 == odd.asked


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(listed(*map(seat, "abc")), id="more than was asked for"),
        pytest.param(listed(seat("b"), seat("a")), id="out of order"),
        pytest.param(listed(seat("b"), seat("b")), id="one twice"),
        pytest.param(listed(seat("")), id="nobody, and no more"),
        pytest.param(listed(more=True), id="nobody, and more of them"),
        pytest.param(
            listed(seat("b", counter=named_seats("globex", "members"))), id="of another company"
        ),
        pytest.param(b"\xff\xff", id="no message"),
    ],
)
async def test_of_an_odd_page_nothing_is_listed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, page: bytes
) -> None:
    async with system(monkeypatch, tmp_path) as odd:
        odd.lists = lambda _: page
        answer = await odd.listing()
        assert ([], "") == (list(answer.seats), answer.next_page_token)


async def test_a_page_that_is_repeated_for_ever_is_listed_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with system(monkeypatch, tmp_path) as odd:
        odd.lists = lambda _: listed(seat("a"), seat("b"), more=True)
        first = await odd.listing()
        assert ["a", "b"] == [each.holder for each in first.seats]
        request = pb.ListSeatsRequest(company="acme", feature="members", page_size=2)
        request.page_token = first.next_page_token
        data = await odd.methods.list_seats(request.SerializeToString(), Caller(WAIT_SECONDS))
        again = pb.ListSeatsResponse.FromString(data)
        assert ([], "", True) == (list(again.seats), again.next_page_token, again.partial)


def sound() -> Iterator[bytes]:
    return iter([told(seat("ann"), anew=True)])


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param(
            [told(seat("eve", VERSION + 1), anew=True)], id="a change of a version not reached"
        ),
        pytest.param([told(seat("eve"), anew=True, until_version=INT64_MAX)], id="up to nowhere"),
        pytest.param([told(seat("eve"), anew=True, until_version=-1)], id="up to less than none"),
        pytest.param([told(seat("eve"), anew=True, epoch="x" * 129)], id="an epoch too long"),
        pytest.param(
            [told(*[seat("eve")] * (CHANGES_MAX + 1), anew=True)], id="more than a message has"
        ),
        pytest.param([b"\xff\xff"], id="no message"),
    ],
)
async def test_of_an_odd_message_about_seats_nothing_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, messages: Sequence[bytes]
) -> None:
    async with system(monkeypatch, tmp_path) as odd:
        odd.says = lambda: iter(messages)
        async with odd.bench.running(odd.seating.follow()):
            await until(partial(_failed, odd, 2), "it is not asked again")
            assert [] == odd.known()
            odd.says = sound
            await until(partial(_knows, odd, ["ann"]), "it is not heard")


async def test_a_stream_that_begins_anew_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each beginning forgets all that is known, so a stream has one, and the next one waits."""
    said = 0

    def anew_for_ever() -> Iterator[bytes]:
        nonlocal said
        while True:
            said += 1
            yield told(seat("eve"), anew=True, epoch=f"epoch {said}")

    async with system(monkeypatch, tmp_path) as odd:
        odd.says = anew_for_ever
        async with odd.bench.running(odd.seating.follow()):
            await until(partial(_failed, odd, 3), "it is not asked again")
            generation = odd.bench.container.seats.position.generation
            assert generation - 2 <= odd.asked
            assert said <= 3 * odd.asked
            odd.says = sound
            await until(partial(_knows, odd, ["ann"]), "it is not heard")


async def test_a_stream_that_ends_before_it_said_anything_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    successes = rests = 0

    def succeeded(_: RetryWait) -> None:
        nonlocal successes
        successes += 1

    async def rest(_: RetryWait) -> None:
        nonlocal rests
        rests += 1
        await asyncio.sleep(0)

    async def rested() -> bool:
        return rests >= 5

    monkeypatch.setattr(RetryWait, "succeeded", succeeded)
    monkeypatch.setattr(RetryWait, "rest", rest)
    async with system(monkeypatch, tmp_path) as odd:
        odd.ends = True
        async with odd.bench.running(odd.seating.follow()):
            await until(rested, "it is not asked again")
            assert 0 == successes


async def _failed(odd: _System, times: int) -> bool:
    return odd.seating.failures >= times


async def _knows(odd: _System, holders: list[str]) -> bool:
    return holders == odd.known()
