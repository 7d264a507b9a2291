"""What costs more than it looks: the machine counts it, so that a turn stays short."""

from __future__ import annotations

from sidecar.front.errors import Code
from sidecar.front.machine.messages import PREFIX
from sidecar.front.methods import unary
from tests.support.front.bombs import gzip_of_nothing
from tests.support.front.peer import ECHO, Peer, call, data, headers

STREAM = "/test.Service/Stream"
GZIP = [("grpc-encoding", "gzip")]


def cut(content: bytes, stream_id: int, *, end: bool) -> list[bytes]:
    """Content in DATA frames of the largest size."""
    pieces = [content[at : at + 16_384] for at in range(0, len(content), 16_384)]
    return [data(stream_id, piece, end=end and piece is pieces[-1]) for piece in pieces]


def test_compressed_message_of_nothing_is_read_in_small_steps() -> None:
    seen: list[bytes] = []
    client = Peer({ECHO: unary(lambda call: seen.append(call.message))})
    nothing = gzip_of_nothing(10_000)
    size = len(nothing)

    client.send(headers(1, more=GZIP), *cut(PREFIX.pack(1, size) + nothing, 1, end=True), call(3))

    assert Code.INTERNAL == client.answer(1).status
    assert [b"hello"] == seen
    assert client.turns > size / (4 * 4096)
