"""Every bound of the front, each a setting with a safe default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB
WINDOW_BYTES_MIN: Final = 65_535
"""Flow-control windows before any setting (RFC 9113, 6.9.2)."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """A token bucket for frames that cost us more than they cost the peer.

    burst: frames at once. per_second: frames that time gives back. per_answer: frames that a call
    gives back when it is answered; per_frame: that a DATA frame does that we send on a stream.
    """

    burst: int
    per_second: float
    per_answer: float = 0.0
    per_frame: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What peers may ask of a server.

    Products worth knowing: one connection holds at most `received_bytes_connection_max` that no
    behaviour has taken yet, `queued_bytes_connection_max` that the peer has not taken yet and twice
    `write_buffer_bytes_max` on its way to the socket; all of them together hold at most
    `received_bytes_max`, `queued_bytes_max` and `connections_max` times the write buffer.
    """

    message_bytes_max: int = 4 * MIB
    """A request message, also after decompression (gRPC's usual default). Beyond:
    RESOURCE_EXHAUSTED."""

    header_list_bytes_max: int = 16 * KIB
    """A request's fields as RFC 9113, 6.5.2 counts them: names, values and 32 bytes each. Against
    small blocks that grow large (HPACK bombs). Beyond: RESOURCE_EXHAUSTED, or the end of the
    connection (ENHANCE_YOUR_CALM) while its header blocks depend on each other."""

    header_block_bytes_max: int = 16 * KIB
    """A header block over HEADERS and CONTINUATION. Beyond: ENHANCE_YOUR_CALM."""

    continuations_max: int = 8
    """CONTINUATION frames of a header block (CVE-2024-27316). Beyond: ENHANCE_YOUR_CALM."""

    streams_max: int = 256
    """Streams at once on a connection, as SETTINGS_MAX_CONCURRENT_STREAMS advertises. Beyond:
    REFUSED_STREAM, which tells a client that it may retry."""

    streams_in_all_max: int = 8192
    """Streams at once over all connections, those whose requests are not complete included.
    Beyond: REFUSED_STREAM."""

    calls_max: int = 1024
    """Calls under way over all connections; unary calls that are answered within the read that
    brought them do not count. Beyond: answered RESOURCE_EXHAUSTED."""

    connections_max: int = 1024
    """Connections at once. One more is closed as soon as it is there."""

    stream_window_bytes: int = WINDOW_BYTES_MIN
    """What a peer may send on a stream before a behaviour takes it; a message under way gets as
    much as it needs beyond that. RFC 9113's initial value."""

    connection_window_bytes: int = 1 * MIB
    """What a peer may send on a connection before it hears from us. Given back on receipt; what
    is kept is bounded by the next two."""

    received_bytes_connection_max: int = 16 * MIB
    """Of requests on a connection, heads included, that a behaviour has not taken or whose calls
    are under way. Beyond: the stream that asks for more is answered RESOURCE_EXHAUSTED."""

    received_bytes_max: int = 64 * MIB
    """The same over all connections."""

    queued_bytes_stream_max: int = 64 * KIB
    """Messages that a streaming behaviour has sent and the peer has not taken: a behaviour that
    sends more waits."""

    queued_bytes_connection_max: int = 16 * MIB
    """Answers on a connection that wait for the peer. Beyond: a further one becomes
    RESOURCE_EXHAUSTED."""

    queued_bytes_max: int = 64 * MIB
    """The same over all connections."""

    write_buffer_bytes_max: int = 64 * KIB
    """What the transport may hold for a socket that takes nothing. Above it nothing is read from
    that connection and no DATA is written to it, so that neither answers nor acknowledgements
    (of PING and SETTINGS, CVE-2019-9512 and CVE-2019-9515) pile up."""

    calls_per_turn: int = 64
    """Complete unary calls of one connection that are handled before others get their turn; and
    messages of all streams together."""

    work_per_turn: int = 512
    """Other work of one connection before others get their turn, in units of about 4 us: a frame
    is one unit, its header block, its content and long messages are more."""

    preface_seconds: float = 10.0
    """From a connection's start to its preface, and from SETTINGS to their acknowledgement. Beyond:
    SETTINGS_TIMEOUT."""

    header_block_seconds: float = 10.0
    """From HEADERS to the end of the header block."""

    request_seconds: float = 30.0
    """How long a request that has begun to arrive may make no progress: a frame that stays
    incomplete ends its connection, a message that does its call (DEADLINE_EXCEEDED)."""

    stalled_seconds: float = 60.0
    """How long a peer may take nothing of what waits for it (CVE-2019-9511, CVE-2019-9517): then
    its streams are reset, and a connection whose socket takes nothing is closed."""

    keepalive_seconds: float = 60.0
    """Silence on a connection with calls under way after which it is pinged."""

    keepalive_timeout_seconds: float = 20.0
    """How long the answer to such a ping may take; then the connection is closed as lost."""

    idle_seconds: float = 1800.0
    """How long a connection without calls is kept; then it is closed in good order (GOAWAY,
    NO_ERROR), and clients connect again when they need to."""

    resets: Allowance = Allowance(200, 50, 1)
    """Streams that the peer resets, or makes us reset by breaking rules (rapid reset,
    CVE-2023-44487; CVE-2025-8671). Like all that follow, beyond: ENHANCE_YOUR_CALM."""

    pings: Allowance = Allowance(100, 10, 4, 4)
    """PING frames. Clients that measure bandwidth ping with each answer; those that keep a
    connection alive, every few seconds at most."""

    settings: Allowance = Allowance(32, 1, 0.1)
    """SETTINGS frames."""

    goaways: Allowance = Allowance(16, 1)
    """GOAWAY frames. A client that leaves says so once or twice."""

    window_updates: Allowance = Allowance(2_000, 1_000, 8, 8)
    """WINDOW_UPDATE frames. Clients send one or two for each DATA frame that they take."""

    empty_frames: Allowance = Allowance(100, 10)
    """DATA frames without content that end nothing, HEADERS and CONTINUATION frames likewise
    (CVE-2019-9518)."""

    priorities: Allowance = Allowance(200, 20, 1)
    """PRIORITY frames, which are ignored (RFC 9113, 5.3.2; CVE-2019-9513)."""

    unknown_frames: Allowance = Allowance(100, 10, 1)
    """Frames of types that are not defined, which are ignored (RFC 9113, 5.5)."""

    late_frames: Allowance = Allowance(1_000, 100, 1)
    """Frames for streams that have ended, as they cross an early answer on their way."""

    def __post_init__(self) -> None:
        """Raises ValueError for windows that peers may exceed before they hear of them."""
        if min(self.stream_window_bytes, self.connection_window_bytes) < WINDOW_BYTES_MIN:
            raise ValueError(f"windows must be at least {WINDOW_BYTES_MIN} bytes")
