"""The state of one connection: its streams, the calls on them, and its end.

What the frames of the peer do to it is in `inbound`, `requests` and `control_frames`; what its own
answers do, in `answering`; what time does, in `timeouts`. The rules are at the top of
connection.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final

from sidecar.front.errors import Code, ConnectionFault, ErrorCode, Status, StreamFault
from sidecar.front.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    STREAM_ID_MAX,
    frame,
    goaway,
    rst_stream,
)
from sidecar.front.machine import answering
from sidecar.front.machine.blocks import GRPC_RESPONSE, OK_TRAILERS
from sidecar.front.machine.calls import Context, TaskCall, UnaryCall
from sidecar.front.machine.control_frames import LEAVING_PING, server_preface
from sidecar.front.machine.events import Event, What
from sidecar.front.machine.floods import FloodMeters
from sidecar.front.machine.flow import Receipts
from sidecar.front.machine.headcache import HeadCache
from sidecar.front.machine.messages import PREFIX_BYTES, Inflation
from sidecar.front.machine.output import Output
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.shared import Shared
from sidecar.front.machine.streams import PartialBlock, Stream

_EARLY_MAX: Final = 256
# A usual answer before and after its message.
_ANSWER: Final = Struct(f">IBI{len(GRPC_RESPONSE)}sIBIBI")
_END: Final = Struct(f">IBI{len(OK_TRAILERS)}s")
_ANSWER_HEAD: Final = len(GRPC_RESPONSE) << 8 | HEADERS
_END_HEAD: Final = len(OK_TRAILERS) << 8 | HEADERS
_DEADLINE_EXCEEDED: Final = Status(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")


def _asleep() -> None:
    pass


class State:
    """What a connection has to remember.

    peer: who is at the other end, as `Context.peer` spells it. on_wake: set by the driver; told
    when there is something to send, or an event, outside of a turn.

    now: seconds, of the turn's start. work: units left in the turn. calls: the complete unary calls
    of the turn; fresh: the streams that began in it. pending: bytes that are not handled yet; more:
    the turn ended before they were.

    streams: by number, those that are not over. early: numbers of streams that ended before their
    requests did. partial: a header block that CONTINUATION goes on with. inflation: a message that
    is being decompressed; nothing after it is handled before.
    """

    def __init__(self, shared: Shared, peer: str, now: float) -> None:
        self.shared: Final = shared
        self.peer: Final = peer
        self.on_wake: Callable[[], None] = _asleep
        self.phase = Phase.OPENING
        self.now = now
        self.heard_at = now
        self.pinged_at = 0.0  # when a keep-alive ping was sent; 0.0: it was answered
        self.settings_due = 1  # SETTINGS that the peer has to acknowledge
        self.settings_since = now
        self.table_uses = 0  # requests whose header blocks depended on a table
        self.warned = False  # of our leaving
        self.meters: Final = FloodMeters()
        self.output: Final = Output(shared, self.meters, self.stream_ended, self.room_made)
        self.receipts: Final = Receipts(shared, self.output.parts)
        self.heads: Final = HeadCache(shared.methods, shared.bounds)
        self.streams: Final[dict[int, Stream]] = {}
        self.early: Final[deque[int]] = deque(maxlen=_EARLY_MAX)
        self.last_id = 0
        self.calls: list[UnaryCall] = []
        self.fresh: Final[list[Stream]] = []
        self.events: Final[list[Event]] = []
        self.work = 0
        self.more = False
        self.pending = b""
        self.partial: PartialBlock | None = None
        self.inflation: tuple[Stream, Inflation] | None = None
        self.awake = False  # a turn is under way or was asked for
        self.output.parts.append(server_preface(shared.bounds))

    def wake(self) -> None:
        """There is something for the driver to do."""
        if not self.awake:
            self.awake = True
            self.on_wake()

    # Streams

    def open_stream(self, stream: Stream) -> None:
        """Remember a stream that has just begun."""
        self.streams[stream.id] = stream
        self.shared.streams += 1
        self.fresh.append(stream)

    def adopt(self, call: UnaryCall) -> Stream:
        """Give a call that took the usual path a stream."""
        stream = Stream(self, call.stream_id, call.head, call.deadline or 0.0)
        stream.remote_ended = True
        stream.send_window += call.granted
        stream.call, call.stream = call, stream
        self.open_stream(stream)
        return stream

    def stream_ended(self, stream: Stream) -> None:
        """A stream's answer is out, or nothing more will come of it."""
        if stream.over:
            return
        stream.over = True
        del self.streams[stream.id]
        self.shared.streams -= 1
        if not stream.outlived:
            self._release(stream)
        stream.inbox.clear()
        stream.buffer = None
        stream.call = None  # which refers to the stream in turn
        if not stream.remote_ended:
            self.forget(stream.id, ErrorCode.NO_ERROR)
        if not self.streams and self.phase is Phase.LEAVING:
            self.wake()

    def _release(self, stream: Stream) -> None:
        """A stream's call takes nothing any more of what is bounded."""
        if stream.counted:
            self.shared.calls -= 1
        self.receipts.release(stream, stream.held_bytes)

    def room_made(self, stream: Stream) -> None:
        """A behaviour that waits to send may go on."""
        if isinstance(stream.call, TaskCall):
            self.events.append(Event(What.ROOM, stream.call))
            self.wake()

    def forget(self, stream_id: int, code: ErrorCode) -> None:
        """Send RST_STREAM; what the peer sent before it heard of it will be ignored."""
        self.output.parts.append(rst_stream(stream_id, code))
        self.early.append(stream_id)

    def reset(self, stream_id: int, fault: StreamFault) -> None:
        """End a stream, or a call of this turn that has none, for a fault of the peer."""
        self.shared.refused(fault.kind)
        self.forget(stream_id, fault.code)
        self.abandon(stream_id)
        if fault.code != ErrorCode.REFUSED_STREAM or not self.settings_due:
            self.meters.spend("rapid_reset", self.shared.bounds.resets, self.now)

    def abandon(self, stream_id: int) -> None:
        """Give up a stream, or a call of this turn that has none, without a word to the peer."""
        for call in self.calls:
            if call.stream_id == stream_id:
                call.ended = True
                call.head.count_ending(Code.CANCELLED)
                self.calls.remove(call)
                break
        stream = self.streams.get(stream_id)
        if stream is not None:
            answering.give_up(self, stream, Code.CANCELLED)
            self.output.discard(stream)
            stream.remote_ended = True
            self.stream_ended(stream)

    # Calls

    def send_initial(self, call: Context) -> None:
        """Send the head of a call's response now, or with its answer if it may have none yet."""
        if call.stream is not None and not call.ended:
            answering.send_head(self, call.stream)

    def fail(self, call: UnaryCall, status: Status) -> None:
        """End a unary call with a status other than OK."""
        answering.fail(self, call, status)

    def answer(self, call: UnaryCall, message: bytes) -> None:
        """End a unary call with its message."""
        output = self.output
        size = len(message) + PREFIX_BYTES
        if size > output.usual_bytes_max or size > output.window or call.extras is not None:
            answering.answer(self, call, message)
            return
        call.head.method.endings[0] += 1  # type: ignore[union-attr]  # only a method answers
        output.window -= size
        stream_id = call.stream_id
        output.parts += (
            _ANSWER.pack(
                _ANSWER_HEAD, END_HEADERS, stream_id, GRPC_RESPONSE,
                size << 8 | DATA, 0, stream_id, 0, size - PREFIX_BYTES,
            ),
            message,
            _END.pack(_END_HEAD, END_HEADERS | END_STREAM, stream_id, OK_TRAILERS),
        )  # fmt: skip
        if call.stream is not None:
            self.meters.answers += 1
            self.stream_ended(call.stream)
        if not self.awake:
            self.wake()

    def keep(self, call: UnaryCall) -> None:
        """A unary call was not answered in its turn."""
        try:
            self._counted(call)
        except Status as status:
            call.fail(status)

    def defer(self, call: UnaryCall) -> None:
        """A unary call will not be answered in its turn. Raises Status where too much waits."""
        self._counted(call).deferred = True

    def _counted(self, call: UnaryCall) -> Stream:
        """Count a unary call, and the bytes of its message, once. Raises Status."""
        stream = call.stream
        if stream is None:
            stream = self.adopt(call)
            self.receipts.hold(stream, call.head.list_bytes + len(call.message))
        if not stream.counted:
            self.count(stream)
        return stream

    def handled(self, call: UnaryCall) -> None:
        """A handler has come to its end after its call had."""
        stream = call.stream
        if stream is not None and stream.outlived:
            stream.outlived = False
            self._release(stream)

    def count(self, stream: Stream) -> None:
        """Count a stream's call as under way. Raises Status if there are too many."""
        shared = self.shared
        if shared.calls >= shared.bounds.calls_max:
            shared.refused("calls")
            raise Status(Code.RESOURCE_EXHAUSTED, "too many calls under way")
        stream.counted = True
        shared.calls += 1

    def expire(self, stream: Stream) -> None:
        """A call's deadline has come."""
        answering.stop(self, stream, _DEADLINE_EXCEEDED)

    # The end

    def pause(self, now: float) -> None:
        """The socket takes nothing: send no DATA, handle no frames."""
        self.output.pause(now)

    def resume(self) -> None:
        """It takes something again."""
        self.output.resume()
        self.wake()

    def warn(self) -> None:
        """The first step of leaving: say so, and serve what the peer began before it heard."""
        if self.phase is not Phase.CLOSED and not self.warned:
            self.warned = True
            self.output.parts.append(goaway(STREAM_ID_MAX, ErrorCode.NO_ERROR))
            self.output.parts.append(frame(PING, 0, 0, LEAVING_PING))
            self.wake()

    def leave(self) -> None:
        """The second step: streams up to the last one are served, later ones are not."""
        if self.phase not in (Phase.LEAVING, Phase.CLOSED):
            self.output.parts.append(goaway(self.last_id, ErrorCode.NO_ERROR))
            self.phase = Phase.LEAVING
            self.wake()

    def close(self, fault: ConnectionFault | None) -> None:
        """End the connection at once, with GOAWAY for a fault; every call on it is given up."""
        if self.phase is Phase.CLOSED:
            return
        if fault is not None:
            self.shared.refused(fault.kind)
            reason = fault.reason.encode("ascii", "replace")
            self.output.parts.append(goaway(self.last_id, fault.code, reason))
        self.calls.clear()
        for stream in list(self.streams.values()):
            self.abandon(stream.id)
        self.phase = Phase.CLOSED
        self.pending, self.more, self.inflation = b"", False, None
        self.wake()
