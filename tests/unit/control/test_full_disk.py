"""A plane's database on a full disk: it opens, and answers what it knows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sidecar.control.storage.sqlite import SqliteStore
from tests.support.small_disks import said_on_small_disk

_CHILD = """
import os
import sys
from pathlib import Path
from sidecar.control.storage.sqlite import SqliteStore

os.umask(0o077)  # as a daemon does
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
    command = [sys.executable, "-c", _CHILD, str(tmp_path / "disk"), end]
    assert "True" == said_on_small_disk("tmpfs", tmp_path, command).strip()


def test_an_opening_writes_nothing_where_nothing_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    SqliteStore(path).close()
    before = path.read_bytes()
    SqliteStore(path).close()
    assert before == path.read_bytes()
