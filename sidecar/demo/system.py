"""A control plane and sidecars of the demo's own, as child processes in a temporary folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.cli.servers import connect

# Bounds that end a hang: on a busy machine everything takes longer, and is right all the same.
START_S_MAX: Final = 120.0
STOP_S_MAX: Final = 120.0
CALL_S_MAX: Final = 60.0
SETTLE_S_MAX: Final = 120.0
SOCKET_PATH_BYTES_MAX: Final = 100
"""Kernels take 107 bytes, or 103."""
LOG_LINES_SHOWN: Final = 20

_FETCH_MS: Final = 60_000
"""What a sidecar waits for a company: no answer of the demo depends on how fast the machine is."""
_ANY_PORT: Final = "127.0.0.1:0"
_POLL_S: Final = 0.02


class DemoFailed(Exception):
    """Something was not as it should be; the message says what."""


def expect(holds: bool, otherwise: str) -> None:
    """Raise `DemoFailed` unless it holds."""
    if not holds:
        raise DemoFailed(otherwise)


class System:
    """Starts a plane and a sidecar on entering, and waits for them; stops all on leaving.

    `control` and `sidecar` are their gRPC addresses, once they have started. `second_sidecar`: that
    of another pod's, where one was started.
    """

    def __init__(self, folder: Path) -> None:
        self.control = ""
        self.sidecar = ""
        self.second_sidecar = ""
        self._folder = folder
        self._children: list[Child] = []
        self._stack = ExitStack()

    def __enter__(self) -> System:
        with ExitStack() as stack:
            self.control = self._start_control(stack)
            self.sidecar = self._start_sidecar(stack, "sidecar", "store")
            self._stack = stack.pop_all()
        return self

    def _start_control(self, stack: ExitStack) -> str:
        arguments = ["--listen", _ANY_PORT, "--http-listen", ""]
        arguments += ["--database-path", str(self._folder / "control.db")]
        child = Child("control", arguments, self._folder, "control.ready")
        self._children.append(child)
        return str(stack.enter_context(child).started["grpc"])

    def start_second_sidecar(self) -> str:
        """Start the sidecar of another pod, with a store of its own; its address."""
        self.second_sidecar = self._start_sidecar(self._stack, "sidecar-2", "store-2")
        return self.second_sidecar

    def _start_sidecar(self, stack: ExitStack, name: str, store: str) -> str:
        socket_path = self._folder / f"{name}.sock"
        short = len(os.fsencode(socket_path)) <= SOCKET_PATH_BYTES_MAX
        arguments = ["--control", self.control, "--http-listen", ""]
        arguments += ["--store-path", str(self._folder / store)]
        arguments += ["--fetch-timeout-ms", str(_FETCH_MS)]
        arguments += ["--socket-path", str(socket_path) if short else ""]
        arguments += ["--listen", "" if short else _ANY_PORT]
        # Ready only once it has a catalog, which is still to be applied.
        child = Child("sidecar", arguments, self._folder, "sidecar.listening", name)
        self._children.append(child)
        started = stack.enter_context(child).started
        return f"unix:{socket_path}" if short else f"127.0.0.1:{started['port']}"

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def logs(self) -> Iterator[str]:
        """Return the last lines of all logs, under headings."""
        for child in self._children:
            yield from child.log_tail()

    def run_cli(self, *arguments: str) -> str:
        """Run a `tallyd` command and return its output; `DemoFailed` if it fails."""
        try:
            done = subprocess.run(
                tallyd(*arguments),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CALL_S_MAX,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DemoFailed(f"tallyd {arguments[0]} took over {CALL_S_MAX:.0f} s") from None
        expect(done.returncode == 0, f"tallyd {arguments[0]} failed: {done.stderr.strip()}")
        return done.stdout

    def wait_for_revision(self, revision: int) -> None:
        """Wait until the sidecar decides, by what was applied as this revision or later."""
        with connect("sidecar", self.sidecar) as channel:
            admin = admin_pb2_grpc.AdminServiceStub(channel)

            def heard() -> bool:
                status = admin.GetStatus(admin_pb2.GetStatusRequest(), timeout=CALL_S_MAX)
                return status.ready and status.revision >= revision

            wait_until(heard, f"the sidecar did not hear of revision {revision}", SETTLE_S_MAX)


class Child:
    """One server process, with a log file in the folder.

    It has started once the log has the event `ready`, which `started` then holds.
    """

    def __init__(
        self, command: str, arguments: Sequence[str], folder: Path, ready: str, name: str = ""
    ) -> None:
        self.started: Mapping[str, Any] = {}
        self._name = name or command
        self._ready = ready
        self._command = tallyd(command, *arguments)
        self._log = folder / f"{self._name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Child:
        with self._log.open("wb") as log:
            # Its own session: an interrupt from the terminal is for the demo alone, which then
            # stops its children in order.
            self._process = subprocess.Popen(
                self._command,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_started(self._process)
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            code = self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            code = None
        if error is None:
            expect(code is not None, f"{self._name} did not stop within {STOP_S_MAX:.0f} s")
            expect(code == 0, f"{self._name} stopped with exit code {code}")

    def log_tail(self) -> Iterator[str]:
        """Return the last lines of the log, under a heading."""
        if not self._log.exists():
            return
        yield f"--- {self._name}: end of its log"
        yield from self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]

    def _wait_started(self, process: subprocess.Popen[bytes]) -> None:
        def started() -> bool:
            code = process.poll()
            expect(code is None, f"{self._name} ended at its start with exit code {code}")
            self.started = next(self._events(self._ready), {})
            return bool(self.started)

        wait_until(started, f"{self._name} did not start", START_S_MAX)

    def _events(self, name: str) -> Iterator[Mapping[str, Any]]:
        """Find events of this name in the log; its last line may be half written."""
        for line in self._log.read_text(errors="replace").splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict) and event.get("event") == name:
                    yield event


def wait_until(holds: Callable[[], bool], otherwise: str, seconds_max: float) -> None:
    """Ask again and again until it holds; `DemoFailed` if it does not in time."""
    deadline = time.monotonic() + seconds_max
    while not holds():
        expect(time.monotonic() < deadline, f"{otherwise} within {seconds_max:.0f} s")
        time.sleep(_POLL_S)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that child processes are stopped."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def tallyd(*arguments: str) -> list[str]:
    """Return the command line of a `tallyd` command, run by this very Python."""
    return [sys.executable, "-m", "sidecar.cli.entry", *arguments]


def _environment() -> dict[str, str]:
    """Return this process's environment without settings that would change the demo."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYD_")}
