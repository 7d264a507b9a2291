"""What every part of the benchmark works with: folders, sizes, servers and loads."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from typing import Final, Literal

from sidecar.app.serving import grpcio_options
from sidecar.config.settings import SidecarConfig
from tests.bench.load import Callers, Load, run_driver
from tests.bench.servers import Server, python, started
from tests.bench.sizes import Sizes
from tests.bench.traffic import CATALOG, CHECK, ECHO, STATUS, Rpc, Traffic, catalog_text
from tests.support.processes import free_address

Durability = Literal["process", "disk"]
_ANYWHERE: Final = "127.0.0.1:0"


class Workbench:
    """Folders and processes of one run. Use `workbench`.

    `folder` is on the disk to measure. Sockets have a folder of their own: their paths must be
    short.
    """

    def __init__(self, folder: Path, sockets: Path, sizes: Sizes, *, quiet: bool = False) -> None:
        self.folder = folder
        self.sizes = sizes
        self._sockets = sockets
        self._quiet = quiet
        self._numbers = count()
        self.catalog = folder / "catalog.yaml"
        self.catalog.write_text(catalog_text(sizes.companies), encoding="utf-8")

    def say(self, text: str) -> None:
        """Tell how far it is."""
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def turns(self, what: str) -> Iterator[int]:
        """The rounds of a measurement, from 0 on."""
        for turn in range(self.sizes.rounds):
            self.say(f"{what}: round {turn + 1} of {self.sizes.rounds}")
            yield turn

    def new_folder(self, name: str) -> Path:
        """An empty folder on the disk to measure."""
        folder = self.folder / f"{name}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    def load(
        self,
        server: Server,
        rpc: Rpc,
        bodies: Callable[[int], Iterable[bytes]],
        callers: Callers,
        calls: int,
    ) -> Load:
        """Measure; see `run_driver`."""
        return run_driver(server, rpc, bodies, callers, calls, self.folder)

    def echo(self) -> AbstractContextManager[Server]:
        """The yardstick, with the transport options that the sidecar has."""
        arguments = []
        for name, value in grpcio_options(SidecarConfig().message_bytes_max):
            arguments += ["--option", f"{name}={value}"]
        socket = self._socket("echo")
        command = python("tests.bench.echo", "--socket", str(socket), *arguments)
        return started(command, f"unix:{socket}", ECHO, b"ready?", self.folder / "echo.log")

    def standalone(
        self, durability: Durability = "process", *, under: Sequence[str] = ()
    ) -> AbstractContextManager[Server]:
        """A sidecar on an empty store, which is its own authority.

        `under`: modules and arguments between `python -m` and the command, as of a profiler.
        """
        return self._sidecar(
            ["--standalone", str(self.catalog)],
            self.new_folder("store"),
            durability,
            Traffic(self.sizes.companies),
            under=under,
        )

    def offline(
        self, store: Path, first: Traffic, *, all_ports: bool = False
    ) -> AbstractContextManager[Server]:
        """A sidecar on a prefilled store, whose control plane is away.

        So it starts from what its store has, and its outbox is not emptied. `first` makes its first
        check. `all_ports`: listens on TCP and serves metrics too, as it does by default.
        """
        absent = self._sockets / "no-control-plane"
        return self._sidecar(["--control", f"unix:{absent}"], store, "process", first, all_ports)

    def plane(self, database: Path) -> AbstractContextManager[Server]:
        """A control plane on a database that has a catalog."""
        address = free_address()
        options = ["--database-path", str(database), "--listen", address, "--http-listen", ""]
        command = python("sidecar.cli.main", "control", *options)
        return started(command, address, CATALOG, b"", database.with_suffix(".log"))

    def connected(
        self, plane: Server, snapshots: Literal["all", "on_demand"]
    ) -> AbstractContextManager[Server]:
        """A sidecar on an empty store, at a control plane. It starts before it is level with it."""
        source = ["--control", plane.target, "--snapshots", snapshots]
        return self._sidecar(source, self.new_folder("store"), "process", None)

    def _sidecar(
        self,
        source: Sequence[str],
        store: Path,
        durability: Durability,
        first: Traffic | None,
        all_ports: bool = False,
        under: Sequence[str] = (),
    ) -> AbstractContextManager[Server]:
        """`first`: makes the first check; `None` waits for no more than that it listens."""
        socket = self._socket("sidecar")
        address = _ANYWHERE if all_ports else ""
        options = {
            "--store-path": str(store),
            "--durability": durability,
            "--socket-path": str(socket),
            "--listen": address,
            "--http-listen": address,
            "--drain-seconds-max": "0",  # what waits in the outbox goes with the folder
        }
        arguments = [*source, *(part for option in options.items() for part in option)]
        command = python(*under, "sidecar.cli.main", "sidecar", *arguments)
        rpc, request = STATUS, b""
        if first is not None:
            rpc, request = CHECK, first.check().SerializeToString()
        return started(command, f"unix:{socket}", rpc, request, store.with_suffix(".log"))

    def _socket(self, name: str) -> Path:
        return self._sockets / f"{name}-{next(self._numbers)}"


@contextmanager
def workbench(scratch: Path, sizes: Sizes, *, quiet: bool = False) -> Iterator[Workbench]:
    """A workbench with folders of its own below `scratch`, which go when the block ends."""
    scratch.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=scratch) as folder,
        tempfile.TemporaryDirectory(prefix="tallyd-bench-") as sockets,
    ):
        yield Workbench(Path(folder).absolute(), Path(sockets), sizes, quiet=quiet)
