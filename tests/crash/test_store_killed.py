"""`kill -9` of a process that writes to the map of its store, at any instruction."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

import pytest

from sidecar.domain.slices import whole
from sidecar.storage.mapped_engine import MappedEngine
from sidecar.storage.outbox import Outbox
from sidecar.storage.store_handle import open_folder
from sidecar.storage.verification import verifies
from sidecar.sync.records import UsageRecordReader
from tests.support.processes import ROOT
from tests.support.stores import chain_of

KILLS: Final = 12
STORE_BYTES_MAX: Final = 1 << 30
LINES_MAX: Final = 300


def counted_until_killed(folder: Path, rng: random.Random) -> int:
    """Let a child count for a while; how many records it last said there were."""
    command = [sys.executable, "-m", "tests.support.store_child", "count", str(folder)]
    with subprocess.Popen(
        [*command, str(rng.randrange(1 << 30))], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        said = [line_of(child.stdout) for _ in range(rng.randrange(1, LINES_MAX))]
        child.kill()
        # What it said before it died was committed, too.
        rest = [int(line) for line in child.stdout.read().split("\n")[:-1]]
    assert -9 == child.returncode
    return [*said, *rest][-1]


def line_of(stdout: IO[str]) -> int:
    return int(stdout.readline())


@pytest.mark.crash
@pytest.mark.timeout(180)
def test_a_store_written_through_its_map_is_whole_after_every_kill(tmp_path: Path) -> None:
    seed = 7
    print(f"seed {seed}")
    rng, folder = random.Random(seed), tmp_path / "store"
    for _ in range(KILLS):
        said = counted_until_killed(folder, rng)
        assert verifies(folder / "data.mdb")
        opened = open_folder(
            folder, max_bytes=STORE_BYTES_MAX, sync_commits=False, outbox_records_max=1_000_000
        )
        store = opened.store
        if not isinstance(store.engine, MappedEngine):
            opened.close()
            pytest.skip("the file system of temporary files is not one that keeps room")
        run = whole(Outbox(store, UsageRecordReader()).next_run(1_000_000, 1 << 40))
        assert run is not None
        assert said <= store.head.sequence == len(run.records)
        assert chain_of(*run.records) == store.head.chain
        opened.close()
