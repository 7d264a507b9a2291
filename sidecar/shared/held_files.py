"""Files and folders that a process stands on: whether they are still where it opened them.

A process goes on with a file that was deleted or replaced as if nothing had happened, and what it
writes is gone with it. So what must not be lost is looked at by its path, again and again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

_Identity: TypeAlias = tuple[int, int]


class HeldFiles:
    """Paths, and what was there when each was taken hold of."""

    def __init__(self) -> None:
        self._held: dict[Path, _Identity] = {}

    def hold(self, path: Path) -> None:
        """Remember what is at a path now. Raises `OSError` where nothing is."""
        self._held[path] = _identity(path)

    def lost(self) -> str:
        """What is no longer where it was, in words for people; empty where all is.

        It takes a few microseconds. Of what cannot be seen nothing is said.
        """
        for path, identity in self._held.items():
            try:
                present = _identity(path)
            except (FileNotFoundError, NotADirectoryError):
                return f"{path} was deleted"
            except OSError:
                continue
            if present != identity:
                return f"{path} was replaced"
        return ""


def _identity(path: Path) -> _Identity:
    facts = os.stat(path)
    return facts.st_dev, facts.st_ino
