"""Types what a page says, from top to bottom, as somebody in a new checkout would.

    python -m tests.support.page_reader FOLDER PAGE

FOLDER is the checkout. Shells have an environment of their own, with nothing of the caller's, and
an empty home. Ends with 1 at the first command that does not end with 0, and shows what it said.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.page import Command, blocks

LEFT_OUT: Final[Mapping[str, str]] = {
    "make test": "this runs in it",
    "make tools": "fetches sources; what the checkout has built is there",
}
READY: Final = ("control.ready", "sidecar.listening")
_ENDED: Final = "-- ended with "
_LINES_SHOWN: Final = 40


class PageFailed(Exception):
    """A command did not work as printed."""


class Terminal:
    """A shell, and what it printed. `type` returns once the command has ended."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._said: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def type(self, command: Command) -> None:
        """Raise `PageFailed` unless it ends with 0; one that Ctrl-C ends gets it once it speaks."""
        self._write(f"{command.text}\nprintf '\\n{_ENDED}%d\\n' $?")
        if command.interrupted:
            self._wait_for(command, lambda line: bool(line.strip()))
            os.killpg(self._shell.pid, signal.SIGINT)
        ended = self._wait_for(command, lambda line: line.startswith(_ENDED), command.interrupted)
        if ended != f"{_ENDED}0":
            raise PageFailed(f"{command.text}\n{ended}\n{self._last_said()}")

    def go_on_with(self, command: Command) -> None:
        """Type a command that does not end by itself; return once it says that it is ready."""
        self._write(command.text)
        self._wait_for(command, lambda line: any(f'"{event}"' in line for event in READY))

    def close(self) -> None:
        """End what runs in it as Ctrl-C does, then the shell."""
        with suppress(OSError):
            os.killpg(self._shell.pid, signal.SIGINT)
            assert self._shell.stdin is not None
            self._shell.stdin.close()
        try:
            self._shell.wait(HANG_SECONDS_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self._shell.pid, signal.SIGKILL)

    def _write(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._said = []
        self._shell.stdin.write(f"{text}\n")
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _wait_for(
        self, command: Command, wanted: Callable[[str], bool], interrupts: bool = False
    ) -> str:
        """Wait for a line; `interrupts`: with Ctrl-C again and again, as people do."""
        tries = 10 if interrupts else 1
        while True:
            try:
                line = self._lines.get(timeout=HANG_SECONDS_MAX / 10 * (1 if interrupts else 10))
            except queue.Empty:
                tries -= 1
                if tries:
                    os.killpg(self._shell.pid, signal.SIGINT)
                    continue
                raise PageFailed(f"{command.text}\nhangs\n{self._last_said()}") from None
            if line is None:
                raise PageFailed(f"{command.text}\nended its shell\n{self._last_said()}")
            if wanted(line):
                return line
            self._said.append(line)

    def _last_said(self) -> str:
        return "\n".join(self._said[-_LINES_SHOWN:])


def read(folder: Path, page: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Type all of a page's blocks; yield what becomes of each command. Raises `PageFailed`."""
    with ExitStack() as stack:

        @contextmanager
        def opened() -> Iterator[Terminal]:
            terminal = Terminal(folder, environment)
            try:
                yield terminal
            finally:
                terminal.close()

        reader = stack.enter_context(opened())
        for block in blocks(page):
            terminal = stack.enter_context(opened()) if block.apart else reader
            *first, last = block.commands
            for command in (*first, *([] if block.apart else [last])):
                if why := _left_out(folder, command):
                    yield f"left out: {command.text}: {why}"
                    continue
                terminal.type(command)
                yield f"fine: {command.text}"
            if block.apart:
                terminal.go_on_with(last)
                yield f"goes on: {last.text}"


def _left_out(folder: Path, command: Command) -> str:
    """Why a command is not typed; empty where it is."""
    program = command.words[0]
    if program.startswith("build/tools/") and not (folder / program).exists():
        return f"skipped, there is no {program}"
    return LEFT_OUT.get(" ".join(command.words), "")


def main() -> int:
    """Read the page that the command line names."""
    # Of a run in the background it may be ignored, and so it would be in whatever is typed.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    page = (folder / sys.argv[2]).read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as home:
        environment = {"HOME": home, "PATH": os.defpath, "LANG": "C.UTF-8"}
        try:
            for line in read(folder, page, environment):
                print(line, flush=True)
        except PageFailed as failed:
            print(failed)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
