"""Copies of a store: clones, and what was restored from a backup."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.audit import assert_exact, audit, duplicates
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import (
    CALLS,
    apply,
    catalog_text,
    check,
    flush,
    hold,
    ledger_lines,
    now_us,
    status,
    used_by_plane,
    used_by_sidecar,
)
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.proxy import Proxy
from tests.support.waits import answered, connected, fenced, used


@asynccontextmanager
async def both(
    original: Sidecar, clone: Sidecar, proxy: Proxy, books: Books, *, noticed: bool
) -> AsyncIterator[None]:
    """Fill a store, lastly while the plane is away, stop it, copy it, and run both."""
    async with original:
        await hold(original)
        async with load(original, books, seed=40):
            await answered(books, 200)
        await flush(original)
        await proxy.disconnect()
        async with load(original, books, seed=39):
            await answered(books, books.answers + 1_500)
        await original.kill()
        copy_store(original, clone, noticed=noticed)
        await original.start()
        async with clone:
            yield


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed when opened", "fenced"])
async def test_of_a_store_and_its_clone_one_takes_a_new_incarnation_and_nothing_is_lost(
    tmp_path: Path, noticed: bool
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        original = Sidecar(tmp_path / "original", proxy.address)
        clone = Sidecar(tmp_path / "clone", proxy.address)
        async with both(original, clone, proxy, books, noticed=noticed):
            # Both go on, each from what they have in common: acknowledged records and others.
            async with (
                load(original, books, seed=41, callers=2, again=False),
                load(clone, books, seed=42, callers=2, again=False),
            ):
                await proxy.connect()
                await answered(books, books.answers + 300)
            await flush(original)
            await flush(clone)
            lines = await assert_exact(books, plane, original, clone, ids_kept=False)
            left = original.seen("sync.fenced") + clone.seen("sync.fenced")
            # The history ends for both, if the other one still has something to send under it; for
            # a clone that was noticed only the history that it left can.
            assert (0 if noticed else 1) <= len(left) <= 2
            assert noticed == bool(clone.seen("store.not_where_it_was"))
            assert (await status(original)).incarnation != (await status(clone)).incarnation
            assert [] == original.errors() + clone.errors() + plane.errors()
            # What both had was told apart by the chain, without help of idempotency keys.
            assert 0 == duplicates(lines)


@pytest.mark.parametrize("noticed", [True, False], ids=["noticed when opened", "fenced"])
async def test_a_clone_that_was_told_apart_hears_of_the_others_usage(
    tmp_path: Path, noticed: bool
) -> None:
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        original = Sidecar(tmp_path / "original", plane.address)
        clone = Sidecar(tmp_path / "clone", plane.address)
        async with original:
            await hold(original)
            await check(original, "acme", CALLS, 1)
            await flush(original)
            assert 0 == await original.stop()
            copy_store(original, clone, noticed=noticed)
            await original.start()
            async with clone:
                # Both are connected, under one incarnation if it was not noticed, before they part.
                for sidecar in (original, clone):
                    await connected(sidecar)
                await check(original, "acme", CALLS, 10)
                await flush(original)
                await check(clone, "acme", CALLS, 100)
                await flush(clone)
                if not noticed:
                    await fenced(clone)
                await check(original, "acme", CALLS, 1_000)
                await flush(original)
                for sidecar in (original, clone):
                    await used(sidecar, CALLS, 1_111)


@pytest.mark.parametrize("new_calls", [0, 200], ids=["idle", "used before it is sent"])
async def test_a_restored_older_store_takes_a_new_incarnation_and_nothing_is_lost(
    tmp_path: Path, new_calls: int
) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        sidecar = Sidecar(tmp_path / "original", proxy.address)
        restored = Sidecar(tmp_path / "restored", proxy.address)
        async with sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=43):
                await answered(books, 200)
            await flush(sidecar)
            await proxy.disconnect()
            async with load(sidecar, books, seed=44):
                await answered(books, books.answers + 200)
            await sidecar.kill()
            copy_store(sidecar, restored)
            await sidecar.start()
            await proxy.connect()
            async with load(sidecar, books, seed=45):
                await answered(books, books.answers + 400)
            await flush(sidecar)
        await proxy.disconnect()
        async with restored:
            async with load(restored, books, seed=46, again=False):
                await answered(books, books.answers + new_calls)
            await proxy.connect()
            await fenced(restored)
            lines = await assert_exact(books, plane, restored, ids_kept=False)
            assert 0 == duplicates(lines)
            assert [] == restored.errors() + plane.errors()


async def test_a_store_restored_twice_offers_nothing_that_the_plane_has(tmp_path: Path) -> None:
    books = Books()
    few = {"push_records_max": 20}
    async with ControlPlane(tmp_path / "control.db") as plane, Proxy(plane.address) as proxy:
        await apply(plane, catalog_text())
        names = ("original", "first", "second")
        original, *copies = (Sidecar(tmp_path / name, proxy.address, **few) for name in names)
        async with original:
            await hold(original)
            await proxy.disconnect()
            async with load(original, books, seed=51):
                await answered(books, 200)
            await original.kill()
            for restored in copies:
                copy_store(original, restored)
        await proxy.connect()
        async with original:
            await flush(original)
            async with load(original, books, seed=52):
                await answered(books, books.answers + 20)
            await flush(original)
        # The first copy parts from the history. The second finds it ended, and has to be told over
        # several pushes what of its records the plane has.
        for seed, restored in enumerate(copies, start=53):
            await proxy.disconnect()
            async with restored:
                async with load(restored, books, seed, again=False):
                    await answered(books, books.answers + 20)
                await proxy.connect()
                lines = await assert_exact(books, plane, restored, ids_kept=False)
                assert 0 == duplicates(lines)
                assert 1 == len(restored.seen("sync.fenced"))


async def test_a_key_that_a_restored_store_has_forgotten_is_counted_once(tmp_path: Path) -> None:
    books = Books()
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        sidecar = Sidecar(tmp_path / "original", plane.address)
        restored = Sidecar(tmp_path / "restored", plane.address)
        async with sidecar:
            await hold(sidecar)
            await sidecar.kill()
            copy_store(sidecar, restored)
            await sidecar.start()
            first = await check(sidecar, "acme", CALLS, 7, idempotency_key="once")
            await flush(sidecar)
        async with restored:
            again = await check(restored, "acme", CALLS, 7, idempotency_key="once")
            await flush(restored)
            assert not again.replayed
            lines = await ledger_lines(plane)
            assert ["", first.record_id] == sorted(line.duplicate_of for line in lines)
            assert [] == audit(books, []).lost

            async def taken_back() -> bool:
                at_us = now_us()
                used = await used_by_plane(plane, at_us)
                return (
                    used
                    == await used_by_sidecar(restored, at_us)
                    == {("acme", CALLS, "all", ()): 7}
                )

            await until(taken_back, "the second count is not taken back")


def copy_store(original: Sidecar, copy: Sidecar, *, noticed: bool = True) -> None:
    """Copy the folder of a store that nobody has open.

    `noticed`: whether it is seen to be a copy when it is opened. That of a whole machine is not.
    """
    shutil.copytree(original.store, copy.store)
    if noticed:
        return
    facts = (copy.store / "data.mdb").stat()
    identity = json.loads((copy.store / "identity").read_text())
    seal = (copy.store / f"seal-{identity['place']['seal']}").stat()
    identity["place"].update(device=facts.st_dev, inode=facts.st_ino, sealed_ns=seal.st_ctime_ns)
    (copy.store / "identity").write_text(json.dumps(identity))
