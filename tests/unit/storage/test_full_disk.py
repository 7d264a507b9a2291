"""A disk that is full for real: an error, never a signal; reading goes on, and so does counting."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.small_disks import said_on_small_disk


def ran(kind: str, folder: Path, mapped: str, filler: str) -> list[str]:
    """What the child said."""
    module = "tests.support.full_disk_child"
    command = [sys.executable, "-m", module, str(folder / "disk"), mapped, filler]
    return said_on_small_disk(kind, folder, command).splitlines()


@pytest.mark.parametrize(
    ("kind", "mapped"),
    [("tmpfs", "mapped"), ("ext4", "mapped"), ("xfs", "plain"), ("btrfs", "plain")],
)
def test_something_else_fills_the_disk(tmp_path: Path, kind: str, mapped: str) -> None:
    said = ran(kind, tmp_path, mapped, "file")
    assert [
        "ERROR Exhausted STORE_FULL",
        "counted True",
        "opened again True",
        "went on True",
    ] == [line for line in said if not line.startswith("file")]


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_the_store_fills_the_disk_and_frees_room_itself(tmp_path: Path, kind: str) -> None:
    assert [
        "ERROR Exhausted STORE_FULL",
        "counted True",
        "opened again True",
        "acknowledged True",
        "went on True",
    ] == ran(kind, tmp_path, "mapped", "store")
