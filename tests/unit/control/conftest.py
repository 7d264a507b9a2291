"""A store for each test."""

from collections.abc import Iterator

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore


@pytest.fixture
def store() -> Iterator[PlaneStore]:
    store = SqliteStore()
    yield store
    store.close()
