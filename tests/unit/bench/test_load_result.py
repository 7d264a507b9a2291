"""What a load comes to, and the file of its bodies."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.bench.load_result import LoadError, LoadResult, read_bodies, write_bodies


def test_percentiles_are_nearest_rank() -> None:
    result = LoadResult(
        calls=200,
        errors=0,
        seconds=2.0,
        latencies_ns=range(1_000, 201_000, 1_000),
        failures={},
        samples=(),
        driver_cpu_ns=400_000,
        server_cpu_ns=20_000_000,
    )
    assert (100.0, 198.0, 200.0) == (result.p50_us, result.p99_us, result.latency_us(100))
    assert (100.0, 100.0) == (result.calls_per_s, result.cpu_us_per_call)
    assert 2.0 == result.driver_cpu_us_per_call


def test_truncated_body_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "bodies"
    path.write_bytes(b"\0\0\0\2ab\0\0\0\3ab")
    with pytest.raises(LoadError, match="ends within a body"):
        list(read_bodies(path))


def test_bodies_survive_a_file(tmp_path: Path) -> None:
    bodies = [b"", b"a", bytes(70_000)]
    write_bodies(tmp_path / "bodies", bodies)
    assert bodies == list(read_bodies(tmp_path / "bodies"))
    assert [*bodies, b""] == list(islice(cycle(read_bodies(tmp_path / "bodies")), 4))
