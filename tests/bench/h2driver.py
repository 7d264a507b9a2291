"""Closed-loop load for a unary gRPC method, from one cheap thread.

A gRPC client in Python costs as much CPU as the server it measures, and h2load sends one body for
all calls, which cannot carry a fresh idempotency key. This driver writes prebuilt HTTP/2 frames to
non-blocking sockets. `run_load` is the Python interface; `python -m tests.bench.h2driver` runs it
in a process of its own and prints one JSON object.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import select
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import cycle
from pathlib import Path

from tests.bench.errors import ProtocolError
from tests.bench.headers import RequestHeaders
from tests.bench.link import Link
from tests.bench.load_result import LoadError, LoadResult, Sample, read_bodies, write_bodies
from tests.bench.wire import Call

ANSWER_SECONDS_MAX = 10.0
SAMPLES_FIRST = 8
SAMPLES_RANDOM = 8
FAILURE_KINDS_MAX = 16


def process_cpu_ns(pid: int) -> int:
    """CPU time of a live Linux process over all its threads, those that have ended included."""
    try:
        # The CPU-time clock of a process, as clock_getcpuclockid(3) encodes it: ~pid << 3 | 2.
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError as error:
        raise LoadError(f"cannot read the CPU time of process {pid}: {error}") from error


class _Phase:
    """A number of calls over all links, from the first request to the last answer."""

    def __init__(
        self, links: dict[int, Link], poll: select.epoll, bodies: Iterator[bytes], in_flight: int
    ) -> None:
        self.latencies_ns: list[int] = []
        self.failures: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self._links = links  # by file descriptor
        self._poll = poll
        self._bodies = bodies
        self._in_flight = in_flight
        self._started = 0  # calls; the index of the next one
        self._calls_max = 0
        self._open = 0

    def run(self, calls: int, seconds_max: float, answer_seconds_max: float) -> None:
        """Make `calls` calls, fewer if time or bodies run out; every started call is awaited."""
        self._calls_max = calls
        kept = {*range(SAMPLES_FIRST), *_some(range(SAMPLES_FIRST, calls))}
        stop_ns = time.perf_counter_ns() + int(seconds_max * 1e9)
        give_up_ns = stop_ns + int(answer_seconds_max * 1e9)
        for link in self._links.values():
            self._fill(link)
        while self._open:
            events = self._poll.poll(answer_seconds_max)
            now_ns = time.perf_counter_ns()
            if not events or now_ns > give_up_ns:
                raise LoadError(f"{self._open} calls without an answer")
            if now_ns > stop_ns:
                self._calls_max = 0
            for descriptor, mask in events:
                link = self._links[descriptor]
                if mask != select.EPOLLOUT:
                    self._collect(link, kept)
                self._fill(link)

    def _collect(self, link: Link, kept: set[int]) -> None:
        ended = link.receive()
        received_ns = link.received_ns
        for call in ended:
            if call.failure:
                known = call.failure in self.failures or len(self.failures) < FAILURE_KINDS_MAX
                self.failures[call.failure if known else "other"] += 1
                continue
            self.latencies_ns.append(received_ns - call.started_ns)
            if call.index in kept:
                self.samples.append(Sample(call.index, call.request, call.response()))
        self._open -= len(ended)

    def _fill(self, link: Link) -> None:
        """Start as many calls as the link may have in flight, and send."""
        wire = link.wire
        was_blocked = bool(link.unsent)
        room = min(self._in_flight, wire.calls_max) - len(wire.calls)
        while room > 0 and self._started < self._calls_max:
            body = next(self._bodies, None)
            if body is None:
                self._calls_max = 0
                break
            wire.open(Call(self._started, body, time.perf_counter_ns()))
            self._started += 1
            self._open += 1
            room -= 1
        link.send()
        if bool(link.unsent) != was_blocked:
            wanted = select.EPOLLIN | (select.EPOLLOUT if link.unsent else 0)
            self._poll.modify(link.socket, wanted)


def _some(indices: range) -> list[int]:
    return random.sample(indices, min(SAMPLES_RANDOM, len(indices)))


def run_load(
    target: str,
    method: str,
    bodies: Iterable[bytes],
    *,
    connections: int,
    in_flight: int,
    calls: int,
    warmup: int,
    seconds_max: float,
    deadline: bool = False,
    server_pid: int | None = None,
    answer_seconds_max: float = ANSWER_SECONDS_MAX,
) -> LoadResult:
    """Call `method` ("/package.Service/Method") in a closed loop and measure.

    target: "unix:PATH", or "ADDRESS:PORT" on loopback.
    bodies: serialised requests, taken in order over all connections, warm-up first; the load ends
        early when they run out.
    in_flight: calls under way on each connection (fewer if the server allows fewer streams).
    seconds_max: bounds the start of calls, of the warm-up and of the measured calls each.
    deadline: whether calls have one, in a `grpc-timeout` that differs from call to call.
    server_pid: the server's process, to measure its CPU time too.
    answer_seconds_max: how long a silent server is waited for.

    Raises LoadError when a connection fails or ends (GOAWAY too) or the server stays silent, and
    ValueError for a target or sizes out of bounds.
    """
    if min(connections, in_flight, calls) < 1 or warmup < 0:
        raise ValueError("connections, in_flight and calls are at least 1, warmup at least 0")
    links: dict[int, Link] = {}
    poll = select.epoll()
    supply = iter(bodies)
    headers = RequestHeaders(method, "localhost", deadline=deadline)
    try:
        for _ in range(connections):
            link = Link(target, headers)
            links[link.socket.fileno()] = link
            link.settle()
            poll.register(link.socket, select.EPOLLIN)
        _Phase(links, poll, supply, in_flight).run(warmup, seconds_max, answer_seconds_max)

        phase = _Phase(links, poll, supply, in_flight)
        server_start_ns = process_cpu_ns(server_pid) if server_pid else 0
        driver_start_ns = time.thread_time_ns()
        start_ns = time.perf_counter_ns()
        phase.run(calls, seconds_max, answer_seconds_max)
        seconds = (time.perf_counter_ns() - start_ns) / 1e9
        driver_cpu_ns = time.thread_time_ns() - driver_start_ns
        server_cpu_ns = process_cpu_ns(server_pid) - server_start_ns if server_pid else None
    except (OSError, ProtocolError) as error:
        raise LoadError(f"load on {target} failed: {error}") from error
    finally:
        poll.close()
        for link in links.values():
            link.socket.close()
    errors = phase.failures.total()
    if not phase.latencies_ns and not errors:
        raise LoadError("no call was measured: bodies or time ran out before")
    return LoadResult(
        calls=len(phase.latencies_ns),
        errors=errors,
        seconds=seconds,
        latencies_ns=sorted(phase.latencies_ns),
        failures=dict(phase.failures),
        samples=tuple(phase.samples),
        driver_cpu_ns=driver_cpu_ns,
        server_cpu_ns=server_cpu_ns,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="closed-loop load for a unary gRPC method")
    parser.add_argument("--target", required=True, help="unix:PATH or loopback ADDRESS:PORT")
    parser.add_argument("--method", required=True, help="/package.Service/Method")
    parser.add_argument("--bodies", type=Path, required=True, help="length-prefixed requests")
    parser.add_argument("--cycle", action="store_true", help="start again when bodies run out")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--in-flight", type=int, default=1, help="calls on each connection")
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--warmup", type=int, default=0, help="calls before the measured ones")
    parser.add_argument("--seconds-max", type=float, default=60.0)
    parser.add_argument("--deadline", action="store_true", help="each call has one")
    parser.add_argument("--server-pid", type=int, help="measure this process's CPU time")
    parser.add_argument("--samples", type=Path, help="write request, response, request, ...")
    return parser.parse_args()


def main() -> int:
    """Exit code 0: all calls succeeded; 1: some failed; 2: the load could not be run."""
    arguments = _arguments()
    gc.disable()  # calls leave no cycles, and a collection would stand in their latencies
    try:
        bodies = read_bodies(arguments.bodies)
        result = run_load(
            arguments.target,
            arguments.method,
            cycle(bodies) if arguments.cycle else bodies,
            connections=arguments.connections,
            in_flight=arguments.in_flight,
            calls=arguments.calls,
            warmup=arguments.warmup,
            seconds_max=arguments.seconds_max,
            deadline=arguments.deadline,
            server_pid=arguments.server_pid,
        )
    except (LoadError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    if arguments.samples:
        pairs = ((sample.request, sample.response) for sample in result.samples)
        write_bodies(arguments.samples, (body for pair in pairs for body in pair))
    print(json.dumps(result.as_json()))
    return 1 if result.errors else 0


if __name__ == "__main__":
    sys.exit(main())
