"""A control plane whose database was deleted: it is told, and remembered until it was seen to."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import CALLS, apply, catalog_text, check, flush, hold
from tests.support.waits import fenced
from tests.unit.cli.fakes import tallyd

CANNOT_RUN = 4
RECORDS = 12


async def ask(*command: str) -> tuple[int, Any]:
    """Exit code and the last line of a command's answer."""
    result = await asyncio.to_thread(tallyd, *command, "--json")
    return result.exit_code, json.loads(result.stdout)


@pytest.mark.parametrize("with_marker", [False, True], ids=["database", "database and marker"])
async def test_records_that_only_a_deleted_database_had_stay_visible_until_they_were_seen_to(
    tmp_path: Path, with_marker: bool
) -> None:
    folder = tmp_path / "plane"
    folder.mkdir()
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address) as sidecar:
            await hold(sidecar, ["acme"])
            for _ in range(RECORDS):
                await check(sidecar, "acme", CALLS)
            await flush(sidecar)
            await plane.stop()
            (folder / "control.db").unlink()
            if with_marker:
                (folder / "control.db.expected").unlink()
            else:
                await plane.spawn()
                assert CANNOT_RUN == await plane.ended()
                assert "restore" in plane.seen("daemon.cannot_run")[0]["error"].lower()
                plane.options["database_missing"] = "begin_anew"
            await plane.start()
            await apply(plane, catalog_text())
            await fenced(sidecar)
            await plane.event("control.usage_lost")
            places = ("--sidecar", sidecar.address, "--control", plane.address)

            exit_code, compared = await ask("reconcile", *places)
            assert (1, 0) == (exit_code, compared["difference"])
            assert (1, RECORDS) == (compared["losses"], compared["lost_records"])
            (lost,) = compared["lost"]
            assert (1, RECORDS) == (lost["first_sequence"], lost["last_sequence"])
            exit_code, said = await ask("status", "--control", plane.address)
            assert (0, 1, RECORDS) == (exit_code, said["losses"], said["lost_records"])
            exit_code, found = await ask("doctor", *places)
            outcomes = {entry["name"]: entry["outcome"] for entry in found["checks"]}
            assert (1, "fail") == (exit_code, outcomes["usage"])

            await plane.stop()
            await plane.start()
            exit_code, compared = await ask("reconcile", *places, "--acknowledge-losses")
            assert (0, 1) == (exit_code, compared["losses"])
            exit_code, compared = await ask("reconcile", *places)
            assert (0, 0) == (exit_code, compared["losses"])
