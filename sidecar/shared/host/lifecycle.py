"""The life of a daemon: how it is run and told to stop, and what it does in the background."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal

import structlog
import uvloop

from sidecar.shared.host.foothold import GroundLost
from sidecar.shared.host.listening import CannotListen
from sidecar.shared.ops.logs import configure_logging
from sidecar.shared.private_files import UMASK

CANNOT_RUN: Final = 4
"""Exit status of a daemon that cannot start, or cannot go on."""
_DESCRIPTORS_MAX: Final = 1 << 16
_DESCRIPTORS_KEPT: Final = 128
"""For files, for the control plane, and for probes."""
_SIGNALLED: Final = 128
"""What shells add to a signal's number for an exit status."""

log = structlog.get_logger(__name__)


def run_daemon(
    name: str,
    serve: Callable[[], Coroutine[Any, Any, None]],
    refusals: tuple[type[Exception], ...],
    *,
    log_level: str,
    log_format: Literal["json", "console"],
) -> int:
    """Run a daemon until it has stopped; the process's exit status.

    `name`: its command. `refusals`: what it raises where it cannot run, beside `CannotListen`;
    their text is for people.
    """
    refusals = (CannotListen, *refusals)
    os.umask(UMASK)
    _take_all_descriptors()
    configure_logging(log_level, log_format)
    try:
        uvloop.run(serve())
    except GroundLost as error:
        _tell_why(name, error)
        sys.stderr.flush()
        # At once: what is closed in order may be deleted by its path, where another's is by now.
        os._exit(CANNOT_RUN)
    except refusals as error:
        _tell_why(name, error)
        return CANNOT_RUN
    return 0


@contextmanager
def concerning(setting: str) -> Iterator[None]:
    """Note on what fails in the block that this setting led there."""
    try:
        yield
    except Exception as error:
        flag = f"--{setting.replace('_', '-')}"
        error.add_note(f"setting {setting}: {flag}, TALLYD_{setting.upper()}")
        raise


def _take_all_descriptors() -> None:
    """Have as many open files as the process may: connections are bounded where they are taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS_MAX if hard == resource.RLIM_INFINITY else min(hard, _DESCRIPTORS_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # with fewer it runs as well
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def descriptors_left_for_connections() -> int:
    """How many connections this process can have open, beside all else that it opens."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _DESCRIPTORS_MAX if soft == resource.RLIM_INFINITY else soft
    return max(1, soft - min(_DESCRIPTORS_KEPT, soft // 2))


def _tell_why(name: str, error: Exception) -> None:
    told = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        told = f"{error.filename}: {error.strerror}"
    for note in getattr(error, "__notes__", ()):
        told = f"{told} ({note})"
    log.error("daemon.cannot_run", daemon=name, error=told)
    sys.stderr.write(f"tallyd {name}: {told}\n")


class StopSignal:
    """Whether the daemon is to stop: SIGTERM or SIGINT came, or it told itself to.

    Made on the running event loop. The second signal ends the process at once.
    """

    def __init__(self) -> None:
        self._told = asyncio.Event()
        self._signalled = False
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._received, number)

    def set(self) -> None:
        """Stop."""
        self._told.set()

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._told.is_set()

    async def wait(self) -> None:
        """Wait until it is to stop."""
        await self._told.wait()

    def _received(self, number: int) -> None:
        if self._signalled:
            # Whatever was answered is with the operating system, or on disk.
            os._exit(_SIGNALLED + number)
        self._signalled = True
        self._told.set()


class BackgroundTasks:
    """What a daemon does beside answering. None of it ever ends by itself.

    `failed` is told if one does all the same: the daemon must not limp on.
    """

    def __init__(self, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin something."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def end(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            log.error("daemon.background_failed", exc_info=task.exception())
            self._failed()
