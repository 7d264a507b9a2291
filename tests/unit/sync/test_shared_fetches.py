"""Fetching companies: who shares a request, and how many there may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from sidecar.sync.shared_fetches import REQUESTS_MAX, SharedFetches

LONG = 1_000.0


class SlowPlane:
    """Answers when it is told to. `asked`: the requests, in order; `most`: at once."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.most = 0
        self.has_them = True
        self._answers: list[asyncio.Future[None]] = []

    async def obtain(self, companies: Sequence[str]) -> bool:
        self.asked.append(list(companies))
        answer = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self.most = max(self.most, len(self._answers))
        await answer
        return self.has_them

    def answer(self) -> None:
        """Answer the oldest request, if there is one."""
        if self._answers:
            self._answers.pop(0).set_result(None)


async def rounds(count: int = 20) -> None:
    """Let everything happen that can."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_one_request_serves_all_who_wait_for_a_company() -> None:
    plane = SlowPlane()
    fetches = SharedFetches(plane.obtain, LONG)
    waiting = [
        asyncio.create_task(fetches.fetch(companies, None))
        for companies in (["acme", "hooli"], ["acme"], ["hooli", "globex"])
    ]

    await rounds()
    assert [["acme", "hooli"], ["globex"]] == plane.asked
    assert "acme" in fetches
    plane.answer()
    plane.answer()
    await asyncio.gather(*waiting)

    assert "acme" not in fetches


async def test_no_more_requests_than_there_may_be_and_all_get_their_turn() -> None:
    plane = SlowPlane()
    fetches = SharedFetches(plane.obtain, LONG)
    names = [f"company {number}" for number in range(2 * REQUESTS_MAX)]
    waiting = [asyncio.create_task(fetches.fetch([name], None)) for name in names]

    await rounds()
    assert REQUESTS_MAX == len(plane.asked)
    for _ in names:
        plane.answer()
        await rounds(5)
    await asyncio.gather(*waiting)

    assert [[name] for name in names] == plane.asked
    assert REQUESTS_MAX == plane.most


async def test_who_gives_up_takes_no_place_and_leaves_nothing_behind() -> None:
    plane = SlowPlane()
    fetches = SharedFetches(plane.obtain, LONG)
    first = [
        asyncio.create_task(fetches.fetch([f"first {number}"], None))
        for number in range(REQUESTS_MAX)
    ]
    await rounds()

    cancelled = [asyncio.create_task(fetches.fetch(["cancelled"], None)) for _ in range(5)]
    hasty = [asyncio.create_task(fetches.fetch(["hasty"], 0.0)) for _ in range(5)]
    await rounds()
    for task in cancelled:
        task.cancel()
    for task in cancelled:
        with suppress(asyncio.CancelledError):
            await task
    await asyncio.gather(*hasty)
    last = asyncio.create_task(fetches.fetch(["last"], None))
    await rounds()
    plane.answer()
    await rounds()

    assert ["last"] == plane.asked[-1]
    for _ in first:
        plane.answer()
    await asyncio.gather(*first, last)
    again = [asyncio.create_task(fetches.fetch([f"again {n}"], None)) for n in range(REQUESTS_MAX)]
    await rounds()
    assert 2 * REQUESTS_MAX + 1 == len(plane.asked)
    for _ in again:
        plane.answer()
    await asyncio.gather(*again)


@pytest.mark.parametrize("after", range(6))
async def test_place_of_someone_who_is_cancelled_goes_to_the_next(after: int) -> None:
    plane = SlowPlane()
    fetches = SharedFetches(plane.obtain, LONG)
    names = [f"first {number}" for number in range(REQUESTS_MAX)]
    first = [asyncio.create_task(fetches.fetch([name], None)) for name in names]
    await rounds()
    unlucky = asyncio.create_task(fetches.fetch(["unlucky"], None))
    last = asyncio.create_task(fetches.fetch(["last"], None))
    await rounds()

    plane.answer()
    await rounds(after)
    unlucky.cancel()
    for _ in range(REQUESTS_MAX + 1):
        await rounds()
        plane.answer()
    await asyncio.gather(*first, unlucky, last, return_exceptions=True)

    assert ["last"] == plane.asked[-1]
    assert REQUESTS_MAX == plane.most


async def test_plane_that_is_away_is_left_alone_until_it_is_back() -> None:
    plane = SlowPlane()
    plane.has_them = False
    fetches = SharedFetches(plane.obtain, LONG)
    waiting = asyncio.create_task(fetches.fetch(["acme"], None))
    await rounds()
    plane.answer()
    await waiting

    await fetches.fetch(["acme"], None)
    assert [["acme"]] == plane.asked
    fetches.resume()
    waiting = asyncio.create_task(fetches.fetch(["acme"], None))
    await rounds()
    plane.answer()
    await waiting

    assert [["acme"], ["acme"]] == plane.asked


async def test_removed_while_it_is_fetched_is_known_until_then() -> None:
    plane = SlowPlane()
    fetches = SharedFetches(plane.obtain, LONG)
    waiting = asyncio.create_task(fetches.fetch(["acme"], None))
    await rounds()

    fetches.note_outdated(["acme", "hooli"])
    assert {"acme"} == fetches.outdated
    plane.answer()
    await waiting
    await rounds()

    assert set() == fetches.outdated


async def test_a_caller_keeps_time_to_hear_what_is_counted_after_the_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float | None] = []

    async def wait(_: object, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        waits.append(timeout)

    monkeypatch.setattr(asyncio, "wait", wait)
    await SharedFetches(SlowPlane().obtain, LONG).fetch(["acme"], 4.0)
    (waited,) = waits
    assert waited is not None
    assert waited <= 3.0
