"""The front's machine under any traffic at all: how it is cut, mutilated, or spelt."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Sequence

import hpack
import pytest
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from sidecar.front.bounds import Bounds
from sidecar.front.errors import ConnectionFault, StreamFault
from sidecar.front.frames import (
    END_HEADERS,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    SETTINGS_ACK,
    SETTINGS_INITIAL_WINDOW_SIZE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine import huffman, requests
from sidecar.front.machine.headcache import HeadCache
from sidecar.front.machine.heads import RequestHead
from sidecar.front.machine.hpackreader import HpackReader
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import bidi_stream, server_stream, unary
from tests.support.front.peer import ECHO, HELLO, Peer, data, echo, request_fields

SLOW = "/test.Service/Slow"
STREAM = "/test.Service/Stream"
MANY = "/test.Service/Many"
LIST_BYTES_MAX = 2_000

messages = st.one_of(st.binary(max_size=80), st.integers(0, 40_000).map(bytes))


def peer() -> Peer:
    methods = {
        ECHO: echo(),
        SLOW: unary(lambda _: None),
        STREAM: bidi_stream(lambda requests, _: requests),
        MANY: server_stream(lambda _request, _: _never_run()),
    }
    return Peer(methods, Bounds(calls_per_turn=5, work_per_turn=60), hello=b"")


async def _never_run() -> AsyncIterator[bytes]:
    yield b""


@st.composite
def request(draw: st.DrawFn, encoder: hpack.Encoder, number: int, path: str) -> bytes:
    """A request, as one of many ways to spell it has it."""
    more = draw(
        st.lists(
            st.sampled_from(
                [("grpc-timeout", "5S"), ("grpc-timeout", "777m"), ("x-id", "1"), ("x-id", "2")]
            ),
            max_size=3,
            unique_by=lambda item: item[0],
        )
    )
    message = draw(messages)
    content = packed(message)
    if draw(st.booleans()):
        more.append(("grpc-encoding", "gzip"))
        small = gzip.compress(message, mtime=0)
        content = draw(st.sampled_from([content, PREFIX.pack(1, len(small)) + small]))
    block = encoder.encode(request_fields(path, more), huffman=draw(st.booleans()))
    cut = draw(st.integers(0, len(block)))
    whole = draw(st.booleans())
    head = (
        frame(HEADERS, END_HEADERS, number, block)
        if whole
        else frame(HEADERS, 0, number, block[:cut]) + frame(9, END_HEADERS, number, block[cut:])
    )
    size = draw(st.sampled_from([16_384, 5_000, max(1, len(content) // 3)]))
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    frames = [data(number, piece, end=piece is pieces[-1]) for piece in pieces]
    return head + b"".join(frames)


@st.composite
def traffic(draw: st.DrawFn) -> bytes:
    """A connection's worth of frames of a client that keeps to the rules."""
    encoder = hpack.Encoder()
    if draw(st.booleans()):
        encoder.header_table_size = 0
    parts = [draw(st.sampled_from([HELLO, PREFACE + settings({}) + SETTINGS_ACK]))]
    number = 1
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["call", "call", "slow", "stream", "many", "control"]))
        if kind == "control":
            parts.append(
                draw(
                    st.sampled_from(
                        [
                            frame(PING, 0, 0, bytes(8)),
                            frame(PRIORITY, 0, 5, bytes(5)),
                            frame(77, 3, 9, b"unknown"),
                            settings({SETTINGS_INITIAL_WINDOW_SIZE: 100_000}),
                            window_update(0, 10),
                            SETTINGS_ACK,
                        ]
                    )
                )
            )
            continue
        path = {"call": ECHO, "slow": SLOW, "stream": STREAM, "many": MANY}[kind]
        parts.append(draw(request(encoder, number, path)))
        if kind == "slow" and draw(st.booleans()):
            parts.append(rst_stream(number, 8))
        number += 2
    parts.append(draw(st.sampled_from([b"", window_update(0, 0), frame(HEADERS, 0, 0, b"")])))
    return b"".join(parts)


def outcome(client: Peer) -> object:
    """What a client can tell, apart from how it was cut into frames."""
    connection = client.connection
    started = [(event.what, event.call.stream_id) for event in connection.events]
    return client.answers(), client.goaway(), client.refused, started, connection.last_id


def nothing_is_left(client: Peer) -> bool:
    """Whether the totals are back at nothing once the connection is lost."""
    client.connection.close(None)
    shared = client.shared
    totals = (shared.calls, shared.streams, shared.received_bytes, shared.queued_bytes)
    return totals == (0, 0, 0, 0)


@given(traffic(), st.lists(st.integers(0, 100_000), max_size=30))
def test_where_bytes_are_cut_makes_no_difference(sent: bytes, cuts: Sequence[int]) -> None:
    whole, pieces = peer(), peer()
    whole.send(sent)
    at = 0
    for cut in [*sorted(cut % (len(sent) + 1) for cut in cuts), len(sent)]:
        if cut > at:
            pieces.send(sent[at:cut])
            at = cut

    assert outcome(whole) == outcome(pieces)
    assert nothing_is_left(whole)
    assert nothing_is_left(pieces)


