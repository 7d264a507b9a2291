"""`kill -9` of a process that writes to the map of its store, at any instruction."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.slices import whole
from sidecar.storage.leases import Leases
from sidecar.storage.mapped_engine import MappedEngine
from sidecar.storage.outbox import Outbox
from sidecar.storage.store_handle import open_folder
from sidecar.storage.verification import verifies
from sidecar.sync.records import UsageRecordReader
from tests.support.processes import ROOT
from tests.support.seeds import rounds, seeded
from tests.support.stores import MONTHLY, chain_of, counter_key_of, open_now

STORE_BYTES_MAX: Final = 1 << 30
LINES_MAX: Final = 300


def said_until_killed(rng: random.Random, *arguments: object) -> list[int]:
    """Let a child work on a store for a while; what it said last."""
    command = [sys.executable, "-m", "tests.support.store_child", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(rng.randrange(1, LINES_MAX))]
        child.kill()
        # What it said before it died was committed, too.
        rest = child.stdout.read().split("\n")[:-1]
    assert -9 == child.returncode
    return [int(number) for number in [*said, *rest][-1].split()]


@pytest.mark.crash
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("kills", "seed"), rounds(4, 7, slow=8, seeds=(107,)))
def test_a_store_written_through_its_map_is_whole_after_every_kill(
    tmp_path: Path, kills: int, seed: int
) -> None:
    rng, folder = seeded(seed), tmp_path / "store"
    for _ in range(kills):
        (said,) = said_until_killed(rng, "count", folder, rng.randrange(1 << 30))
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


@pytest.mark.crash
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("kills", "seed"), rounds(4, 8, slow=8, seeds=(108,)))
def test_after_every_kill_a_lease_is_as_it_was_last_said_or_one_step_on(
    tmp_path: Path, kills: int, seed: int
) -> None:
    rng = seeded(seed)
    for _ in range(kills):
        number, granted, used = said_until_killed(rng, "lease", tmp_path)
        steps = {
            (number, granted, used),
            (number + 1, granted, used),  # asked for more
            (number, used + 10, used),  # granted
            (number, granted, used + 7),  # counted
        }
        opened = open_now(tmp_path)
        (entry,), _ = Leases(opened.store).page(b"", 10)
        key = counter_key_of(MONTHLY)
        counter = opened.store.transact(lambda t: t.counter(key))  # noqa: B023
        opened.close()
        assert (entry.number, entry.granted, entry.own) in steps
        assert entry.own <= entry.granted
        assert counter is not None
        assert entry.granted == (counter.lease.granted if counter.lease else 0)
