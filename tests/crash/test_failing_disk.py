"""Sidecars whose disk is full, breaks, or takes half of what is written, and that are killed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import grpc
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.crash.lives import WAYS, Way, play
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import Standalone
from tests.support.failing_disk import SYNCS, WRITES, FailingDisk
from tests.support.processes import until

ENDS = 4

WRITER = """
import os, sys
opened = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
try:
    print(os.pwrite(opened, bytes(16384), 0), flush=True)
    os.fsync(opened)
    print("synced", flush=True)
except OSError as error:
    print(error.errno, flush=True)
"""


@pytest.mark.crash
@pytest.mark.parametrize(
    ("way", "lives", "seed"),
    [
        pytest.param(Way("disk", True), 4, 61, id="4 lives"),
        *(
            pytest.param(way, 10, 161 + number, id=f"10 lives, {way}", marks=pytest.mark.slow)
            for number, way in enumerate(WAYS)
        ),
    ],
)
async def test_every_answered_call_is_in_the_ledger_once_whatever_the_disk_does(
    tmp_path: Path, way: Way, lives: int, seed: int
) -> None:
    fates = await play(tmp_path, way, lives, seed)
    assert lives == fates.total()


def written(disk: FailingDisk, file: Path) -> tuple[list[str], int]:
    """What a process says that writes four pages and syncs them, and how many bytes there are."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(file)],
        env={**os.environ, **disk.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS_MAX,
    )
    return done.stdout.split(), file.stat().st_size


def test_the_failing_disk_fails_as_it_is_told(tmp_path: Path) -> None:
    disk = FailingDisk(tmp_path / "library", tmp_path / "below", seed=5)
    file, beside = tmp_path / "below" / "file", tmp_path / "beside"
    disk.fail(errno.ENOSPC, kinds=WRITES)
    assert ([str(errno.ENOSPC)], 0) == written(disk, file)
    assert (["16384", "synced"], 16384) == written(disk, beside)
    disk.fail(errno.EIO, kinds=SYNCS)
    assert (["16384", str(errno.EIO)], 16384) == written(disk, file)
    disk.mend()
    disk.write_short(1_000)
    file.unlink()
    assert (["8192", "synced"], 8192) == written(disk, file)
    disk.mend()
    disk.kill_at(2)
    assert (["16384"], 16384) == written(disk, file)
    disk.kill_at(1)
    file.unlink()
    said, size_bytes = written(disk, file)
    assert [] == said
    assert 0 == size_bytes % 4096
    assert (3, 8) == (disk.failed, disk.calls)


@pytest.mark.slow
async def test_a_write_that_fails_at_its_last_page_ends_the_process_and_costs_nothing(
    tmp_path: Path,
) -> None:
    """LMDB does nothing more then, though the store is whole; four times, it is still the same."""
    disk = FailingDisk(tmp_path / "library", tmp_path / "a", seed=1)
    sidecar, counted = Standalone(tmp_path / "a", durability="disk"), 0
    sidecar.environment = disk.environment
    async with sidecar:
        for number in range(ENDS):
            counted += (await check(sidecar, number)).decision.allowed
            disk.fail(errno.EIO, kinds=WRITES, per_thousand=500)

            async def has_ended() -> bool:
                with suppress(grpc.aio.AioRpcError):
                    await check(sidecar, -1)
                return not sidecar.runs

            await until(has_ended, "it goes on, and cannot count")
            await sidecar.ended()
            disk.mend()
            await sidecar.start()
        used = await sidecar.api.Check(pb.CheckRequest(company="acme", feature="calls"))
        assert counted <= used.limits[0].used
        assert [] == sidecar.seen("store.set_aside")
        assert [] == [event for event in sidecar.events if "Traceback" in event.get("text", "")]


async def check(sidecar: Standalone, number: int) -> pb.CheckAndIncrementResponse:
    request = pb.CheckAndIncrementRequest(
        company="acme", feature="calls", idempotency_key=f"key {number}"
    )
    return await sidecar.api.CheckAndIncrement(
        request, timeout=HANG_SECONDS_MAX, wait_for_ready=False
    )
