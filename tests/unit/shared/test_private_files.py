import os
import stat
from pathlib import Path

import pytest

from sidecar.shared.private_files import keep_folder_private, keep_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def made(path: Path, mode: int) -> Path:
    path.touch()
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("before", "after"), [(0o644, 0o600), (0o666, 0o600), (0o440, 0o400), (0o600, 0o600)]
)
def test_others_lose_what_they_may_and_the_owner_keeps_it(
    tmp_path: Path, before: int, after: int
) -> None:
    file = made(tmp_path / "file", before)

    keep_private(file)

    assert mode(file) == after


def test_a_file_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    keep_private(tmp_path / "none")


def test_what_a_symbolic_link_leads_to_is_left_alone(tmp_path: Path) -> None:
    file = made(tmp_path / "file", 0o644)
    link = tmp_path / "link"
    link.symlink_to(file)

    keep_private(link)

    assert mode(file) == 0o644


def test_a_mode_that_cannot_be_changed_is_logged_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = made(tmp_path / "file", 0o644)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    keep_private(file)

    assert "file.open_to_others" in capsys.readouterr().out


def test_a_folder_of_ours_is_closed_with_what_is_in_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    file = made(tmp_path / "ours", 0o644)

    keep_folder_private(tmp_path, lambda name: name == "ours")

    assert (mode(tmp_path), mode(file)) == (0o700, 0o600)


def test_a_folder_that_holds_other_things_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ours, foreign = made(tmp_path / "ours", 0o644), made(tmp_path / "foreign", 0o644)

    keep_folder_private(tmp_path, lambda name: name == "ours")

    assert (mode(tmp_path), mode(ours), mode(foreign)) == (0o755, 0o600, 0o644)
