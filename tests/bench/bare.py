"""The bare LMDB step under a check: what is left when everything of ours is taken away.

Checks are made once on a copy of a store, and what they did to its keys is written down. On another
copy the very same reads and writes are then made on the LMDB environment itself, as the engine
opened it, with a commit after each check's.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import lmdb
import msgspec

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.storage.engine import Engine as EnginePort
from sidecar.storage.engine import EngineFailure, EngineTransaction
from tests.bench.errors import BenchError
from tests.bench.inside import Engine, open_engine
from tests.bench.prefill import copy_store


class Step(msgspec.Struct):
    """What a check did: the keys that it read, then the pairs that it wrote."""

    gets: list[bytes] = []
    puts: list[tuple[bytes, bytes]] = []


class BareTwin:
    """Makes the steps of checks without what is ours. Use `bare_twin`."""

    def __init__(self, engine: Engine, recorded: list[Step], environment: lmdb.Environment) -> None:
        self._engine = engine
        self._recorded = recorded
        self._environment = environment

    def run(self, checks: Sequence[pb.CheckAndIncrementRequest]) -> float:
        """CPU microseconds a step."""
        steps = self._steps(checks)
        gc.collect()
        gc.freeze()
        begin = self._environment.begin
        start_ns = time.process_time_ns()
        for step in steps:
            transaction = begin(write=True)
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
        open_engine(recorded_folder, lambda engine: _Recorder(engine, recorded)) as engine,
        _environment(bare_folder) as environment,
    ):
        yield BareTwin(engine, recorded, environment)


@contextmanager
def _environment(folder: Path) -> Iterator[lmdb.Environment]:
    """The environment that the engine opens on a store, with the engine's options."""
    opened: list[lmdb.Environment] = []
    really_open = lmdb.open

    def note(*arguments: Any, **options: Any) -> lmdb.Environment:
        opened.append(really_open(*arguments, **options))
        return opened[-1]

    with mock.patch.object(lmdb, "open", note), open_engine(folder):
        [environment] = opened
        yield environment


class _Transaction:
    """Writes down what a transaction is asked for, and hands it on."""

    def __init__(self, inner: EngineTransaction, step: Step) -> None:
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

    def __init__(self, inner: EnginePort, steps: list[Step]) -> None:
        self.failures = inner.failures
        self._inner = inner
        self._steps = steps

    def begin(self) -> EngineTransaction:
        self._steps.append(Step())
        return _Transaction(self._inner.begin(), self._steps[-1])

    def scan(
        self, transaction: EngineTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        return self._inner.scan(_inner_of(transaction), start, stop, most)

    def last(
        self, transaction: EngineTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        return self._inner.last(_inner_of(transaction), start, stop)

    def failure_of(self, error: Exception) -> EngineFailure:
        return self._inner.failure_of(error)

    def used_bytes(self) -> int:
        return self._inner.used_bytes()

    def max_bytes(self) -> int:
        return self._inner.max_bytes()

    def room_bytes(self) -> int:
        return self._inner.room_bytes()

    def is_short_of_room(self) -> bool:
        return self._inner.is_short_of_room()

    def allocate_ahead(self) -> None:
        self._inner.allocate_ahead()

    def make_room(self, *, urgent: bool = False) -> bool:
        return self._inner.make_room(urgent=urgent)

    def close(self) -> None:
        self._inner.close()


def _inner_of(transaction: EngineTransaction) -> EngineTransaction:
    assert isinstance(transaction, _Transaction)
    return transaction.inner
