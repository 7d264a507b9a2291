"""Watchers that are at the same place share what is read; all others have it read for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from sidecar.control.rpc import sync_answers
from sidecar.control.rpc.watch_page_cache import SHARED_MAX, Pages
from sidecar.control.rpc.workers import Workers
from sidecar.control.services import snapshots
from sidecar.control.services.snapshots import ResumePosition
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import PlaneState
from sidecar.domain.errors import Unavailable
from tests.unit.control.support import ALICE, BOB, NOW_US, set_up

WATCH_PAGE = sync_answers.watch_page
STATE = PlaneState("epoch", 1)
LEVEL = ResumePosition(
    revision=1, company="", catalog_version=0, known_revision=0, with_totals=False
)


class Reads:
    """Counts reads, and lets a test fail them."""

    def __init__(self) -> None:
        self.count = 0
        self.fails = False

    def watch_page(self, *arguments: Any) -> Any:
        self.count += 1
        if self.fails:
            raise Unavailable("", "the disk is gone")
        return WATCH_PAGE(*arguments)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads()
    monkeypatch.setattr(sync_answers, "watch_page", reads.watch_page)
    return reads


@pytest.fixture
async def shared(store: PlaneStore) -> AsyncIterator[Pages]:
    set_up(store, "a", "b")
    workers = Workers(store)
    yield Pages(workers, lambda: NOW_US)
    await asyncio.to_thread(workers.close)


async def test_watchers_that_are_level_share_one_read(shared: Pages, reads: Reads) -> None:
    known_earlier = msgspec.structs.replace(LEVEL, known_revision=-1)
    first, second = await asyncio.gather(
        shared.next(STATE, LEVEL, ALICE), shared.next(STATE, known_earlier, BOB)
    )
    later = await shared.next(STATE, LEVEL, BOB)
    assert 1 == reads.count
    assert first is second is later
    assert ["a", "b"] == [told.company for message in first[0] for told in message.companies]


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(LEVEL, revision=0, known_revision=-1),
        msgspec.structs.replace(LEVEL, company="a"),
        msgspec.structs.replace(LEVEL, catalog_version=1),
    ],
    ids=["revision", "company", "catalog"],
)
async def test_watchers_at_another_place_do_not(
    shared: Pages, reads: Reads, store: PlaneStore, other: ResumePosition
) -> None:
    await shared.next(STATE, LEVEL, ALICE)
    message, _, after = await shared.next(STATE, other, BOB)
    assert 2 == reads.count
    alone, _, expected = WATCH_PAGE(store, other, BOB, NOW_US)
    assert (alone, expected) == (message, after)


async def test_a_start_from_nothing_is_read_for_itself(
    shared: Pages, reads: Reads, store: PlaneStore
) -> None:
    start = snapshots.start(store, 0, False, NOW_US)
    await shared.next(STATE, start, ALICE)
    await shared.next(STATE, start, ALICE)
    assert 2 == reads.count


async def test_a_new_state_is_read_anew(shared: Pages, reads: Reads) -> None:
    await shared.next(STATE, LEVEL, ALICE)
    await shared.next(PlaneState("epoch", 2), LEVEL, ALICE)
    await shared.next(PlaneState("restored", 2), LEVEL, ALICE)
    assert 3 == reads.count


async def test_a_watcher_that_leaves_takes_nothing_from_the_others(
    shared: Pages, reads: Reads
) -> None:
    leaving = asyncio.create_task(shared.next(STATE, LEVEL, ALICE))
    staying = asyncio.create_task(shared.next(STATE, LEVEL, BOB))
    await asyncio.sleep(0)  # both wait
    leaving.cancel()
    with suppress(asyncio.CancelledError):
        await leaving
    _, page, _ = await staying
    assert (1, True) == (reads.count, page.complete)


async def test_after_a_failure_the_next_one_tries_again(shared: Pages, reads: Reads) -> None:
    reads.fails = True
    for _ in range(2):
        with pytest.raises(Unavailable):
            await shared.next(STATE, LEVEL, ALICE)
    reads.fails = False
    _, page, _ = await shared.next(STATE, LEVEL, ALICE)
    assert (3, True) == (reads.count, page.complete)


async def test_what_is_kept_is_bounded(shared: Pages, reads: Reads) -> None:
    places = [msgspec.structs.replace(LEVEL, company=f"{n:03}") for n in range(SHARED_MAX + 1)]
    for place in places:
        await shared.next(STATE, place, ALICE)
    await shared.next(STATE, places[-1], ALICE)
    assert SHARED_MAX + 1 == reads.count
    await shared.next(STATE, places[0], ALICE)
    assert SHARED_MAX + 2 == reads.count
