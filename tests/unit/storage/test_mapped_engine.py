"""The mapped engine's room: made ahead of need, made for what did not fit, and refused if full."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from structlog.testing import capture_logs

from sidecar.domain.errors import Exhausted
from sidecar.storage import mapped_engine
from sidecar.storage.lmdb_engine import RESERVE_BYTES, LmdbEngine
from sidecar.storage.mapped_engine import MappedEngine, open_engine
from sidecar.storage.opening import open_store
from sidecar.storage.outbox import Outbox
from sidecar.storage.preallocated_file import FileRoom
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.storage.verification import verifies
from sidecar.sync.records import UsageRecordReader
from tests.support.stores import count_in

MIB: Final = 1 << 20
BYTES_MAX: Final = 256 * MIB


class Disk(FileRoom):
    """A disk that gives a file no more than `end_max` bytes, and says what it was asked for."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.end_max = 1 << 40
        self.free = 1 << 40
        self.refused = 0

    def free_bytes(self) -> int:
        return self.free

    def allocate(self, end: int, *, start: int = 0, keep_size: bool = False) -> None:
        if end > self.end_max:
            self.refused += 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().allocate(end, start=start, keep_size=keep_size)


class Opened:
    """A store on a mapped engine."""

    def __init__(self, folder: Path, max_bytes: int = BYTES_MAX) -> None:
        self.closed = False
        self.data = folder / "data.mdb"
        self.disk = Disk(self.data)
        self.engine = MappedEngine(folder, max_bytes, self.disk)
        self.store: Store = open_store(self.engine, new_incarnation=lambda: "life-1")

    def put(self, key: bytes, size_bytes: int) -> None:
        """Put a value of a size, in a step."""

        def work(transaction: Transaction) -> None:
            transaction.keyspace.put(key, bytes(size_bytes))

        self.store.transact(work)

    def value_of(self, key: bytes) -> bytes | None:
        return self.store.transact(lambda transaction: transaction.keyspace.get(key))

    def size_of(self, key: bytes) -> int | None:
        value = self.value_of(key)
        return None if value is None else len(value)

    def count(self) -> None:
        """Count, as calls do: only where there is room for more."""

        def work(transaction: Transaction) -> None:
            self.store.require_room()
            count_in(transaction, 1)

        self.store.transact(work)

    def mib(self) -> float:
        """Size of the file, all of which is allocated."""
        found = self.data.stat()
        assert found.st_size <= found.st_blocks * 512
        return found.st_size / MIB

    def close(self) -> None:
        self.store.close()
        self.closed = True


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    if not opened.disk.is_kept():
        opened.close()
        pytest.skip("the file system of temporary files is not one that keeps room")
    yield opened
    if not opened.closed:
        opened.close()


@pytest.fixture
def no_time_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is asked again at once."""
    monkeypatch.setattr(mapped_engine, "_FULL_SECONDS", 0.0)


def test_a_new_store_takes_little_of_the_disk(opened: Opened) -> None:
    assert 4 == opened.mib()


def test_room_is_made_ahead_of_need(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no step has to be run twice; by a quarter at a time."""
    monkeypatch.setattr(opened.store, "_make_room_or_raise", _never)
    for number in range(3000):
        opened.put(b"%d" % number, 9000)
    assert 3000 * 9000 < opened.engine.used_bytes()
    assert 1.0 <= opened.mib() - opened.engine.used_bytes() / MIB <= 10


