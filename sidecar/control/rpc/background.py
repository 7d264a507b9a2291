"""Background work in steps: small ones, apart from each other, so that calls go on between them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from sidecar.domain.errors import TallydError, Unavailable

IDLE_S: Final = 1.0
PAUSE_S: Final = 0.02

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
