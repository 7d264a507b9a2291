"""Damage to the store of a real sidecar: it serves again, and says what is gone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import grpc
import lmdb
import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.storage import keys
from tests.support import ledger
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar, Standalone, refused
from tests.support.processes import until

PAGE_BYTES: Final = 4096
RECORDS: Final = 6
LINES_MAX: Final = 40
"""What a sidecar may log over a few starts, whatever it finds."""


async def count(sidecar: Sidecar, times: int = 1) -> None:
    for _ in range(times):
        answer = await sidecar.api.CheckAndIncrement(
            pb.CheckAndIncrementRequest(company="acme", feature="calls", quantity=1),
            timeout=HANG_SECONDS_MAX,
        )
        assert answer.decision.allowed


async def until_quarantined(sidecar: Sidecar, expected: dict[str, int]) -> None:
    """Wait until the status says so; it is as of the last second."""

    async def says() -> bool:
        found = (await ledger.status(sidecar)).quarantined
        return expected == {some.kind: some.count for some in found}

    await until(says, f"not in quarantine: {expected}")


def change(store: Path, key: bytes, spoil: Callable[[bytes], bytes]) -> None:
    env = lmdb.open(str(store), lib_version=0, lock=False, map_size=64 << 20)
    with env, env.begin(write=True) as transaction:
        data = transaction.get(key)
        assert data is not None
        transaction.put(key, spoil(data))


def flipped(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[-3] ^= 0x10
    return bytes(changed)


def of_no_version(data: bytes) -> bytes:
    """The sweep, which comes by at once, does not look at the version; a call does."""
    return b"\x09" + data[1:]


@pytest.mark.parametrize("sequence", [1, 3, RECORDS], ids=["first", "middle", "last"])
async def test_one_flipped_bit_in_a_waiting_record_costs_that_record_alone(
    tmp_path: Path, sequence: int
) -> None:
    async with ControlPlane(tmp_path / "plane.db") as plane:
        await ledger.apply(plane, ledger.catalog_text(["acme"]))
        sidecar = Sidecar(tmp_path / "pod", plane.address)
        async with sidecar:
            await ledger.hold(sidecar, ["acme"])
            await count(sidecar)
            await ledger.flush(sidecar)
            await plane.stop()
            await count(sidecar, RECORDS)
            await sidecar.kill()
            change(sidecar.store, keys.outbox_key(1, 1 + sequence), flipped)
            await plane.start()
            await sidecar.start()
            await count(sidecar)
            await ledger.flush(sidecar)
            lines = await ledger.ledger_lines(plane)
            assert 1 + RECORDS - 1 + 1 == len(lines)
            await until_quarantined(sidecar, {"usage record": 1})
            assert 1 == len(sidecar.seen("outbox.damaged"))
            assert 1 == len(sidecar.seen("outbox.set_aside"))
            assert len(sidecar.events) < LINES_MAX


def cut_to_half(data: Path) -> None:
    os.truncate(data, 4 * PAGE_BYTES)


def emptied(data: Path) -> None:
    os.truncate(data, 0)


def with_a_page_of_zeros(data: Path) -> None:
    """Every page behind the meta pages, so that the one in use is among them."""
    size = data.stat().st_size
    with open(data, "r+b") as opened:
        opened.seek(2 * PAGE_BYTES)
        opened.write(bytes(size - 2 * PAGE_BYTES))


@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("damage", [cut_to_half, emptied, with_a_page_of_zeros, Path.unlink])
async def test_a_store_that_is_gone_is_reported_and_a_new_one_serves(
    tmp_path: Path, damage: Callable[[Path], None], durability: str
) -> None:
    async with Standalone(tmp_path, durability=durability) as sidecar:
        await count(sidecar, RECORDS)
        incarnation = (await ledger.status(sidecar)).incarnation
        await sidecar.kill()
        damage(sidecar.store / "data.mdb")
        await sidecar.start()
        await count(sidecar)
        said = await ledger.status(sidecar)
        assert [incarnation] == [loss.incarnation for loss in said.losses]
        assert 1 == len(sidecar.seen("store.lost"))
        await sidecar.stop()
        await sidecar.start()
        assert said.losses == (await ledger.status(sidecar)).losses
        assert len(sidecar.events) < LINES_MAX


@pytest.mark.parametrize("durability", ["process", "disk"])
async def test_damage_met_by_a_call_ends_the_process_and_the_next_one_serves(
    tmp_path: Path, durability: str
) -> None:
    async with Standalone(tmp_path, durability=durability) as sidecar:
        await count(sidecar, RECORDS)
        await sidecar.stop()
        (key,) = keys_of(sidecar.store, keys.COUNTERS)
        change(sidecar.store, key, of_no_version)
        await sidecar.start()
        with pytest.raises(grpc.aio.AioRpcError) as met:
            await count(sidecar)
        assert grpc.StatusCode.DATA_LOSS == met.value.code()
        assert "damage in the store: a record of version 9" in str(met.value.details())
        await sidecar.event("daemon.cannot_run")
        assert 4 == await sidecar.ended()
        await sidecar.start()
        await count(sidecar)
        await until_quarantined(sidecar, {"counter": 1})
        assert 1 == len(sidecar.seen("store.ended"))
        assert len(sidecar.events) < LINES_MAX


def keys_of(store: Path, kind: bytes) -> list[bytes]:
    env = lmdb.open(str(store), lib_version=0, lock=False, map_size=64 << 20)
    with env, env.begin() as transaction, transaction.cursor() as cursor:
        return [key for key in cursor.iternext(values=False) if key.startswith(kind)]


def test_a_symbolic_link_in_the_store_is_refused_with_a_clear_sentence(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir(mode=0o700)
    (store / "data.mdb").symlink_to(tmp_path / "elsewhere")
    ended, said = refused(tmp_path)
    assert 4 == ended
    assert "data.mdb is a symbolic link: inside the store's folder none is followed" in said
    assert not (tmp_path / "elsewhere").exists()


async def test_the_plane_remembers_a_store_that_its_sidecar_has_lost(tmp_path: Path) -> None:
    async with ControlPlane(tmp_path / "plane.db") as plane:
        await ledger.apply(plane, ledger.catalog_text(["acme"]))
        async with Sidecar(tmp_path / "pod", plane.address) as sidecar:
            await ledger.hold(sidecar, ["acme"])
            await count(sidecar)
            incarnation = (await ledger.status(sidecar)).incarnation
            await sidecar.kill()
            emptied(sidecar.store / "data.mdb")
            await sidecar.start()
            await ledger.hold(sidecar, ["acme"])
            await count(sidecar)
            await ledger.flush(sidecar)
            found = await plane.control.ListLosses(
                control_pb2.ListLossesRequest(), timeout=HANG_SECONDS_MAX
            )
            assert [(incarnation, "the sidecar's store: its file is empty")] == [
                (loss.incarnation, loss.reason) for loss in found.losses
            ]
