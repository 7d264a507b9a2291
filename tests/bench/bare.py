"""The bare LMDB step under a check: what is left when everything of ours is taken away.

Checks are made once on a copy of a store, and what they did to its keys is written down. On another
copy the very same reads and writes are then made in LMDB's own transactions, one for each. The
engine opens that copy with all its options, too, and begins the transactions, since it may have to
look after its room between them.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import msgspec

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from tests.bench.errors import BenchError
from tests.bench.inside import Engine, open_engine
from tests.bench.prefill import copy_store


class Step(msgspec.Struct):
    """What a check did: the keys that it read, then the pairs that it wrote."""

    gets: list[bytes] = []
    puts: list[tuple[bytes, bytes]] = []


class BareTwin:
    """Makes the steps of checks without what is ours. Use `bare_twin`."""

    def __init__(self, engine: Engine, recorded: list[Step], bare: KvEngine) -> None:
        self._engine = engine
        self._recorded = recorded
        self._bare = bare

    def run(self, checks: Sequence[pb.CheckAndIncrementRequest]) -> float:
        """CPU microseconds a step."""
        steps = self._steps(checks)
        gc.collect()
        gc.freeze()
        begin = self._bare.begin
        start_ns = time.process_time_ns()
        for step in steps:
            transaction = begin()
            get, put = transaction.get, transaction.put
            for key in step.gets:
                get(key)
            for key, value in step.puts:
                put(key, value)
            transaction.commit()
        return (time.process_time_ns() - start_ns) / len(steps) / 1000

    def _steps(self, checks: Sequence[pb.CheckAndIncrementRequest]) -> list[Step]:
        self._recorded.clear()
        for check in checks:
            self._engine.decide(check)
        if len(self._recorded) != len(checks):
            raise BenchError(f"{len(checks)} checks made {len(self._recorded)} steps")
        if not all(step.puts for step in self._recorded):
            raise BenchError("a check wrote nothing")
        return list(self._recorded)


@contextmanager
def bare_twin(store: Path, scratch: Path) -> Iterator[BareTwin]:
    """A twin of a closed store, in copies below an empty folder."""
    recorded_folder, bare_folder = scratch / "recorded", scratch / "bare"
    for folder in (recorded_folder, bare_folder):
        folder.mkdir()
        copy_store(store, folder)
    recorded: list[Step] = []
    with (
        open_engine(recorded_folder, partial(_recorder, recorded)) as engine,
        open_engine(bare_folder) as bare,
    ):
        yield BareTwin(engine, recorded, bare.store.engine)


class _Transaction:
    """Writes down what a transaction is asked for, and hands it on."""

    def __init__(self, inner: KvTransaction, step: Step) -> None:
        self.inner = inner
        self._step = step

    def get(self, key: bytes, /) -> bytes | None:
        if self._step.puts:
            raise BenchError("a check reads after it has written: no plain step")
        self._step.gets.append(key)
        return self.inner.get(key)

    def put(self, key: bytes, value: bytes, /) -> object:
        self._step.puts.append((key, value))
        return self.inner.put(key, value)

    def delete(self, key: bytes, /) -> object:
        raise BenchError(f"a check deletes {key!r}: no plain step")

    def commit(self) -> None:
        self.inner.commit()

    def abort(self) -> None:
        self.inner.abort()


class _Recorder:
    """An engine on an engine, whose transactions are written down."""

    def __init__(self, inner: KvEngine, steps: list[Step]) -> None:
        self._inner = inner
        self._steps = steps

    def begin(self) -> KvTransaction:
        self._steps.append(Step())
        return _Transaction(self._inner.begin(), self._steps[-1])

    def scan(self, transaction: KvTransaction, *rest: Any) -> list[tuple[bytes, bytes]]:
        return self._inner.scan(_inner_of(transaction), *rest)

    def last(self, transaction: KvTransaction, *rest: Any) -> tuple[bytes, bytes] | None:
        return self._inner.last(_inner_of(transaction), *rest)

    def take_astray(self, transaction: KvTransaction, *rest: Any) -> list[tuple[bytes, bytes]]:
        return self._inner.take_astray(_inner_of(transaction), *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _recorder(steps: list[Step], inner: KvEngine) -> KvEngine:
    return cast(KvEngine, _Recorder(inner, steps))  # what it does not have itself is the inner's


def _inner_of(transaction: KvTransaction) -> KvTransaction:
    assert isinstance(transaction, _Transaction)
    return transaction.inner
