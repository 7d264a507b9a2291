"""Who watches what, and what wakes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

import pytest

from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.directory import Directory
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.watch_position import WatchPosition
from sidecar.watch.watchlist import Watch, Watchlist
from tests.support.build import catalog, catalog_snapshot, company, counter_ref, limit, total
from tests.support.stores import MemoryDisk, OpenedStore

SOON: Final = 0.01
LATE: Final = 10.0
CALLS: Final = total(counter_ref(limit()), 5, 2, 1)


def snapshot(name: str) -> CompanySnapshot:
    return compile_snapshot(company(name), 1)


async def taken(watch: Watch) -> set[str] | None:
    """What a watch is woken for; fails where it is not."""
    assert await watch.woken(LATE)
    return watch.take()


async def test_a_watch_is_woken_for_its_company_alone() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as acme, watchlist.watching("globex") as globex:
        watchlist.touch("acme", "calls")
        watchlist.touch("hooli", "calls")
        assert {"calls"} == await taken(acme)
        assert not await globex.woken(SOON)


async def test_everyone_who_watches_a_company_is_woken() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as one, watchlist.watching("acme") as other:
        watchlist.touch("acme", "calls")
        assert [{"calls"}, {"calls"}] == [await taken(one), await taken(other)]


async def test_one_who_waits_already_is_woken() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as watch:
        waiting = asyncio.create_task(watch.woken(LATE))
        await asyncio.sleep(0)
        assert not waiting.done()
        watchlist.touch("acme")
        assert await waiting


async def test_wake_ups_are_one_until_they_are_taken() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as watch:
        for feature in ("calls", "tokens", "calls"):
            watchlist.touch("acme", feature)
        assert {"calls", "tokens"} == await taken(watch)
        assert not await watch.woken(SOON)
        assert set() == watch.take()
        watchlist.touch("acme", "tokens")
        assert {"tokens"} == await taken(watch)


async def test_what_is_remembered_is_bounded() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as watch:
        for n in range(100):
            watchlist.touch("acme", f"f{n}")
        touched = await taken(watch)
        assert touched is not None
        assert 100 == len(touched)
        for n in range(101):
            watchlist.touch("acme", f"f{n}")
        assert await taken(watch) is None
        assert set() == watch.take()


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        pytest.param(lambda w: w.touch("acme"), None, id="the-company"),
        pytest.param(lambda w: w.touch_all(), None, id="all-companies"),
        pytest.param(lambda w: w.heard([CALLS]), {"calls"}, id="a-total"),
        pytest.param(
            lambda w: w.applied(SnapshotChanges(companies=[snapshot("acme")])), None, id="snapshot"
        ),
        pytest.param(lambda w: w.applied(SnapshotChanges(removed=["acme"])), None, id="removal"),
        pytest.param(
            lambda w: w.applied(SnapshotChanges(catalog_snapshot(catalog({})))), None, id="catalog"
        ),
    ],
)
async def test_news_say_what_they_touch(
    act: Callable[[Watchlist], None], expected: set[str] | None
) -> None:
    watchlist = Watchlist(10)
    act(watchlist)  # while nobody watches, there is nobody to wake
    with watchlist.watching("acme") as watch:
        assert not await watch.woken(SOON)
        act(watchlist)
        assert expected == await taken(watch)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(SnapshotChanges(companies=[snapshot("globex")]), id="another-company"),
        pytest.param(SnapshotChanges(position=WatchPosition("epoch", 7)), id="the-position-alone"),
    ],
)
async def test_other_news_wake_nobody(changes: SnapshotChanges) -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as watch:
        watchlist.applied(changes)
        watchlist.heard([])
        assert not await watch.woken(SOON)


async def test_it_is_false_and_holds_nothing_once_nobody_watches() -> None:
    watchlist = Watchlist(10)
    assert (False, 0, False) == (bool(watchlist), len(watchlist), "acme" in watchlist)
    with watchlist.watching("acme"):
        with watchlist.watching("acme"):
            assert (True, 2, True) == (bool(watchlist), len(watchlist), "acme" in watchlist)
        assert (True, 1, True) == (bool(watchlist), len(watchlist), "acme" in watchlist)
    assert (False, 0, False) == (bool(watchlist), len(watchlist), "acme" in watchlist)


async def test_watches_are_bounded_and_one_that_ends_makes_room() -> None:
    watchlist = Watchlist(2)
    with ExitStack() as held:
        held.enter_context(watchlist.watching("acme"))
        with watchlist.watching("globex"):
            with pytest.raises(Exhausted) as caught, watchlist.watching("acme"):
                pass
            assert "TOO_MANY_WATCHES" == caught.value.reason
        held.enter_context(watchlist.watching("acme"))
        assert 2 == len(watchlist)


async def test_closing_ends_every_watch_and_lets_none_begin() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme") as waiting, watchlist.watching("globex") as idle:
        wait = asyncio.create_task(waiting.woken(LATE))
        await asyncio.sleep(0)
        watchlist.close()
        for ended in (wait, asyncio.create_task(idle.woken(LATE))):
            with pytest.raises(Unavailable):
                await ended
        # What was taken just before does not make it forget.
        idle.take()
        with pytest.raises(Unavailable):
            await idle.woken(LATE)
        with pytest.raises(Unavailable), watchlist.watching("hooli"):
            pass


def test_a_watched_company_is_followed_and_kept_though_it_is_not_used() -> None:
    opened = OpenedStore(MemoryDisk())
    watchlist = Watchlist(10)
    held = CompanyCache(opened.snapshots, 2)
    directory = Directory(opened.snapshots, 2, company_cache=held, watched=watchlist)
    directory.apply(SnapshotChanges(catalog_snapshot(catalog({"basic": []}))))
    with watchlist.watching("watched"):
        assert directory.follows("watched")
        for name in ("watched", "a", "b", "c"):
            directory.apply(SnapshotChanges(companies=[snapshot(name)]))
        assert ["c", "watched"] == opened.snapshots.company_ids("", 10)
    directory.apply(SnapshotChanges(companies=[snapshot("d")]))
    assert ["c", "d"] == opened.snapshots.company_ids("", 10)
    assert not directory.follows("watched")


async def test_one_who_watches_by_another_id_is_woken_as_the_others_are() -> None:
    watchlist = Watchlist(10)
    with watchlist.watching("acme-inc") as watch:
        assert "acme" not in watchlist
        watchlist.note_called("acme-inc", "acme")
        assert "acme" in watchlist
        watchlist.touch("acme", "calls")
        assert {"calls"} == await taken(watch)
        watchlist.note_called("acme-inc", "acme-inc")
        watchlist.touch("acme", "calls")
        assert not await watch.woken(SOON)
        watchlist.note_called("acme-inc", "acme")
    assert "acme" not in watchlist


async def test_one_who_watches_by_an_id_that_was_nobodys_is_woken_by_a_rename() -> None:
    watchlist = Watchlist(10)
    renamed = CompanySnapshot("acme", 2, names=("acme-inc",))
    with watchlist.watching("acme-inc") as watch:
        watchlist.applied(SnapshotChanges(companies=[renamed]))
        assert await taken(watch) is None
