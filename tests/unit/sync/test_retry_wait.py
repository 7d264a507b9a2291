"""The wait after a failure: over early once the plane can be reached, and not again and again."""

from __future__ import annotations

import asyncio

from sidecar.domain.time.units import HOUR_US
from sidecar.shared.backoff import Backoff
from sidecar.sync.retry_wait import RetryWait
from tests.support.processes import until


async def is_over(wait: RetryWait) -> bool:
    """Whether a wait ends though hours are left; turns of the loop are given to it."""
    resting = asyncio.create_task(wait.rest())
    for _ in range(10):
        await asyncio.sleep(0)
    done = resting.done()
    resting.cancel()
    await asyncio.gather(resting, return_exceptions=True)
    return done


def hours() -> RetryWait:
    return RetryWait(Backoff(lambda: 0.5, first_us=HOUR_US, ceiling_us=HOUR_US))


async def test_a_connection_ends_the_wait() -> None:
    wait = hours()
    resting = asyncio.create_task(wait.rest())
    await asyncio.sleep(0)
    assert wait.connected()

    async def over() -> bool:
        return resting.done()

    await until(over, "the wait goes on")


async def test_a_connection_that_came_before_the_wait_ends_it_too() -> None:
    wait = hours()
    assert wait.connected()
    assert await is_over(wait)


async def test_connections_without_a_success_end_one_wait_only() -> None:
    wait = hours()
    assert [True, False] == [wait.connected(), wait.connected()]
    assert await is_over(wait)
    assert not wait.connected()
    assert not await is_over(wait)
    wait.succeeded()
    assert wait.connected()
    assert await is_over(wait)


async def test_without_a_connection_the_wait_ends_by_itself() -> None:
    await RetryWait(Backoff(lambda: 0.5, first_us=1, ceiling_us=1)).rest()
