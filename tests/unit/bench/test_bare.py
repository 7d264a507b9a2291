"""The bare step under a check: that it does to a store what checks do."""

from __future__ import annotations

from pathlib import Path

import lmdb
import pytest

from tests.bench.bare import bare_twin
from tests.bench.engine_alone import make_checks
from tests.bench.errors import BenchError
from tests.bench.prefill import prefill
from tests.bench.traffic import Traffic, catalog_text

TRAFFIC = Traffic(3)
COUNT = 50


@pytest.fixture
def store(tmp_path: Path) -> Path:
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(catalog_text(TRAFFIC.companies))
    folder = tmp_path / "store"
    prefill(folder, catalog, TRAFFIC.companies, TRAFFIC)
    return folder


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    return folder


def content(folder: Path) -> dict[bytes, bytes]:
    """All that a closed store has."""
    with lmdb.open(str(folder), readonly=True) as opened, opened.begin() as transaction:
        return dict(transaction.cursor())


def test_bare_steps_leave_the_store_that_the_checks_left(store: Path, scratch: Path) -> None:
    with bare_twin(store, scratch) as twin:
        assert twin.run(make_checks(TRAFFIC, COUNT)) > 0
        assert twin.run(make_checks(TRAFFIC, COUNT)) > 0
    recorded, bare = content(scratch / "recorded"), content(scratch / "bare")
    assert recorded == bare
    # A record and an answer each, beside counters.
    assert len(bare) >= len(content(store)) + 2 * 2 * COUNT


def test_check_that_is_no_step_is_refused(store: Path, scratch: Path) -> None:
    [check] = make_checks(Traffic(10_000), 1)  # of a company that the store does not have
    with bare_twin(store, scratch) as twin, pytest.raises(BenchError, match="wrote nothing"):
        twin.run([check])
