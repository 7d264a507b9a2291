from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.shared.held_files import HeldFiles


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_text("first")
    return path


def written(file: Path) -> None:
    file.write_text("second, in the same file")


def moved_and_back(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.with_name("elsewhere").rename(file)


def deleted(file: Path) -> None:
    file.unlink()


def folder_moved(file: Path) -> None:
    file.parent.rename(file.parent.with_name("elsewhere"))


def folder_became_a_file(file: Path) -> None:
    folder_moved(file)
    file.parent.touch()


def replaced(file: Path) -> None:
    other = file.with_name("other")
    other.write_text("first")
    other.rename(file)


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (written, ""),
        (moved_and_back, ""),
        (deleted, "was deleted"),
        (folder_moved, "was deleted"),
        (folder_became_a_file, "was deleted"),
        (replaced, "was replaced"),
    ],
)
def test_what_happened_to_a_file_is_said(
    file: Path, happens: Callable[[Path], None], said: str
) -> None:
    held = HeldFiles()
    held.hold(file)
    assert held.lost() == ""

    happens(file)

    assert held.lost() == (f"{file} {said}" if said else "")


def test_what_is_not_there_cannot_be_held(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        HeldFiles().hold(tmp_path / "none")


def test_a_link_is_followed_to_what_it_leads_to(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    held = HeldFiles()
    held.hold(link)
    replaced(file)

    assert held.lost() == f"{link} was replaced"
