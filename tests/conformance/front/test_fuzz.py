"""Half a minute of mutilated conversations: the machine survives all of them, and keeps nothing.

What ends a connection is a protocol error that the machine knows of; it never raises. The seed is
printed, and so is that of an input which is not survived.
"""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

import hpack
import pytest

from sidecar.front.bounds import Bounds
from sidecar.front.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_HEAD_BYTES,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS_ACK,
    SETTINGS_HEADER_TABLE_SIZE,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_FRAME_SIZE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine.messages import packed
from sidecar.front.machine.phases import Phase
from sidecar.front.methods import bidi_stream, client_stream, server_stream, unary
from tests.support.front.peer import ECHO, Peer, echo, request_fields
from tests.support.seeds import seeded

SECONDS: Final = 30.0
INPUTS_MAX: Final = 400_000
SLOW: Final = "/test.Service/Slow"
STREAM: Final = "/test.Service/Stream"
MANY: Final = "/test.Service/Many"
TAKEN: Final = "/test.Service/Taken"
PATHS: Final = (ECHO, ECHO, ECHO, SLOW, STREAM, MANY, TAKEN, "/test.Service/None", "no path")
FRAMES_MAX: Final = 24
ODD_FIELDS: Final = (
    ("grpc-timeout", "5S"),
    ("grpc-timeout", "1n"),
    ("grpc-timeout", "x"),
    ("grpc-encoding", "gzip"),
    ("grpc-encoding", "snappy"),
    ("x-id", "1"),
    ("x-bin", "AA"),
    ("x-bin", "%"),
    ("content-length", "7"),
    ("connection", "close"),
)


def peer() -> Peer:
    methods = {
        ECHO: echo(),
        SLOW: unary(lambda _: None),
        STREAM: bidi_stream(lambda requests, _: requests),
        MANY: server_stream(lambda _request, _: _never_run()),
        TAKEN: client_stream(lambda _requests, _: _never_answered()),
    }
    return Peer(methods, Bounds(calls_per_turn=5, work_per_turn=60), hello=b"")


async def _never_run() -> AsyncIterator[bytes]:
    yield b""


async def _never_answered() -> bytes:
    return b""


def call_frames(rng: random.Random, encoder: hpack.Encoder, number: int) -> list[bytes]:
    """The frames of a call, spelt in one of many ways."""
    more = [rng.choice(ODD_FIELDS) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    block = encoder.encode(request_fields(rng.choice(PATHS), more), huffman=rng.random() < 0.5)
    content = packed(rng.randbytes(rng.choice((0, 5, 60, 60, 3_000, 20_000))))
    frames = []
    if rng.random() < 0.8:
        frames.append(frame(HEADERS, END_HEADERS, number, block))
    else:
        cut = rng.randrange(len(block) + 1)
        frames += [
            frame(HEADERS, 0, number, block[:cut]),
            frame(9, END_HEADERS, number, block[cut:]),
        ]
    if rng.random() < 0.2:
        frames.append(window_update(0, rng.choice((1, 100, 2**31 - 1))))
    size = rng.choice((16_384, 16_384, 700, 20_000))
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    for piece in pieces:
        flags = END_STREAM if piece is pieces[-1] and rng.random() < 0.9 else 0
        frames.append(frame(DATA, flags, number, piece))
    if rng.random() < 0.15:
        frames.append(rst_stream(number, rng.randrange(16)))
    return frames


def control_frame(rng: random.Random) -> bytes:
    """A frame of a connection."""
    kinds: Sequence[Callable[[], bytes]] = (
        lambda: frame(PING, rng.choice((0, 1)), 0, bytes(8)),
        lambda: frame(PRIORITY, 0, rng.randrange(9), bytes(5)),
        lambda: frame(rng.randrange(256), rng.randrange(256), rng.randrange(9), rng.randbytes(9)),
        lambda: settings({SETTINGS_INITIAL_WINDOW_SIZE: rng.choice((0, 10, 100_000, 2**31))}),
        lambda: settings({SETTINGS_HEADER_TABLE_SIZE: rng.choice((0, 100, 4096))}),
        lambda: settings({SETTINGS_MAX_FRAME_SIZE: rng.choice((16_384, 1, 2**24 - 1))}),
        lambda: SETTINGS_ACK,
        lambda: window_update(rng.randrange(9), rng.choice((0, 1, 2**31 - 1))),
        lambda: frame(7, 0, 0, bytes(8)),
    )
    return rng.choice(kinds)()


def conversation(rng: random.Random) -> list[bytes]:
    """Frames of a client that mostly keeps to the rules."""
    encoder = hpack.Encoder()
    if rng.random() < 0.5:
        encoder.header_table_size = 0
    frames = [PREFACE + settings({})]
    for number in range(1, 2 * rng.randrange(1, FRAMES_MAX) + 1, 2):
        if rng.random() < 0.3:
            frames.append(control_frame(rng))
        frames += call_frames(rng, encoder, number)
    return frames


def mutilated(rng: random.Random, frames: list[bytes]) -> bytes:
    """The same with a few accidents: frames that move, go or come twice, and bytes that change."""
    frames = list(frames)
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        at, other = rng.randrange(len(frames)), rng.randrange(len(frames))
        kind = rng.randrange(6)
        if kind == 0:
            frames[at], frames[other] = frames[other], frames[at]
        elif kind == 1:
            frames.insert(at, frames[other])
        elif kind == 2 and len(frames) > 1:
            del frames[at]
        elif frames[at]:
            damaged = bytearray(frames[at])
            # The head of a frame is where most is decided.
            end = len(damaged) if kind == 3 else min(len(damaged), FRAME_HEAD_BYTES)
            damaged[rng.randrange(end)] ^= 1 << rng.randrange(8)
            frames[at] = bytes(damaged[: rng.randrange(len(damaged)) if kind == 5 else None])
    return b"".join(frames)


def played(rng: random.Random) -> None:
    """Play one input, cut at random places, and look at what is left."""
    client, sent = peer(), mutilated(rng, conversation(rng))
    at = 0
    while at < len(sent):
        size = rng.choice((1, 9, 100, 1_500, 65_536))
        client.send(sent[at : at + size])
        at += size
    connection = client.connection
    while connection.more:
        client.proceed()
    if connection.phase is not Phase.CLOSED:
        windows = [connection.output.window, *(s.send_window for s in connection.streams.values())]
        assert max(windows) <= 2**31 - 1
    connection.close(None)
    shared = client.shared
    totals = (shared.calls, shared.streams, shared.received_bytes, shared.queued_bytes)
    assert (0, 0, 0, 0) == totals


def _played_with(seed: int) -> None:
    try:
        played(random.Random(seed))
    except Exception as error:
        raise AssertionError(f"input of seed {seed}") from error


def test_two_thousand_mutilated_conversations_are_survived() -> None:
    rng = seeded("two thousand")
    for _ in range(2_000):
        _played_with(rng.getrandbits(64))


@pytest.mark.slow
def test_half_a_minute_of_mutilated_conversations_is_survived() -> None:
    rng = seeded("a minute")
    stop_s = time.monotonic() + SECONDS
    count = 0
    while count < INPUTS_MAX and time.monotonic() < stop_s:
        _played_with(rng.getrandbits(64))
        count += 1
    print(f"{count} inputs")
    assert count
