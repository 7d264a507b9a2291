"""Plans that change while everything runs: each company moves once, though the plane is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.shared.convert.snapshots import snapshot_from_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import apply, check, hold
from tests.support.processes import until
from tests.support.waits import revision_reached

COMPANIES: Final = tuple(f"c{number:04}" for number in range(600))


def catalog(amount: int, existing: str) -> str:
    return f"""
features:
  calls: {{kind: metered}}
plans:
  pro:
    existing: {existing}
    entitlements:
      calls: {{limits: {{monthly: {{amount: {amount}, per: month, align: billing}}}}}}
companies:
""" + "".join(f"  {company}: {{plan: pro}}\n" for company in COMPANIES)


async def company(plane: ControlPlane, name: str) -> control_pb2.GetCompanyResponse:
    request = control_pb2.GetCompanyRequest(company=name, accepts_spans=True)
    answer: control_pb2.GetCompanyResponse = await plane.control.GetCompany(
        request, timeout=HANG_SECONDS_MAX
    )
    return answer


async def moves(plane: ControlPlane, name: str) -> list[catalog_pb2.ScheduledChange]:
    return list((await company(plane, name)).company.subscription.changes)


async def test_companies_move_at_the_periods_end_though_the_plane_is_killed_in_between(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog(5, "keep"))
        async with Sidecar(tmp_path, plane.address) as sidecar:
            await hold(sidecar, COMPANIES[:1])
            await apply(plane, catalog(6, "move at period end"))

            async def begun() -> bool:
                return bool(await moves(plane, COMPANIES[0]))

            await until(begun, "nobody was moved")
            await plane.kill()
            await plane.start()

            async def all_moved() -> bool:
                return bool(await moves(plane, COMPANIES[-1]))

            await until(all_moved, "the last one was not moved")
            for name in COMPANIES:
                answer = await company(plane, name)
                snapshot = snapshot_from_message(answer.snapshot, "snapshot")
                assert [phase.plan_version for phase in snapshot.phases] == [0, 1], name
                assert len(answer.company.subscription.changes) == 1, name
            await revision_reached(sidecar, answer.snapshot.version)
            decision = (await check(sidecar, COMPANIES[0], "calls", 1)).decision
            assert decision.binding_limit.amount == 5


async def test_companies_keep_what_they_have_and_new_ones_get_the_new_version(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog(5, "keep"))
        async with Sidecar(tmp_path, plane.address) as sidecar:
            await hold(sidecar, COMPANIES[:1])
            revision = await apply(plane, catalog(6, "keep") + "  new: {plan: pro}\n")
            await revision_reached(sidecar, revision)
            amounts = [
                (await check(sidecar, name, "calls", 1)).decision.binding_limit.amount
                for name in (COMPANIES[0], "new")
            ]
            assert amounts == [5, 6]
            assert await apply(plane, catalog(6, "keep") + "  new: {plan: pro}\n") == revision
