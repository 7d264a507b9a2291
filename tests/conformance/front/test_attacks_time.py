"""Peers who take their time, on a sidecar with the bounds that it has in earnest."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import pytest

from sidecar.front import Bounds
from sidecar.front.errors import ErrorCode
from sidecar.front.frames import (
    CONTINUATION,
    HEADERS,
    PREFACE,
    SETTINGS_ACK,
    SETTINGS_INITIAL_WINDOW_SIZE,
    frame,
    settings,
)
from tests.support.front.peer import HELLO, call, data, headers
from tests.support.front.raw import Raw, raw
from tests.support.front.siege import CHECK, HOSTILE_CHECK, STREAM, siege

CONNECTIONS: Final = 25
DRIP_SECONDS: Final = 2.0
NO_WINDOW: Final = PREFACE + settings({SETTINGS_INITIAL_WINDOW_SIZE: 0}) + SETTINGS_ACK
SLOW: Final[dict[bytes, int]] = {
    b"": ErrorCode.SETTINGS_TIMEOUT,
    PREFACE[:9]: ErrorCode.SETTINGS_TIMEOUT,
    PREFACE + settings({}): ErrorCode.SETTINGS_TIMEOUT,
    HELLO + frame(HEADERS, 0, 1, b"\x82"): ErrorCode.ENHANCE_YOUR_CALM,
    HELLO + call(1, HOSTILE_CHECK, CHECK)[:20]: ErrorCode.ENHANCE_YOUR_CALM,
    HELLO + headers(1, STREAM): ErrorCode.NO_ERROR,
}
"""What is sent, before nothing comes, and the GOAWAY that it leads to."""
STOPPED: Final = {
    HELLO: headers(1, CHECK),
    HELLO + SETTINGS_ACK: headers(1, CHECK) + data(1, bytes(4), end=False),
    NO_WINDOW: call(1, HOSTILE_CHECK, CHECK),
}
"""Streams that are stopped, and whose connection is kept."""


@pytest.mark.slow
async def test_nobody_has_a_place_for_ever(tmp_path: Path) -> None:
    kinds = ("slow_preface", "slow_headers", "slow_frame", "slow_request", "stalled_output")
    async with (
        siege(tmp_path) as besieged,
        besieged.attacked(*kinds, "keepalive"),
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CONNECTIONS):
            for sent, code in SLOW.items():
                slow = await stack.enter_async_context(raw(besieged.address, sent))
                group.create_task(ends(slow, code))
            for hello, sent in STOPPED.items():
                peer = await stack.enter_async_context(raw(besieged.address, hello))
                await peer.send(sent)
                group.create_task(stops(peer))
            dripping = await stack.enter_async_context(raw(besieged.address))
            group.create_task(drips(dripping))
        await besieged.holds_out()


async def ends(peer: Raw, code: int) -> None:
    """Wait for the end of a connection."""
    assert code == await peer.ended()


async def stops(peer: Raw) -> None:
    """Wait for the end of a stream."""
    await peer.answered(1)
    assert not peer.over.is_set()


async def drips(peer: Raw) -> None:
    """Send a header block a byte at a time: its time counts from its beginning."""
    await peer.send(frame(HEADERS, 0, 1, b"\x82"))
    for _ in range(Bounds().continuations_max):
        if not await peer.send(frame(CONTINUATION, 0, 1, b"\x86")):
            break
        await asyncio.sleep(DRIP_SECONDS)
    assert ErrorCode.ENHANCE_YOUR_CALM == peer.goaway
