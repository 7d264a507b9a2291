"""A store with leases that is copied, or restored from a copy: what was leased is spent once."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.daemons import Sidecar
from tests.support.fleet import OPTIONS, Fleet, fleet
from tests.support.ledger import EXPORTS, apply, catalog_text, check, hold
from tests.support.networks import network


async def test_of_a_store_with_leases_and_its_clone_both_go_on_and_no_limit_is_passed(
    tmp_path: Path,
) -> None:
    async with AsyncExitStack() as ended, fleet(tmp_path) as pods:
        original = pods.sidecars[0]
        clone = pods.net.sidecar(1, tmp_path / "clone", **OPTIONS)
        ended.push_async_exit(clone)
        async with pods.loaded(101):
            await pods.answers(300)
            # It holds leases that it has used in part, and has not reported all.
            await pods.net.cut(0)
            await pods.answers(50)
            await original.kill()
            shutil.copytree(original.store, clone.store)
            await original.start()
            await clone.start()
            pods.sidecars.append(clone)
            await pods.net.mend(0)
            await pods.answers(100)
        await _go_on(pods, seed=102)


@pytest.mark.parametrize(
    ("command", "ends_in"),
    [
        ("cp -a {}/. {}", "kill"),
        ("cp -r {}/. {}", "stop"),
        ("cp {}/data.mdb {}", "kill"),
    ],
)
async def test_a_store_put_back_over_its_files_while_the_plane_is_away_spends_no_lease_again(
    tmp_path: Path, command: str, ends_in: str
) -> None:
    kept, most = tmp_path / "kept", 100
    async with network(tmp_path / "control.db", 2) as net:
        await apply(net.plane, catalog_text(exports_max=most))
        sidecar = net.sidecar(0, tmp_path / "0", **OPTIONS, lease_seconds=60)
        other = net.sidecar(1, tmp_path / "1", **OPTIONS)
        async with sidecar, other:
            await hold(sidecar)
            admitted = await used_up(sidecar, 15)
            await net.cut(0)
            await sidecar.kill()
            shutil.copytree(sidecar.store, kept)
            await sidecar.start()
            admitted += (leased := await used_up(sidecar, most))
            assert leased > 0
            await getattr(sidecar, ends_in)()
            put_back(command, kept, sidecar.store)
            await sidecar.start()
            assert 0 == await used_up(sidecar, most)
            assert 1 == len(sidecar.seen("store.not_where_it_was"))
            await net.mend(0)
            await hold(other)
            assert admitted + await used_up(other, most) <= most


def put_back(command: str, kept: Path, store: Path) -> None:
    """Write a copy over a store's files."""
    inode = (store / "data.mdb").stat().st_ino
    subprocess.run(command.format(kept, store), shell=True, check=True)
    assert inode == (store / "data.mdb").stat().st_ino


async def used_up(sidecar: Sidecar, most: int) -> int:
    """Use one export after the other until it is denied; how many were allowed."""
    for admitted in range(most):
        if not (await check(sidecar, "acme", EXPORTS, 1)).decision.allowed:
            return admitted
    return most


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 8])
async def test_a_store_that_was_restored_from_a_copy_spends_no_lease_again(
    tmp_path: Path, rounds: int
) -> None:
    async with fleet(tmp_path) as pods:
        restored, copy = pods.sidecars[0], tmp_path / "copy"
        for number in range(rounds):
            async with pods.loaded(111 + number):
                await pods.answers(100)
                await restored.kill()
                shutil.copytree(restored.store, copy)
                await restored.start()
                await pods.answers(150)
            # All that it has counted since then has reached the plane, unknown to the copy.
            await pods.assert_exact(ids_kept=False)
            await restored.kill()
            shutil.rmtree(restored.store)
            shutil.move(copy, restored.store)
            await restored.start()
        await _go_on(pods, seed=121)


async def _go_on(pods: Fleet, seed: int) -> None:
    """Use limits up, under load first: what an earlier life holds may be lost, but nothing else."""
    async with pods.loaded(seed):
        await pods.answers(300)
    await pods.use_up()
    await pods.assert_exact(ids_kept=False)
