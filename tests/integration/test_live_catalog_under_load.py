"""The catalog changes under load: each call is decided by one state of it, and soon by the new."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2, enforcement_pb2_grpc
from sidecar.domain.companies import Company
from tests.support.ledger import CALL_SECONDS_MAX, channel, hold, status
from tests.support.processes import ControlPlane, Sidecar, until
from tests.support.versioned import (
    FEATURES,
    PLANS,
    Caller,
    Plane,
    Witness,
    apply_version,
    company_of,
    load,
)
from tests.support.waits import revision_reached

VERSIONS: Final = 20
COMPANIES: Final = [f"company-{number:04}" for number in range(2_000)]
CHANGING: Final = COMPANIES[:300]
"""Change with the catalog: more of them than the plane tells of in one message."""
MOVING: Final = COMPANIES[300:310]
"""Move to another plan, one by one."""
OBEYED_SECONDS_MAX: Final = 5.0
"""Without load it takes milliseconds; tests share a machine."""
SEEN_CALLS: Final = 5
KEPT: Final = {"companies_held_max": 400, "companies_cached_max": 50, "fetch_timeout_ms": 10_000}
"""Fewer than are called for: all the time, some have to be fetched."""


async def test_no_call_under_load_sees_two_versions_and_all_obey_the_last(tmp_path: Path) -> None:
    async with system(tmp_path) as (plane, sidecars):
        fixed = [company_of(company) for company in COMPANIES[len(CHANGING) :]]
        applied = [(await apply_version(plane, 1, [*fixed, *changing(1)]), 1)]
        async with loads(sidecars, COMPANIES) as witnesses:
            await steady(sidecars)
            for version in range(2, VERSIONS + 1):
                revision = await apply_version(plane, version, changing(version))
                applied.append((revision, version))
                await level(sidecars, revision)
                for sidecar in sidecars:
                    assert {version} == await versions_of(sidecar)
                await seen(witnesses, version)
        for witness in witnesses:
            assert [] == witness.faults
            assert [] == witness.mixed(applied)


async def test_a_company_that_moves_has_all_limits_of_one_plan(tmp_path: Path) -> None:
    async with system(tmp_path) as (plane, sidecars):
        await apply_version(plane, 1, map(company_of, MOVING))
        async with loads(sidecars, MOVING) as witnesses:
            await steady(sidecars)
            for plan in reversed(PLANS):
                for company in MOVING:
                    request = control_pb2.ChangeSubscriptionRequest(
                        company=company, plan=control_pb2.ChangePlan(plan=plan)
                    )
                    answer = await plane.ChangeSubscription(request, timeout=CALL_SECONDS_MAX)
                    await level(sidecars, answer.revision)
                    assert [plan, plan] == [await plan_of(one, company) for one in sidecars]
        assert [[], []] == [witness.faults for witness in witnesses]


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[tuple[Plane, list[Sidecar]]]:
    """A plane, a sidecar that holds every company, and one that holds some that it saw."""
    async with ControlPlane(folder / "control.db") as plane, channel(plane.address) as to_plane:
        everyone = Sidecar(folder / "all", plane.address, snapshots="all")
        some = Sidecar(folder / "some", plane.address, snapshots="on_demand", **KEPT)
        async with everyone, some:
            yield control_pb2_grpc.ControlServiceStub(to_plane), [everyone, some]
            assert [] == [error for d in (plane, everyone, some) for error in d.errors()]


@asynccontextmanager
async def loads(sidecars: list[Sidecar], companies: list[str]) -> AsyncIterator[list[Witness]]:
    """A load on each sidecar while the block lasts, once each has a catalog."""
    everyone, some = sidecars
    for sidecar in sidecars:
        await hold(sidecar.address, companies[:1])
    async with load(everyone.address, companies) as one, load(some.address, companies) as other:
        yield [one, other]


def changing(version: int) -> Iterable[Company]:
    return [company_of(company, version) for company in CHANGING]


async def steady(sidecars: list[Sidecar]) -> None:
    """Wait until the clock of every sidecar is the plane's: changes hold from an instant on.

    A sidecar that started on a busy machine may have measured it badly; exchanges mend that.
    """
    for sidecar in sidecars:

        async def right(sidecar: Sidecar = sidecar) -> bool:
            return (await status(sidecar.address)).clock_offset_us == 0

        await until(right, "the clock of a sidecar is off")


async def level(sidecars: list[Sidecar], revision: int) -> None:
    """Wait until every sidecar has applied a revision."""
    for sidecar in sidecars:
        await revision_reached(sidecar, revision, OBEYED_SECONDS_MAX)


async def seen(witnesses: list[Witness], version: int) -> None:
    """Wait until callers on every sidecar were told of a version."""

    async def enough() -> bool:
        return all(witness.calls[version] >= SEEN_CALLS for witness in witnesses)

    await until(enough, f"version {version} is not seen", OBEYED_SECONDS_MAX)


async def versions_of(sidecar: Sidecar) -> set[int]:
    """The versions that calls from now on are decided by."""
    witness = Witness()
    async with channel(sidecar.address) as connection:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(connection)
        caller = Caller(stub, COMPANIES, witness)
        for ask in (caller.check, caller.count, caller.count_many, caller.look):
            await ask()
    assert [] == witness.faults
    return set(witness.calls)


async def plan_of(sidecar: Sidecar, company: str) -> str:
    """The plan that a company is on from now on."""
    async with channel(sidecar.address) as connection:
        stub = enforcement_pb2_grpc.EnforcementServiceStub(connection)
        request = enforcement_pb2.GetEntitlementRequest(company=company, feature=FEATURES[0])
        answer = await stub.GetEntitlement(request, timeout=CALL_SECONDS_MAX)
    return str(answer.plan)
