"""One HTTP/2 stream that is not over, and the gRPC call on it.

Usual calls never get one: they are answered before anything has to be remembered of them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from sidecar.front.machine.heads import RequestHead

if TYPE_CHECKING:
    from sidecar.front.machine.calls import Context
    from sidecar.front.machine.state import State


class Stream:
    """State of a stream.

    over: nothing more will be sent on it. remote_ended: the peer has sent all of its request.
    credit: bytes that the peer may still send. owed: bytes that were taken and not given back yet.
    buffer: the start of a message that is not whole. held_bytes: what the stream has of its
    connection's received bytes. inbox: messages that no behaviour has taken.
    outbox: bytes of DATA that wait; offset: how much of the first has been sent. finish: the
    trailers' block that follows them; b"" is an end without trailers.
    moved_at: when bytes came in or went out last.
    deferred: the call's handler answers later. outlived: it will, though nobody waits any more.
    """

    __slots__ = (
        "answering",
        "buffer",
        "call",
        "connection",
        "content_left",
        "counted",
        "credit",
        "deadline",
        "deferred",
        "finish",
        "head",
        "held_bytes",
        "id",
        "inbox",
        "moved_at",
        "offset",
        "outbox",
        "outlived",
        "over",
        "owed",
        "queued_bytes",
        "remote_ended",
        "send_window",
        "wants_room",
    )

    def __init__(
        self, connection: State, stream_id: int, head: RequestHead, deadline: float
    ) -> None:
        self.connection = connection
        self.id = stream_id
        self.head = head
        self.deadline = deadline  # 0.0: none
        self.call: Context | None = None
        self.over = False
        self.remote_ended = False
        self.answering = False  # the response's head has been sent
        self.counted = False  # as a call under way
        self.deferred = False
        self.outlived = False
        self.content_left = -1 if head.content_length is None else head.content_length
        self.credit = connection.shared.bounds.stream_window_bytes
        self.owed = 0
        self.buffer: bytearray | None = None
        self.held_bytes = 0
        self.inbox: deque[bytes] = deque()
        self.send_window = connection.output.initial_window
        self.outbox: deque[bytes] = deque()
        self.offset = 0
        self.queued_bytes = 0
        self.finish: bytes | None = None
        self.wants_room = False  # a behaviour waits to send more
        self.moved_at = connection.now

    def expire(self, now: float) -> None:
        """The call's deadline has come."""
        self.connection.now = now
        self.connection.expire(self)

    @property
    def awaits_content(self) -> bool:
        """More of a message, or of a request that takes a message, must come."""
        if self.remote_ended or self.finish is not None:
            return False
        return bool(self.buffer) or not self.head.streams_request


class PartialBlock:
    """A header block that CONTINUATION frames go on with."""

    __slots__ = ("block", "end_stream", "frames", "since", "stream_id")

    def __init__(self, stream_id: int, start: bytes, end_stream: bool, since: float) -> None:
        self.stream_id = stream_id
        self.block = bytearray(start)
        self.end_stream = end_stream
        self.frames = 0  # CONTINUATION so far
        self.since = since
