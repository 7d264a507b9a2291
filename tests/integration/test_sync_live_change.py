"""What is applied to the plane reaches connected sidecars, and those that were away."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import COMPANIES, EXPORTS, apply, catalog_text, check, hold, status
from tests.support.processes import until
from tests.support.waits import revision_reached


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_a_connected_sidecar_obeys_what_is_applied(tmp_path: Path, snapshots: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=10))
        async with Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar:
            await hold(sidecar)
            assert not await allowed(sidecar, "acme", 11)

            await apply(plane, catalog_text(exports_max=20))
            await until_allowed(sidecar, "acme", 11, True)
            await apply(plane, catalog_text(exports_max=15))
            await until_allowed(sidecar, "globex", 16, False)
            # Usage stays: 11 are used, 4 are left.
            assert await allowed(sidecar, "acme", 4)
            assert not await allowed(sidecar, "acme", 1)

            left = [company for company in COMPANIES if company != "hooli"]
            await apply(plane, catalog_text(left), remove=["hooli"])
            await until_reason(sidecar, "hooli", pb.REASON_UNKNOWN_COMPANY)
            await apply(plane, catalog_text([*left, "hooli", "piper"]))
            await until_allowed(sidecar, "hooli", 1, True)
            await until_allowed(sidecar, "piper", 1, True)
            assert [] == sidecar.errors() + plane.errors()


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_a_restarted_sidecar_resumes_and_hears_of_what_it_missed(
    tmp_path: Path, snapshots: str
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=10))
        async with Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar:
            await hold(sidecar)
            revision = await apply(plane, catalog_text(exports_max=11))
            await revision_reached(sidecar, revision)
            assert 0 == await sidecar.stop()
            left = [company for company in COMPANIES if company != "hooli"]
            revision = await apply(plane, catalog_text(left, 20), remove=["hooli"])

            await sidecar.start()
            await revision_reached(sidecar, revision)
            assert await allowed(sidecar, "acme", 20)
            await until_reason(sidecar, "hooli", pb.REASON_UNKNOWN_COMPANY)
            assert [] == sidecar.errors() + plane.errors()


async def test_without_changes_a_restarted_sidecar_stays_where_it_was(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        revision = await apply(plane, catalog_text(across="eventual"))
        async with Sidecar(tmp_path, plane.address, snapshots="all") as sidecar:
            await revision_reached(sidecar, revision)
            incarnation = (await status(sidecar)).incarnation
            await sidecar.kill()
            await plane.kill()
            await sidecar.start()
            said = await status(sidecar)
            assert (revision, incarnation) == (said.revision, said.incarnation)
            assert await allowed(sidecar, "acme", 1)


async def allowed(sidecar: Sidecar, company: str, quantity: int) -> bool:
    answer = await check(sidecar, company, EXPORTS, quantity)
    return bool(answer.decision.allowed)


async def until_allowed(sidecar: Sidecar, company: str, quantity: int, expected: bool) -> None:
    async def obeyed() -> bool:
        return await allowed(sidecar, company, quantity) is expected

    await until(obeyed, f"{company} with {quantity} is not {expected}")


async def until_reason(sidecar: Sidecar, company: str, reason: pb.Reason.ValueType) -> None:
    async def given() -> bool:
        answer = await check(sidecar, company, EXPORTS)
        return bool(answer.decision.reason == reason)

    await until(given, f"{company} is still known")
