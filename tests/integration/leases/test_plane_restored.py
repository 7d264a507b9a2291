"""A plane that is restored from a backup knows less of its leases: limits hold all the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.fleet import fleet


@pytest.mark.parametrize(
    "away", [pytest.param(False, marks=pytest.mark.slow), True], ids=["all report", "one is away"]
)
async def test_limits_hold_after_the_plane_was_restored_from_an_older_backup(
    tmp_path: Path, away: bool
) -> None:
    backup = tmp_path / "backup.db"
    async with fleet(tmp_path) as pods:
        plane = pods.plane
        async with pods.loaded(131):
            await pods.answers(100)
            assert 0 == await plane.stop()
            shutil.copy(plane.database, backup)
            await plane.start()
            await pods.answers(300)
            if away:
                await pods.net.cut(0)
            assert 0 == await plane.stop()
            shutil.copy(backup, plane.database)
            await plane.start()
            await pods.answers(200)
            if away:
                await pods.net.mend(0)
            await pods.answers(100)
        await pods.use_up()
        # What the plane had confirmed since the backup is lost to its ledger, and nothing else.
        findings = await pods.audited(ids_kept=False)
        assert [] == findings.doubled + findings.altered + findings.denied + findings.wrong
        pods.assert_never_passed()
