"""`kill -9` of a sidecar under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.chaos import SMALL_PUSHES, kill_again_and_again
from tests.support.audit import assert_exact, duplicates
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, catalog_text, hold, status
from tests.support.load import Books, load
from tests.support.seeds import seeded


@pytest.mark.crash
@pytest.mark.parametrize(
    ("durability", "kills", "seed"),
    [
        pytest.param("process", 8, 11, id="process"),
        # Callers wait for commits that they share.
        pytest.param("disk", 4, 12, id="disk"),
        *(
            pytest.param(
                durability, 40, seed, id=f"{durability}, seed {seed}", marks=pytest.mark.slow
            )
            for durability in ("process", "disk")
            for seed in (111, 112)
        ),
    ],
)
async def test_every_answered_call_is_in_the_ledger_once(
    tmp_path: Path, durability: str, kills: int, seed: int
) -> None:
    books = Books()
    options = {**SMALL_PUSHES, "durability": durability}
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, **options) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed):
                await kill_again_and_again(sidecar, seeded(seed), kills, lambda: books.answers, 100)
            lines = await assert_exact(books, plane, sidecar)
            print(f"{sidecar.kills} kills")
            assert 0 == duplicates(lines)
            said = await status(sidecar)
            assert len(lines) == said.last_sequence == said.acknowledged_sequence
            assert len(lines) == sum(tally.records for tally in said.tallies)
            assert [] == sidecar.errors() + plane.errors()