def test_maintenance_makes_room_before_a_step_would(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number in range(30):
        if opened.engine.is_short_of_room():
            assert opened.engine.allocate_ahead()
            before = opened.mib()
            assert opened.engine.make_room()
            found.append(opened.mib() - before)
            monkeypatch.setattr(opened.engine, "_grow", _never)
            assert not opened.engine.is_short_of_room()
        opened.put(b"%d" % number, MIB // 3)
        monkeypatch.undo()
    assert 2 <= len(found)
    assert [0.0] * len(found) == found


def test_what_is_let_go_of_before_the_map_moves_is_still_there(opened: Opened) -> None:
    slices = 0
    content = {b"%d" % number: bytes([number]) * 50_000 for number in range(250)}
    for key, value in content.items():
        opened.store.transact(lambda transaction: transaction.keyspace.put(key, value))  # noqa: B023
        while opened.engine.prepare_room():
            slices += 1
        if opened.engine.is_short_of_room():
            assert opened.engine.make_room()
    assert slices > 5
    assert content == {key: opened.value_of(key) for key in content}
    opened.close()
    assert verifies(opened.data)


def mapped_kib() -> int:
    """How much of its files this process has mapped."""
    status = Path("/proc/self/status").read_text().splitlines()
    [line] = [line for line in status if line.startswith("RssFile")]
    return int(line.split()[1])


def test_what_is_let_go_of_is_no_longer_mapped(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing of it is left to do at once when the map moves."""
    opened.put(b"large", 50 * MIB)
    assert 50 * MIB == opened.size_of(b"large")
    before = mapped_kib()
    monkeypatch.setattr(opened.engine, "is_short_of_room", lambda: True)
    while opened.engine.prepare_room():
        pass
    assert 50 * 1024 <= before - mapped_kib()
    assert 50 * MIB == opened.size_of(b"large")


@pytest.mark.parametrize("size_bytes", [5 * MIB, 20 * MIB, 100 * MIB])
def test_a_value_larger_than_what_is_ahead_finds_room(opened: Opened, size_bytes: int) -> None:
    """Such as the catalog's: the step is run again."""
    opened.put(b"large", size_bytes)
    assert size_bytes == opened.size_of(b"large")


def test_a_step_of_very_many_writes_finds_room(opened: Opened) -> None:
    runs = []

    def work(transaction: Transaction) -> None:
        runs.append(1)
        for number in range(100_000):
            transaction.keyspace.put(b"%d" % number, b"x" * 60)

    opened.store.transact(work)
    assert [60, 60] == [opened.size_of(b"0"), opened.size_of(b"99999")]
    assert 2 <= len(runs) <= 5


def test_a_group_that_does_not_fit_fails_as_one_and_each_alone_fits(opened: Opened) -> None:
    opened.store.begin_group()
    for name in (b"a", b"b"):
        opened.put(name, MIB)
    with pytest.raises(opened.engine.failures):
        opened.put(b"c", 10 * MIB)
    opened.store.abort_group()
    assert [None] * 3 == [opened.size_of(name) for name in (b"a", b"b", b"c")]
    for name in (b"a", b"b", b"c"):
        opened.put(name, 10 * MIB)
    assert [10 * MIB] * 3 == [opened.size_of(name) for name in (b"a", b"b", b"c")]


def test_the_bound_of_the_store_bounds_its_file(tmp_path: Path) -> None:
    opened = Opened(tmp_path, MIB)
    with pytest.raises(Exhausted) as caught:
        opened.put(b"large", RESERVE_BYTES + MIB)
    assert "STORE_FULL" == caught.value.reason
    assert 65 == opened.mib()
    assert not opened.engine.make_room()
    assert not opened.engine.is_short_of_room()
    opened.close()


@pytest.mark.parametrize(("free", "stride_mib"), [(0, 0.25), (4, 0.5), (16, 2), (1000, 4)])
def test_little_of_a_small_disk_is_taken_ahead(
    opened: Opened, free: int, stride_mib: float
) -> None:
    opened.disk.free = free * MIB
    before = opened.mib()
    opened.engine.allocate_ahead()
    assert stride_mib == opened.mib() - before


def fill(opened: Opened) -> int:
    """Count until it is refused; how often it was counted."""
    for counted in range(100_000):
        try:
            opened.count()
        except Exhausted:
            return counted
    raise AssertionError("it is never full")


def test_a_full_disk_is_told_once_and_reading_goes_on(opened: Opened) -> None:
    opened.put(b"before", 10)
    opened.disk.end_max = int(opened.mib() * MIB)
    with capture_logs() as logs:
        counted = fill(opened)
        with pytest.raises(Exhausted) as caught:
            opened.count()
    assert "STORE_FULL" == caught.value.reason
    assert counted == opened.store.head.sequence == opened.store.waiting_records() > 1000
    assert 10 == opened.size_of(b"before")
    assert ["store.disk_full"] == [line["event"] for line in logs]


@pytest.mark.parametrize("free_mib", [0, 1 << 20], ids=["in small pieces", "at once"])
def test_on_a_full_disk_what_frees_room_can_and_then_counting_goes_on(
    opened: Opened, free_mib: int
) -> None:
    opened.disk.free = free_mib * MIB
    opened.disk.end_max = int(opened.mib() * MIB) + MIB
    counted = fill(opened)
    outbox = Outbox(opened.store, UsageRecordReader())
    while outbox.acknowledge("life-1", counted):
        pass
    assert 0 == opened.store.waiting_records()
    again = fill(opened)
    assert counted // 2 < again
    assert counted + again == opened.store.head.sequence


@pytest.mark.usefixtures("no_time_to_wait")
def test_once_the_disk_has_room_counting_goes_on(opened: Opened) -> None:
    opened.disk.end_max = int(opened.mib() * MIB)
    counted = fill(opened)
    opened.disk.end_max = 1 << 40
    with capture_logs() as logs:
        opened.count()
    assert counted + 1 == opened.store.head.sequence
    assert ["store.disk_has_room"] == [line["event"] for line in logs]


def test_a_full_disk_is_not_asked_at_every_call(opened: Opened) -> None:
    opened.disk.end_max = int(opened.mib() * MIB)
    fill(opened)
    refused = opened.disk.refused
    opened.engine._full_until = float("inf")
    for _ in range(1000):
        with pytest.raises(Exhausted):
            opened.count()
    assert refused == opened.disk.refused


def test_maintenance_asks_a_full_disk_again(opened: Opened) -> None:
    opened.disk.end_max = int(opened.mib() * MIB)
    fill(opened)
    opened.engine._full_until = float("inf")
    assert not opened.engine.is_short_of_room()
    opened.engine._full_until = 0.0
    assert opened.engine.is_short_of_room()
    assert not opened.engine.allocate_ahead()
    assert not opened.engine.make_room()
    opened.disk.end_max = 1 << 40
    assert opened.engine.allocate_ahead()
    assert opened.engine.make_room()
    opened.count()


def test_what_is_left_of_a_disk_is_used_in_small_pieces(opened: Opened) -> None:
    opened.disk.end_max = int(opened.mib() * MIB) + MIB
    fill(opened)
    assert 5 == opened.mib()


def test_opened_again_it_goes_on_where_the_file_ends(opened: Opened, tmp_path: Path) -> None:
    opened.put(b"large", 20 * MIB)
    size_mib = opened.mib()
    opened.close()
    again = Opened(tmp_path)
    assert (20 * MIB, size_mib) == (again.size_of(b"large"), again.mib())
    again.close()
    opened.disk, opened.store = (
        again.disk,
        open_store(
            LmdbEngine(tmp_path, BYTES_MAX, sync_commits=False), new_incarnation=lambda: "life-1"
        ),
    )
    assert 20 * MIB == opened.size_of(b"large")


def test_a_store_of_an_engine_that_does_not_map_is_taken_over(tmp_path: Path) -> None:
    plain = LmdbEngine(tmp_path, BYTES_MAX, sync_commits=False)
    transaction = plain.begin()
    transaction.put(b"a", b"1")
    transaction.commit()
    plain.close()
    opened = Opened(tmp_path)
    opened.put(b"b", 10 * MIB)
    assert (1, 10 * MIB) == (opened.size_of(b"a"), opened.size_of(b"b"))
    opened.close()


def _refuse(number: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EOPNOTSUPP, errno.EIO], ids=["full", "unable", "broken"]
)
def test_where_room_cannot_be_allocated_it_is_not_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(FileRoom, "is_kept", lambda _: True)
    monkeypatch.setattr(FileRoom, "allocate", _refuse(number))
    with capture_logs() as logs:
        engine = open_engine(tmp_path, BYTES_MAX, sync_commits=False)
    assert LmdbEngine is type(engine)
    assert ["store.not_mapped"] == [line["event"] for line in logs]
    engine.close()


def test_where_room_is_not_kept_it_is_not_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileRoom, "is_kept", lambda _: False)
    with capture_logs() as logs:
        engine = open_engine(tmp_path, BYTES_MAX, sync_commits=False)
    assert LmdbEngine is type(engine)
    assert ["store.not_mapped"] == [line["event"] for line in logs]
    engine.close()


def test_what_waits_for_the_disk_is_not_mapped(tmp_path: Path) -> None:
    engine = open_engine(tmp_path, BYTES_MAX, sync_commits=True)
    assert LmdbEngine is type(engine)
    engine.close()


def _never(*_: object) -> bool:
    raise AssertionError("not now")
