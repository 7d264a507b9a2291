"""Builds the example clients of deploy/clients, as their README says: `python -m tests.clients`.

A build takes seconds with warm caches and minutes without, so it has a step of its own, and the
tests take what it made. Where a language or its packages cannot be had, it says so and the tests
of that client are skipped; where the sources are at fault, it fails.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[1]
_MADE: Final = ROOT / "build/clients"
_SOURCES: Final = Path("deploy/clients")
_MADE_IN_PLACE: Final = frozenset({"client", "gen", "node_modules"})
"""What the README's commands make beside the sources."""
_STAMP: Final = "sources.sha256"
_SECONDS_MAX: Final = 300.0
"""A command; enough for all packages over a slow network."""
# Failures to get packages that are ours: lock and manifest contradict each other or the packages.
_OUR_FAULT: Final = re.compile(
    r"EUSAGE|EINTEGRITY|EJSONPARSE|checksum mismatch|missing go\.sum|errors parsing go\.mod"
)
_CHATTER: Final = re.compile("npm warn|go: downloading")

Command = tuple[str, ...]


class Example(NamedTuple):
    """An example client: `packages` gets what it needs, `builds` make it, `run` asks."""

    language: str
    programs: tuple[str, ...]
    packages: Command
    builds: tuple[Command, ...]
    run: Command

    @property
    def tree(self) -> Path:
        """Its copy of the sources, so that nothing old is built and nothing is left in them."""
        return _MADE / self.language

    @property
    def folder(self) -> Path:
        """Where its commands run."""
        return self.tree / _SOURCES / self.language

    def is_made(self) -> bool:
        """Whether it was made from the present sources."""
        stamp = self.tree / _STAMP
        return stamp.exists() and stamp.read_text() == self.digest()

    def digest(self) -> str:
        """Of everything that it is made from."""
        found = hashlib.sha256(repr(self).encode())
        for path in self.sources():
            found.update(f"{path}\n".encode() + (ROOT / path).read_bytes())
        return found.hexdigest()

    def sources(self) -> Iterator[Path]:
        """Files that it is made from, relative to the repository."""
        yield Path("buf.yaml")
        for top in (Path("proto"), _SOURCES / self.language):
            for path in sorted((ROOT / top).rglob("*")):
                relative = path.relative_to(ROOT)
                if path.is_file() and not _MADE_IN_PLACE & set(relative.parts):
                    yield relative


_QUICKLY: Final = ("--prefer-offline", "--fetch-retries=0", "--fetch-timeout=10000")
EXAMPLES: Final = {
    example.language: example
    for example in (
        Example(
            language="go",
            programs=("go",),
            packages=("go", "mod", "download"),
            builds=(("go", "generate"), ("go", "build", "-o", "client", ".")),
            run=("./client",),
        ),
        Example(
            language="node",
            programs=("node", "npm"),
            packages=("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", *_QUICKLY),
            builds=(),
            run=("node", "client.mjs"),
        ),
    )
}


class _Failed(Exception):
    """A client cannot be made from these sources."""


class _Unavailable(Exception):
    """What a client needs is not to be had here."""


def main() -> int:
    """Make what is not made yet; 1 if that fails."""
    status = 0
    for example in EXAMPLES.values():
        try:
            said = "up to date" if example.is_made() else _make(example)
        except _Unavailable as reason:
            said = f"skipped: {reason}"
        except _Failed as error:
            said, status = f"failed: {error}", 1
        print(f"clients: {example.language}: {said}", flush=True)
    return status


def _make(example: Example) -> str:
    for program in example.programs:
        if shutil.which(program) is None:
            raise _Unavailable(f"{program} is not on the PATH")
    shutil.rmtree(example.tree, ignore_errors=True)
    for path in example.sources():
        copy = example.tree / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, copy)
    code, text = _run(example, example.packages)
    if code != 0 and not _OUR_FAULT.search(text):
        said = [line for line in text.splitlines() if not _CHATTER.match(line)]
        raise _Unavailable(f"{' '.join(example.packages[:3])} gets no packages: {said[:1]}")
    _require(example.packages, code, text)
    for command in example.builds:
        _require(command, *_run(example, command))
    (example.tree / _STAMP).write_text(example.digest())
    return "built"


def _require(command: Command, code: int, text: str) -> None:
    if code != 0:
        raise _Failed(f"{' '.join(command[:3])}: {text}")


def _run(example: Example, command: Command) -> tuple[int, str]:
    """Exit status and what was printed. Raises `_Unavailable` where it takes too long."""
    programs = Path(sys.executable).parent  # buf is there
    with subprocess.Popen(
        command,
        cwd=example.folder,
        env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that its compilers can be stopped with it
    ) as process:
        try:
            text, _ = process.communicate(timeout=_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise _Unavailable(
                f"{' '.join(command[:3])} is not done after {_SECONDS_MAX:.0f} s"
            ) from None
        return process.returncode, text


if __name__ == "__main__":
    sys.exit(main())
