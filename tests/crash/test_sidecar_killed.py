"""`kill -9` of a sidecar under load."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.crash.chaos import SMALL_PUSHES, errors_but_of_kills, kill_again_and_again
from tests.support.audit import assert_exact, duplicates
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, catalog_text, hold, status
from tests.support.load import Books, load
from tests.support.seeds import seeded

_WAYS: Final = [
    ("process", "native"),
    # Callers wait for commits that they share.
    ("disk", "native"),
    ("process", "grpcio"),
    ("disk", "grpcio"),
]


@pytest.mark.crash
@pytest.mark.parametrize(
    ("durability", "transport", "kills", "seed"),
    [
        *((*way, 5, 11 + number) for number, way in enumerate((_WAYS[0], _WAYS[-1]))),
        *(
            pytest.param(*way, 10, 111 + number, marks=pytest.mark.slow)
            for number, way in enumerate(_WAYS)
        ),
    ],
)
async def test_every_answered_call_is_in_the_ledger_once(
    tmp_path: Path, durability: str, transport: str, kills: int, seed: int
) -> None:
    books = Books()
    options = {**SMALL_PUSHES, "durability": durability, "transport": transport}
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
            assert [] == errors_but_of_kills(sidecar) + plane.errors()
