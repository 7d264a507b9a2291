"""A plane says anything, the sidecar lives: it answers all along, and loses and doubles nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from tests.crash.chaos import SMALL_PUSHES
from tests.fuzz.hostile_plane import HostilePlane
from tests.support.audit import CLEAN, audit
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    COMPANIES,
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    ledger_lines,
)
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.seeds import rounds, seeded
from tests.support.waits import answered, revision_reached

PHASE_ANSWERS: Final = 100
ODD_A_PHASE: Final = 8
LINES_AN_ODD_ANSWER_MAX: Final = 3
LINES_MAX: Final = 40
"""Of a log in which nothing odd happens."""


async def something_new(plane: ControlPlane, sidecar: Sidecar, phase: int) -> None:
    """Companies come and go, so that the watch has something to tell, and some are asked for."""
    names = [f"company-{phase}-{number}" for number in range(3)]
    before = [f"company-{phase - 1}-{number}" for number in range(3)] if phase else []
    await apply(plane, catalog_text((*COMPANIES, *names)), remove=before)
    for name in (*names, *before, f"nobody-{phase}"):
        await check(sidecar, name, EXPORTS)


def exports_of(records: Iterable[control_pb2.LedgerRecord]) -> Counter[str]:
    """How much of the feature with a HARD limit each company has used."""
    used: Counter[str] = Counter()
    for record in records:
        if record.feature == EXPORTS and not record.duplicate_of:
            used[record.company] += record.quantity
    return used


@pytest.mark.crash
@pytest.mark.parametrize(("phases", "seed"), rounds(2, 41, slow=6, seeds=(141, 142)))
@pytest.mark.parametrize(
    "sells",
    [
        pytest.param(False, id="sells what it should"),
        pytest.param(True, id="sells anything", marks=pytest.mark.slow),
    ],
)
async def test_what_was_answered_beside_a_hostile_plane_is_in_the_ledger_once(
    tmp_path: Path, phases: int, seed: int, sells: bool
) -> None:
    rng, books = seeded(seed), Books()
    async with (
        ControlPlane(tmp_path / "control.db") as plane,
        HostilePlane(plane.address, rng, sells=sells) as hostile,
    ):
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path / "a", hostile.address, **SMALL_PUSHES) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed, callers=2, rest_s=0.01):
                for phase in range(phases):
                    hostile.hostile = True
                    await something_new(plane, sidecar, phase)
                    goal = hostile.odd() + ODD_A_PHASE

                    async def odd_enough(goal: int = goal) -> bool:
                        return hostile.odd() >= goal

                    await answered(books, books.answers + PHASE_ANSWERS)
                    await until(odd_enough, "the plane is not asked any more")
                    hostile.hostile = False
                    await answered(books, books.answers + PHASE_ANSWERS)
            await sidecar.kill()
            await sidecar.start()
            revision = await apply(plane, catalog_text(exports_max=EXPORTS_MAX + 1))
            await revision_reached(sidecar, revision)
            await flush(sidecar)
            print(books.summary(), dict(hostile.told), sep="\n")
            records = await ledger_lines(plane)
            findings = audit(books, records, ids_kept=False)
            lines = Counter(str(event.get("event")) for event in sidecar.events)
            print(dict(lines))
            if sells:
                findings.wrong = []
            else:
                assert EXPORTS_MAX >= max(exports_of(records).values())
            assert CLEAN == findings, findings
            assert len(sidecar.events) <= LINES_MAX + LINES_AN_ODD_ANSWER_MAX * hostile.odd(), lines
            assert 2 == sidecar.starts
            assert [] == sidecar.seen("sidecar.background_failed")
            assert [] == plane.errors()
