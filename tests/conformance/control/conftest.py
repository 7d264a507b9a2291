"""Every backend that the suite runs on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore


@pytest.fixture(params=["sqlite-file", "sqlite-memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PlaneStore]:
    store = SqliteStore(tmp_path / "plane.db") if request.param == "sqlite-file" else SqliteStore()
    yield store
    store.close()
