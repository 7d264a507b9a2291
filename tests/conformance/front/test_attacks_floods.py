"""Floods of frames that cost a server more than its peer: each ends the connection it comes on.

Meanwhile others are answered, and memory stays where it is. Rapid reset is CVE-2023-44487, making
the server reset CVE-2025-8671, CONTINUATION without end CVE-2024-27316; the rest are of 2019 (9511
to 9518) and 2020 (11080), and what befell other servers since.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final, NamedTuple

import pytest
import pytest_asyncio

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.front.errors import ErrorCode
from sidecar.front.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MAX,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    SETTING,
    SETTINGS,
    SETTINGS_ACK,
    frame,
    goaway,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine.messages import packed
from tests.support.front.peer import (
    HELLO,
    WINDOW_GROWN,
    call,
    data,
    headers,
    literal_block,
    request_fields,
)
from tests.support.front.raw import raw
from tests.support.front.siege import CHECK, ENFORCEMENT, HOSTILE_CHECK, STREAM, Siege, siege

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRAMES_MAX: Final = 60_000
WATCH: Final = f"{ENFORCEMENT}/WatchEntitlements"
WATCHED: Final = pb.WatchEntitlementsRequest(company="mallory").SerializeToString()
GREASE: Final = 0x0B
PRIORITY_UPDATE: Final = 0x10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def besieged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    async with siege(tmp_path_factory.mktemp("siege")) as found:
        yield found


class Flood(NamedTuple):
    """Frames without end. kind: what is counted; start: what comes first; make: the nth of them."""

    kind: str
    make: Callable[[int], bytes]
    start: bytes = b""


def stream_id(at: int) -> int:
    """The nth stream of a client, after the first."""
    return 2 * at + 3


def block(*, depends_on: int | None = None, path: str = CHECK) -> bytes:
    """A request's header block, after what it depends on."""
    fields = literal_block(request_fields(path))
    return fields if depends_on is None else depends_on.to_bytes(4) + b"\0" + fields


OPEN: Final = headers(1, STREAM)
"""A stream that stays open."""
ENDED: Final = call(1, HOSTILE_CHECK, CHECK)
"""A stream that is over."""
EARLY: Final = headers(1, "/no.Such/Method")
"""A stream that was answered before its request had come to its end."""

