"""WatchEntitlements with a control plane: what is applied there, and counted elsewhere, is told."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from tests.support.channels import channel_to
from tests.support.daemons import ControlPlane, Sidecar, Standalone
from tests.support.ledger import (
    COMPANIES,
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    check,
    hold,
)
from tests.support.sidecars import failure_of
from tests.support.watches import watching


def amount(event: pb.WatchEntitlementsResponse) -> int:
    """Amount of the limit that an entitlement has."""
    (limit,) = event.entitlement.limits
    return limit.amount


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_what_is_applied_is_told(tmp_path: Path, snapshots: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=10))
        async with Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar:
            await sidecar.ready()
            async with watching(sidecar.api, EXPORTS) as events:
                first = await events.next()
                assert (pb.ENTITLEMENT_EVENT_CURRENT, 10) == (first.event, amount(first))

                await apply(plane, catalog_text(exports_max=20))
                raised = await events.next()
                assert (pb.ENTITLEMENT_EVENT_CHANGED, 20) == (raised.event, amount(raised))

                left = [company for company in COMPANIES if company != "acme"]
                await apply(plane, catalog_text(left, 20), remove=["acme"])
                gone = await events.next()
                assert (False, pb.REASON_UNKNOWN_COMPANY) == (
                    gone.entitlement.entitled,
                    gone.entitlement.reason,
                )

                await apply(plane, catalog_text(exports_max=20))
                back = await events.next()
                assert (True, 20) == (back.entitlement.entitled, amount(back))
            assert [] == sidecar.errors() + plane.errors()


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_a_company_that_comes_into_being_is_told(tmp_path: Path, snapshots: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar:
            await sidecar.ready()
            async with watching(sidecar.api, EXPORTS, of="piper") as events:
                first = await events.next()
                assert pb.REASON_UNKNOWN_COMPANY == first.entitlement.reason
                await apply(plane, catalog_text([*COMPANIES, "piper"]))
                event = await events.next()
                assert (pb.ENTITLEMENT_EVENT_CHANGED, "standard") == (event.event, event.plan)
                await check(sidecar, "piper", EXPORTS, EXPORTS_MAX // 2)
                assert [f"THRESHOLD {EXPORTS} 50"] == await events.told(1)


async def test_what_other_sidecars_count_is_told(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with (
            Sidecar(tmp_path / "a", plane.address) as first,
            Sidecar(tmp_path / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar)
            async with watching(first.api, EXPORTS) as events:
                assert [f"CURRENT {EXPORTS}"] == await events.told(1)
                await check(first, "acme", EXPORTS, EXPORTS_MAX // 4)
                await check(second, "acme", EXPORTS, EXPORTS_MAX // 4)
                event = await events.next()
                assert (50, EXPORTS_MAX // 2) == (event.percent, event.limits[0].used)
                await check(second, "acme", EXPORTS, EXPORTS_MAX // 2)
                expected = [
                    f"THRESHOLD {EXPORTS} 80",
                    f"THRESHOLD {EXPORTS} 100",
                    f"EXHAUSTED {EXPORTS}",
                ]
                assert expected == await events.told(3)


async def test_a_company_that_could_not_be_had_is_told_once_the_plane_is_back(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address) as sidecar:
            await hold(sidecar, ["globex"])
            await plane.kill()
            async with watching(sidecar.api, EXPORTS) as events:
                first = await events.next()
                assert pb.REASON_UNKNOWN_COMPANY == first.entitlement.reason
                await plane.start()
                assert [f"CHANGED {EXPORTS}"] == await events.told(1)


async def test_a_watched_company_is_kept_while_others_have_to_go(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text([*COMPANIES, "piper"], across="eventual"))
        async with Sidecar(tmp_path, plane.address, companies_held_max=1) as sidecar:
            await sidecar.ready()
            async with watching(sidecar.api, EXPORTS) as events:
                assert [f"CURRENT {EXPORTS}"] == await events.told(1)
                await hold(sidecar, ["globex", "hooli", "piper"])
                await plane.kill()
                # Had it gone, nobody could bring it back.
                await check(sidecar, "acme", EXPORTS, EXPORTS_MAX // 2)
                assert [f"THRESHOLD {EXPORTS} 50"] == await events.told(1)
                gone = await check(sidecar, "globex", EXPORTS)
                assert pb.REASON_UNKNOWN_COMPANY == gone.decision.reason


async def test_a_sidecar_that_stops_ends_its_watches_and_says_so(tmp_path: Path) -> None:
    async with Standalone(tmp_path) as sidecar, channel_to(sidecar.address) as connection:
        api = pb_grpc.EnforcementServiceStub(connection)
        async with watching(api, "calls") as events, watching(api) as others:
            for watched in (events, others):
                assert ["CURRENT calls"] == await watched.told(1)
            assert 0 == await sidecar.stop()
            # Had they been left to the end of the time that calls have to finish, they would have
            # been cut, without a reason.
            for watched in (events, others):
                failure = await failure_of(watched.next())
                assert (grpc.StatusCode.UNAVAILABLE, "STOPPING") == failure[:2]
        assert [] == sidecar.errors()
