"""Sidecars that are cut off from the plane under load: limits hold, and all of them can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.fleet import SIDECARS, fleet
from tests.support.seeds import rounds, seeded


@pytest.mark.parametrize(("cuts", "seed"), rounds(2, 61, slow=8, seeds=(62, 63)))
async def test_limits_hold_while_sidecars_are_cut_off_and_are_used_up_once_they_are_back(
    tmp_path: Path, cuts: int, seed: int
) -> None:
    rng = seeded(seed)
    async with fleet(tmp_path) as pods:
        async with pods.loaded(seed):
            for _ in range(cuts):
                away = rng.sample(range(SIDECARS), rng.randint(1, SIDECARS - 1))
                for number in away:
                    await pods.net.cut(number)
                await pods.answers(150)
                for number in away:
                    await pods.net.mend(number)
                await pods.answers(100)
        await pods.assert_exact()
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()


@pytest.mark.slow
async def test_a_limit_holds_where_each_sidecar_goes_on_alone(tmp_path: Path) -> None:
    async with fleet(tmp_path) as pods:
        async with pods.loaded(64):
            await pods.answers(200)
            for number in range(SIDECARS):
                await pods.net.cut(number)
            # Each has what it was leased, and then nothing more.
            await pods.answers(600)
            pods.assert_never_passed()
            for number in range(SIDECARS):
                await pods.net.mend(number)
        await pods.assert_exact()