FLOODS: Final[dict[str, Flood]] = {
    "PING": Flood("ping_flood", lambda _: frame(PING, 0, 0, bytes(8))),
    "PING acknowledged unasked": Flood("ping_flood", lambda _: frame(PING, ACK, 0, bytes(8))),
    "SETTINGS": Flood("settings_flood", lambda at: settings({4: 1_000 + at})),
    "SETTINGS acknowledged unasked": Flood("settings_flood", lambda _: SETTINGS_ACK),
    "SETTINGS of thousands": Flood(
        "settings_flood",
        lambda _: frame(SETTINGS, 0, 0, SETTING.pack(GREASE, 1) * (FRAME_BYTES_MAX // 6)),
    ),
    "WINDOW_UPDATE of the connection": Flood("window_update_flood", lambda _: window_update(0, 1)),
    "WINDOW_UPDATE of a stream": Flood("window_update_flood", lambda _: window_update(1, 1), OPEN),
    "WINDOW_UPDATE of a closed stream": Flood(
        "window_update_flood", lambda _: window_update(1, 1), ENDED
    ),
    "PRIORITY": Flood("priority_flood", lambda at: frame(PRIORITY, 0, stream_id(at), bytes(5))),
    "unknown": Flood("unknown_frame_flood", lambda _: frame(GREASE, 7, 0, b"")),
    "unknown and large": Flood(
        "unknown_frame_flood", lambda _: frame(0xFA, 0, 1, bytes(FRAME_BYTES_MAX)), OPEN
    ),
    "PRIORITY_UPDATE": Flood(
        "unknown_frame_flood", lambda _: frame(PRIORITY_UPDATE, 0, 0, b"1234")
    ),
    "GOAWAY": Flood("goaway_flood", lambda _: goaway(0, 0)),
    "empty DATA": Flood("empty_frame_flood", lambda _: data(1, b"", end=False), OPEN),
    "DATA of padding": Flood(
        "empty_frame_flood", lambda _: frame(DATA, PADDED, 1, bytes([9]) + bytes(9)), OPEN
    ),
    "empty HEADERS": Flood(
        "empty_frame_flood",
        lambda at: (
            frame(HEADERS, 0, stream_id(at))
            + frame(CONTINUATION, END_HEADERS, stream_id(at), block())
            + data(stream_id(at), packed(HOSTILE_CHECK))
        ),
    ),
    "empty CONTINUATION": Flood(
        "header_block", lambda _: frame(CONTINUATION, 0, 3), frame(HEADERS, 0, 3, block())
    ),
    "small CONTINUATION": Flood(
        "header_block", lambda _: frame(CONTINUATION, 0, 3, b"\x82"), frame(HEADERS, 0, 3, block())
    ),
    "large CONTINUATION": Flood(
        "header_block",
        lambda _: frame(CONTINUATION, 0, 3, bytes(FRAME_BYTES_MAX)),
        frame(HEADERS, 0, 3, bytes(FRAME_BYTES_MAX)),
    ),
    "rapid reset": Flood(
        "rapid_reset",
        lambda at: headers(stream_id(at), CHECK) + rst_stream(stream_id(at), 8),
    ),
    "rapid reset of whole calls": Flood(
        "rapid_reset",
        lambda at: call(stream_id(at), HOSTILE_CHECK, CHECK) + rst_stream(stream_id(at), 8),
    ),
    "rapid reset of streams": Flood(
        "rapid_reset",
        lambda at: headers(stream_id(at), STREAM) + rst_stream(stream_id(at), 8),
    ),
    "reset again and again": Flood("rapid_reset", lambda _: rst_stream(1, 8), ENDED),
    "made to reset by WINDOW_UPDATE of nothing": Flood(
        "rapid_reset",
        lambda at: headers(stream_id(at), STREAM) + window_update(stream_id(at), 0),
    ),
    "made to reset by a window beyond its maximum": Flood(
        "rapid_reset",
        lambda at: headers(stream_id(at), STREAM) + window_update(stream_id(at), 2**31 - 1),
    ),
    "made to reset by PRIORITY of a wrong length": Flood(
        "priority_flood",
        lambda at: headers(stream_id(at), STREAM) + frame(PRIORITY, 0, stream_id(at), bytes(4)),
    ),
    "made to reset by a stream that depends on itself": Flood(
        "rapid_reset",
        lambda at: frame(
            HEADERS,
            END_HEADERS | HAS_PRIORITY,
            stream_id(at),
            block(depends_on=stream_id(at), path=STREAM),
        ),
    ),
    "made to reset by DATA after the end": Flood(
        "rapid_reset",
        lambda at: (
            frame(HEADERS, END_HEADERS | END_STREAM, stream_id(at), block(path=STREAM))
            + data(stream_id(at), b"x")
        ),
    ),
    "made to reset by malformed requests": Flood(
        "rapid_reset", lambda at: headers(stream_id(at), CHECK, [("Upper", "case")])
    ),
    "made to reset by a wrong content-length": Flood(
        "rapid_reset",
        lambda at: (
            headers(stream_id(at), CHECK, [("content-length", "1")])
            + data(stream_id(at), packed(HOSTILE_CHECK))
        ),
    ),
    "DATA of streams that are over": Flood(
        "late_frames", lambda _: data(1, b"x", end=False), EARLY
    ),
    "trailers of streams that are over": Flood(
        "late_frames",
        lambda _: frame(HEADERS, END_HEADERS | END_STREAM, 1, literal_block([("a", "b")])),
        EARLY,
    ),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_flood_ends_its_connection_and_nothing_else(besieged: Siege, name: str) -> None:
    flood = FLOODS[name]

    def frames() -> Iterator[bytes]:
        yield HELLO.removesuffix(WINDOW_GROWN) + flood.start
        for at in range(FRAMES_MAX):
            yield flood.make(at)

    async def attack() -> None:
        async with raw(besieged.address, b"") as peer:
            await peer.flood(frames())
            assert ErrorCode.ENHANCE_YOUR_CALM == await peer.ended()

    async with besieged.attacked(flood.kind):
        await besieged.storm(attack)
