"""A plane's database on a full disk: it opens, and answers what it knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.control.storage.sqlite import SqliteStore
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.small_disks import NoSmallDisk, on_small_disk

_CHILD = """
import sys
from pathlib import Path
from sidecar.control.storage.sqlite import SqliteStore

disk = Path(sys.argv[1])
store = SqliteStore(disk / "plane.db")
with store.write() as transaction:
    epoch = transaction.state().epoch
with (disk / "filler").open("wb", buffering=0) as filler:
    try:
        while filler.write(bytes(4096)):
            pass
    except OSError:
        pass
if sys.argv[2] == "stopped":
    store.close()  # else its log is left behind, as where a process was killed
again = SqliteStore(disk / "plane.db")
with again.read() as transaction:
    print(transaction.state().epoch == epoch)
"""


@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_a_plane_starts_on_a_full_disk(tmp_path: Path, end: str) -> None:
    disk = tmp_path / "disk"
    try:
        command = on_small_disk("tmpfs", tmp_path, [sys.executable, "-c", _CHILD, str(disk), end])
    except NoSmallDisk as reason:
        pytest.skip(f"no small tmpfs: {reason}")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=HANG_SECONDS_MAX, check=False
    )
    assert ("True", 0) == (done.stdout.strip(), done.returncode), done.stderr


def test_an_opening_writes_nothing_where_nothing_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    SqliteStore(path).close()
    before = path.read_bytes()
    SqliteStore(path).close()
    assert before == path.read_bytes()
