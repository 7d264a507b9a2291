"""Background work in steps: small ones, apart from each other, so that calls go on between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from sidecar.domain.errors import TallydError, Unavailable

IDLE_S: Final = 1.0
PAUSE_S: Final = 0.02
ROUND_S: Final = 10.0
"""A round begins so long after the one before began, or later where that took longer."""
REST_SHARE: Final = 9
REST_S_MAX: Final = 5.0
"""After each page of a round it rests nine times as long as it took, but no longer."""

_log = structlog.get_logger(__name__)


async def in_steps(step: Callable[[], Awaitable[bool]], failure: str) -> None:
    """Take steps until cancelled; each says whether there is more to do.

    One that fails is logged as `failure`, and tried again a while later.
    """
    while True:
        try:
            more = await step()
        except Unavailable:
            more = False  # told as a trouble of the database
        except TallydError as error:
            _log.warning(failure, error=str(error))
            more = False
        await asyncio.sleep(PAUSE_S if more else IDLE_S)


async def in_rounds(
    page: Callable[[], Awaitable[None]], is_under_way: Callable[[], bool], failure: str
) -> None:
    """Look at a page of many at a time, from the first to the last, round by round.

    Until cancelled. `is_under_way`: whether a round has pages left. `failure`: see `in_steps`.
    """
    due_s = 0.0

    async def step() -> bool:
        nonlocal due_s
        began_s = time.monotonic()
        if not is_under_way():
            if began_s < due_s:
                return False
            due_s = began_s + ROUND_S
        await page()
        await asyncio.sleep(min((time.monotonic() - began_s) * REST_SHARE, REST_S_MAX))
        return is_under_way()

    await in_steps(step, failure)
