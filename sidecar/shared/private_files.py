"""Files that belong to tallyd alone: nobody else may read, write or list them.

What a daemon creates is private from its first moment, since `run_daemon` sets the process's umask.
What is there already, from an earlier version or put there by hand, is narrowed when it is opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

UMASK: Final = 0o077
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO

log = structlog.get_logger(__name__)


def keep_private(path: Path) -> None:
    """Take from everyone but the owner what they may do with a file, if there is one.

    A symbolic link is left alone. Where the mode cannot be changed, as for a file of another user,
    that is logged.
    """
    try:
        facts = path.lstat()
    except OSError:
        return
    if stat.S_ISLNK(facts.st_mode) or not facts.st_mode & _OTHERS:
        return
    try:
        path.chmod(stat.S_IMODE(facts.st_mode) & ~_OTHERS)
    except OSError as error:
        _warn(path, facts, str(error))


def keep_folder_private(folder: Path, is_ours: Callable[[str], bool]) -> None:
    """The same for a folder and what is ours in it, by name.

    A folder that holds other things too, as one of the system's, is left as it is, and that is
    logged.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries]
    for name in filter(is_ours, names):
        keep_private(folder / name)
    if all(map(is_ours, names)):
        keep_private(folder)
        return
    facts = folder.lstat()
    if facts.st_mode & _OTHERS:
        _warn(folder, facts, "it holds what is not tallyd's")


def _warn(path: Path, facts: os.stat_result, reason: str) -> None:
    log.warning(
        "file.open_to_others",
        path=str(path),
        mode=f"{stat.S_IMODE(facts.st_mode):04o}",
        owner=facts.st_uid,
        reason=reason,
    )
