"""The interoperability test service as a process of its own, and other people's tools."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import pytest

_TOOLS: Final = Path(__file__).parents[3] / "build" / "tools"

Tool: TypeAlias = Callable[[str], str]


class Service(NamedTuple):
    """Where the service listens."""

    path: str  # of the Unix socket
    port: int


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    path = tmp_path_factory.mktemp("front") / "service.sock"
    command = [sys.executable, "-m", "tests.support.front.interop_service", "--socket", str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = process.stdout.readline().split()
        assert ready, "the service did not start"
        yield Service(str(path), int(ready[-1].rpartition(":")[2]))
        assert None is process.poll(), "the service has ended by itself"
        process.terminate()
        assert 0 == process.wait(30)


@pytest.fixture(scope="session")
def tool() -> Tool:
    """The path of a tool that `make tools` has built; skips the test where it is absent."""

    def path_of(name: str) -> str:
        path = _TOOLS / name
        if not path.exists():
            pytest.skip(f"{name} is absent: `make tools` builds it where Go is installed")
        return str(path)

    return path_of
