"""The catalog changes under load: each call is decided by one state of it, and soon by the new."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2
from sidecar.domain.company.model import Company
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import hold
from tests.support.processes import until
from tests.support.seeds import rounds, seeded
from tests.support.versioned import (
    FEATURES,
    PLANS,
    Caller,
    Witness,
    apply_version,
    company_of,
    load,
)
from tests.support.waits import revision_reached

COMPANIES: Final = [f"company-{number:04}" for number in range(2_000)]
CHANGING: Final = COMPANIES[:300]
"""Change with the catalog: more of them than the plane tells of in one message."""
MOVING: Final = COMPANIES[300:310]
"""Move to another plan, one by one."""
SEEN_CALLS: Final = 5
KEPT: Final = {"companies_held_max": 400, "companies_cached_max": 50}
"""Fewer than are called for: all the time, some have to be fetched."""


@pytest.mark.parametrize(("versions", "seed"), rounds(4, 1, slow=15, seeds=(2, 3)))
async def test_no_call_under_load_sees_two_versions_and_all_obey_the_last(
    tmp_path: Path, versions: int, seed: int
) -> None:
    rng = seeded(seed)
    async with system(tmp_path) as (plane, sidecars):
        fixed = [company_of(company) for company in COMPANIES[len(CHANGING) :]]
        applied = [(await apply_version(plane, 1, [*fixed, *changing(1)]), 1)]
        async with loads(sidecars, COMPANIES, seed) as witnesses:
            for version in range(2, versions + 1):
                revision = await apply_version(plane, version, changing(version))
                applied.append((revision, version))
                await level(sidecars, revision)
                for sidecar in sidecars:
                    assert {version} == await versions_of(sidecar, rng)
                await seen(witnesses, version)
        for witness in witnesses:
            assert [] == witness.faults
            assert [] == witness.mixed(applied)


async def test_a_company_that_moves_has_all_limits_of_one_plan(tmp_path: Path) -> None:
    async with system(tmp_path) as (plane, sidecars):
        await apply_version(plane, 1, map(company_of, MOVING))
        async with loads(sidecars, MOVING, seed=4) as witnesses:
            for plan in reversed(PLANS):
                for company in MOVING:
                    request = control_pb2.ChangeSubscriptionRequest(
                        company=company, plan=control_pb2.ChangePlan(plan=plan)
                    )
                    answer = await plane.control.ChangeSubscription(
                        request, timeout=HANG_SECONDS_MAX
                    )
                    await level(sidecars, answer.revision)
                    assert [plan, plan] == [await plan_of(one, company) for one in sidecars]
        assert [[], []] == [witness.faults for witness in witnesses]


@asynccontextmanager
async def system(folder: Path) -> AsyncIterator[tuple[ControlPlane, list[Sidecar]]]:
    """A plane, a sidecar that holds every company, and one that holds some that it saw."""
    async with ControlPlane(folder / "control.db") as plane:
        everyone = Sidecar(folder / "all", plane.address, snapshots="all")
        some = Sidecar(folder / "some", plane.address, snapshots="on_demand", **KEPT)
        async with everyone, some:
            yield plane, [everyone, some]
            assert [] == [error for d in (plane, everyone, some) for error in d.errors()]


@asynccontextmanager
async def loads(
    sidecars: list[Sidecar], companies: list[str], seed: int
) -> AsyncIterator[list[Witness]]:
    """A load on each sidecar while the block lasts, once each has a catalog."""
    everyone, some = sidecars
    for sidecar in sidecars:
        await hold(sidecar, companies[:1])
    async with load(everyone, companies, seed) as one, load(some, companies, -seed) as other:
        yield [one, other]


def changing(version: int) -> Iterable[Company]:
    return [company_of(company, version) for company in CHANGING]


async def level(sidecars: list[Sidecar], revision: int) -> None:
    """Wait until every sidecar has applied a revision."""
    for sidecar in sidecars:
        await revision_reached(sidecar, revision)


async def seen(witnesses: list[Witness], version: int) -> None:
    """Wait until callers on every sidecar were told of a version."""

    async def enough() -> bool:
        return all(witness.calls[version] >= SEEN_CALLS for witness in witnesses)

    await until(enough, f"version {version} is not seen")


async def versions_of(sidecar: Sidecar, rng: random.Random) -> set[int]:
    """The versions that calls from now on are decided by."""
    witness = Witness()
    caller = Caller(sidecar.api, COMPANIES, witness, rng)
    for ask in (caller.check, caller.count, caller.count_many, caller.look):
        await ask()
    assert [] == witness.faults
    return set(witness.calls)


async def plan_of(sidecar: Sidecar, company: str) -> str:
    """The plan that a company is on from now on."""
    request = enforcement_pb2.GetEntitlementRequest(company=company, feature=FEATURES[0])
    return str((await sidecar.api.GetEntitlement(request, timeout=HANG_SECONDS_MAX)).plan)
