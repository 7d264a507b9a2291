"""Header blocks to fields and heads, and heads that are found instead of read."""

from __future__ import annotations

import hpack
import pytest

from sidecar.front.bounds import Bounds
from sidecar.front.errors import ConnectionFault, ErrorCode, HeaderListTooLarge
from sidecar.front.machine.headcache import HeadCache
from sidecar.front.machine.heads import timeout_seconds
from sidecar.front.machine.hpackreader import HpackReader
from tests.support.front.peer import ECHO, echo, literal_block, request_fields

METHODS = {ECHO.encode(): echo()}
FIELDS = [
    (b":method", b"POST"),
    (b":path", b"/x"),
    (b"x-empty", b""),
    (b"x-long", b"y" * 200),
    (b"x-bytes", bytes(range(33, 127))),
]


def pairs(reader: HpackReader, block: bytes) -> list[tuple[bytes, bytes]]:
    return [(field.name, field.value) for field in reader.read(block)]


def stateless() -> HpackReader:
    reader = HpackReader(10_000)
    reader.read(b"\x20")
    reader.acknowledged()
    return reader


@pytest.mark.parametrize("huffman", [False, True])
def test_blocks_of_any_encoder_are_read(huffman: bool) -> None:
    reader, encoder = HpackReader(10_000), hpack.Encoder()

    for _ in range(3):
        assert FIELDS == pairs(reader, encoder.encode(FIELDS, huffman=huffman))

    assert not reader.independent


@pytest.mark.parametrize("huffman", [False, True])
def test_blocks_without_a_table_are_independent(huffman: bool) -> None:
    reader, encoder = stateless(), hpack.Encoder()
    encoder.header_table_size = 0
    for _ in range(2):
        assert FIELDS == pairs(reader, encoder.encode(FIELDS, huffman=huffman))
        assert reader.independent


def test_literal_with_indexing_is_a_literal_once_the_table_is_gone() -> None:
    reader = stateless()

    assert [(b"a", b"b")] == pairs(reader, b"\x40\x01a\x01b")
    with pytest.raises(ConnectionFault):
        reader.read(b"\xbe")


def test_peer_that_goes_on_with_its_table_is_served_but_may_not_resize_it() -> None:
    reader = HpackReader(10_000)
    reader.read(b"\x40\x01a\x01b")
    reader.acknowledged()

    assert [(b"a", b"b")] == pairs(reader, b"\xbe")
    with pytest.raises(ConnectionFault):
        reader.read(b"\x3f\xe1\x1f\xbe")


def test_independent_blocks_leave_the_table_as_it_is() -> None:
    reader = HpackReader(10_000)
    reader.read(b"\x40\x01a\x01b")

    assert [(b"c", b"d")] == pairs(reader, b"\x00\x01c\x01d")
    assert [(b"a", b"b")] == pairs(reader, b"\xbe")


def test_list_beyond_the_bound_is_refused_and_the_next_block_is_read() -> None:
    reader = HpackReader(100)
    reader.read(b"\x20")
    reader.acknowledged()

    with pytest.raises(HeaderListTooLarge):
        reader.read(b"\x83" * 20)

    assert [(b":method", b"POST")] == pairs(reader, b"\x83")


def test_list_beyond_the_bound_ends_a_connection_with_a_table() -> None:
    with pytest.raises(ConnectionFault) as caught:
        HpackReader(100).read(b"\x83" * 20)

    assert ErrorCode.ENHANCE_YOUR_CALM == caught.value.code


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (b"1H", 3600),
        (b"2M", 120),
        (b"99999999S", 99_999_999),
        (b"250m", 0.25),
        (b"5u", 5e-6),
        (b"1n", 1e-9),
        (b"0S", 1e-9),
        (b"", -1),
        (b"S", -1),
        (b"1", -1),
        (b"1s", -1),
        (b"+1S", -1),
        (b"1.5S", -1),
        (b"123456789S", -1),
        (b"\xd9\xa1S", -1),  # another digit one
    ],
)
def test_timeouts(text: bytes, seconds: float) -> None:
    assert seconds == pytest.approx(timeout_seconds(text))


def cache() -> HeadCache:
    return HeadCache(METHODS, Bounds())


def test_equal_blocks_find_one_head() -> None:
    heads, block = cache(), literal_block(request_fields())

    head = heads.read(block)

    assert head is heads.known[block]


def test_block_with_another_timeout_finds_the_same_head() -> None:
    heads = cache()
    head = heads.read(literal_block(request_fields(more=[("grpc-timeout", "5S"), ("a", "b")])))

    block = literal_block(request_fields(more=[("grpc-timeout", "4999m"), ("a", "b")]))

    found = heads.match(block)
    assert found is not None
    assert head is found[0]
    assert found[1] == pytest.approx(4.999)
    assert not heads.known


def varied(number: int, *, huffman: bool) -> bytes:
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    more = [("grpc-timeout", f"{900 + number}m"), ("x-id", f"id-{number}"), ("tail", "end")]
    return encoder.encode(request_fields(more=more), huffman=huffman)[1:]


@pytest.mark.parametrize("huffman", [False, True])
def test_what_varies_is_learned_from_two_blocks(huffman: bool) -> None:
    heads = cache()
    heads.reader.read(b"\x20")
    heads.reader.acknowledged()
    assert None is heads.match(varied(1, huffman=huffman))
    heads.read(varied(1, huffman=huffman))
    heads.read(varied(2, huffman=huffman))

    found = heads.match(varied(37, huffman=huffman))

    assert found is not None
    head, seconds = found
    assert seconds == pytest.approx(0.937)
    assert ((b"x-id", b"id-37"), (b"tail", b"end")) == head.custom
    assert head.usual
    assert METHODS[ECHO.encode()] is head.method


@pytest.mark.parametrize(
    "more",
    [
        [("grpc-timeout", "5x"), ("a", "b")],
        [("grpc-timeout", "5S"), ("a", "c")],
        [("grpc-timeout", "5S"), ("a", "b"), ("c", "d")],
        [("grpc-timeout", "5S")],
        [("a", "b"), ("grpc-timeout", "5S")],
        [("grpc-timeou", "5S"), ("a", "b")],
    ],
)
def test_block_that_differs_otherwise_is_not_found(more: list[tuple[str, str]]) -> None:
    heads = cache()
    heads.read(literal_block(request_fields(more=[("grpc-timeout", "5S"), ("a", "b")])))

    assert None is heads.match(literal_block(request_fields(more=more)))


def test_malformed_timeout_spoils_nothing_for_others() -> None:
    heads = cache()
    assert heads.read(literal_block(request_fields(more=[("grpc-timeout", "1")]))).refusal

    good = literal_block(request_fields(more=[("grpc-timeout", "1S")]))

    assert None is heads.match(good)
    assert heads.read(good).usual


def test_other_method_is_no_variation() -> None:
    heads = cache()
    heads.read(literal_block(request_fields("/a/One")))
    heads.read(literal_block(request_fields("/a/Two")))

    assert None is heads.match(literal_block(request_fields("/a/Six")))


def test_what_is_kept_is_bounded() -> None:
    heads = cache()
    for number in range(500):
        path = f"/some.Service/Method{number}"
        heads.read(literal_block(request_fields(path, more=[("grpc-timeout", "5S")])))
        heads.read(literal_block(request_fields(path, more=[(f"x-{number}", "y")])))

    assert len(heads.known) <= 8
    assert len(heads.reader.known) <= 32
