"""Connections that break the rules, come in thousands, do nothing, or end half-way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final, NamedTuple

import pytest
import pytest_asyncio

from sidecar.front import Bounds
from sidecar.front.errors import ErrorCode
from sidecar.front.frames import (
    CONTINUATION,
    END_HEADERS,
    FRAME_BYTES_MAX,
    HEADERS,
    PING,
    PREFACE,
    PUSH_PROMISE,
    SETTINGS_ENABLE_PUSH,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_FRAME_SIZE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine.messages import packed
from tests.support.front.peer import HELLO, call, data, headers
from tests.support.front.raw import Raw, raw
from tests.support.front.siege import (
    CHECK,
    HOSTILE_CHECK,
    STREAM,
    Siege,
    room_for_files,
    siege,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOUNDS: Final = Bounds()
HTTP_1: Final = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
TLS: Final = bytes.fromhex("16030100a5010000a1030345") + bytes(150)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def besieged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    room_for_files(3_000)
    async with siege(tmp_path_factory.mktemp("siege")) as found:
        yield found


class Fault(NamedTuple):
    """What a peer sends, and the GOAWAY that it hears."""

    sent: bytes
    code: int = ErrorCode.PROTOCOL_ERROR
    kind: str = "protocol_error"


FAULTS: Final[dict[str, Fault]] = {
    "HTTP/1.1": Fault(HTTP_1, kind="preface"),
    "TLS": Fault(TLS, kind="preface"),
    "no SETTINGS": Fault(PREFACE + frame(PING, 0, 0, bytes(8))),
    "frame too large": Fault(
        HELLO + frame(0xFA, 0, 0, bytes(FRAME_BYTES_MAX + 1)), ErrorCode.FRAME_SIZE_ERROR
    ),
    "window beyond its maximum": Fault(HELLO + window_update(0, 1), ErrorCode.FLOW_CONTROL_ERROR),
    "windows of streams beyond their maximum": Fault(
        HELLO
        + headers(1, STREAM)
        + window_update(1, 2**31 - 1 - 65_535)
        + settings({SETTINGS_INITIAL_WINDOW_SIZE: 65_536}),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    "initial window beyond its maximum": Fault(
        HELLO + settings({SETTINGS_INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR
    ),
    "impossible settings": Fault(
        HELLO + settings({SETTINGS_ENABLE_PUSH: 2, SETTINGS_MAX_FRAME_SIZE: 1})
    ),
    "PUSH_PROMISE": Fault(HELLO + frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4))),
    "even stream": Fault(HELLO + headers(2, CHECK)),
    "stream that goes back": Fault(
        HELLO + call(5, HOSTILE_CHECK, CHECK) + call(3, HOSTILE_CHECK, CHECK),
        ErrorCode.STREAM_CLOSED,
    ),
    "reset of an idle stream": Fault(HELLO + rst_stream(99, 8)),
    "CONTINUATION of nothing": Fault(HELLO + frame(CONTINUATION, END_HEADERS, 1, b"\x82")),
    "frame within a header block": Fault(
        HELLO + frame(HEADERS, 0, 1, b"\x82") + frame(PING, 0, 0, bytes(8))
    ),
    "index beyond the table": Fault(
        HELLO + frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\x7f"), ErrorCode.COMPRESSION_ERROR
    ),
    "integer without end": Fault(
        HELLO + frame(HEADERS, END_HEADERS, 1, b"\x7f" + b"\xff" * 1_000),
        ErrorCode.COMPRESSION_ERROR,
    ),
    "table beyond its maximum": Fault(
        HELLO + frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\xff\x03"), ErrorCode.COMPRESSION_ERROR
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_fault_ends_its_connection_and_nothing_else(besieged: Siege, name: str) -> None:
    fault = FAULTS[name]

    async def attack() -> None:
        async with raw(besieged.address, fault.sent) as peer:
            assert fault.code == await peer.ended()

    async with besieged.attacked(fault.kind):
        await besieged.storm(attack)


def halves() -> Iterator[bytes]:
    """Ways to stop half-way: at once, within a frame, within a call, with calls under way."""
    whole = HELLO + headers(1, STREAM) + call(3, HOSTILE_CHECK, CHECK)
    for at in (0, 3, len(PREFACE), len(HELLO), len(HELLO) + 20, len(whole) - 5, len(whole)):
        yield whole[:at]


@pytest.mark.parametrize("how", ["closed", "finished", "never heard"])
async def test_peers_that_end_half_way_leave_nothing_behind(besieged: Siege, how: str) -> None:
    async def attack() -> None:
        for half in halves():
            reads = how != "never heard"
            async with raw(besieged.address, half, reads=reads, buffer_bytes=4_096) as peer:
                if how == "closed":
                    continue
                with suppress(OSError):
                    peer.finish()
                if reads:
                    await peer.ended()

    async with besieged.attacked():
        await besieged.storm(attack)


async def test_connection_beyond_the_bound_is_closed_and_others_are_served(besieged: Siege) -> None:
    async with besieged.attacked("connections"):
        await besieged.holds_out()
        async with AsyncExitStack() as stack:
            peers = [
                await stack.enter_async_context(raw(besieged.address))
                for _ in range(BOUNDS.connections_max + 100)
            ]
            await besieged.holds_out()
            served = BOUNDS.connections_max - 1  # the honest client has one
            for peer in peers[served:]:
                assert None is await peer.ended()
            for peer in peers[:served]:
                assert await peer.send(call(1, HOSTILE_CHECK, CHECK))
            for peer in peers[:served]:
                assert 0 == (await peer.answered(1)).status


async def test_peers_that_use_up_the_descriptors_shut_nobody_out_who_is_there(
    tmp_path: Path,
) -> None:
    async with siege(tmp_path, descriptors_max=64) as besieged, besieged.attacked():
        await besieged.holds_out()
        async with AsyncExitStack() as stack:
            peers = [await stack.enter_async_context(raw(besieged.address)) for _ in range(100)]
            await peers[-1].ended()
            await besieged.holds_out()


async def test_stream_beyond_the_bound_is_refused(besieged: Siege) -> None:
    async with besieged.attacked("streams"), raw(besieged.address) as peer:
        numbers = range(1, 2 * BOUNDS.streams_max + 200, 2)
        await peer.send(*(headers(number, STREAM) for number in numbers))
        beyond = numbers[BOUNDS.streams_max :]
        await peer.until(lambda peer: len(peer.ends) == len(beyond), "not enough are refused")
        assert set(beyond) == peer.ends
        assert {ErrorCode.REFUSED_STREAM} == {answer.reset for answer in peer.answers().values()}
        await besieged.holds_out()


async def test_streams_beyond_all_that_there_may_be_are_refused_and_others_answered(
    besieged: Siege,
) -> None:
    per_connection = BOUNDS.streams_max - 1
    connections = BOUNDS.streams_in_all_max // per_connection + 2
    async with besieged.attacked("streams"), AsyncExitStack() as stack:
        peers: list[Raw] = []
        for _ in range(connections):
            peer = await stack.enter_async_context(raw(besieged.address))
            # A request that lacks its last byte.
            half = data(0, packed(HOSTILE_CHECK), end=False)[9:-1]
            await peer.send(
                *(
                    headers(number, CHECK) + data(number, half, end=False)
                    for number in range(1, 2 * per_connection, 2)
                )
            )
            peers.append(peer)
        await peers[-1].until(lambda peer: bool(peer.ends), "no stream is refused")
        await besieged.holds_out()
