"""`kill -9` of a control plane under load, alone and together with its sidecar."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.crash.chaos import SMALL_PUSHES, errors_but_of_kills, kill_again_and_again
from tests.support.audit import assert_exact, duplicates
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import acknowledged, apply, catalog_text, hold
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.seeds import rounds, seeded

pytestmark = pytest.mark.crash

ANSWERS_WITHOUT_PLANE = 20
"""Of each sidecar, each time that the plane is dead."""


@pytest.mark.parametrize(("kills", "seed"), rounds(3, 21, slow=8, seeds=(121, 122)))
async def test_sidecars_answer_all_along_and_the_ledger_is_exact(
    tmp_path: Path, kills: int, seed: int
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane, AsyncExitStack() as stack:
        await apply(plane, catalog_text())
        sidecars = [Sidecar(tmp_path / name, plane.address, **SMALL_PUSHES) for name in "ab"]
        progress = []
        for sidecar in sidecars:
            await stack.enter_async_context(sidecar)
            await hold(sidecar)

        async def all_answer() -> None:
            """They would not, if a call waited for the plane: it is dead all the while."""
            enough = {
                sidecar: books.answers_of[sidecar.address] + ANSWERS_WITHOUT_PLANE
                for sidecar in sidecars
            }

            async def answered() -> bool:
                return all(books.answers_of[s.address] >= goal for s, goal in enough.items())

            await until(answered, "a sidecar does not answer without the plane")

        async with AsyncExitStack() as while_killed:
            for place, sidecar in enumerate(sidecars):
                loaded = load(sidecar, books, seed * 10 + place, callers=2, rest_s=0.03)
                await while_killed.enter_async_context(loaded)
                progress.append(await while_killed.enter_async_context(acknowledged(sidecar)))
            await kill_again_and_again(
                plane, seeded(seed), kills, lambda: sum(p() for p in progress), 100, all_answer
            )
        lines = await assert_exact(books, plane, *sidecars)
        print(f"{plane.kills} kills")
        assert 0 == books.broken_off
        assert 0 == duplicates(lines)
        assert [] == [error for daemon in (plane, *sidecars) for error in daemon.errors()]


@pytest.mark.parametrize(("kills", "seed"), rounds(3, 22, slow=6, seeds=(123, 124)))
async def test_the_ledger_is_exact_when_both_are_killed(
    tmp_path: Path, kills: int, seed: int
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, **SMALL_PUSHES) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed, rest_s=0.005):
                await asyncio.gather(
                    *(
                        kill_again_and_again(
                            daemon,
                            seeded(f"{seed}-{daemon.name}"),
                            kills,
                            lambda: books.answers,
                            60,
                        )
                        for daemon in (plane, sidecar)
                    )
                )
            lines = await assert_exact(books, plane, sidecar)
            print(f"{plane.kills} + {sidecar.kills} kills")
            assert 0 == duplicates(lines)
            assert [] == errors_but_of_kills(sidecar) + plane.errors()
