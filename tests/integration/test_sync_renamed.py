"""A company is renamed while two sidecars count for it, and the plane goes away meanwhile."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    CALLS,
    EXPORTS,
    EXPORTS_MAX,
    apply,
    catalog_text,
    check,
    flush,
    hold,
)
from tests.support.processes import until
from tests.support.waits import revision_reached
from tests.support.watches import watching
from tests.unit.cli.fakes import tallyd

WAYS = ("on_demand", "all")
CALLS_OF_EACH = 150


@asynccontextmanager
async def system(folder: Path, way: str) -> AsyncIterator[tuple[ControlPlane, Sidecar, Sidecar]]:
    """A plane, and two sidecars that hold the company."""
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, catalog_text(["acme"]))
        async with (
            Sidecar(folder / "a", plane.address, snapshots=way) as first,
            Sidecar(folder / "b", plane.address, snapshots=way) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar, ["acme"])
            yield plane, first, second
            assert [] == [error for d in (plane, first, second) for error in d.errors()]


async def rename(plane: ControlPlane, company: str, new_id: str) -> int:
    request = control_pb2.RenameCompanyRequest(company=company, new_id=new_id)
    answer = await plane.control.RenameCompany(request, timeout=HANG_SECONDS_MAX)
    revision: int = answer.revision
    return revision


async def used_by(sidecar: Sidecar, company: str, feature: str) -> int:
    request = pb.GetUsageRequest(company=company, feature=feature)
    answer = await sidecar.api.GetUsage(request, timeout=HANG_SECONDS_MAX)
    return max(row.used for row in answer.features[0].limits if row.limit == "all")


async def ledger_sum(plane: ControlPlane, company: str, feature: str) -> int:
    request = control_pb2.QueryUsageRequest(company=company, feature=feature)
    answer = await plane.control.QueryUsage(request, timeout=HANG_SECONDS_MAX)
    return sum(found.quantity for found in answer.sums)


class Counting:
    """Callers that use whatever names there are, and repeat some calls under another one."""

    def __init__(self) -> None:
        self.names = ["acme"]
        self.counted = 0
        self.names_used: set[str] = set()
        self.is_renamed = False

    async def call(self, sidecar: Sidecar, seed: int) -> None:
        chance = random.Random(seed)
        for number in count():
            if self.is_renamed and number >= CALLS_OF_EACH:
                return
            name, key = chance.choice(self.names), f"{seed}-{number}"
            answer = await check(sidecar, name, CALLS, idempotency_key=key)
            assert answer.decision.allowed
            self.counted += 1
            self.names_used.add(name)
            other = chance.choice(self.names)
            again = await check(sidecar, other, CALLS, idempotency_key=key)
            assert (True, answer.record_id) == (again.replayed, again.record_id)

    async def reached(self, counted: int) -> None:
        async def enough() -> bool:
            return self.counted >= counted

        await until(enough, "too little was counted")


async def rename_meanwhile(
    counting: Counting, plane: ControlPlane, sidecars: Sequence[Sidecar]
) -> None:
    """Rename twice; in between, the plane is killed, and sidecars go on by what they know."""
    await counting.reached(CALLS_OF_EACH // 4)
    revision = await rename(plane, "acme", "acme-inc")
    for sidecar in sidecars:
        await revision_reached(sidecar, revision)
    counting.names.append("acme-inc")
    await plane.kill()
    await counting.reached(counting.counted + CALLS_OF_EACH // 4)
    await plane.start()
    revision = await rename(plane, "acme-inc", "acme-world")
    for sidecar in sidecars:
        await revision_reached(sidecar, revision)
    counting.names.append("acme-world")
    await counting.reached(counting.counted + CALLS_OF_EACH // 4)
    counting.is_renamed = True


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_lost_or_counted_twice_where_it_is_renamed_meanwhile(
    tmp_path: Path, way: str
) -> None:
    counting = Counting()
    async with system(tmp_path, way) as (plane, first, second):
        await asyncio.gather(
            counting.call(first, 1),
            counting.call(second, 2),
            rename_meanwhile(counting, plane, (first, second)),
        )
        for sidecar in (first, second):
            await flush(sidecar)
        for name in counting.names:
            assert counting.counted == await ledger_sum(plane, name, CALLS)
            for sidecar in (first, second):

                async def told(sidecar: Sidecar = sidecar, name: str = name) -> bool:
                    return counting.counted == await used_by(sidecar, name, CALLS)

                await until(told, f"{name} is not told what both have counted")
        assert set(counting.names) == counting.names_used


@pytest.mark.parametrize("way", WAYS)
async def test_a_hard_limit_holds_over_all_ids_and_a_new_one_is_known_at_once(
    tmp_path: Path, way: str
) -> None:
    async with system(tmp_path, way) as (plane, first, second):
        assert (await check(first, "acme", EXPORTS, EXPORTS_MAX - 10)).decision.allowed
        await flush(first)
        # Before it is renamed, nobody is called so: that is remembered, and not for long.
        assert not (await check(second, "acme-inc", EXPORTS, 1)).decision.allowed
        revision = await rename(plane, "acme", "acme-inc")
        await revision_reached(second, revision)

        async def heard() -> bool:
            return EXPORTS_MAX - 10 == await used_by(second, "acme-inc", EXPORTS)

        await until(heard, "what the other has counted is not known")
        assert not (await check(second, "acme-inc", EXPORTS, 11)).decision.allowed
        assert (await check(second, "acme-inc", EXPORTS, 10)).decision.allowed
        await flush(second)
        for sidecar in (first, second):
            for name in ("acme", "acme-inc"):

                async def full(sidecar: Sidecar = sidecar, name: str = name) -> bool:
                    return EXPORTS_MAX == await used_by(sidecar, name, EXPORTS)

                await until(full, f"{name} is not full")
                assert not (await check(sidecar, name, EXPORTS, 1)).decision.allowed
        assert EXPORTS_MAX == await ledger_sum(plane, "acme", EXPORTS)


@pytest.mark.parametrize("way", WAYS)
async def test_who_asks_by_the_new_id_first_is_told_what_was_used(tmp_path: Path, way: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(["acme"]))
        async with Sidecar(tmp_path / "a", plane.address, snapshots=way) as first:
            await hold(first, ["acme"])
            assert (await check(first, "acme", EXPORTS, EXPORTS_MAX - 1)).decision.allowed
            assert 0 == await first.stop()  # it gives back what it has leased and not used
        result = tallyd("company", "rename", "acme", "acme-inc", "--control", plane.address)
        assert (0, "acme: renamed to acme-inc; revision 2\n") == (result.exit_code, result.stdout)
        async with Sidecar(tmp_path / "b", plane.address, snapshots=way) as second:
            await second.ready()
            assert not (await check(second, "acme-inc", EXPORTS, 2)).decision.allowed
            assert (await check(second, "acme-inc", EXPORTS, 1)).decision.allowed
            await flush(second)
        assert EXPORTS_MAX == await ledger_sum(plane, "acme-inc", EXPORTS)


@pytest.mark.parametrize("way", WAYS)
async def test_who_watches_by_an_id_is_told_what_happens_under_all_of_them(
    tmp_path: Path, way: str
) -> None:
    async with (
        system(tmp_path, way) as (plane, first, second),
        watching(second.api, EXPORTS, of="acme-inc") as events,
    ):
        unknown = (await events.next()).entitlement
        assert (False, pb.REASON_UNKNOWN_COMPANY) == (unknown.entitled, unknown.reason)
        await rename(plane, "acme", "acme-inc")
        assert (await events.next()).entitlement.entitled
        # Here by another id, and at the other sidecar.
        assert (await check(second, "acme", EXPORTS, EXPORTS_MAX // 2)).decision.allowed
        assert ["THRESHOLD exports 50"] == await events.told(1)
        await flush(second)

        async def heard() -> bool:
            return EXPORTS_MAX // 2 == await used_by(first, "acme", EXPORTS)

        await until(heard, "what the other has counted is not known")
        assert (await check(first, "acme", EXPORTS, EXPORTS_MAX // 2)).decision.allowed
        told = await events.told(1)
        assert ["THRESHOLD exports"] == [event.rpartition(" ")[0] for event in told]
        await apply(plane, catalog_text([]), remove=["acme-inc"])
        while (event := await events.next()).event != pb.ENTITLEMENT_EVENT_CHANGED:
            pass
        assert pb.REASON_UNKNOWN_COMPANY == event.entitlement.reason
        await apply(plane, catalog_text(["acme-inc"]))
        assert (await events.next()).entitlement.entitled
        assert not (await check(second, "acme-inc", EXPORTS, 1)).decision.allowed
