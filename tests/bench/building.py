"""What the benchmark builds, or leaves out with a reason."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from tests.bench.errors import BenchError
from tests.bench.servers import ROOT, run_tool

_SOURCE: Final = Path(__file__).parent / "go_echo"
_SECONDS_MAX: Final = 300.0  # with everything to be downloaded and compiled


class LeftOut(Exception):
    """Something is not measured; the message says why."""


def build_go_echo(build: Path = ROOT / "build") -> Path:
    """The Go echo server, built into a folder. Raises LeftOut where that cannot be done."""
    go = shutil.which("go")
    if go is None:
        raise LeftOut("go is not on the PATH")
    program = build.absolute() / "go_echo"
    command = [go, "build", "-C", str(_SOURCE), "-buildvcs=false", "-o", str(program), "."]
    try:
        run_tool(command, _SECONDS_MAX)
    except BenchError as error:
        raise LeftOut(f"it cannot be built here: {error}") from error
    return program
