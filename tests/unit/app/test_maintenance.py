"""What maintenance does for the store's room, and which time goes where."""

from __future__ import annotations

import threading

import pytest

from sidecar.app.maintenance import Maintenance
from sidecar.app.store_watch import StoreWatch
from sidecar.domain.time.units import DAY_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import InlineRunner
from sidecar.shared.ops.health import Health
from sidecar.shared.ops.trouble import Trouble
from sidecar.storage import codec, keys
from sidecar.storage.answer_codec import Partitions
from sidecar.storage.answers import Answers
from sidecar.storage.kv_engine import KvFailure
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.opening import open_store
from sidecar.storage.outbox import Outbox
from sidecar.sync.records import UsageRecordReader
from tests.support.build import NOW_US

ELAPSED_US = NOW_US - 40 * DAY_US


class Short(MemoryEngine):
    """An engine that lacks room until it is made. `did`: what, and whether on the main thread."""

    def __init__(self) -> None:
        super().__init__()
        self.short = True
        self.disk_is_full = False
        self.did: list[tuple[str, bool]] = []

    def is_short_of_room(self) -> bool:
        self._note("looked")
        return self.short

    def allocate_ahead(self) -> bool:
        self._note("allocated")
        return not self.disk_is_full

    def prepare_room(self) -> bool:
        self._note("prepared")
        return self.did[-3:] != [("prepared", True)] * 3

    def make_room(self, *, urgent: bool = False) -> bool:
        self._note("made")
        assert not urgent
        self.short = False
        return True

    def _note(self, what: str) -> None:
        self.did.append((what, threading.current_thread() is threading.main_thread()))


@pytest.fixture
def engine() -> Short:
    return Short()


@pytest.fixture
def maintenance(engine: Short) -> Maintenance:
    store = open_store(engine, new_incarnation=lambda: "life-1")
    return Maintenance(
        store,
        Outbox(store, UsageRecordReader()),
        Answers(store, quota_bytes=1 << 20, kept_us=DAY_US),
        PlaneStatus(authority=False),
        StoreWatch(store, InlineRunner(store), Trouble("store", Health())),
        InlineRunner(store),
        lambda: NOW_US,
        lambda: ELAPSED_US,
    )


async def test_what_takes_long_of_making_room_is_done_beside_the_loop(
    maintenance: Maintenance, engine: Short
) -> None:
    await maintenance.keep_room()
    prepared = [("prepared", True)] * 3
    assert [("looked", True), ("allocated", False), *prepared, ("made", True)] == engine.did
    engine.did.clear()
    await maintenance.keep_room()
    assert [("looked", True)] == engine.did


async def test_answers_age_by_what_has_elapsed_and_not_by_a_clock(
    maintenance: Maintenance, engine: Short
) -> None:
    await maintenance.tend_answers_once()
    noted = codec.decode_value(engine.values[keys.META_ANSWERS], Partitions)
    assert ELAPSED_US == noted.since_us


async def test_where_the_disk_gives_nothing_nothing_is_prepared(
    maintenance: Maintenance, engine: Short
) -> None:
    engine.disk_is_full = True
    await maintenance.keep_room()
    assert [("looked", True), ("allocated", False), ("made", True)] == engine.did


async def test_room_is_not_made_within_a_step(maintenance: Maintenance, engine: Short) -> None:
    """It needs the engine without a transaction."""
    began: list[str] = []
    begin = engine.begin

    def noted() -> object:
        began.append("began")
        return begin()

    engine.begin = noted  # type: ignore[assignment,method-assign]
    await maintenance.keep_room()
    assert [] == began


async def test_an_engine_that_fails_ends_the_maintenance(
    maintenance: Maintenance, engine: Short
) -> None:
    """And with it the daemon: its store could not be mapped anew."""

    def fail(*, urgent: bool = False) -> bool:
        raise KvFailure("cannot map")

    engine.make_room = fail  # type: ignore[method-assign]
    with pytest.raises(KvFailure, match="cannot map"):
        await maintenance.keep_room()
