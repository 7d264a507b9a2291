"""A sidecar that stands still past every timeout has what it was leased, and no more."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from sidecar.api.control.v1 import control_pb2
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane
from tests.support.fleet import fleet
from tests.support.processes import until


async def _silent(plane: ControlPlane) -> None:
    """Wait until the plane says that somebody who holds leases is not heard of."""

    async def said() -> bool:
        request = control_pb2.ListLeasesRequest()
        answer = await plane.control.ListLeases(request, timeout=HANG_SECONDS_MAX)
        return any(holder.silent for held in answer.counters for holder in held.holders)

    await until(said, "nobody is said to be silent")


@pytest.mark.parametrize(
    "past_every_timeout", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["short", "long"]
)
async def test_a_sidecar_that_stood_still_passes_no_limit(
    tmp_path: Path, past_every_timeout: bool
) -> None:
    async with fleet(tmp_path) as pods:
        still = pods.sidecars[0]
        async with pods.loaded(91):
            await pods.answers(200)
            os.kill(still.pid, signal.SIGSTOP)
            # The others use what it was not leased, and its own lease stays its own.
            await pods.answers(600)
            if past_every_timeout:
                await _silent(pods.plane)
            os.kill(still.pid, signal.SIGCONT)
            await pods.answers(100)
        await pods.assert_exact()
        await pods.use_up()
        await pods.assert_exact()
        await pods.assert_used_up()
