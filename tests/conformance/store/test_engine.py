"""What every engine promises: an ordered space of keys, and transactions, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.storage.kv_engine import KEY_BYTES_MAX, KvEngine, KvFailure
from tests.support.stores import Disk


@pytest.fixture
def engine(disk: Disk) -> Iterator[KvEngine]:
    engine = disk.engine()
    yield engine
    engine.close()


def put(engine: KvEngine, **pairs: str) -> None:
    transaction = engine.begin()
    for key, value in pairs.items():
        transaction.put(key.encode(), value.encode())
    transaction.commit()


def get(engine: KvEngine, key: bytes) -> bytes | None:
    transaction = engine.begin()
    try:
        return transaction.get(key)
    finally:
        transaction.abort()


def scan(engine: KvEngine, start: bytes, stop: bytes, most: int = 100) -> list[bytes]:
    transaction = engine.begin()
    try:
        return [key for key, _ in engine.scan(transaction, start, stop, most)]
    finally:
        transaction.abort()


def last(engine: KvEngine, start: bytes, stop: bytes) -> tuple[bytes, bytes] | None:
    transaction = engine.begin()
    try:
        return engine.last(transaction, start, stop)
    finally:
        transaction.abort()


def test_what_was_never_put_is_absent(engine: KvEngine) -> None:
    assert get(engine, b"a") is None


def test_what_was_committed_is_there(engine: KvEngine) -> None:
    put(engine, a="1", b="2")
    assert (b"1", b"2") == (get(engine, b"a"), get(engine, b"b"))


def test_what_was_aborted_is_not(engine: KvEngine) -> None:
    put(engine, a="1")
    transaction = engine.begin()
    transaction.put(b"a", b"2")
    transaction.put(b"b", b"2")
    transaction.abort()
    assert (b"1", None) == (get(engine, b"a"), get(engine, b"b"))


def test_a_transaction_reads_its_own_writes(engine: KvEngine) -> None:
    put(engine, a="1", b="1")
    transaction = engine.begin()
    transaction.put(b"a", b"2")
    transaction.delete(b"b")
    transaction.put(b"c", b"3")
    assert (b"2", None, b"3") == tuple(map(transaction.get, (b"a", b"b", b"c")))
    assert [(b"a", b"2"), (b"c", b"3")] == engine.scan(transaction, b"a", b"z", 10)
    assert (b"c", b"3") == engine.last(transaction, b"a", b"z")
    transaction.abort()


def test_deleting_what_is_not_there_is_no_error(engine: KvEngine) -> None:
    transaction = engine.begin()
    transaction.delete(b"a")
    transaction.commit()
    assert get(engine, b"a") is None


def test_aborting_twice_or_after_a_commit_does_nothing(engine: KvEngine) -> None:
    transaction = engine.begin()
    transaction.put(b"a", b"1")
    transaction.commit()
    transaction.abort()
    transaction.abort()
    assert b"1" == get(engine, b"a")


def test_scans_are_ordered_half_open_and_bounded(engine: KvEngine) -> None:
    put(engine, d="", b="", a="", c="", ca="", e="")
    assert [b"b", b"c", b"ca"] == scan(engine, b"b", b"d")
    assert [b"b", b"c"] == scan(engine, b"b", b"d", 2)
    assert [b"c", b"ca"] == scan(engine, b"bb", b"cz")
    assert [] == scan(engine, b"f", b"z")
    assert [] == scan(engine, b"b", b"b")
    assert [] == scan(engine, b"d", b"b")
    assert [] == scan(engine, b"b", b"d", 0)


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (b"a", b"z", (b"d", b"4")),
        (b"a", b"d", (b"b", b"2")),
        (b"a", b"c", (b"b", b"2")),
        (b"c", b"d", None),
        (b"e", b"z", None),
        (b"", b"a", None),
        (b"d", b"e", (b"d", b"4")),
    ],
)
def test_the_last_of_a_range(
    engine: KvEngine, start: bytes, stop: bytes, expected: tuple[bytes, bytes] | None
) -> None:
    put(engine, a="1", b="2", d="4")
    assert expected == last(engine, start or b"\0", stop)


def test_the_last_of_an_empty_store_is_none(engine: KvEngine) -> None:
    assert last(engine, b"a", b"z") is None


def test_the_longest_key_and_a_long_value_fit(engine: KvEngine) -> None:
    key, value = b"k" * KEY_BYTES_MAX, b"v" * 100_000
    transaction = engine.begin()
    transaction.put(key, value)
    transaction.commit()
    assert value == get(engine, key)


@pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES_MAX + 1)], ids=["empty", "too long"])
def test_a_key_that_does_not_fit_is_a_failure(engine: KvEngine, key: bytes) -> None:
    transaction = engine.begin()
    with pytest.raises(engine.failures) as caught:
        transaction.put(key, b"")
    transaction.abort()
    assert isinstance(engine.failure_of(caught.value), KvFailure)


def test_what_is_in_use_grows(engine: KvEngine) -> None:
    before = engine.used_bytes()
    put(engine, **{f"key{n:04}": "x" * 100 for n in range(1000)})
    assert 100_000 <= engine.used_bytes() - before <= 400_000
