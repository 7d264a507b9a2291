"""What is known during an outage of the plane, and what is heard after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from sidecar.api.control.v1 import control_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    now_us,
)
from tests.support.lifecycle import change_subscription
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.waits import revision_reached, used

DEFAULT_PLAN = """
default_plan: free
features:
  calls: {kind: metered}
plans:
  free: {entitlements: {calls: {limits: {all: {amount: 3, per: lifetime, across: eventual}}}}}
  basic: {entitlements: {calls: {limits: {all: {amount: 10, per: lifetime}}}}}
"""
NEWCOMER = "companies: {newcomer: {plan: basic, anchor: 2026-01-01T00:00:00Z}}"


async def change_catalog(plane: ControlPlane) -> int:
    return await apply(plane, catalog_text(exports_max=EXPORTS_MAX + 1))


async def change_company(plane: ControlPlane) -> int:
    return (await change_subscription(plane, "acme", past_due=pb.MarkPastDue())).revision


@pytest.mark.parametrize("change", [change_catalog, change_company], ids=["catalog", "company"])
async def test_usage_of_others_is_heard_though_a_change_came_with_it(
    tmp_path: Path, change: Callable[[ControlPlane], Awaitable[int]]
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        async with (
            Sidecar(tmp_path / "a", plane.address) as near,
            Sidecar(tmp_path / "b", proxy.address) as far,
            Sidecar(tmp_path / "c", plane.address) as witness,
        ):
            for sidecar in (near, far, witness):
                await hold(sidecar, ["acme"])
            await proxy.disconnect()
            await check(near, "acme", EXPORTS, 20)
            await flush(near)
            await used(witness, EXPORTS, 20)  # it was told to all that are connected
            revision = await change(plane)
            await proxy.connect()
            await revision_reached(far, revision)
            # Nothing else happens that could tell of it.
            await used(far, EXPORTS, 20)


async def test_a_restart_during_an_outage_knows_when_the_plane_was_last_heard(
    tmp_path: Path,
) -> None:
    began_us = now_us()
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path / "a", plane.address) as sidecar:
            await hold(sidecar, ["acme"])
            assert 0 == await sidecar.stop()
    async with Sidecar(tmp_path / "a", plane.address) as sidecar:
        question = api.GetUsageRequest(company="acme")
        basis = (await sidecar.api.GetUsage(question, timeout=HANG_SECONDS_MAX)).basis
    # Without a memory of it, it would be as long ago as the Unix epoch.
    assert 0 < basis.plane_age_ms <= (now_us() - began_us) // 1_000


async def reason(sidecar: Sidecar, quantity: int) -> str:
    answer = await check(sidecar, "newcomer", "calls", quantity)
    return api.Reason.Name(answer.decision.reason).removeprefix("REASON_")


async def test_a_company_on_the_default_plan_is_served_by_a_pod_that_restarts_during_an_outage(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, DEFAULT_PLAN)
        async with Sidecar(tmp_path / "a", plane.address) as sidecar:
            assert "ALLOWED" == await reason(sidecar, 2)
            await plane.kill()
            await sidecar.kill()
            await sidecar.start()
            found = [await reason(sidecar, quantity) for quantity in (2, 1, 1)]
            assert ["LIMIT_EXCEEDED", "ALLOWED", "LIMIT_EXCEEDED"] == found

            await plane.start()
            revision = await apply(plane, DEFAULT_PLAN + NEWCOMER)
            await revision_reached(sidecar, revision)
            await flush(sidecar)  # before the plane has what was counted it leases nothing

            async def is_served() -> bool:
                return await reason(sidecar, 7) == "ALLOWED"

            await until(is_served, "no lease of what is left")
            await plane.kill()
            await sidecar.kill()
            await sidecar.start()
            assert "LIMIT_EXCEEDED" == await reason(sidecar, 1)
            assert [] == sidecar.errors()
