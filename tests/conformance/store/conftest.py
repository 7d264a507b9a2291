"""Every test of this folder runs on each engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.stores import STORE_BYTES_MAX, Disk, LmdbDisk, MemoryDisk, OpenedStore

MakeDisk = Callable[[int], Disk]
"""Makes a disk of so many bytes, another one each time."""


@pytest.fixture(params=["memory", "lmdb", "mapped"])
def make_disk(request: pytest.FixtureRequest, tmp_path: Path) -> MakeDisk:
    if request.param == "memory":
        return MemoryDisk
    mapped = request.param == "mapped"
    numbers = count()
    return lambda max_bytes: LmdbDisk(tmp_path / f"store {next(numbers)}", max_bytes, mapped=mapped)


@pytest.fixture
def disk(make_disk: MakeDisk) -> Disk:
    return make_disk(STORE_BYTES_MAX)


@pytest.fixture
def opened(disk: Disk) -> Iterator[OpenedStore]:
    opened = OpenedStore(disk)
    yield opened
    opened.close()
