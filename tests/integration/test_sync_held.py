"""A sidecar that holds some companies only: bounded, least recently used out, fetched again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store_handle import open_folder
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import CALLS, apply, catalog_text, check, flush
from tests.support.waits import revision_reached

NAMES: Final = tuple(f"company-{number}" for number in range(8))
HELD_MAX: Final = 3


def sidecar_of(folder: Path, plane: ControlPlane) -> Sidecar:
    return Sidecar(
        folder,
        plane.address,
        companies_held_max=HELD_MAX,
        companies_cached_max=1,
    )


async def decided(sidecar: Sidecar, name: str) -> tuple[pb.Reason.ValueType, int]:
    """The reason, and what is used with the check in it."""
    decision = (await check(sidecar, name, CALLS)).decision
    return decision.reason, decision.binding_limit.used


def held(sidecar: Sidecar) -> list[str]:
    """Companies in the store of a sidecar that has ended."""
    opened = open_folder(
        sidecar.store, max_bytes=1 << 26, sync_commits=False, outbox_records_max=1_000
    )
    try:
        return Snapshots(opened.store).company_ids("", 1_000)
    finally:
        opened.close()


async def test_the_store_holds_so_many_and_the_plane_brings_the_others_back(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(NAMES))
        async with sidecar_of(tmp_path, plane) as sidecar:
            await sidecar.ready()
            for used in (1, 2):
                found = [await decided(sidecar, name) for name in NAMES]
                assert [(pb.REASON_ALLOWED, used)] * len(NAMES) == found
            await flush(sidecar)

            # Who is changed while it is not held is fetched as it is by then.
            revision = await apply(plane, catalog_text(NAMES[1:]), remove=NAMES[:1])
            await revision_reached(sidecar, revision)
            assert (pb.REASON_UNKNOWN_COMPANY, 0) == await decided(sidecar, NAMES[0])
            assert (pb.REASON_ALLOWED, 3) == await decided(sidecar, NAMES[1])

            await plane.kill()
            latest = [NAMES[-2], NAMES[-1], NAMES[1]]
            reasons = {name: (await decided(sidecar, name))[0] for name in NAMES[1:]}
            assert latest == [name for name in (*NAMES[2:], NAMES[1]) if reasons[name] == 1]
            assert {pb.REASON_ALLOWED, pb.REASON_UNKNOWN_COMPANY} == set(reasons.values())
        assert sorted(latest) == held(sidecar)


async def test_more_that_come_at_once_than_may_be_held_are_all_decided(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(NAMES))
        async with sidecar_of(tmp_path, plane) as sidecar:
            await sidecar.ready()
            for used in (1, 2, 3):
                answers = await asyncio.gather(*(decided(sidecar, name) for name in NAMES))
                assert [(pb.REASON_ALLOWED, used)] * len(NAMES) == answers
            # Who is not needed any more goes with the next change.
            await revision_reached(sidecar, await apply(plane, catalog_text(NAMES, 7)))
            assert 0 == await sidecar.stop()
        assert HELD_MAX == len(held(sidecar))
