"""Links and other things in a store's folder that are no files: refused, and not followed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.storage.folder_marks import StoreUnsafe
from tests.support.stores import open_now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.mark.parametrize(
    "name", ["data.mdb", "owner.lock", "in-use", "not-in-use", "in-doubt", "ends", "identity"]
)
def test_a_symbolic_link_in_the_folder_is_refused_by_name_and_not_followed(
    folder: Path, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody else's")
    folder.mkdir()
    (folder / name).symlink_to(elsewhere)
    with pytest.raises(StoreUnsafe, match=f"store/{name} is a symbolic link"):
        open_now(folder)
    assert b"somebody else's" == elsewhere.read_bytes()


def test_a_pipe_in_the_place_of_a_file_is_refused_and_not_waited_for(folder: Path) -> None:
    folder.mkdir()
    os.mkfifo(folder / "in-use")
    with pytest.raises(StoreUnsafe, match="in-use is no file"):
        open_now(folder)


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    folder.symlink_to(tmp_path / "real")
    open_now(folder).close()
    assert (tmp_path / "real" / "data.mdb").exists()
