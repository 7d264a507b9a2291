"""Peers that want a sidecar's memory: what they send, what they do not take, what they unpack to.

A front that took what it is sent would need gigabytes for each of these.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Final, NamedTuple

import pytest
import pytest_asyncio
from grpc_reflection.v1alpha import reflection_pb2

from sidecar.front.frames import (
    END_HEADERS,
    FRAME_BYTES_MAX,
    HEADERS,
    PREFACE,
    SETTINGS_ACK,
    SETTINGS_INITIAL_WINDOW_SIZE,
    frame,
    header_frames,
    settings,
)
from sidecar.front.machine.messages import PREFIX, packed
from tests.support.front.bombs import gzip_bomb, gzip_of_nothing, reference_bomb
from tests.support.front.peer import HELLO, data, headers, literal_block, request_fields
from tests.support.front.raw import Raw, raw
from tests.support.front.siege import CHECK, ENFORCEMENT, MIB, STREAM, Siege, siege

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAMS: Final = 256
BATCH: Final = f"{ENFORCEMENT}/BatchCheckAndIncrement"
GZIP: Final = (("grpc-encoding", "gzip"),)
REFLECTION: Final = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
QUESTION: Final = reflection_pb2.ServerReflectionRequest(
    file_containing_symbol=STREAM[1:].partition("/")[0]
).SerializeToString()
"""The answer is some hundred times as long."""
NO_WINDOW: Final = PREFACE + settings({SETTINGS_INITIAL_WINDOW_SIZE: 0}) + SETTINGS_ACK
WIDE: Final = HELLO + settings({SETTINGS_INITIAL_WINDOW_SIZE: 2**31 - 1})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def besieged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    async with siege(tmp_path_factory.mktemp("siege")) as found:
        yield found


class Hoard(NamedTuple):
    """What each of many connections sends, and then leaves as it is.

    kinds: what is counted. parts: what is sent, each part once the one before was taken. most:
    connections in the long run.
    """

    kinds: Sequence[str]
    parts: Callable[[], Iterator[bytes]]
    hello: bytes = HELLO
    reads: bool = True
    most: int = 100


def ids(count: int) -> range:
    """Numbers of streams."""
    return range(1, 2 * count + 1, 2)


def cut(content: bytes, stream_id: int, *, end: bool = False) -> Iterator[bytes]:
    """Content in DATA frames of the largest size."""
    for at in range(0, len(content), FRAME_BYTES_MAX):
        yield data(stream_id, content[at : at + FRAME_BYTES_MAX], end=False)
    if end:
        yield data(stream_id, b"")


def reference_bombs() -> Iterator[bytes]:
    """A long field, and then heads that say it again and again, a byte a time."""
    first, bomb = reference_bomb(STREAM, 3_000, 15_000)
    yield header_frames(1, first, end_stream=False)
    for number in ids(STREAMS)[1:]:
        yield header_frames(number, bomb, end_stream=False)


def modest_bombs(path: str) -> Iterator[bytes]:
    """Heads just below what is too large, each a byte a field."""
    for number in ids(STREAMS):
        fields = literal_block(request_fields(path, [(f"x-{number}", f"{number}")]))
        yield frame(HEADERS, END_HEADERS, number, fields + b"\x90" * 250)


def half_messages() -> Iterator[bytes]:
    """Messages of 4 MiB that lack their last byte."""
    for number in ids(8):
        yield headers(number, BATCH)
        yield data(number, PREFIX.pack(0, 4 * MIB), end=False)
        yield from cut(bytes(4 * MIB - 1), number)


def endless_messages() -> Iterator[bytes]:
    """Messages that are longer than any may be."""
    for number in ids(STREAMS):
        yield headers(number, BATCH) + data(number, PREFIX.pack(0, 2**32 - 1), end=False)


def compressed(content: bytes) -> Callable[[], Iterator[bytes]]:
    """Calls with compressed content."""

    def parts() -> Iterator[bytes]:
        for number in ids(20):
            yield headers(number, BATCH, GZIP)
            yield from cut(PREFIX.pack(1, len(content)) + content, number, end=True)

    return parts


def tiny_messages() -> Iterator[bytes]:
    """Checks without content on streams whose answers are not taken."""
    for number in ids(20):
        yield headers(number, STREAM) + data(number, packed(b"") * 3_000, end=False)


def long_answers() -> Iterator[bytes]:
    """Short questions with long answers."""
    for number in ids(STREAMS):
        yield headers(number, REFLECTION) + data(number, packed(QUESTION) * 20, end=False)


HOARDS: Final[dict[str, Hoard]] = {
    "heads that refer to themselves": Hoard(["header_list"], reference_bombs),
    "large heads of calls": Hoard([], lambda: modest_bombs(CHECK)),
    "large heads of streams": Hoard([], lambda: modest_bombs(STREAM)),
    "half messages": Hoard(["received_bytes"], half_messages),
    "endless messages": Hoard(["message_bytes"], endless_messages),
    "gzip bombs": Hoard(["message_bytes"], compressed(gzip_bomb(1_000 * MIB)), most=20),
    "gzip of nothing": Hoard([], compressed(gzip_of_nothing(10_000)), most=20),
    "tiny messages": Hoard([], tiny_messages, NO_WINDOW, most=50),
    "no windows": Hoard(["queued_bytes"], long_answers, NO_WINDOW),
    "a window of a byte": Hoard(
        ["queued_bytes"],
        long_answers,
        PREFACE + settings({SETTINGS_INITIAL_WINDOW_SIZE: 1}) + SETTINGS_ACK,
    ),
    "nobody reads": Hoard([], long_answers, WIDE, reads=False, most=900),
}


@pytest.mark.parametrize(
    "many", [pytest.param(False, id="few"), pytest.param(True, id="many", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", HOARDS)
async def test_memory_is_bounded_whatever_peers_hoard(
    besieged: Siege, name: str, many: bool
) -> None:
    hoard = HOARDS[name]
    async with besieged.attacked(*hoard.kinds), AsyncExitStack() as stack:
        for _ in range(hoard.most if many else 4):
            peer = await stack.enter_async_context(
                raw(besieged.address, hoard.hello, reads=hoard.reads, buffer_bytes=4_096)
            )
            await fill(peer, hoard)
        await besieged.holds_out()


async def fill(peer: Raw, hoard: Hoard) -> None:
    """Send what a hoard consists of, as far as it is taken."""
    if hoard.reads:
        await peer.flood(hoard.parts())
        return
    for part in hoard.parts():
        if peer.push(part) < len(part):
            return
