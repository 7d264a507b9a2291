"""Who is refused a lease may have been fenced: its calls wait until it is known, and go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.time.units import MILLISECOND_US
from sidecar.storage.lease_terms import read_lease_terms
from sidecar.sync.machine.lease_actions import Rest
from tests.support.bounded import CONTENT, Bench, bench_of
from tests.support.lease_machine import EPOCH, A, MachineBench, named
from tests.support.method_calls import answer_of
from tests.support.processes import until
from tests.support.stub_plane import StubPlane

PATIENCE_S: Final = 60.0
REFUSED: Final = LeaseStatus.REFUSED


def greeted(bench: MachineBench, *, is_fenced: bool) -> list[int]:
    return list(bench.machine.greeted(bench.now_us, EPOCH, grants_leases=True, is_fenced=is_fenced))


@pytest.mark.parametrize("status", [REFUSED, LeaseStatus.SUPERSEDED])
def test_who_turns_out_to_be_fenced_asks_again_for_the_calls_that_wait(status: LeaseStatus) -> None:
    bench = MachineBench()
    wait = bench.need(3)
    bench.answer(bench.ask(), status)
    later = bench.need(2)
    assert isinstance(bench.next(), Rest)
    assert [] == greeted(bench, is_fenced=True)
    bench.now_us += 20 * MILLISECOND_US
    ask = bench.ask()
    assert [(A, 2)] == [(wish.counter, wish.need) for wish in ask.wishes]
    assert {wait, later} == set(bench.answer(ask, LeaseStatus.GRANTED, 8)[0])


def test_who_is_not_fenced_is_denied_what_was_refused_and_nothing_else() -> None:
    bench = MachineBench()
    wait = bench.need()
    bench.answer(bench.ask(), REFUSED)
    bench.need(1, other := named(2))
    assert [wait] == greeted(bench, is_fenced=False)
    assert [other] == [wish.counter for wish in bench.ask().wishes]


def test_where_the_plane_cannot_be_greeted_what_was_refused_is_not_waited_for() -> None:
    bench = MachineBench()
    wait = bench.need()
    bench.answer(bench.ask(), REFUSED)
    assert [wait] == list(bench.machine.plane_away(bench.now_us))


def test_what_was_refused_and_is_given_up_is_not_asked_for_again() -> None:
    bench = MachineBench()
    wait = bench.need()
    bench.answer(bench.ask(), REFUSED)
    bench.machine.gave_up(wait)
    assert [] == greeted(bench, is_fenced=True)
    bench.now_us += 20 * MILLISECOND_US
    assert isinstance(bench.next(), Rest)


def test_what_an_exchange_of_an_incarnation_that_is_left_was_about_is_asked_for_again() -> None:
    bench = MachineBench()
    first, second = bench.need(), bench.need(1, named(2))
    bench.machine.left(bench.now_us, bench.ask())
    bench.now_us += 2 * MILLISECOND_US
    assert {first, second} == set(bench.answer(bench.ask(), LeaseStatus.GRANTED, 8)[0])


class FencingPlane:
    """Refuses whom it has fenced.

    `held_up`: the company whose answer waits until that is left, and `holds_up` whether one does.
    """

    def __init__(self, bench: Bench, held_up: str = "") -> None:
        self._store = bench.container.store
        self._fenced = self._store.incarnation.id
        self._held_up = held_up
        self.holds_up = asyncio.Event()
        bench.plane.common[self._fenced] = 0

    async def answer(
        self, plane: StubPlane, request: sync_pb2.RequestLeasesRequest, **_: Any
    ) -> bytes:
        if request.incarnation != self._fenced:
            return await RequestLeases(plane, request)
        if self._held_up in [each.counter.company for each in request.requests]:
            self.holds_up.set()
            await until(self._is_left, "the fenced incarnation is not left")
        refused = sync_pb2.LEASE_STATUS_REFUSED
        results = [
            sync_pb2.LeaseResult(number=each.number, status=refused) for each in request.requests
        ]
        answer = sync_pb2.RequestLeasesResponse(results=results)
        answer.plane_time.GetCurrentTime()
        return answer.SerializeToString()

    async def _is_left(self) -> bool:
        return self._store.incarnation.id != self._fenced


RequestLeases: Final = StubPlane.RequestLeases


@asynccontextmanager
async def fenced(
    monkeypatch: pytest.MonkeyPatch, folder: Path, held_up: str = ""
) -> AsyncIterator[tuple[Bench, FencingPlane]]:
    """A sidecar that its plane has fenced since they met."""
    async with bench_of(monkeypatch, folder, fetch_timeout_ms=30_000) as bench:
        bench.apply(CONTENT, "acme")
        bench.apply(CONTENT, "globex")
        bench.plane.epoch, bench.plane.grants_leases = EPOCH, True
        link = bench.container.link
        assert link is not None

        async def knows_plane() -> bool:
            return read_lease_terms(bench.container.store).epoch == EPOCH

        async with bench.running(link.pusher.run()), bench.running(link.leasing.run()):
            await until(knows_plane, "it never heard of its plane")
            plane = FencingPlane(bench, held_up)
            monkeypatch.setattr(StubPlane, "RequestLeases", lambda *its, **_: plane.answer(*its))
            yield bench, plane


async def checked(bench: Bench, company: str) -> pb.Decision:
    """Check `tokens`, which has one exact limit."""
    message = pb.CheckAndIncrementRequest(company=company, feature="tokens", quantity=1)
    handler = bench.container.methods.check_and_increment
    answer = await answer_of(handler, message.SerializeToString(), PATIENCE_S)
    return pb.CheckAndIncrementResponse.FromString(answer).decision


async def test_the_first_call_behind_a_fence_gets_a_lease_of_the_next_incarnation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with fenced(monkeypatch, tmp_path) as (bench, _):
        decision = await checked(bench, "acme")
    assert (True, pb.BASIS_MODE_LEASED) == (decision.allowed, decision.basis.mode)


async def test_an_answer_to_the_incarnation_that_was_left_denies_no_call_either(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with fenced(monkeypatch, tmp_path, held_up="globex") as (bench, plane):
        first = asyncio.create_task(checked(bench, "globex"))
        await plane.holds_up.wait()
        assert (await checked(bench, "acme")).allowed
        assert (await first).allowed
