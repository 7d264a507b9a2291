"""The commands that a page tells its readers to type, block by block.

A block of the language `sh` is typed in the reader's terminal, from the page's top to its end. One
that begins with `# terminal N` has a terminal of its own, and its last command goes on there. The
comment behind a command may say that Ctrl-C ends it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import Final, NamedTuple

_BLOCK: Final = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OWN_TERMINAL: Final = re.compile(r"# terminal \d+\b")
_CONTINUED: Final = re.compile(r"\\\n\s*")
_INTERRUPTED: Final = re.compile(r"\s#.*\bCtrl-C\b")


class Command(NamedTuple):
    """One command as it is printed; `interrupted`: Ctrl-C ends it."""

    text: str
    interrupted: bool

    @property
    def words(self) -> list[str]:
        """What it is made of, without its comment."""
        return shlex.split(self.text, comments=True)


class Block(NamedTuple):
    """Commands that are typed one after another; `apart`: in a terminal of their own."""

    apart: bool
    commands: tuple[Command, ...]


def blocks(page: str) -> Iterator[Block]:
    """Read the blocks of a page in Markdown."""
    for found in _BLOCK.finditer(page):
        text = found[1]
        lines = _CONTINUED.sub(" ", text).splitlines()
        commands = [
            Command(line.strip(), _INTERRUPTED.search(line) is not None)
            for line in lines
            if line.strip() and not line.lstrip().startswith("#")
        ]
        yield Block(_OWN_TERMINAL.match(text) is not None, tuple(commands))
