"""Header blocks of a unary gRPC client, written and read by the `hpack` library.

Neither direction uses the dynamic table, as common clients do not once a server has announced that
it keeps none. So equal fields are equal bytes: blocks are made before a load begins, and trailers
that were seen before need no decoding.
"""

from __future__ import annotations

from typing import Final

from hpack import Decoder, Encoder, HPACKError

from tests.bench.errors import ProtocolError

_STATUS_MAX: Final = 16
_LONGEST_US: Final = 5_000_000
_SPREAD_US: Final = 1_000_000
_SAMPLE: Final = b"%du" % _LONGEST_US
"""Every timeout has as many digits as this one."""


class RequestHeaders:
    """The header blocks of the calls of `method` ("/package.Service/Method").

    `table_update`: what the first block of a connection begins with: that no table is used. `size`:
    bytes of every block. With `deadline`, calls have a `grpc-timeout` of 4 to 5 s, which differs
    from call to call as it does where a caller's own deadline is handed on.
    """

    def __init__(self, method: str, authority: str, *, deadline: bool = False) -> None:
        encoder = Encoder()
        encoder.header_table_size = 0
        self.table_update = encoder.encode([])
        fields = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", method),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("user-agent", "tallyd-h2driver"),
            ("te", "trailers"),
        )
        self._alike = encoder.encode(fields, huffman=False)
        self._deadline = deadline
        if deadline:
            timeout = encoder.encode([("grpc-timeout", _SAMPLE)], huffman=False)
            self._alike += timeout.removesuffix(_SAMPLE)
        self.size = len(self.block(0))

    def block(self, started_ns: int) -> bytes:
        """The block of a call that starts now."""
        if not self._deadline:
            return self._alike
        return self._alike + b"%du" % (_LONGEST_US - started_ns // 1000 % _SPREAD_US)


def trailers_status(block: bytes) -> tuple[int | None, str]:
    """The gRPC status in a header block (None: it has no valid one), and its message.

    Raises ProtocolError for a malformed block and for the dynamic table, which we have forbidden.
    """
    decoder = Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    try:
        fields = dict(decoder.decode(block, raw=True))
    except HPACKError as error:
        raise ProtocolError(f"malformed header block: {error}") from error
    status, message = fields.get(b"grpc-status", b""), fields.get(b"grpc-message", b"")
    known = status.isdigit() and int(status) <= _STATUS_MAX
    return int(status) if known else None, message.decode("ascii", "replace")
