"""What a connection sends: both flow-control windows, and what waits for them.

Rules
- Heads, trailers and control frames are not flow-controlled: they go out at once, except that a
  stream's trailers come after its messages.
- Messages go out as far as the connection's window, the stream's window and the socket allow. What
  waits is kept by stream; streams that could send take turns, a frame each.
- One turn writes DATA of no more than `write_buffer_bytes_max`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.front.errors import ConnectionFault, ErrorCode, StreamFault
from sidecar.front.frames import (
    DATA,
    END_STREAM,
    FRAME,
    FRAME_BYTES_MAX,
    STREAM_ID_MAX,
    header_frames,
)
from sidecar.front.machine.blocks import NO_TABLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.front.machine.floods import FloodMeters
    from sidecar.front.machine.shared import Shared
    from sidecar.front.machine.streams import Stream

WINDOW_MAX: Final = STREAM_ID_MAX
INITIAL_WINDOW: Final = 65_535
_USUAL_BYTES_MAX: Final = 4096


class Output:
    """The sending side of one connection.

    parts: bytes for the transport. window: what the peer takes on the connection; initial_window:
    on a new stream. usual_bytes_max: messages (with prefix) up to this size may bypass the queue,
    if `window` allows. queued_bytes: of messages that wait. burst_left: of the bytes of DATA that
    a turn may write, which are burst_bytes.
    """

    __slots__ = (
        "_first_block",
        "_meters",
        "_on_end",
        "_on_room",
        "_shared",
        "burst_bytes",
        "burst_left",
        "initial_window",
        "parts",
        "paused",
        "paused_at",
        "queued_bytes",
        "ready",
        "usual_bytes_max",
        "window",
    )

    def __init__(
        self,
        shared: Shared,
        meters: FloodMeters,
        on_end: Callable[[Stream], None],
        on_room: Callable[[Stream], None],
    ) -> None:
        self.parts: list[bytes] = []
        self.window = INITIAL_WINDOW
        self.initial_window = INITIAL_WINDOW
        self.usual_bytes_max = 0
        self.paused = False  # the socket takes nothing
        self.paused_at = 0.0  # seconds; since when
        self.queued_bytes = 0
        self.ready: dict[int, Stream] = {}  # have something to send and a window for it
        self._shared = shared
        self._meters = meters
        self._on_end = on_end  # a stream has sent all of its answer
        self._on_room = on_room  # a stream's behaviour, which waits, may send again
        self.burst_bytes = shared.bounds.write_buffer_bytes_max
        self.burst_left = self.burst_bytes
        self._first_block = True

    def pause(self, now: float) -> None:
        """The socket takes nothing."""
        self.paused, self.paused_at = True, now
        self._update_usual()

    def resume(self) -> None:
        """It takes something again."""
        self.paused, self.paused_at = False, 0.0
        self._update_usual()

    def start_turn(self) -> None:
        """The transport has taken `parts`."""
        self.burst_left = self.burst_bytes

    def head(self, stream_id: int, block: bytes, *, end_stream: bool) -> None:
        """Send a header block."""
        if self._first_block:
            self._first_block = False
            block = NO_TABLE + block
            self._update_usual()
        self.parts.append(header_frames(stream_id, block, end_stream=end_stream))

    def _update_usual(self) -> None:
        """Work out `usual_bytes_max` anew."""
        blocked = self.paused or self._first_block
        self.usual_bytes_max = 0 if blocked else min(self.initial_window, _USUAL_BYTES_MAX)

    def enqueue(self, stream: Stream, data: bytes) -> None:
        """Send a message after what waits on its stream."""
        stream.outbox.append(data)
        size = len(data)
        stream.queued_bytes += size
        self.queued_bytes += size
        self._shared.queued_bytes += size
        if stream.send_window > 0:
            self.ready[stream.id] = stream

    def finish(self, stream: Stream, trailers: bytes) -> None:
        """End a stream once its messages are out; b"": with the last of them."""
        stream.finish = trailers
        if not stream.outbox:
            self._end(stream)

    def pump(self) -> None:
        """Send of what waits as much as may be sent now."""
        ready = self.ready
        while ready and self.window > 0 and self.burst_left > 0 and not self.paused:
            stream = ready.pop(next(iter(ready)))
            self._send_frame(stream)
            if not stream.outbox:
                if stream.finish is not None:
                    self._end(stream)
            elif stream.send_window > 0:
                ready[stream.id] = stream

    def _send_frame(self, stream: Stream) -> None:
        data, offset = stream.outbox[0], stream.offset
        size = min(len(data) - offset, self.window, stream.send_window, FRAME_BYTES_MAX)
        stop = offset + size
        if stop == len(data):
            stream.outbox.popleft()
            stream.offset = 0
        else:
            stream.offset = stop
        last = not stream.outbox and stream.finish == b""
        head = FRAME.pack(size << 8 | DATA, END_STREAM if last else 0, stream.id)
        self.parts += (head, data[offset:stop])
        self.window -= size
        self.burst_left -= size
        self._meters.frames += 1
        stream.send_window -= size
        stream.moved_at = stream.connection.now
        self._dequeued(stream, size)
        bound = self._shared.bounds.queued_bytes_stream_max
        if stream.wants_room and stream.queued_bytes <= bound:
            stream.wants_room = False
            self._on_room(stream)

    def _dequeued(self, stream: Stream, size: int) -> None:
        stream.queued_bytes -= size
        self.queued_bytes -= size
        self._shared.queued_bytes -= size

    def _end(self, stream: Stream) -> None:
        if stream.finish:
            self.head(stream.id, stream.finish, end_stream=True)
        self._meters.answers += 1
        self._on_end(stream)

    def discard(self, stream: Stream) -> None:
        """Forget what waits on a stream."""
        self.ready.pop(stream.id, None)
        stream.outbox.clear()
        self._dequeued(stream, stream.queued_bytes)

    def widen(self, increment: int) -> None:
        """The peer takes more on the connection. Raises ConnectionFault beyond the maximum."""
        self.window += increment
        if self.window > WINDOW_MAX:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "window beyond its maximum")

    def widen_stream(self, stream: Stream, increment: int) -> None:
        """The peer takes more (or less) on a stream. Raises StreamFault beyond the maximum."""
        stream.send_window += increment
        if stream.send_window > WINDOW_MAX:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "window beyond its maximum")
        if stream.outbox and stream.send_window > 0:
            self.ready[stream.id] = stream
        elif stream.send_window <= 0:
            self.ready.pop(stream.id, None)

    def set_initial_window(self, size: int) -> int:
        """The peer's SETTINGS_INITIAL_WINDOW_SIZE; how much all streams' windows grow by."""
        grown = size - self.initial_window
        self.initial_window = size
        self._update_usual()
        return grown
