"""A customer with as many temporary overrides as there may be, and what others notice: nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company, Override
from sidecar.domain.time.units import HOUR_US
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from sidecar.shared.wall_clock import wall_us
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.build import LIFETIME, catalog, company, limit, metered
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import check, status
from tests.support.waits import revision_reached

OVERRIDES: Final = 900
FEATURES: Final = [f"feature {number:04}" for number in range(OVERRIDES)]


def sold(most: int) -> Catalog:
    calls = metered("calls", limit("all", most, window=LIFETIME))
    return catalog({"basic": [calls, *(metered(name, limit("all", most)) for name in FEATURES)]})


def large(first: int) -> Company:
    """Each of its overrides ends at a time of its own."""
    now_us = wall_us()
    limits = [limit(f"limit {number}", first, window=LIFETIME) for number in range(3)]
    overrides = [
        Override(metered(name, *limits), now_us + (1 + at) * HOUR_US)
        for at, name in enumerate(FEATURES)
    ]
    return msgspec.structs.replace(company("large"), overrides=tuple(overrides))


async def apply(plane: ControlPlane, most: int, *companies: Company) -> int:
    request = control_pb2.ApplyRequest(
        catalog=catalog_to_message(sold(most)), companies=map(company_to_message, companies)
    )
    answer = await plane.control.Apply(request, timeout=HANG_SECONDS_MAX)
    revision: int = answer.revision
    return revision


async def allowed(sidecar: Sidecar, name: str, feature: str, quantity: int) -> bool:
    answer = await check(sidecar, name, feature, quantity)
    return bool(answer.decision.allowed)


@pytest.mark.parametrize("snapshots", ["all", "on_demand"])
async def test_the_watch_goes_past_it_and_it_is_served_as_well(
    tmp_path: Path, snapshots: str
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, 10, company("small"), large(5))
        async with Sidecar(tmp_path, plane.address, snapshots=snapshots) as sidecar:
            await sidecar.ready()
            assert not await allowed(sidecar, "small", "calls", 11)
            await apply(plane, 10, large(7))
            revision = await apply(plane, 20, company("small"))
            await revision_reached(sidecar, revision)
            assert await allowed(sidecar, "small", "calls", 11)
            assert not await allowed(sidecar, "large", FEATURES[-1], 8)
            assert await allowed(sidecar, "large", FEATURES[-1], 7)
            assert await allowed(sidecar, "large", "calls", 20)
            said = await status(sidecar)
            assert (revision, 0, True) == (
                said.revision,
                said.unreadable_companies,
                said.plane_connected,
            )
            assert [] == sidecar.errors() + plane.errors()
