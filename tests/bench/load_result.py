"""What a load comes to, and the file format of its bodies."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class LoadError(Exception):
    """The load could not be run to its end, so there is no figure to report."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A successful call kept for verification; `index` counts the measured calls from 0."""

    index: int
    request: bytes
    response: bytes


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What the measured calls came to; warm-up calls are in none of the figures.

    A call succeeds with grpc-status 0 and one whole message; `errors` counts all others, by
    reason in `failures`. `latencies_ns` are those of the successes, ascending. `server_cpu_ns` is
    None unless the server's process was named.
    """

    calls: int
    errors: int
    seconds: float
    latencies_ns: Sequence[int]
    failures: Mapping[str, int]
    samples: tuple[Sample, ...]
    driver_cpu_ns: int
    server_cpu_ns: int | None

    def latency_us(self, percent: int) -> float:
        """The nearest-rank percentile of the successful calls; 0 if there are none."""
        count = len(self.latencies_ns)
        if not count:
            return 0.0
        return self.latencies_ns[max(0, -(-count * percent // 100) - 1)] / 1_000

    @property
    def p50_us(self) -> float:
        return self.latency_us(50)

    @property
    def p99_us(self) -> float:
        return self.latency_us(99)

    @property
    def calls_per_s(self) -> float:
        """Successful calls a second."""
        return self.calls / self.seconds

    @property
    def cpu_us_per_call(self) -> float | None:
        """The server's CPU time over all its threads, for each call answered."""
        return None if self.server_cpu_ns is None else self._per_call_us(self.server_cpu_ns)

    @property
    def driver_cpu_us_per_call(self) -> float:
        return self._per_call_us(self.driver_cpu_ns)

    def _per_call_us(self, total_ns: int) -> float:
        return total_ns / max(1, self.calls + self.errors) / 1_000

    def as_json(self) -> dict[str, object]:
        """The figures, without latencies and samples."""
        server_us = self.cpu_us_per_call
        return {
            "calls": self.calls,
            "errors": self.errors,
            "failures": dict(self.failures),
            "seconds": round(self.seconds, 3),
            "calls_per_s": round(self.calls_per_s, 1),
            "p50_us": round(self.p50_us, 1),
            "p99_us": round(self.p99_us, 1),
            "cpu_us_per_call": None if server_us is None else round(server_us, 2),
            "driver_cpu_us_per_call": round(self.driver_cpu_us_per_call, 2),
        }


def write_bodies(path: Path, bodies: Iterable[bytes]) -> None:
    """A file of bodies: each after its length, four bytes big-endian."""
    with path.open("wb") as file:
        for body in bodies:
            file.write(struct.pack(">I", len(body)) + body)


def read_bodies(path: Path) -> Iterator[bytes]:
    """The bodies that `write_bodies` wrote; the file is read at once, before the load."""
    content = path.read_bytes()
    at = 0
    while at < len(content):
        start = at + 4
        at = start + int.from_bytes(content[at:start], "big")
        if at > len(content):
            raise LoadError(f"{path} ends within a body")
        yield content[start:at]
