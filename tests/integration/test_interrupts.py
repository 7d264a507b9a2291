"""Ctrl-C at any instant of a command ends it with one word and no traceback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sidecar.cli.common import ExitCode
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.processes import ROOT, environment

HOOK: Final = ROOT / "tests" / "support" / "interrupting"
CATALOG: Final = str(ROOT / "sidecar" / "demo" / "samples" / "catalog.yaml")
CHECK: Final = ("check", "acme", "tokens", "--sidecar", "unix:/nowhere")
SHOW: Final = ("subscription", "show", "acme", "--control", "unix:/nowhere")
COMMAND: Final = (sys.executable, "-m", "sidecar.cli.entry")


def interrupted(instant: str, *words: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of a command that got SIGINT then."""
    paths = os.pathsep.join((str(HOOK), str(ROOT)))
    done = subprocess.run(
        [*COMMAND, *words],
        env={**environment(), "TESTED_INTERRUPT": instant, "PYTHONPATH": paths},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS_MAX,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("click", CHECK),
        ("sidecar.cli.main", CHECK),
        ("sidecar.cli.common", CHECK),
        ("sidecar.cli.check", CHECK),
        ("grpc", CHECK),
        ("grpc._cython", CHECK),
        ("google.protobuf", CHECK),
        ("sidecar.api.enforcement.v1.enforcement_pb2", CHECK),
        ("grpc_health", CHECK),
        ("sidecar.cli.subscription", SHOW),
        ("msgspec", SHOW),
        ("yaml", ("apply", CATALOG, "--check")),
        ("jsonschema", ("apply", CATALOG, "--check")),
        ("sidecar.cli.config", ("config", "show")),
        ("sidecar.shared.config", ("sidecar", "--standalone", CATALOG)),
        ("uvloop", ("sidecar", "--standalone", CATALOG)),
        ("lmdb", ("sidecar", "--standalone", CATALOG)),
        ("sidecar.app.sidecar", ("sidecar", "--standalone", CATALOG)),
        ("sqlite3", ("control", "--database-path", "/nowhere/c.db")),
        ("sidecar.demo.story", ("demo",)),
    ],
    ids=lambda case: case if isinstance(case, str) else case[0],
)
def test_while_a_module_is_imported(module: str, words: tuple[str, ...]) -> None:
    assert (ExitCode.INTERRUPTED, "", "interrupted\n") == interrupted(f"import {module}", *words)


def test_on_the_way_out_what_was_printed_stays() -> None:
    code, printed, said = interrupted("exit", "apply", CATALOG, "--check")

    assert (ExitCode.INTERRUPTED, "interrupted\n") == (code, said)
    assert printed.startswith(f"{CATALOG} is good: ")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that takes connections, and never says anything."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(HANG_SECONDS_MAX)
        yield listening


@pytest.mark.parametrize(
    "words",
    [
        ("check", "acme", "tokens", "--sidecar"),
        ("usage", "acme", "--control"),
        ("subscription", "show", "acme", "--control"),
        ("status", "--sidecar"),
        ("flush", "--sidecar"),
    ],
    ids=lambda words: str(words[0]),
)
def test_while_an_answer_is_waited_for(
    silent: socket.socket, tmp_path: Path, words: tuple[str, ...]
) -> None:
    address = f"127.0.0.1:{silent.getsockname()[1]}"
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from sidecar.cli.entry import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *words, address, "--timeout", "1h"],
        env=environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        connection, _ = silent.accept()
        with connection:
            command.send_signal(signal.SIGINT)
            printed, said = command.communicate(timeout=HANG_SECONDS_MAX)

    assert (ExitCode.INTERRUPTED, "", "interrupted\n") == (command.returncode, printed, said)
