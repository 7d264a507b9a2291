"""Every backend that the suite runs on."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from tests.support.bounds import HANG_SECONDS_MAX

Planes: TypeAlias = tuple[PlaneStore, PlaneStore]


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PlaneStore]:
    store = SqliteStore(tmp_path / "plane.db") if request.param == "sqlite-file" else SqliteStore()
    yield store
    store.close()


@pytest.fixture
def planes(tmp_path: Path) -> Iterator[Planes]:
    """Two stores on one database, as two processes have."""
    planes = SqliteStore(tmp_path / "shared.db"), SqliteStore(tmp_path / "shared.db")
    for store in planes:
        with store.write() as transaction:  # a busy machine may keep one waiting for long
            transaction._one(f"PRAGMA busy_timeout = {int(HANG_SECONDS_MAX * 1_000)}")
    yield planes
    for store in planes:
        store.close()