@given(traffic(), st.data())
def test_mutilated_traffic_ends_in_protocol_errors_at_most(
    sent: bytes, draw: st.DataObject
) -> None:
    client = peer()
    mutilated = bytearray(sent)
    for _ in range(draw.draw(st.integers(1, 6))):
        at = draw.draw(st.integers(0, len(mutilated)))
        length = draw.draw(st.integers(0, 9))
        mutilated[at : at + length] = draw.draw(st.binary(max_size=12))

    for at in range(0, len(mutilated), 5_000):
        client.send(bytes(mutilated[at : at + 5_000]))
        for stream in list(client.connection.streams.values()):
            requests.take(client.connection, stream)

    assert nothing_is_left(client)


@given(st.binary(max_size=400))
def test_any_bytes_end_in_protocol_errors_at_most(sent: bytes) -> None:
    client = peer()
    client.send(HELLO)

    client.send(sent)

    assert nothing_is_left(client)


kinds = st.integers(0, 11)
frames = st.builds(
    frame, kinds, st.sampled_from([0, 1, 4, 5, 8, 13, 32, 45]), st.integers(0, 7), st.binary()
)


@given(st.lists(frames, max_size=20))
def test_any_frames_end_in_protocol_errors_at_most(sent: Sequence[bytes]) -> None:
    client = peer()
    client.send(HELLO)

    client.send(*sent)

    assert nothing_is_left(client)


names = st.sampled_from([":path", ":method", "te", "x-a", "x-b", "grpc-timeout", "content-type"])
values = st.text("abz019-/ ", max_size=40)


@given(
    st.lists(st.lists(st.tuples(names, values), max_size=8), max_size=6),
    st.lists(st.sampled_from([0, 100, 4096]), min_size=6, max_size=6),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_blocks_of_an_encoder_are_read_as_the_library_reads_them(
    lists: Sequence[Sequence[tuple[str, str]]], sizes: Sequence[int], coded: Sequence[bool]
) -> None:
    encoder, decoder = hpack.Encoder(), hpack.Decoder()
    reader = HpackReader(100_000)

    for fields, size, huffman_coded in zip(lists, sizes, coded, strict=False):
        encoder.header_table_size = size
        block = encoder.encode(fields, huffman=huffman_coded)
        expected = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
        assert expected == [(field.name, field.value) for field in reader.read(block)]


@given(st.binary(max_size=60))
def test_any_block_is_read_as_the_library_reads_it(block: bytes) -> None:
    try:
        found = [(field.name, field.value) for field in HpackReader(LIST_BYTES_MAX).read(block)]
    except ConnectionFault as fault:
        if "too many" in fault.reason or "beyond" in fault.reason:
            return  # the library has other bounds there
        with pytest.raises(hpack.HPACKError):
            hpack.Decoder(LIST_BYTES_MAX).decode(block, raw=True)
        return
    pairs = hpack.Decoder(LIST_BYTES_MAX).decode(block, raw=True)
    assert found == [(bytes(name), bytes(value)) for name, value in pairs]


@given(st.binary(max_size=40))
def test_huffman_code_is_decoded_as_the_library_decodes_it(data: bytes) -> None:
    try:
        expected = decode_huffman(data)
    except hpack.HPACKError:
        with pytest.raises(hpack.HPACKError):
            huffman.decode(data)
        return
    assert expected == huffman.decode(data)


varying = st.tuples(
    st.sampled_from(["5S", "12m", "1", "99999999u", "0n", "", "5S "]),
    st.sampled_from(["id-1", "id-22", "x" * 130, "", "a\nb", "ä"]),
    st.sampled_from(["b", "c"]),
    st.booleans(),
    st.sampled_from([ECHO, SLOW]),
)


def _facts(head: RequestHead, seconds: float) -> tuple[object, ...]:
    refusal = None if head.refusal is None else head.refusal.block
    return head.path, head.method, head.custom, head.usual, refusal, seconds


@given(st.lists(varying, max_size=12))
def test_heads_that_are_found_equal_those_that_are_read(
    variants: Sequence[tuple[str, str, str, bool, str]],
) -> None:
    methods = {ECHO.encode(): echo(), SLOW.encode(): unary(lambda _: None)}
    cache = HeadCache(methods, Bounds())
    cache.reader.read(b"\x20")
    cache.reader.acknowledged()

    for timeout, number, other, coded, path in variants:
        encoder = hpack.Encoder()
        encoder.header_table_size = 0
        more = [("grpc-timeout", timeout), ("x-id", number), ("x-other", other)]
        block = encoder.encode(request_fields(path, more), huffman=coded)[1:]
        try:
            fresh = RequestHead(HpackReader(100_000).read(block), methods)
        except StreamFault:
            assert block not in cache.known
            assert None is cache.match(block)
            continue
        known = cache.known.get(block)
        found = (known, known.timeout_seconds) if known is not None else cache.match(block)
        if found is None:
            head = cache.read(block)
            found = head, head.timeout_seconds
        assert _facts(fresh, fresh.timeout_seconds) == _facts(*found)
