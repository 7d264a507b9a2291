"""Networks of the kernel's that a test makes: each process in one of its own, with links to cut.

They need root, and iproute2. A network lasts as long as the process that was the first in it.

    python namespaces.py PID COMMAND...

runs a command in the network of a process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.support import own_network
from tests.support.bounds import HANG_SECONDS_MAX

_CLONE_NEWNET: Final = 0x40000000
_IP: Final = shutil.which("ip", path=f"{os.defpath}:/usr/sbin:/sbin")


class NoNetworks(Exception):
    """The kernel gives no networks here; the message says why."""


class Namespace:
    """A network that has nothing but loopback, until it is linked; made when entered."""

    def __init__(self) -> None:
        self._first: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Namespace:
        if _IP is None or os.geteuid() != 0:
            raise NoNetworks("they need root, and iproute2")
        # `cat` waits until its input ends, also where this process is killed; it echoes once it
        # is there, which is after the network was made.
        command = [sys.executable, own_network.__file__, "cat"]
        self._first = first = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdin.write(b"there\n")
        first.stdin.flush()
        if not first.stdout.readline():
            self.__exit__(None, None, None)
            raise NoNetworks("the kernel refused")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._first is not None:
            self._first.communicate(timeout=HANG_SECONDS_MAX)
            self._first = None

    @property
    def pid(self) -> int:
        """Of a process in it."""
        assert self._first is not None
        return self._first.pid

    def within(self, command: list[str]) -> list[str]:
        """A command line that runs a command in it, as the same process."""
        return [sys.executable, __file__, str(self.pid), *command]

    def run(self, *arguments: object) -> None:
        """Run `ip` in it. Raises `NoNetworks` with what it says."""
        assert _IP is not None
        done = subprocess.run(
            self.within([_IP, *map(str, arguments)]), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise NoNetworks(done.stderr.strip())

    def open_socket(self) -> socket.socket:
        """A TCP socket of this network, for a process that is in another one."""
        with ExitStack() as stack:
            here = _opened("/proc/thread-self/ns/net", stack)
            there = _opened(f"/proc/{self.pid}/ns/net", stack)
            _enter(there)
            try:
                return socket.socket()
            finally:
                _enter(here)


class Link:
    """A cable between two networks. `far`: the address of its first end, for the other one."""

    def __init__(self, hub: Namespace, other: Namespace, number: int) -> None:
        self.far = f"10.77.{number}.1"
        self._hub = hub
        self._name = f"to{number}"
        hub.run(
            "link", "add", self._name, "type", "veth", "peer", "name", "hub", "netns", other.pid
        )
        hub.run("address", "add", f"{self.far}/30", "dev", self._name)
        other.run("address", "add", f"10.77.{number}.2/30", "dev", "hub")
        other.run("link", "set", "dev", "hub", "up")
        self.mend()

    def cut(self) -> None:
        """Let nothing through, in either direction: nobody is told."""
        self._hub.run("link", "set", "dev", self._name, "down")

    def mend(self) -> None:
        """Let everything through (again)."""
        self._hub.run("link", "set", "dev", self._name, "up")


def _opened(path: str, stack: ExitStack) -> int:
    opened = os.open(path, os.O_RDONLY)
    stack.callback(os.close, opened)
    return opened


def _enter(network: int) -> None:
    """Move this thread into a network."""
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.setns(network, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "that network cannot be entered")


if __name__ == "__main__":
    _enter(os.open(Path("/proc", sys.argv[1], "ns/net"), os.O_RDONLY | os.O_CLOEXEC))
    os.execvp(sys.argv[2], sys.argv[2:])
