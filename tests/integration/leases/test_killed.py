"""`kill -9` of sidecars and of the plane while many share limits: limits hold, nothing is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.crash.chaos import errors_but_of_kills, kill_again_and_again
from tests.support.fleet import fleet
from tests.support.seeds import rounds, seeded


@pytest.mark.crash
@pytest.mark.parametrize(("kills", "seed"), rounds(2, 71, slow=8, seeds=(72, 73)))
async def test_limits_hold_while_sidecars_are_killed_and_are_used_up_afterwards(
    tmp_path: Path, kills: int, seed: int
) -> None:
    async with fleet(tmp_path) as pods:
        async with pods.loaded(seed), asyncio.TaskGroup() as group:
            for place, sidecar in enumerate(pods.sidecars[:4]):
                rng = seeded(f"{seed} {place}")
                killing = kill_again_and_again(sidecar, rng, kills, lambda: pods.books.answers, 100)
                group.create_task(killing)
        await pods.assert_exact()
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()
        assert [] == pods.plane.errors()
        assert [] == [error for sidecar in pods.sidecars for error in errors_but_of_kills(sidecar)]


@pytest.mark.slow
@pytest.mark.crash
@pytest.mark.parametrize(("kills", "seed"), [(8, 82), (8, 83)])
async def test_limits_hold_while_the_plane_is_killed_and_are_used_up_afterwards(
    tmp_path: Path, kills: int, seed: int
) -> None:
    async with fleet(tmp_path) as pods:
        async with pods.loaded(seed):
            rng = seeded(seed)
            await kill_again_and_again(pods.plane, rng, kills, lambda: pods.books.answers, 200)
        await pods.assert_exact()
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()
        assert [] == [error for sidecar in pods.sidecars for error in sidecar.errors()]
