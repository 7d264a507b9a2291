"""A sidecar whose way to the plane is bad: lost, silent, slow, cut in the middle."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.audit import assert_exact, duplicates
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    EXPORTS,
    acknowledged,
    apply,
    catalog_text,
    check,
    hold,
    status,
)
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.seeds import rounds, seeded
from tests.support.waits import answered, connected, revision_reached

SMALL_PUSHES = {"push_linger_ms": 2, "push_records_max": 40}


Outage = Callable[[Proxy], Awaitable[None]]


@pytest.mark.parametrize("outage", [Proxy.disconnect, Proxy.swallow], ids=["refused", "silent"])
async def test_decisions_go_on_and_usage_arrives_once_after_an_outage(
    tmp_path: Path, outage: Outage
) -> None:
    books = Books()
    async with (
        ControlPlane(tmp_path / "control.db") as plane,
        Proxy(plane.address) as proxy,
    ):
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, proxy.address, **SMALL_PUSHES) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=31, callers=2, rest_s=0.01):
                await answered(books, 100)
                await outage(proxy)
                # They would not be answered if they waited for the plane.
                await answered(books, books.answers + 300)
                # Something waits, since the plane is away; and nothing of it was refused.
                assert 0 < (await status(sidecar)).outbox_records
                # What is changed meanwhile is obeyed afterwards.
                revision = await apply(plane, catalog_text(exports_max=1_000))
                await proxy.connect()
                await revision_reached(sidecar, revision)
            lines = await assert_exact(books, plane, sidecar)
            assert 0 == books.broken_off
            assert 0 == duplicates(lines)
            answer = await check(sidecar, "acme", EXPORTS, quantity=100)
            assert answer.decision.allowed
            assert [] == sidecar.errors() + plane.errors()


async def test_a_plane_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, proxy.address) as sidecar:
            await hold(sidecar)
            await connected(sidecar)
            await proxy.disconnect()
            # Nothing waits to be sent: the broken watch alone shows it.
            await connected(sidecar, False)
            await proxy.connect()
            await connected(sidecar)


@pytest.mark.parametrize(("cuts", "seed"), rounds(10, 32, slow=50, seeds=(132, 133)))
async def test_the_ledger_is_exact_through_a_slow_network_that_cuts_answers(
    tmp_path: Path, cuts: int, seed: int
) -> None:
    rng, books = seeded(seed), Books()
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, proxy.address, **SMALL_PUSHES) as sidecar:
            await hold(sidecar)
            async with (
                load(sidecar, books, seed, callers=2, rest_s=0.02),
                acknowledged(sidecar) as progress,
            ):
                for cut in range(cuts):
                    proxy.delay_s = rng.uniform(0, 0.01)
                    goal = progress() + 20
                    proxy.cut_after_bytes = rng.randint(1, 6_000)

                    async def cut_and_recovered(cut: int = cut, goal: int = goal) -> bool:
                        return proxy.cuts > cut and progress() >= goal

                    await until(cut_and_recovered, "no progress through the network")
            lines = await assert_exact(books, plane, sidecar)
            assert cuts == proxy.cuts
            assert 0 == books.broken_off
            assert 0 == duplicates(lines)
            assert [] == sidecar.errors() + plane.errors()


async def test_a_sidecar_that_starts_without_a_plane_decides_from_its_store(
    tmp_path: Path,
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, proxy.address) as sidecar:
            await hold(sidecar)
            await proxy.disconnect()
            await sidecar.kill()
            await sidecar.start()
            await sidecar.ready()
            async with load(sidecar, books, seed=33, callers=2):
                await answered(books, 50)
            # A company that was never asked for is unknown without the plane.
            answer = await check(sidecar, "nobody", EXPORTS)
            assert not answer.decision.allowed
            await proxy.connect()
            await assert_exact(books, plane, sidecar)
