"""Control planes and sidecars as real child processes that a test may start, kill and start again.

A child has started once its log says so. Whatever happens in the block, it is ended with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

ROOT: Final = Path(__file__).parents[2]
START_SECONDS_MAX: Final = 30.0
STOP_SECONDS_MAX: Final = 15.0
EVENTS_KEPT_MAX: Final = 20_000
LINES_SHOWN: Final = 15
_LINE_BYTES_MAX: Final = 1 << 20
_POLL_SECONDS: Final = 0.02
_PORTS: Final = range(20_000, 30_000)
"""Below the ports that kernels hand out by themselves: nobody takes one between two starts."""

Event = Mapping[str, Any]
SelfT = TypeVar("SelfT", bound="Daemon")


class ProcessFailed(AssertionError):
    """A child process did not do what it was to do."""


class Daemon:
    """One daemon of tallyd that is started again and again on the same files.

    `name` is the command, `options` its flags without the dashes, `ready` the log event that says
    that it has started. `events` are the lines of its log, over all its lives.
    """

    def __init__(self, name: str, ready: str, options: Mapping[str, object]) -> None:
        self.name = name
        self.options = dict(options)
        self.events: list[Event] = []
        self.starts = 0
        self.kills = 0
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()
        self._life_from = 0
        self._log_ended = False

    async def __aenter__(self: SelfT) -> SelfT:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.kill()
        if error is not None:
            print(f"--- {self.name}: end of its log", *self.events[-LINES_SHOWN:], sep="\n")

    @property
    def pid(self) -> int:
        """Id of the running process."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process.pid

    async def start(self) -> Event:
        """Start it; the event that said that it is ready."""
        await self.spawn()
        return await self.event(self._ready, START_SECONDS_MAX)

    async def spawn(self) -> None:
        """Start it, and wait for nothing."""
        assert self._process is None, f"{self.name} runs already"
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in self.options.items()]
        self._life_from, self._log_ended = len(self.events), False
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "sidecar.cli.main", self.name, *flags),
            cwd=ROOT,
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
            start_new_session=True,
        )
        self.starts += 1
        assert self._process.stderr is not None
        self._reader = asyncio.create_task(self._read_log(self._process.stderr))

    async def kill(self) -> None:
        """End it as `kill -9` does, if it runs."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self.kills += 1
            await self._ended(STOP_SECONDS_MAX)

    async def stop(self) -> int:
        """End it with SIGTERM; its exit status."""
        assert self._process is not None, f"{self.name} does not run"
        self._process.send_signal(signal.SIGTERM)
        return await self._ended(STOP_SECONDS_MAX)

    async def event(self, name: str, seconds: float) -> Event:
        """The first event of this name in this life of the process; waits for it."""
        found = await self._await_event(name, seconds)
        if found is None:
            shown = "\n".join(str(event) for event in self.events[-LINES_SHOWN:])
            raise ProcessFailed(f"{self.name} did not log {name!r} in {seconds:.0f} s:\n{shown}")
        return found

    def seen(self, name: str) -> list[Event]:
        """Events of this name, over all lives of the process."""
        return [event for event in self.events if event.get("event") == name]

    def errors(self) -> list[Event]:
        """What was logged as an error, over all lives of the process."""
        return [event for event in self.events if event.get("level") in ("error", "critical")]

    async def _await_event(self, name: str, seconds: float) -> Event | None:
        found: Event | None = None
        at = self._life_from

        def look() -> bool:
            nonlocal at, found
            while found is None and at < len(self.events):
                if self.events[at].get("event") == name:
                    found = self.events[at]
                at += 1
            return found is not None or self._log_ended

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(look)
        return found

    async def _read_log(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            if len(self.events) < EVENTS_KEPT_MAX:
                self.events.append(_parsed(line))
            await self._tell()
        self._log_ended = True
        await self._tell()

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _ended(self, seconds: float) -> int:
        process, reader = self._process, self._reader
        assert process is not None
        assert reader is not None
        try:
            async with asyncio.timeout(seconds):
                status = await process.wait()
                await reader
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ProcessFailed(f"{self.name} did not end within {seconds:.0f} s") from None
        finally:
            self._process = None
        return status


class ControlPlane(Daemon):
    """A control plane on a database file, at an address that it keeps."""

    def __init__(self, database: Path, address: str = "") -> None:
        self.database = database
        self.address = address or free_address()
        options = {"database_path": database, "listen": self.address, "http_listen": ""}
        super().__init__("control", "control.ready", options)


class Sidecar(Daemon):
    """A sidecar on a store's folder, behind a Unix socket."""

    def __init__(self, folder: Path, control: str, **options: object) -> None:
        folder.mkdir(exist_ok=True)
        self.store = folder / "store"
        self.address = f"unix:{folder / 'sidecar.sock'}"
        fixed = {
            "control": control,
            "store_path": self.store,
            "socket_path": folder / "sidecar.sock",
            "listen": "",
            "http_listen": "",
        }
        # It listens before it has a catalog, and is ready once it has one.
        super().__init__("sidecar", "sidecar.listening", {**fixed, **options})

    async def ready(self) -> Event:
        """Wait until it can answer checks."""
        return await self.event("sidecar.ready", START_SECONDS_MAX)


def free_address() -> str:
    """A loopback address that nobody listens on."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise ProcessFailed("no free port was found")


async def until(
    holds: Callable[[], Awaitable[bool]], otherwise: str, seconds: float = 30.0
) -> None:
    """Ask again and again until it holds; fails with `otherwise` if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while not await holds():  # noqa: ASYNC110 - what is asked is another process
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ProcessFailed(f"{otherwise} (waited {seconds:.0f} s)") from None


def _environment() -> dict[str, str]:
    """This environment without settings of tallyd: a test decides them all."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYD_")}


def _parsed(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"text": line.decode(errors="replace").rstrip()}
