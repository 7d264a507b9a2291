"""What a daemon stands on, watched: its files, and the Unix sockets that it listens on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sidecar.shared.host.listening import CannotListen
from sidecar.shared.host.server import GrpcServer
from sidecar.shared.ops.health import Health

LOOK_SECONDS: Final = 0.25
_SOCKET: Final = "socket"

log = structlog.get_logger(__name__)


class GroundLost(Exception):
    """What a daemon stands on was deleted or replaced: it must end, and touch nothing by its path.

    The text is for people.
    """


async def ground_lost(lost: Callable[[], str]) -> str:
    """Wait until a daemon's files are no longer where they were; what has happened."""
    while not (reason := lost()):  # noqa: ASYNC110 - file systems tell nobody
        await asyncio.sleep(LOOK_SECONDS)
    return reason


async def keep_sockets(server: GrpcServer, health: Health) -> None:
    """Bind Unix sockets again that were deleted, for ever.

    Not ready while that cannot be done, as where another process has taken the path.
    """
    held = ""
    while True:
        try:
            bound = await server.listen_again()
            reason = ""
        except CannotListen as error:
            bound, reason = [], str(error)
        for path in bound:
            log.warning("socket.bound_again", path=path)
        if reason and not held:
            log.error("socket.lost", error=reason)
            health.hold(_SOCKET, reason)
        elif held and not reason:
            log.info("socket.back")
            health.release(_SOCKET)
        held = reason
        await asyncio.sleep(LOOK_SECONDS)
