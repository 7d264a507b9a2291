"""WatchEntitlements with a control plane: what is applied there, and counted elsewhere, is told."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc as pb_grpc
from tests.support.daemons import client, daemon
from tests.support.ledger import (
    COMPANIES,
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    channel,
    check,
    hold,
)
from tests.support.processes import ControlPlane, Sidecar
from tests.support.sidecars import failure_of
from tests.support.watches import watching

STOPPED_SECONDS_MAX: Final = 4.0
"""Below the 5 seconds that calls may take to finish, which watches must not use up."""


def stub(connection: grpc.aio.Channel) -> Any:
    """The API on a channel."""
    return pb_grpc.EnforcementServiceStub(connection)


def amount(event: pb.WatchEntitlementsResponse) -> int:
    """Amount of the limit that an entitlement has."""
    (limit,) = event.entitlement.limits
    return limit.amount


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_what_is_applied_is_told(tmp_path: Path, snapshots: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane.address, catalog_text(exports_max=10))
        async with (
            Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar,
            channel(sidecar.address) as connection,
        ):
            await sidecar.ready()
            async with watching(stub(connection), EXPORTS) as events:
                first = await events.next()
                assert (pb.ENTITLEMENT_EVENT_CURRENT, 10) == (first.event, amount(first))

                await apply(plane.address, catalog_text(exports_max=20))
                raised = await events.next()
                assert (pb.ENTITLEMENT_EVENT_CHANGED, 20) == (raised.event, amount(raised))

                left = [company for company in COMPANIES if company != "acme"]
                await apply(plane.address, catalog_text(left, 20), remove=["acme"])
                gone = await events.next()
                assert (False, pb.REASON_UNKNOWN_COMPANY) == (
                    gone.entitlement.entitled,
                    gone.entitlement.reason,
                )

                await apply(plane.address, catalog_text(exports_max=20))
                back = await events.next()
                assert (True, 20) == (back.entitlement.entitled, amount(back))
            assert [] == sidecar.errors() + plane.errors()


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_a_company_that_comes_into_being_is_told(tmp_path: Path, snapshots: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane.address, catalog_text())
        async with (
            Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar,
            channel(sidecar.address) as connection,
        ):
            await sidecar.ready()
            async with watching(stub(connection), EXPORTS, of="piper") as events:
                first = await events.next()
                assert pb.REASON_UNKNOWN_COMPANY == first.entitlement.reason
                await apply(plane.address, catalog_text([*COMPANIES, "piper"]))
                event = await events.next()
                assert (pb.ENTITLEMENT_EVENT_CHANGED, "standard") == (event.event, event.plan)
                await check(sidecar.address, "piper", EXPORTS, EXPORTS_MAX // 2)
                assert [f"THRESHOLD {EXPORTS} 50"] == await events.told(1)


async def test_what_other_sidecars_count_is_told(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane.address, catalog_text())
        async with (
            Sidecar(tmp_path / "a", plane.address) as first,
            Sidecar(tmp_path / "b", plane.address) as second,
            channel(first.address) as connection,
        ):
            for sidecar in (first, second):
                await hold(sidecar.address)
            async with watching(stub(connection), EXPORTS) as events:
                assert [f"CURRENT {EXPORTS}"] == await events.told(1)
                await check(first.address, "acme", EXPORTS, EXPORTS_MAX // 4)
                await check(second.address, "acme", EXPORTS, EXPORTS_MAX // 4)
                event = await events.next()
                assert (50, EXPORTS_MAX // 2) == (event.percent, event.limits[0].used)
                await check(second.address, "acme", EXPORTS, EXPORTS_MAX // 2)
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
        await apply(plane.address, catalog_text())
        async with (
            Sidecar(tmp_path, plane.address, fetch_timeout_ms=100) as sidecar,
            channel(sidecar.address) as connection,
        ):
            await hold(sidecar.address, ["globex"])
            await plane.kill()
            async with watching(stub(connection), EXPORTS) as events:
                first = await events.next()
                assert pb.REASON_UNKNOWN_COMPANY == first.entitlement.reason
                await plane.start()
                assert [f"CHANGED {EXPORTS}"] == await events.told(1)


async def test_a_watched_company_is_kept_while_others_have_to_go(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane.address, catalog_text([*COMPANIES, "piper"]))
        async with (
            Sidecar(tmp_path, plane.address, companies_held_max=1) as sidecar,
            channel(sidecar.address) as connection,
        ):
            await sidecar.ready()
            async with watching(stub(connection), EXPORTS) as events:
                assert [f"CURRENT {EXPORTS}"] == await events.told(1)
                await hold(sidecar.address, ["globex", "hooli", "piper"])
                await plane.kill()
                # Had it gone, nobody could bring it back.
                await check(sidecar.address, "acme", EXPORTS, EXPORTS_MAX // 2)
                assert [f"THRESHOLD {EXPORTS} 50"] == await events.told(1)
                gone = await check(sidecar.address, "globex", EXPORTS)
                assert pb.REASON_UNKNOWN_COMPANY == gone.decision.reason


async def test_a_sidecar_stops_at_once_though_it_is_watched(tmp_path: Path) -> None:
    async with daemon(tmp_path) as sidecar, client(f"unix:{tmp_path}/s.sock") as found:
        async with watching(found.api, "calls") as events, watching(found.api) as others:
            for watched in (events, others):
                assert ["CURRENT calls"] == await watched.told(1)
            started_s = time.monotonic()
            assert 0 == await sidecar.stop()
            assert time.monotonic() - started_s < STOPPED_SECONDS_MAX
            for watched in (events, others):
                failure = await failure_of(watched.next())
                assert (grpc.StatusCode.UNAVAILABLE, "STOPPING") == failure[:2]
        assert [] == sidecar.errors()
