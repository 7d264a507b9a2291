"""Two sidecars and a plane share exact limits: all of them is used, and never more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    EXPORTS,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    ledger_sums,
)
from tests.support.processes import until

MOST = 1_000
"""Of the limit."""


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[tuple[ControlPlane, Sidecar, Sidecar]]:
    """A plane and two sidecars that hold acme."""
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, catalog_text(["acme"], MOST))
        async with (
            Sidecar(folder / "a", plane.address) as first,
            Sidecar(folder / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar, ["acme"])
            yield plane, first, second
            assert [] == [error for d in (plane, first, second) for error in d.errors()]


async def spend(sidecar: Sidecar, most: int) -> int:
    """Check until one is denied, so often at most; how many were allowed."""
    for allowed in range(most):
        decision = (await check(sidecar, "acme", EXPORTS)).decision
        if not decision.allowed:
            assert pb.REASON_LIMIT_EXCEEDED == decision.reason
            return allowed
        assert (pb.BASIS_MODE_LEASED, 0) == (decision.basis.mode, decision.basis.uncertainty)
        assert decision.basis.HasField("uncertainty")
    return most


async def test_all_of_a_limit_is_used_by_both_and_never_more(tmp_path: Path) -> None:
    async with system(tmp_path) as (plane, first, second):
        # One is ten times as busy as the other.
        little = asyncio.create_task(spend(second, MOST // 10))
        busy = await spend(first, MOST)
        used = busy + await little
        while more := await spend(second, MOST) + await spend(first, MOST):
            used += more
        assert MOST == used
        for sidecar in (first, second):
            await flush(sidecar)
        assert MOST == (await ledger_sums(plane))[EXPORTS]


async def test_who_stops_leaves_the_others_what_it_has_not_used(tmp_path: Path) -> None:
    async with system(tmp_path) as (_, first, second):
        assert 3 == await spend(first, 3)
        assert 0 == await first.stop()
        assert MOST - 3 == await spend(second, MOST)


async def test_who_is_killed_goes_on_with_its_lease_while_the_plane_is_away(
    tmp_path: Path,
) -> None:
    async with system(tmp_path) as (plane, first, second):
        answer = await check(first, "acme", EXPORTS)
        left = answer.decision.basis.lease_remaining
        assert left > 0
        await plane.kill()
        await first.kill()
        await first.start()
        decisions = [(await check(first, "acme", EXPORTS)).decision for _ in range(left + 1)]
        assert [True] * left + [False] == [decision.allowed for decision in decisions]
        assert pb.REASON_LEASE_UNAVAILABLE == decisions[-1].reason
        await plane.start()
        for sidecar in (first, second):

            async def is_granted(sidecar: Sidecar = sidecar) -> bool:
                return bool((await check(sidecar, "acme", EXPORTS)).decision.allowed)

            await until(is_granted, "nothing is leased any more")
        used = 1 + left + 2
        while more := await spend(second, MOST) + await spend(first, MOST):
            used += more
        assert MOST == used


async def test_a_lowered_limit_holds_at_once_and_a_raised_one_lets_more_pass(
    tmp_path: Path,
) -> None:
    async with system(tmp_path) as (plane, first, second):
        assert 20 == await spend(first, 20) + await spend(second, 0)
        await apply(plane, catalog_text(["acme"], 25))

        async def is_lowered() -> bool:
            answer = await check(second, "acme", EXPORTS, 0)
            return 25 == answer.decision.binding_limit.amount

        await until(is_lowered, "the amount was not heard")
        used = 20
        while more := await spend(second, MOST) + await spend(first, MOST):
            used += more
        assert 25 == used
        await apply(plane, catalog_text(["acme"], 60))

        async def is_raised() -> bool:
            return bool((await check(second, "acme", EXPORTS)).decision.allowed)

        await until(is_raised, "nothing more is leased")
        used += 1
        while more := await spend(second, MOST) + await spend(first, MOST):
            used += more
        assert 60 == used
