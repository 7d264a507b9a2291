"""Files and calls change companies of a real control plane, which is killed in between."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any, Final

from click.testing import Result

from sidecar.api.control.v1 import control_pb2 as pb
from sidecar.cli.common import ExitCode
from tests.integration.test_store_migration import old_database
from tests.support.daemons import ControlPlane
from tests.unit.cli.fakes import tallyd

CATALOG: Final = """
features: {calls: {kind: metered}, sso: {kind: boolean}}
plans: {basic: {}, pro: {entitlements: {sso: true, calls: unlimited}}}
add_ons: {more: {entitlements: {sso: true}}}
"""
COMPANIES: Final = """
companies:
  acme: {plan: basic, anchor: 2026-01-01, add_ons: {more: 1}}
"""


async def run(plane: ControlPlane, *args: str | Path) -> Result:
    """Run a command against a plane; it blocks, so it has a thread of its own."""
    places = {"TALLYD_CONTROL": plane.address}
    return await asyncio.to_thread(tallyd, *map(str, args), environment=places)


async def told(plane: ControlPlane, *args: str | Path) -> Any:
    """What a command that succeeds prints as JSON."""
    result = await run(plane, *args, "--json")
    assert ExitCode.OK == result.exit_code, result.output
    return json.loads(result.stdout)


async def test_what_a_call_changed_outlives_the_plane_and_the_next_file(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "catalog.yaml").write_text(CATALOG)
    (folder / "companies.yaml").write_text(COMPANIES)
    async with ControlPlane(tmp_path / "control.db") as plane:
        await told(plane, "apply", folder)
        await told(plane, "subscription", "change", "acme", "--plan", "pro")
        await told(plane, "company", "create", "globex", "--plan", "basic")
        await plane.kill()
        await plane.start()
        applied = await told(plane, "apply", folder, "--prune")
        assert [("acme", "plan"), ("globex", "")] == [
            (conflict["company"], conflict["field"]) for conflict in applied["conflicts"]
        ]
        assert "0" == str(applied["changed"])
        stopped = await run(plane, "apply", folder, "--fail-on-conflict")
        assert ExitCode.NEGATIVE == stopped.exit_code
        shown = await told(plane, "subscription", "show", "acme")
        assert "pro" == shown["now"]["plan"]
        await told(plane, "apply", folder / "companies.yaml", "--take-over", "acme.plan")
        await plane.kill()
        await plane.start()
        again = await told(plane, "apply", folder)
        assert ("0", []) == (str(again["changed"]), again["conflicts"])
        shown = await told(plane, "subscription", "show", "acme")
        assert "basic" == shown["now"]["plan"]


async def test_what_is_exported_changes_nothing_when_it_is_applied(tmp_path: Path) -> None:
    file = tmp_path / "catalog.yaml"
    file.write_text(CATALOG + COMPANIES)
    async with ControlPlane(tmp_path / "control.db") as plane:
        await told(plane, "apply", file)
        await told(plane, "subscription", "change", "acme", "--plan", "pro", "--at", "period-end")
        await told(plane, "subscription", "add-on", "acme", "more", "4")
        await told(plane, "company", "create", "on", "--plan", "pro", "--name", "1_000")
        exported = await run(plane, "catalog", "export", "--companies")
        assert ExitCode.OK == exported.exit_code, exported.output
        file.write_text(exported.stdout)
        applied = await told(plane, "apply", file)
        assert ("0", []) == (str(applied["changed"]), applied["conflicts"])
        alone = await run(plane, "company", "export", "on")
        assert alone.stdout.startswith('companies:\n  "on":\n    name: "1_000"\n    plan: pro\n')


async def test_all_of_a_database_of_before_is_the_files(tmp_path: Path) -> None:
    old_database(tmp_path / "control.db")
    async with ControlPlane(tmp_path / "control.db") as plane:
        held = await plane.control.GetCompany(pb.GetCompanyRequest(company="acme"))
        assert [] == list(held.owners)
        held.company.name = "Acme Ltd"
        applied = await plane.control.Apply(pb.ApplyRequest(companies=[held.company]))
        assert (1, 0) == (applied.changed, applied.conflicted)
    connection = sqlite3.connect(tmp_path / "control.db")
    assert [(None,)] == connection.execute("SELECT DISTINCT owners FROM company").fetchall()
    connection.close()
