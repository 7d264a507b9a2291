"""Seats over real processes: exact over several sidecars, whoever is killed, and by fail policy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar, Standalone
from tests.support.ledger import apply
from tests.support.processes import until
from tests.support.seeds import seeded
from tests.support.waits import connected

EXHAUSTED: Final = pb.REASON_SEATS_EXHAUSTED


def catalog(seats: int, more: str = "", policy: str = "deny") -> str:
    return f"""
features:
  members: {{kind: seats, fail: {{no_lease: {policy}}}}}
plans:
  team:
    entitlements:
      members: {{limits: {{named: {{amount: {seats}{more}}}}}}}
companies:
  acme: {{plan: team}}
"""


@asynccontextmanager
async def system(
    folder: Path, text: str, pods: int = 2
) -> AsyncIterator[tuple[ControlPlane, list[Sidecar]]]:
    """A plane and sidecars."""
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, text)
        sidecars = [Sidecar(folder / f"pod-{at}", plane.address) for at in range(pods)]
        async with AsyncExitStack() as stack:
            for sidecar in sidecars:
                await stack.enter_async_context(sidecar)
                await sidecar.ready()
                await connected(sidecar)
                await sidecar.event("sync.seats_followed")
            yield plane, sidecars


async def acquire(sidecar: Sidecar, holder: str) -> pb.AcquireSeatResponse:
    request = pb.AcquireSeatRequest(company="acme", feature="members", holder=holder)
    answer: pb.AcquireSeatResponse = await sidecar.api.AcquireSeat(
        request, timeout=HANG_SECONDS_MAX
    )
    return answer


async def release(sidecar: Sidecar, holder: str) -> pb.ReleaseSeatResponse:
    request = pb.ReleaseSeatRequest(company="acme", feature="members", holder=holder)
    answer: pb.ReleaseSeatResponse = await sidecar.api.ReleaseSeat(
        request, timeout=HANG_SECONDS_MAX
    )
    return answer


async def listed(plane: ControlPlane) -> list[str]:
    """Who has a seat, as the plane says."""
    holders: list[str] = []
    request = control_pb2.ListSeatsRequest(company="acme", feature="members")
    while True:
        page = await plane.control.ListSeats(request, timeout=HANG_SECONDS_MAX)
        holders += [seat.holder for seat in page.seats]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            assert page.limits[0].held == len(holders)
            return holders


@pytest.mark.parametrize(
    ("seats", "among", "at_once"),
    [(150, 3, 30), pytest.param(10_000, 8, 500, marks=pytest.mark.slow)],
)
async def test_seats_are_exact_over_pods_that_are_killed(
    tmp_path: Path, seats: int, among: int, at_once: int
) -> None:
    """More ask than there are seats, each until it was answered once by somebody; then some again.

    One pod in turn is killed while it is asked.
    """
    chance = seeded(71)
    holders = [f"user-{number}" for number in range(seats + seats // 5)]
    had: set[str] = set()
    refused: set[str] = set()
    async with system(tmp_path, catalog(seats), among) as (plane, pods):
        alive = list(pods)

        async def ask(holder: str) -> None:
            for _ in range(3):
                pod = chance.choice(alive)
                try:
                    answer = await acquire(pod, holder)
                except (grpc.aio.AioRpcError, asyncio.CancelledError):
                    continue  # it was killed, and its channel closed: somebody else is asked
                if answer.decision.allowed:
                    had.add(holder)
                elif answer.decision.reason == EXHAUSTED:
                    refused.add(holder)
                    assert answer.decision.binding_limit.used == seats
                return

        for begin in range(0, len(holders), at_once):
            asking = asyncio.gather(*map(ask, holders[begin : begin + at_once]))
            if begin // at_once % among == 1:
                victim = chance.choice(pods)
                alive.remove(victim)
                await victim.kill()
                await asking
                await victim.start()
                await victim.ready()
                alive.append(victim)
            await asking
        unanswered = [holder for holder in holders if holder not in had | refused]
        again = sorted({*holders[::10], *unanswered})
        for begin in range(0, len(again), at_once):
            await asyncio.gather(*map(ask, again[begin : begin + at_once]))
        assert seats == len(had)
        assert set(holders) == had | refused
        assert not had & refused
        assert sorted(had) == sorted(await listed(plane))


async def test_a_seat_that_one_pod_gives_back_is_free_for_all(tmp_path: Path) -> None:
    async with system(tmp_path, catalog(1)) as (plane, (first, second)):
        assert (await acquire(first, "ann")).assigned
        assert not (await acquire(second, "ann")).assigned
        assert EXHAUSTED == (await acquire(second, "bob")).decision.reason
        assert (await release(second, "ann")).released
        assert (await acquire(second, "bob")).assigned
        await until(lambda: _is_refused(first, "ann"), "it is not heard")
        assert ["bob"] == await listed(plane)


async def _is_refused(sidecar: Sidecar, holder: str) -> bool:
    return not (await acquire(sidecar, holder)).decision.allowed


async def test_people_see_and_change_what_pods_do(tmp_path: Path) -> None:
    async with system(tmp_path, catalog(2), 1) as (plane, (pod,)):
        await acquire(pod, "ann")
        who: dict[str, Any] = {"company": "acme", "feature": "members"}
        answer = await plane.control.AcquireSeat(
            control_pb2.AcquireSeatRequest(**who, holder="bob")
        )
        assert answer.assigned
        shown = await pod.api.ListSeats(pb.ListSeatsRequest(**who))
        assert ["ann", "bob"] == [seat.holder for seat in shown.seats]
        assert not shown.partial

        async def usage() -> int:
            found = await pod.api.GetUsage(pb.GetUsageRequest(**who))
            return int(found.features[0].limits[0].used)

        await until(lambda: _is(usage(), 2), "it is not heard")
        told = await pod.api.ExplainEntitlement(pb.ExplainEntitlementRequest(**who))
        assert EXHAUSTED == told.decision.reason


async def _is(found: Awaitable[int], expected: int) -> bool:
    return await found == expected


async def test_without_the_plane_who_has_a_seat_keeps_it_and_others_wait(tmp_path: Path) -> None:
    async with system(tmp_path, catalog(5)) as (plane, (first, second)):
        await acquire(first, "ann")
        await acquire(second, "ann")
        await plane.kill()
        for pod in (first, second):
            await connected(pod, False)
            await pod.kill()
            await pod.start()
            assert (await acquire(pod, "ann")).decision.allowed
            answer = await acquire(pod, "bob")
            assert pb.REASON_LEASE_UNAVAILABLE == answer.decision.reason
        shown = await first.api.ListSeats(pb.ListSeatsRequest(company="acme", feature="members"))
        assert (["ann"], True) == ([seat.holder for seat in shown.seats], shown.partial)
        await plane.start()
        await until(lambda: _is_assigned(first, "bob"), "the plane is not asked again")


async def _is_assigned(sidecar: Sidecar, holder: str) -> bool:
    return bool((await acquire(sidecar, holder)).decision.allowed)


async def test_a_fail_policy_that_allows_assigns_and_tells_it_later(tmp_path: Path) -> None:
    async with system(tmp_path, catalog(1, policy="allow"), 1) as (plane, (pod,)):
        await acquire(pod, "ann")
        await plane.kill()
        await connected(pod, False)
        answer = await acquire(pod, "bob")
        assert (True, pb.FALLBACK_CAUSE_NO_LEASE) == (
            answer.assigned,
            answer.decision.basis.fallback,
        )
        await pod.kill()
        await pod.start()
        assert (await acquire(pod, "bob")).decision.allowed
        await plane.start()
        await until(lambda: _lists(plane, ["ann", "bob"]), "it is not told")
        assert EXHAUSTED == (await acquire(pod, "cat")).decision.reason


async def _lists(plane: ControlPlane, holders: list[str]) -> bool:
    return holders == await listed(plane)


async def test_a_sidecar_alone_assigns_by_itself_and_remembers(tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "catalog.yaml").write_text(catalog(2))
    async with Standalone(folder) as pod:
        for holder in ("ann", "bob"):
            assert (await acquire(pod, holder)).assigned
        assert EXHAUSTED == (await acquire(pod, "cat")).decision.reason
        await pod.kill()
        await pod.start()
        assert not (await acquire(pod, "ann")).assigned
        assert (await release(pod, "ann")).released
        assert (await acquire(pod, "cat")).assigned
        shown = await pod.api.ListSeats(
            pb.ListSeatsRequest(company="acme", feature="members", page_size=1)
        )
        more = await pod.api.ListSeats(
            pb.ListSeatsRequest(
                company="acme", feature="members", page_size=1, page_token=shown.next_page_token
            )
        )
        assert ["bob", "cat"] == [shown.seats[0].holder, more.seats[0].holder]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await acquire(pod, "")
        assert grpc.StatusCode.INVALID_ARGUMENT is refused.value.code()
