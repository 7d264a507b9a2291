"""Daemons as real child processes that a test may start, kill and start again.

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

import grpc

from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.clocks import SetClock

ROOT: Final = Path(__file__).parents[2]
EVENTS_KEPT_MAX: Final = 20_000
LINES_SHOWN: Final = 15
_LINE_BYTES_MAX: Final = 1 << 20
_POLL_SECONDS: Final = 0.02
_PORTS: Final = range(20_000, 30_000)
"""Below the ports that kernels hand out by themselves: nobody takes one between two starts."""

_TALLYD: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform == "linux":
    import ctypes
    PR_SET_PDEATHSIG = 1
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
if os.environ.get("TESTED_CLOCK"):
    from tests.support.clocks import go_by
    go_by(os.environ["TESTED_CLOCK"])
from sidecar.cli.main import main
main(sys.argv[1:])
"""

Event = Mapping[str, Any]
SelfT = TypeVar("SelfT", bound="Daemon")


class ProcessFailed(AssertionError):
    """A child process did not do what it was to do."""


class Daemon:
    """One daemon of tallyd that is started again and again on the same files.

    `name` is the command, `options` its flags without the dashes, `ready` the log event that says
    that it has started, `address` where it serves gRPC. `events` are the lines of its log, over all
    its lives. `umask`: the one that it inherits. `clock`: how far ahead the machine's clock is for
    it, where a test sets that, also while it runs. `environment` is added to that of the tests.
    """

    def __init__(self, name: str, ready: str, options: Mapping[str, object], address: str) -> None:
        self.name = name
        self.options = dict(options)
        self.address = address
        self.events: list[Event] = []
        self.umask = -1  # this process's
        self.clock: SetClock | None = None
        self.environment: Mapping[str, str] = {}
        self.starts = 0
        self.kills = 0
        self._ready = ready
        self._process: asyncio.subprocess.Process | None = None
        self._channel: grpc.aio.Channel | None = None
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

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended, by itself or otherwise."""
        return self._process is not None and self._process.returncode is None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The one channel of tests to this life of the process; its calls wait for the server."""
        if self._channel is None:
            self._channel = channel_to(self.address)
        return self._channel

    async def start(self) -> Event:
        """Start it; the event that said that it is ready."""
        await self.spawn()
        return await self.event(self._ready)

    def command(self) -> list[str]:
        """What is run."""
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in self.options.items()]
        return [*tallyd_command(), self.name, *flags]

    async def spawn(self) -> None:
        """Start it, and wait for nothing."""
        assert self._process is None, f"{self.name} runs already"
        self._life_from, self._log_ended = len(self.events), False
        self._process = await asyncio.create_subprocess_exec(
            *self.command(),
            cwd=ROOT,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES_MAX,
            start_new_session=True,
            umask=self.umask,
        )
        self.starts += 1
        assert self._process.stderr is not None
        self._reader = asyncio.create_task(self._read_log(self._process.stderr))

    def _environment(self) -> dict[str, str]:
        clock = {"TESTED_CLOCK": str(self.clock.file)} if self.clock else {}
        return {**environment(), **clock, **self.environment}

    async def kill(self) -> None:
        """End it as `kill -9` does, if it runs."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self.kills += 1
            await self._ended()

    async def stop(self) -> int:
        """End it with SIGTERM; its exit status."""
        assert self._process is not None, f"{self.name} does not run"
        self._process.send_signal(signal.SIGTERM)
        return await self._ended()

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self._process is not None, f"{self.name} does not run"
        return await self._ended()

    async def event(self, name: str) -> Event:
        """The first event of this name in this life of the process; waits for it."""
        found = await self._await_event(name)
        if found is None:
            shown = "\n".join(str(event) for event in self.events[-LINES_SHOWN:])
            raise ProcessFailed(f"{self.name} did not log {name!r}:\n{shown}")
        return found

    def seen(self, name: str) -> list[Event]:
        """Events of this name, over all lives of the process."""
        return [event for event in self.events if event.get("event") == name]

    def this_life(self) -> list[Event]:
        """The events of this life of the process."""
        return self.events[self._life_from :]

    def errors(self) -> list[Event]:
        """What was logged as an error, over all lives of the process."""
        return [event for event in self.events if event.get("level") in ("error", "critical")]

    async def _await_event(self, name: str) -> Event | None:
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
            async with asyncio.timeout(HANG_SECONDS_MAX), self._news:
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

    async def _ended(self) -> int:
        process, reader = self._process, self._reader
        assert process is not None
        assert reader is not None
        try:
            async with asyncio.timeout(HANG_SECONDS_MAX):
                status = await process.wait()
                await reader
        except TimeoutError:
            process.kill()
            await process.wait()
            raise ProcessFailed(f"{self.name} did not end") from None
        finally:
            self._process = None
            if self._channel is not None:
                channel, self._channel = self._channel, None
                await channel.close()
        return status


def free_address() -> str:
    """A loopback address that nobody listens on, for the benchmark: tests let servers choose."""
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return f"127.0.0.1:{port}"
    raise ProcessFailed("no free port was found")


async def until(holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    """Ask again and again until it holds; fails with `otherwise` if it never does."""
    try:
        async with asyncio.timeout(HANG_SECONDS_MAX):
            while not await holds():  # noqa: ASYNC110 - what is asked is another process
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise ProcessFailed(f"{otherwise} (waited {HANG_SECONDS_MAX:.0f} s)") from None


def tallyd_command() -> list[str]:
    """What runs the command line.

    Ctrl-C ends it, though a shell ignores that for what it runs in the background; and it ends in
    order if whoever started it is killed, so that nothing outlives a test run.
    """
    return [sys.executable, "-c", _TALLYD]


def environment() -> dict[str, str]:
    """This environment without settings of tallyd: a test decides them all."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TALLYD_")}


def _parsed(line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    return event if isinstance(event, dict) else {"text": line.decode(errors="replace").rstrip()}
