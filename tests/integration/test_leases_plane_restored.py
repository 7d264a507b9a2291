"""A plane that is restored from a backup while sidecars hold leases of a HARD limit."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import grpc
import pytest

from sidecar.api.control.v1 import control_pb2
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import EXPORTS, apply, catalog_text, check, flush, hold
from tests.support.processes import until

LIMIT: Final = 200


def backed_up(plane: ControlPlane) -> Path:
    """A copy of the database that SQLite makes while the plane runs."""
    backup = plane.database.with_suffix(".backup")
    with closing(sqlite3.connect(plane.database)) as source, closing(sqlite3.connect(backup)) as to:
        source.backup(to)
    return backup


async def restored(plane: ControlPlane, backup: Path, *, with_witness: bool = True) -> None:
    """Stop a plane, put a backup in its place, and start it."""
    assert 0 == await plane.stop()
    for suffix in ("-wal", "-shm"):
        Path(f"{plane.database}{suffix}").unlink(missing_ok=True)
    plane.database.write_bytes(backup.read_bytes())
    if not with_witness:
        Path(f"{plane.database}.leases").unlink()
    await plane.start()


async def recovery(plane: ControlPlane) -> control_pb2.GetLeaseRecoveryResponse:
    question = control_pb2.GetLeaseRecoveryRequest()
    return await plane.control.GetLeaseRecovery(question, timeout=HANG_SECONDS_MAX)


async def recovered(plane: ControlPlane) -> None:
    """Wait until a plane grants again whatever it may."""

    async def is_over() -> bool:
        return not (await recovery(plane)).recovering

    await until(is_over, "it never recovered")


async def used_up(plane: ControlPlane, *sidecars: Sidecar) -> int:
    """Use all of the limit that the plane can still lease; how much was admitted."""
    admitted = 0
    for sidecar in sidecars:

        async def has_no_more(sidecar: Sidecar = sidecar) -> bool:
            nonlocal admitted
            while (await check(sidecar, "acme", EXPORTS, 1)).decision.allowed:
                admitted += 1
            # What others had left may come back only now.
            return bool((await leased(plane)).available <= LIMIT // 20)

        await until(has_no_more, "what is left cannot be had")
    return admitted


async def leased(plane: ControlPlane) -> control_pb2.LeasedCounter:
    """The account of the only counter."""
    [counter] = (await plane.control.ListLeases(control_pb2.ListLeasesRequest())).counters
    return counter


async def test_a_limit_holds_over_a_restore_and_is_used_up_all_the_same(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=LIMIT))
        async with (
            Sidecar(tmp_path / "a", plane.address) as first,
            Sidecar(tmp_path / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar)
            admitted = 0
            admitted += (await check(second, "acme", EXPORTS, 10)).decision.allowed * 10
            backup = backed_up(plane)
            for _ in range(3):
                admitted += (await check(first, "acme", EXPORTS, 20)).decision.allowed * 20
            await flush(first)
            await restored(plane, backup)
            await plane.event("control.state_lost")
            await recovered(plane)
            admitted += await used_up(plane, second, first)
            assert admitted <= LIMIT
            assert (await recovery(plane)).reported_holders
            for sidecar in (first, second):
                await flush(sidecar)
            counter = await leased(plane)
            assert LIMIT == counter.used + counter.outstanding + counter.available
            assert counter.outstanding >= 60  # which the plane has no record of any more
            assert counter.available <= LIMIT // 20


async def test_what_was_leased_to_who_goes_on_after_a_restore_is_not_lost_to_the_customer(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=LIMIT))
        async with Sidecar(tmp_path / "a", plane.address) as sidecar:
            await hold(sidecar)
            admitted = (await check(sidecar, "acme", EXPORTS, 5)).decision.allowed * 5
            await flush(sidecar)
            backup = backed_up(plane)
            for _ in range(6):
                admitted += (await check(sidecar, "acme", EXPORTS, 10)).decision.allowed * 10
            await flush(sidecar)
            await restored(plane, backup)
            await sidecar.event("sync.fenced")

            async def is_used_up() -> bool:
                nonlocal admitted
                admitted += await used_up(plane, sidecar)
                return admitted >= LIMIT

            await until(is_used_up, "something was lost to the customer")
            assert LIMIT == admitted


async def test_who_does_not_come_back_is_waited_for_until_an_operator_says_otherwise(
    tmp_path: Path,
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=LIMIT))
        async with (
            Sidecar(tmp_path / "a", plane.address) as first,
            Sidecar(tmp_path / "b", plane.address) as second,
        ):
            for sidecar in (first, second):
                await hold(sidecar)
            backup = backed_up(plane)
            assert (await check(first, "acme", EXPORTS, 20)).decision.allowed
            await first.kill()
            await restored(plane, backup)
            waiting = await recovery(plane)
            assert (True, 1) == (waiting.recovering, waiting.missing_holders)
            assert not (await check(second, "acme", EXPORTS, 1)).decision.allowed
            request = control_pb2.EndLeaseRecoveryRequest(restored_at=waiting.restored_at)
            assert (await plane.control.EndLeaseRecovery(request)).ended

            async def is_allowed() -> bool:
                return (await check(second, "acme", EXPORTS, 1)).decision.allowed

            await until(is_allowed, "nothing was granted")


@pytest.mark.parametrize("field", ["restored_at"])
async def test_a_recovery_is_ended_by_name_alone(tmp_path: Path, field: str) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await plane.control.EndLeaseRecovery(control_pb2.EndLeaseRecoveryRequest())
        assert grpc.StatusCode.INVALID_ARGUMENT == refused.value.code()
        assert field in str(refused.value.details())
