"""Everything goes wrong at once, under load: limits hold, and can be used up afterwards."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.fleet import SIDECARS, Fleet, fleet
from tests.support.processes import Daemon
from tests.support.seeds import seeded

_JUMPS: Final = (-400 * DAY_US, -HOUR_US, 0, HOUR_US, 400 * DAY_US)
_STOPPED_MAX: Final = 4
"""The others go on."""


class Faults:
    """What may go wrong at any time, one after another; some of it stays so for a while."""

    def __init__(self, pods: Fleet, rng: random.Random) -> None:
        self._pods = pods
        self._rng = rng
        self._cut: set[int] = set()
        self._stopped: set[int] = set()

    async def next(self) -> None:
        """Let something go wrong, or right again."""
        kinds = (self._cut_or_mend, self._stop_or_go_on, self._kill, self._kill_plane, self._jump)
        await self._rng.choice(kinds)()

    async def mend(self) -> None:
        """Let everything be well again, but for clocks."""
        for number in sorted(self._cut):
            await self._pods.net.mend(number)
        for number in sorted(self._stopped):
            os.kill(self._pods.sidecars[number].pid, signal.SIGCONT)

    async def _cut_or_mend(self) -> None:
        number = self._rng.randrange(SIDECARS)
        await (self._pods.net.mend if number in self._cut else self._pods.net.cut)(number)
        self._cut ^= {number}

    async def _stop_or_go_on(self) -> None:
        number = self._rng.randrange(SIDECARS)
        pid = self._pods.sidecars[number].pid
        if number in self._stopped:
            os.kill(pid, signal.SIGCONT)
        elif len(self._stopped) < _STOPPED_MAX:
            os.kill(pid, signal.SIGSTOP)
        else:
            return
        self._stopped ^= {number}

    async def _kill(self) -> None:
        number = self._rng.randrange(SIDECARS)
        self._stopped.discard(number)
        await _killed(self._pods.sidecars[number])

    async def _kill_plane(self) -> None:
        await _killed(self._pods.plane)

    async def _jump(self) -> None:
        clock = self._rng.choice(self._pods.sidecars).clock
        assert clock is not None
        clock.set(self._rng.choice(_JUMPS))


async def _killed(daemon: Daemon) -> None:
    await daemon.kill()
    await daemon.start()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [151, 152, 153])
async def test_limits_hold_whatever_goes_wrong_and_are_used_up_once_all_is_well(
    tmp_path: Path, seed: int
) -> None:
    rng = seeded(seed)
    async with fleet(tmp_path, exports_per="year", clocks=True) as pods:
        faults = Faults(pods, rng)
        async with pods.loaded(seed):
            for _ in range(30):
                await faults.next()
                await pods.answers(rng.randint(1, 80))
            await faults.mend()
            await pods.answers(100)
        await pods.assert_exact()
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()
