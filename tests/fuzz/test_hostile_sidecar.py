"""A sidecar says anything, the plane lives: it keeps exact what honest ones accept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.crash.chaos import SMALL_PUSHES
from tests.fuzz.hostile_sidecar import HostileSidecar, play
from tests.support.audit import CLEAN, audit
from tests.support.channels import channel_to
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    COMPANIES,
    apply,
    catalog_text,
    flush,
    hold,
    ledger_lines,
    now_us,
    status,
)
from tests.support.load import Books, load
from tests.support.seeds import rounds, seeded
from tests.support.waits import answered

CALLS_A_ROUND: Final = 120
ANSWERS_A_ROUND: Final = 40
GROWTH_BYTES_MAX: Final = 160 << 20
"""Of the plane's memory, once it has answered some: caches fill, and nothing else grows."""


def resident_bytes(pid: int) -> int:
    """What a process holds of memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) << 10


@pytest.mark.crash
@pytest.mark.parametrize(("turns", "seed"), rounds(2, 51, slow=30, seeds=(151, 152)))
async def test_usage_is_exact_beside_a_hostile_sidecar(
    tmp_path: Path, turns: int, seed: int
) -> None:
    rng, books = seeded(seed), Books()
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with (
            Sidecar(tmp_path / "a", plane.address, **SMALL_PUSHES) as honest,
            channel_to(plane.address) as channel,
        ):
            await hold(honest)
            before_bytes = resident_bytes(plane.pid)
            hostile = HostileSidecar(channel, rng, (await status(honest)).incarnation)
            async with load(honest, books, seed, callers=2, rest_s=0.02):
                for _ in range(turns):
                    hostile.victim = (await status(honest)).incarnation
                    goal = books.answers + ANSWERS_A_ROUND
                    await play(hostile, CALLS_A_ROUND, now_us())
                    await answered(books, goal)
            await flush(honest)
            print(books.summary(), dict(hostile.told), sep="\n")
            lines = await ledger_lines(plane, COMPANIES)
            own = [line for line in lines if "call" in line.metadata]
            assert CLEAN == audit(books, own, ids_kept=False)
            assert [] == hostile.wrong, hostile.wrong[:5]
            # What a liar says that it had been confirmed is remembered as lost: nobody can tell.
            told = [line for line in plane.errors() if line["event"] != "control.usage_lost"]
            assert [] == told + honest.seen("sidecar.background_failed")
            assert (1, 1) == (plane.starts, honest.starts)
            assert resident_bytes(plane.pid) < before_bytes + GROWTH_BYTES_MAX
