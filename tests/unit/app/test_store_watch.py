"""A store that takes no records is a trouble, until it does: full, failing, and again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from sidecar.app.store_watch import StoreWatch
from sidecar.domain.errors import Exhausted
from sidecar.engine.runner import InlineRunner
from sidecar.shared.ops.health import Health
from sidecar.shared.ops.trouble import Trouble
from sidecar.storage.kv_engine import KvFailure
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.opening import open_store
from sidecar.storage.store import Store

MAX_BYTES = 1 << 20


class Disk(MemoryEngine):
    """An engine whose disk may fail."""

    def __init__(self) -> None:
        super().__init__(MAX_BYTES)
        self.fails = False

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        if self.fails and writes:
            raise KvFailure("input/output error")
        super().apply(writes)


class Watched:
    """A store with its watch, and whether calls should come."""

    def __init__(self) -> None:
        self.disk = Disk()
        self.store: Store = open_store(self.disk, new_incarnation=lambda: "life-1")
        self.health = Health()
        self.health.start()
        runner = InlineRunner(self.store)
        self.watch = StoreWatch(self.store, runner, Trouble("store", self.health))

    def put(self, size_bytes: int) -> None:
        self.store.transact(lambda transaction: transaction.keyspace.put(b"x", bytes(size_bytes)))

    async def looked(self) -> tuple[bool, str]:
        await self.watch.look()
        return self.health.readiness().passed, self.watch.trouble.reason


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_a_full_store_is_not_ready_until_it_has_room_and_the_next_time_as_well(
    watched: Watched,
) -> None:
    with capture_logs() as logs:
        for _ in range(2):
            assert (True, "") == await watched.looked()
            watched.put(MAX_BYTES - 50_000)
            with pytest.raises(Exhausted):
                watched.store.require_room()
            for _ in range(3):
                assert (False, "STORE_FULL") == await watched.looked()
            watched.put(0)
    assert (True, "") == await watched.looked()
    events = [line["event"] for line in logs if line["event"].startswith("trouble")]
    assert ["trouble.began", "trouble.over", "trouble.began"] == events
    assert 2 == watched.watch.trouble.times


async def test_a_little_room_does_not_end_a_trouble(watched: Watched) -> None:
    watched.put(MAX_BYTES - 60_000)
    assert (False, "STORE_FULL") == await watched.looked()
    watched.put(MAX_BYTES - 100_000)
    assert (False, "STORE_FULL") == await watched.looked()
    watched.put(MAX_BYTES - 200_000)
    assert (True, "") == await watched.looked()


async def test_a_failing_disk_is_noticed_without_a_call(watched: Watched) -> None:
    for _ in range(2):
        watched.disk.fails = True
        assert (False, "STORE_FAILED") == await watched.looked()
        watched.disk.fails = False
        assert (True, "") == await watched.looked()


@pytest.mark.parametrize(
    ("reason", "expected"),
    [("STORE_FULL", "STORE_FULL"), ("STORE_FAILED", "STORE_FAILED"), ("UNKNOWN_COMPANY", "")],
)
async def test_what_fails_for_the_store_counts_until_the_next_look(
    watched: Watched, reason: str, expected: str
) -> None:
    watched.watch.failed(reason, "calls fail")
    assert (not expected, expected) == await watched.looked()
    assert (True, "") == await watched.looked()


async def test_levels_are_told_long_before(watched: Watched) -> None:
    sizes: list[Callable[[], None]] = [
        lambda percent=percent: watched.put(MAX_BYTES * percent // 100)  # type: ignore[misc]
        for percent in (60, 71, 92, 10)
    ]
    with capture_logs() as logs:
        for put in sizes:
            put()
            await watched.looked()
    told = [(line["event"], line["what"]) for line in logs if line["event"].startswith("room")]
    assert [("room.low", "store"), ("room.low", "store"), ("room.enough", "store")] == told
