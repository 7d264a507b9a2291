"""A plane whose database was restored from a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.audit import audit
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    CALLS,
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    ledger_lines,
    now_us,
    used_by_plane,
)
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.waits import answered, connected, fenced, used


async def test_a_plane_that_lost_its_last_state_goes_on_and_the_sidecar_says_what_is_lost(
    tmp_path: Path,
) -> None:
    books = Books()
    backup = tmp_path / "backup.db"
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=47, callers=2):
                await answered(books, 100)
            await flush(sidecar)
            assert 0 == await plane.stop()
            shutil.copy(plane.database, backup)
            saved = len(books.calls)
            await plane.start()
            async with load(sidecar, books, seed=48, callers=2):
                await answered(books, books.answers + 100)
            await flush(sidecar)
            acknowledged = len(books.calls)
            assert 0 == await plane.stop()
            async with load(sidecar, books, seed=49, callers=2):
                await answered(books, books.answers + 100)
            shutil.copy(backup, plane.database)
            await plane.start()
            await fenced(sidecar)
            await plane.event("control.usage_lost")
            async with load(sidecar, books, seed=50, callers=2):
                await answered(books, books.answers + 100)
            await flush(sidecar)
            lines = await ledger_lines(plane)
            findings = audit(books, lines, ids_kept=False)
            # Lost is exactly what the plane had confirmed after the backup, since sidecars forget
            # what is confirmed; what waited, and what came later, is there once.
            lost = [call.number for call in books.calls[saved:acknowledged] if call.record_id]
            assert lost == findings.lost
            assert [] == findings.doubled + findings.altered + findings.denied + findings.wrong
            [event] = sidecar.seen("sync.fenced")
            assert event["plane_lost_state"]
            assert 1 == sidecar.starts
            assert [] == sidecar.errors()
            state_lost, told = plane.errors()
            assert "control.state_lost" == state_lost["event"]
            assert ("control.usage_lost", 1, len(lost)) == tuple(
                told[name] for name in ("event", "losses", "records")
            )
            print(f"{len(lost)} of {len(books.calls)} calls lost with the plane's state")


async def test_after_a_plane_lost_state_sidecars_hear_of_each_other_again(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with (
            Sidecar(tmp_path / "a", plane.address) as first,
            Sidecar(tmp_path / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar)
            assert 0 == await plane.stop()
            backup = plane.database.with_suffix(".backup")
            shutil.copy(plane.database, backup)
            await plane.start()
            for _ in range(5):
                await check(first, "acme", CALLS, 1)
                await flush(first)
            await used(second, CALLS, 5)
            assert 0 == await plane.stop()
            shutil.copy(backup, plane.database)
            await plane.start()
            # The plane no longer knows of the five, others may; what comes now, all must hear of.
            await check(second, "acme", CALLS, 10)
            await flush(second)
            await check(first, "acme", CALLS, 100)
            await flush(first)
            for sidecar in (first, second):
                await used(sidecar, CALLS, 110, lost=5)


@pytest.mark.parametrize("runs", [True, False], ids=["running", "stopped meanwhile"])
async def test_a_sidecar_knows_what_it_admitted_itself_whatever_the_plane_lost_of_it(
    tmp_path: Path, runs: bool
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address) as sidecar:
            await hold(sidecar)
            await check(sidecar, "acme", CALLS, 10)
            await flush(sidecar)
            assert 0 == await plane.stop()
            backup = plane.database.with_suffix(".backup")
            shutil.copy(plane.database, backup)
            await plane.start()
            await check(sidecar, "acme", CALLS, 90)
            await flush(sidecar)
            assert 0 == await plane.stop()
            for _ in range(17):
                await check(sidecar, "acme", CALLS, 1)
            if not runs:
                assert 0 == await sidecar.stop()
            shutil.copy(backup, plane.database)
            await plane.start()
            if not runs:
                await sidecar.start()
            await fenced(sidecar)
            await flush(sidecar)
            # What waited was offered again, once; the rest of it is known here alone.
            assert {("acme", CALLS, "all", ()): 27} == await used_by_plane(plane, now_us())
            await used(sidecar, CALLS, 117)
            await check(sidecar, "acme", CALLS, 3)
            await flush(sidecar)
            for _ in range(2):
                await used(sidecar, CALLS, 120)
                assert 0 == await sidecar.stop()
                await sidecar.start()
                await connected(sidecar)


async def test_what_was_answered_stays_counted_where_a_plane_lost_it(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with (
            Sidecar(tmp_path / "a", plane.address) as first,
            Sidecar(tmp_path / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar)
            await check(second, "acme", EXPORTS, 3)
            await flush(second)
            await used(first, EXPORTS, 3)
            assert 0 == await plane.stop()
            backup = plane.database.with_suffix(".backup")
            shutil.copy(plane.database, backup)
            await plane.start()
            await _allowed(first, EXPORTS_MAX - 5)
            await flush(first)
            await used(second, EXPORTS, EXPORTS_MAX - 2)
            assert 0 == await plane.stop()
            shutil.copy(backup, plane.database)
            await plane.start()
            # What comes now is all that the plane has, beside what was in the backup.
            await fenced(first)
            await _allowed(first, 1)
            await flush(first)
            await used(first, EXPORTS, EXPORTS_MAX - 1)
            for sidecar in (first, second):
                assert not (await check(sidecar, "acme", EXPORTS, 3)).decision.allowed
            assert 0 == await first.stop()
            await first.start()
            assert not (await check(first, "acme", EXPORTS, 2)).decision.allowed
            await _allowed(first, 1)


async def _allowed(sidecar: Sidecar, quantity: int) -> None:
    """Use so much of the HARD limit, as soon as a plane that was started anew leases it."""

    async def is_allowed() -> bool:
        answer = await check(sidecar, "acme", EXPORTS, quantity)
        return answer.decision.allowed

    await until(is_allowed, "it was never allowed")
