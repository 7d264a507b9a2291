"""Room on the disk: what allocating does to a file, and which file systems keep their word."""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sidecar.storage.preallocated_file import FileRoom
from tests.support.processes import ROOT
from tests.support.small_disks import said_on_small_disk

MIB: Final = 1 << 20
ASK: Final = (
    "import sys; from pathlib import Path; from sidecar.storage.preallocated_file import FileRoom; "
    "print(FileRoom(Path(sys.argv[1]) / 'file').is_kept())"
)
OVERLAY: Final = (
    'cd "$0" && mkdir low up work all && '
    'mount -t overlay all -o lowerdir=low,upperdir=up,workdir=work all && cd "$1" && shift && '
    '"$@"'
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture
def room(file: Path) -> Iterator[FileRoom]:
    room = FileRoom(file)
    if not room.is_kept():
        pytest.skip("the file system of temporary files is not one that keeps room")
    yield room
    room.close()


def blocks_bytes(file: Path) -> int:
    return file.stat().st_blocks * 512


def test_a_file_is_made_empty(file: Path) -> None:
    room = FileRoom(file)
    assert (0, 0) == (room.size_bytes(), file.stat().st_size)
    room.close()


def test_what_is_allocated_has_its_blocks(room: FileRoom, file: Path) -> None:
    room.allocate(3 * MIB)
    assert 3 * MIB == room.size_bytes()
    assert 3 * MIB <= blocks_bytes(file)


def test_holes_are_filled_and_what_is_there_stays(room: FileRoom, file: Path) -> None:
    with open(file, "r+b") as opened:
        opened.write(b"first")
        opened.seek(2 * MIB)
        opened.write(b"last")
        opened.truncate(4 * MIB)
    content = file.read_bytes()
    assert MIB > blocks_bytes(file)
    room.allocate(4 * MIB)
    assert 4 * MIB <= blocks_bytes(file)
    assert content == file.read_bytes()


def test_a_file_is_never_made_shorter(room: FileRoom) -> None:
    room.allocate(2 * MIB)
    room.allocate(MIB)
    assert 2 * MIB == room.size_bytes()


def test_an_empty_file_may_stay_empty(room: FileRoom, file: Path) -> None:
    room.allocate(MIB, keep_size=True)
    assert 0 == room.size_bytes()
    assert MIB <= blocks_bytes(file)


def test_what_may_not_be_had_is_an_error_of_the_system(room: FileRoom) -> None:
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 40, unlimited[1]))
    try:
        with pytest.raises(OSError, match="file") as caught:
            room.allocate((1 << 40) + MIB)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    assert errno.EFBIG == caught.value.errno
    assert 0 == room.size_bytes()


def test_a_closed_file_is_not_mistaken_for_another(room: FileRoom, tmp_path: Path) -> None:
    closed = FileRoom(tmp_path / "closed")
    closed.close()
    other = os.open(tmp_path / "other", os.O_RDWR | os.O_CREAT)
    with pytest.raises(OSError, match="closed"):
        closed.allocate(MIB)
    assert 0 == os.fstat(other).st_size
    os.close(other)


def asked(kind: str, folder: Path, *, overlay: bool) -> str:
    disk = folder / "disk"
    command = [sys.executable, "-c", ASK, str(disk / "all" if overlay else disk)]
    if overlay:
        command = ["sh", "-c", OVERLAY, str(disk), str(ROOT), *command]
    return said_on_small_disk(kind, folder, command).strip()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("tmpfs", "True"), ("ext4", "True"), ("xfs", "False"), ("btrfs", "False")],
)
def test_which_file_systems_keep_room(tmp_path: Path, kind: str, expected: str) -> None:
    assert expected == asked(kind, tmp_path, overlay=False)


@pytest.mark.parametrize(("kind", "expected"), [("ext4", "True"), ("btrfs", "False")])
def test_an_overlay_keeps_room_if_what_is_below_does(
    tmp_path: Path, kind: str, expected: str
) -> None:
    if os.geteuid() != 0:
        pytest.skip("an overlay cannot be mounted without root")
    assert expected == asked(kind, tmp_path, overlay=True)
