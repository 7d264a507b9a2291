"""`kill -9` of a control plane under load, alone and together with its sidecar."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.crash.chaos import SMALL_PUSHES, kill_again_and_again
from tests.support.audit import assert_exact, duplicates
from tests.support.ledger import acknowledged, apply, catalog_text, hold
from tests.support.load import Books, load
from tests.support.processes import ControlPlane, Sidecar

ANSWER_SECONDS_MAX = 3.0
"""Generous, since tests share a machine; a call that waited for the plane would take longer."""


@pytest.mark.crash
@pytest.mark.timeout(120)
async def test_sidecars_answer_all_along_and_the_ledger_is_exact(tmp_path: Path) -> None:
    seed = 21
    print(f"seed {seed}")
    rng, books = random.Random(seed), Books()
    async with ControlPlane(tmp_path / "control.db") as plane, AsyncExitStack() as stack:
        await apply(plane.address, catalog_text())
        sidecars = [Sidecar(tmp_path / name, plane.address, **SMALL_PUSHES) for name in "ab"]
        progress = []
        for sidecar in sidecars:
            await stack.enter_async_context(sidecar)
            await hold(sidecar.address)
        async with AsyncExitStack() as while_killed:
            for sidecar in sidecars:
                loaded = load(sidecar.address, books, seed, callers=2, rest_s=0.03)
                await while_killed.enter_async_context(loaded)
                followed = acknowledged(sidecar.address)
                progress.append(await while_killed.enter_async_context(followed))
            await kill_again_and_again(plane, rng, 15, lambda: sum(p() for p in progress), 100)
        lines = await assert_exact(books, plane, *sidecars)
        print(f"{plane.kills} kills")
        assert 0 == books.broken_off
        assert ANSWER_SECONDS_MAX > books.slowest_s
        assert 0 == duplicates(lines)
        assert [] == [error for daemon in (plane, *sidecars) for error in daemon.errors()]


@pytest.mark.crash
@pytest.mark.timeout(120)
async def test_the_ledger_is_exact_when_both_are_killed(tmp_path: Path) -> None:
    seed = 22
    print(f"seed {seed}")
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane.address, catalog_text())
        async with Sidecar(tmp_path, plane.address, **SMALL_PUSHES) as sidecar:
            await hold(sidecar.address)
            async with load(sidecar.address, books, seed, rest_s=0.005):
                await asyncio.gather(
                    *(
                        kill_again_and_again(
                            daemon,
                            random.Random(f"{seed}-{daemon.name}"),
                            8,
                            lambda: books.answers,
                            60,
                        )
                        for daemon in (plane, sidecar)
                    )
                )
            lines = await assert_exact(books, plane, sidecar)
            print(f"{plane.kills} + {sidecar.kills} kills")
            assert 0 == duplicates(lines)
            assert [] == sidecar.errors() + plane.errors()
