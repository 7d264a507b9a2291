"""Load on a server, from a driver in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import processors
from tests.bench.errors import BenchError
from tests.bench.load_result import read_bodies, write_bodies
from tests.bench.servers import Server, python, run_tool
from tests.bench.traffic import Rpc

_SECONDS_MAX: Final = 30.0  # for the warm-up, and for the measured calls


@dataclass(frozen=True, slots=True)
class Callers:
    """Who calls at once: connections, and calls under way on each."""

    connections: int
    in_flight: int = 1


ONE: Final = Callers(1)
EIGHT: Final = Callers(8)
SIXTY_FOUR: Final = Callers(8, in_flight=8)


@dataclass(frozen=True, slots=True)
class Route:
    """How calls come: on TCP instead of the Unix socket; with a deadline, another for each call."""

    tcp: bool = False
    deadline: bool = False


UNIX: Final = Route()


@dataclass(frozen=True, slots=True)
class Load:
    """What a load came to. `cpu_us_per_call`: the server's, over all its threads."""

    p50_us: float
    p99_us: float
    calls_per_s: float
    cpu_us_per_call: float
    driver_cpu_us_per_call: float


def run_driver(
    server: Server,
    rpc: Rpc,
    bodies: Callable[[int], Iterable[bytes]],
    callers: Callers,
    calls: int,
    scratch: Path,
    route: Route = UNIX,
) -> Load:
    """Make `calls` calls, after a tenth of that as a warm-up that is in no figure.

    `bodies` gives so many requests. `scratch` is an existing folder. Raises BenchError if a call
    fails, or is answered wrong.
    """
    warmup = calls // 10
    bodies_file, samples_file = scratch / "bodies", scratch / "samples"
    write_bodies(bodies_file, bodies(warmup + calls))
    options = {
        "--target": server.tcp_target if route.tcp else server.target,
        "--method": rpc.path,
        "--bodies": str(bodies_file),
        "--samples": str(samples_file),
        "--connections": str(callers.connections),
        "--in-flight": str(callers.in_flight),
        "--calls": str(calls),
        "--warmup": str(warmup),
        "--server-pid": str(server.pid),
        "--seconds-max": str(_SECONDS_MAX),
    }
    arguments = [part for option in options.items() for part in option]
    if route.deadline:
        arguments.append("--deadline")
    command = python("tests.bench.h2driver", *arguments)
    figures = json.loads(run_tool(command, 4 * _SECONDS_MAX, processors.DRIVER))
    if figures["calls"] != calls:
        raise BenchError(f"only {figures['calls']} of {calls} calls were made in time")
    _verify(rpc, samples_file)
    return Load(**{name: float(figures[name]) for name in Load.__slots__})


def _verify(rpc: Rpc, samples_file: Path) -> None:
    bodies = list(read_bodies(samples_file))
    if not bodies:
        raise BenchError("a load kept no responses to verify")
    for request, response in zip(bodies[::2], bodies[1::2], strict=True):
        rpc.verify(request, response)
