"""Prefilled stores hold what real traffic would have left in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.storage import keys
from sidecar.storage.transaction import Transaction
from tests.bench.engine_alone import make_checks, run
from tests.bench.inside import Engine, open_engine
from tests.bench.prefill import copy_store, prefill
from tests.bench.traffic import Traffic, catalog_text

TRAFFIC = Traffic(companies=3, users=4)
CHECKS = 40


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefilled")
    catalog = folder / "catalog.yaml"
    catalog.write_text(catalog_text(1))
    prefill(folder / "store", catalog, 5, TRAFFIC)
    copy = tmp_path_factory.mktemp("copy")
    copy_store(folder / "store", copy)
    return copy


def entries(engine: Engine, prefix: bytes) -> int:
    def count(transaction: Transaction) -> int:
        assert transaction.kv is not None
        return len(engine.store.engine.scan(transaction.kv, prefix, keys.after(prefix), 1000))

    return engine.store.transact(count)


def test_calls_meet_prefilled_counters_and_make_no_others(store: Path) -> None:
    with open_engine(store) as engine:
        assert 5 == entries(engine, keys.SNAPSHOTS)
        assert 3 * 4 == entries(engine, keys.COUNTERS)
        answers = entries(engine, keys.ANSWERS)
        assert 3 * 4 <= answers

        assert run(engine, make_checks(TRAFFIC, CHECKS)) > 0

        assert 3 * 4 == entries(engine, keys.COUNTERS)
        assert answers + CHECKS == entries(engine, keys.ANSWERS)


def test_counter_goes_on_from_past_usage(store: Path) -> None:
    [check] = make_checks(TRAFFIC, 1)
    with open_engine(store) as engine:
        answer = engine.decide(check)
    assert isinstance(answer, bytes)
    used = pb.CheckAndIncrementResponse.FromString(answer).decision.binding_limit.used
    assert used >= 100 + check.quantity
