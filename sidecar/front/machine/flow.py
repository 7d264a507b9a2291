"""What a connection has received: how much the peer may still send, and how much is kept.

Rules
- The connection's window is given back as bytes arrive, in large steps: streams whose behaviours
  are slow cannot block others. What is kept is bounded by count instead.
- A stream's window is given back as its behaviour takes messages. A message that has begun gets
  the credit that it still needs, so that it can always be completed.
"""

from __future__ import annotations

from sidecar.front.errors import Code, ErrorCode, Status, StreamFault
from sidecar.front.frames import window_update
from sidecar.front.machine.shared import Shared
from sidecar.front.machine.streams import Stream


class Receipts:
    """The receiving side of one connection.

    parts: where WINDOW_UPDATE frames go. held_bytes: received and not taken yet. credit: what the
    peer may still send on the connection; below `low` it is given back.
    """

    __slots__ = ("_parts", "_shared", "credit", "held_bytes", "low")

    def __init__(self, shared: Shared, parts: list[bytes]) -> None:
        self.held_bytes = 0
        self._shared = shared
        self._parts = parts
        self.credit = shared.bounds.connection_window_bytes
        self.low = self.credit // 2

    def take(self, size: int) -> None:
        """Count DATA against the connection's window, and give it back when half is used up.

        It cannot be used up: half of the least window is more than a frame.
        """
        self.credit -= size
        if self.credit < self.low:
            self.replenish()

    def replenish(self) -> None:
        """Give the connection's window back."""
        window = self._shared.bounds.connection_window_bytes
        self._parts.append(window_update(0, window - self.credit))
        self.credit = window

    def take_on(self, stream: Stream, size: int, padding: int) -> None:
        """Count DATA against a stream's window, and give back what is padding of it.

        Raises StreamFault where the peer has sent more than it may.
        """
        stream.credit -= size
        if stream.credit < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the stream's window")
        if padding:
            self.give_back(stream, padding)

    def hold(self, stream: Stream, size: int) -> None:
        """Keep received bytes for a stream. Raises Status where too much is kept already."""
        bounds, shared = self._shared.bounds, self._shared
        stream.held_bytes += size
        self.held_bytes += size
        shared.received_bytes += size
        if (
            self.held_bytes > bounds.received_bytes_connection_max
            or shared.received_bytes > bounds.received_bytes_max
        ):
            shared.refused("received_bytes")
            raise Status(Code.RESOURCE_EXHAUSTED, "too many bytes wait to be handled")

    def release(self, stream: Stream, size: int) -> None:
        """They are kept no longer."""
        stream.held_bytes -= size
        self.held_bytes -= size
        self._shared.received_bytes -= size

    def need(self, stream: Stream, size: int) -> None:
        """Let the peer send the rest of a message: `size` bytes."""
        if size > stream.credit and not stream.remote_ended:
            self._parts.append(window_update(stream.id, size - stream.credit))
            stream.credit = size

    def give_back(self, stream: Stream, size: int) -> None:
        """`size` bytes are of no more concern: let the peer send as many, in large steps."""
        window = self._shared.bounds.stream_window_bytes
        stream.owed += size
        grown = min(stream.owed, window - stream.credit)
        if grown >= window // 2 and not stream.remote_ended:
            self._parts.append(window_update(stream.id, grown))
            stream.credit += grown
            stream.owed = 0
