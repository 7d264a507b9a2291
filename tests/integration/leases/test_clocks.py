"""Machines whose clocks are wrong, and jump, share a limit of a year: none opens another window."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.fleet import fleet
from tests.support.seeds import seeded

_JUMPS: Final = (-400 * DAY_US, -HOUR_US, 0, HOUR_US, 40 * DAY_US, 400 * DAY_US)


async def test_a_limit_holds_on_machines_whose_clocks_jump(tmp_path: Path) -> None:
    rng = seeded(95)
    async with fleet(tmp_path, exports_per="year", clocks=True) as pods:
        async with pods.loaded(95):
            for _ in range(6):
                await pods.answers(100)
                for daemon in rng.sample(pods.sidecars, 4):
                    assert daemon.clock is not None
                    daemon.clock.set(rng.choice(_JUMPS))
        await pods.assert_exact()
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()


@pytest.mark.slow
async def test_a_limit_holds_while_the_clock_of_the_plane_jumps(tmp_path: Path) -> None:
    rng = seeded(96)
    async with fleet(tmp_path, exports_per="year", clocks=True) as pods:
        clock = pods.plane.clock
        assert clock is not None
        async with pods.loaded(96):
            for _ in range(6):
                await pods.answers(100)
                clock.set(rng.choice(_JUMPS))
            clock.set(0)
            await pods.answers(100)
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()
