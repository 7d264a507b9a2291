"""What every part of the benchmark works with: folders, sizes, servers and loads."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Final, Literal

from sidecar.app.serving import grpcio_options
from sidecar.shared.config.settings import SidecarConfig
from tests.bench import processors
from tests.bench.building import build_go_echo
from tests.bench.load import UNIX, Callers, Load, Route, run_driver
from tests.bench.servers import Server, python, run_tool, started
from tests.bench.sizes import Sizes
from tests.bench.traffic import CATALOG, CHECK, ECHO, STATUS, Rpc, Traffic, catalog_text

Durability = Literal["process", "disk"]
Transport = Literal["native", "grpcio"]
_ANYWHERE: Final = "127.0.0.1:0"
_HELP_SECONDS_MAX: Final = 60.0


class Workbench:
    """Folders and processes of one run. Use `workbench`.

    `folder` is on the disk to measure. Sockets have a folder of their own: their paths must be
    short. `left_out`: what was not measured, and why.
    """

    def __init__(self, folder: Path, sockets: Path, sizes: Sizes, *, quiet: bool = False) -> None:
        self.folder = folder
        self.sizes = sizes
        self.left_out: dict[str, str] = {}
        self._sockets = sockets
        self._quiet = quiet
        self._numbers = count()
        self.catalog = folder / "catalog.yaml"
        self.catalog.write_text(catalog_text(sizes.companies), encoding="utf-8")

    def say(self, text: str) -> None:
        """Tell how far it is."""
        if not self._quiet:
            print(text, file=sys.stderr, flush=True)

    def leave_out(self, name: str, reason: str) -> None:
        """Go without a section, and tell why."""
        self.left_out[name] = reason
        self.say(f"left out: {name}: {reason}")

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
        route: Route = UNIX,
    ) -> Load:
        """Measure; see `run_driver`."""
        return run_driver(server, rpc, bodies, callers, calls, self.folder, route)

    @cached_property
    def has_transports(self) -> bool:
        """Whether `tallyd sidecar` has more than one transport to choose from."""
        help_text = run_tool(python("sidecar.cli.entry", "sidecar", "--help"), _HELP_SECONDS_MAX)
        return "--transport" in help_text

    def echo(self) -> AbstractContextManager[Server]:
        """The yardstick, with the transport options that the sidecar has."""
        arguments = []
        for name, value in grpcio_options(SidecarConfig().message_bytes_max):
            arguments += ["--option", f"{name}={value}"]
        socket = self._socket("echo")
        command = python("tests.bench.echo", "--socket", str(socket), *arguments)
        return self._echo(command, socket)

    def go_echo(self) -> AbstractContextManager[Server]:
        """The second yardstick, grpc-go as it is. Raises LeftOut where it cannot be built."""
        socket = self._socket("go-echo")
        return self._echo([str(build_go_echo()), "-socket", str(socket)], socket)

    def _echo(self, command: Sequence[str], socket: Path) -> AbstractContextManager[Server]:
        log = self.folder / f"{socket.name}.log"
        return started(command, f"unix:{socket}", ECHO, b"ready?", log, tcp=True)

    def standalone(
        self,
        durability: Durability = "process",
        *,
        transport: Transport | None = None,
        tcp: bool = False,
        under: Sequence[str] = (),
    ) -> AbstractContextManager[Server]:
        """A sidecar on an empty store, which is its own authority.

        `transport`: `None` for the default one. `tcp`: listens there, too. `under`: modules and
        arguments between `python -m` and the command, as of a profiler.
        """
        source = ["--standalone", str(self.catalog)]
        if transport is not None:
            source += ["--transport", transport]
        first = Traffic(self.sizes.companies)
        store = self.new_folder("store")
        return self._sidecar(source, store, durability, first, tcp=tcp, under=under)

    def offline(
        self, store: Path, first: Traffic, *, all_ports: bool = False
    ) -> AbstractContextManager[Server]:
        """A sidecar on a prefilled store, whose control plane is away.

        So it starts from what its store has, and its outbox is not emptied. `first` makes its first
        check. `all_ports`: as by default, it listens on TCP and serves metrics too, on whatever
        processors there are.
        """
        absent = self._sockets / "no-control-plane"
        source = ["--control", f"unix:{absent}"]
        on = processors.OURS if all_ports else processors.SERVERS
        return self._sidecar(source, store, "process", first, tcp=all_ports, http=all_ports, on=on)

    def plane(self, database: Path) -> AbstractContextManager[Server]:
        """A control plane on a database that has a catalog."""
        options = ["--database-path", str(database), "--listen", _ANYWHERE, "--http-listen", ""]
        command = python("sidecar.cli.entry", "control", *options)
        log = database.with_suffix(".log")
        return started(command, "", CATALOG, b"", log, on=processors.OURS)

    def connected(
        self, plane: Server, snapshots: Literal["all", "on_demand"]
    ) -> AbstractContextManager[Server]:
        """A sidecar on an empty store, at a control plane. It starts before it is level with it."""
        source = ["--control", plane.target, "--snapshots", snapshots]
        store = self.new_folder("store")
        return self._sidecar(source, store, "process", None, on=processors.OURS)

    def _sidecar(
        self,
        source: Sequence[str],
        store: Path,
        durability: Durability,
        first: Traffic | None,
        *,
        tcp: bool = False,
        http: bool = False,
        under: Sequence[str] = (),
        on: frozenset[int] = processors.SERVERS,
    ) -> AbstractContextManager[Server]:
        """`first`: makes the first check; `None` waits for no more than that it listens."""
        socket = self._socket("sidecar")
        options = {
            "--store-path": str(store),
            "--durability": durability,
            "--socket-path": str(socket),
            "--listen": _ANYWHERE if tcp else "",
            "--http-listen": _ANYWHERE if http else "",
            "--drain-seconds-max": "0",  # what waits in the outbox goes with the folder
        }
        arguments = [*source, *(part for option in options.items() for part in option)]
        command = python(*under, "sidecar.cli.entry", "sidecar", *arguments)
        rpc, request = STATUS, b""
        if first is not None:
            rpc, request = CHECK, first.check().SerializeToString()
        log = store.with_suffix(".log")
        return started(command, f"unix:{socket}", rpc, request, log, tcp=tcp, on=on)

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
