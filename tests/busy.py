"""Runs a command on a machine that is kept busy: `python -m tests.busy [--spinners 8] -- COMMAND`.

Spinning processes, as polite as `nice` makes them, take what the command leaves of the processor,
and make it wait for its turn. They end with the command, with this process, or when their time is
over, whichever comes first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final

SPINNERS_MAX: Final = 64
SECONDS_MAX: Final = 3 * 60 * 60
"""The longest that a spinner lives, should everybody forget it."""

_SPINNER: Final = """
import os, sys, time
parent, niceness, end_s = int(sys.argv[1]), int(sys.argv[2]), time.monotonic() + float(sys.argv[3])
os.nice(niceness)
while time.monotonic() < end_s and os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextmanager
def spinning(niceness: int) -> Iterator[int]:
    """Keep one processor busy while the block lasts; the process's id."""
    arguments = map(str, (os.getpid(), niceness, SECONDS_MAX))
    spinner = subprocess.Popen([sys.executable, "-c", _SPINNER, *arguments])
    try:
        yield spinner.pid
    finally:
        spinner.kill()
        spinner.wait()


def run(command: Sequence[str], spinners: int, niceness: int) -> int:
    """The command's exit status."""
    with ExitStack() as stack:
        for _ in range(spinners):
            stack.enter_context(spinning(niceness))
        return subprocess.run(command, check=False).returncode


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.busy", description=__doc__)
    parser.add_argument(
        "--spinners", type=int, default=8, choices=range(SPINNERS_MAX + 1), metavar="N"
    )
    parser.add_argument("--niceness", type=int, default=10, choices=range(20), metavar="N")
    parser.add_argument("command", nargs="+")
    given = parser.parse_args(arguments)
    return run(given.command, given.spinners, given.niceness)


if __name__ == "__main__":
    sys.exit(main())
