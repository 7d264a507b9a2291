"""The server's side of one HTTP/2 connection that carries gRPC (RFC 9113). No I/O.

Bytes and the time go in; complete unary calls, events and bytes come out. A turn of the driver is

    calls = connection.receive(data, now)     or  connection.proceed(now)
    (handle the calls)
    connection.settle(calls)
    events, bytes = connection.events, connection.output.parts

Rules
- The states of a connection: OPENING until the peer's preface and first SETTINGS; OPEN; LEAVING
  once a last stream has been named (GOAWAY): later streams are ignored; CLOSED: what is queued is
  sent, nothing is read.
- The states of a stream: a stream that the usual path reads and answers within a turn has none. Any
  other is in `streams` while it is not over: until its answer has been sent, or either side resets
  it. `remote_ended` is half-closed (remote). An answer that is complete before its request is ends
  the stream with RST_STREAM(NO_ERROR); what then crosses it on the way is ignored (`early`).
- Stream numbers grow. A number above `last_id` is idle, one below that is in neither `streams` nor
  `early` is closed.
- A fault of a stream resets it; a fault of the connection ends it with GOAWAY. Neither ever raises
  out of this module.
- Bytes of the peer are handled in bounded turns: what a turn leaves is in `pending`, and the driver
  reads nothing until `proceed` has used it up.
- A call is counted as under way from the end of the turn that began it to its end.
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
    FRAME,
    FRAME_BYTES_MAX,
    FRAME_HEAD_BYTES,
    HEADERS,
    PING,
    PREFACE,
    STREAM_ID_MAX,
    frame,
    goaway,
    rst_stream,
)
from sidecar.front.machine import answering, inbound, requests
from sidecar.front.machine.blocks import GRPC_RESPONSE, OK_TRAILERS
from sidecar.front.machine.calls import Context, TaskCall, UnaryCall
from sidecar.front.machine.control import LEAVING_PING, server_preface
from sidecar.front.machine.events import Event, What
from sidecar.front.machine.floods import Meters
from sidecar.front.machine.flow import Receipts
from sidecar.front.machine.headcache import HeadCache
from sidecar.front.machine.messages import PREFIX_BYTES, Inflation
from sidecar.front.machine.output import Output
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.shared import Shared
from sidecar.front.machine.streams import Stream

# DATA's frame head and its message's prefix; a usual answer before and after its message.
_MESSAGE: Final = Struct(">IBIBI")
_ANSWER: Final = Struct(f">IBI{len(GRPC_RESPONSE)}sIBIBI")
_END: Final = Struct(f">IBI{len(OK_TRAILERS)}s")
_ANSWER_HEAD: Final = len(GRPC_RESPONSE) << 8 | HEADERS
_END_HEAD: Final = len(OK_TRAILERS) << 8 | HEADERS
_EARLY_MAX: Final = 256


def _asleep() -> None:
    pass


class Connection:
    """One connection.

    on_wake: set by its driver; told when there is something to send, or an event, outside of a
    turn. peer: who is at the other end, as `Context.peer` spells it. now: seconds, of the turn's
    start. more: what is `pending` can go on at once. work: units left in this turn.
    """

    def __init__(self, shared: Shared, peer: str, now: float) -> None:
        bounds = shared.bounds
        self.shared: Final = shared
        self.peer: Final = peer
        self.now = now
        self.heard_at = now
        self.pinged_at = 0.0  # a keep-alive ping is under way since then; 0.0: none
        self.phase = Phase.OPENING
        self.settings_due = 1  # SETTINGS that the peer has to acknowledge
        self.settings_since = now
        self.table_uses = 0  # requests whose header blocks depended on a table
        self.warned = False  # of our leaving
        self.meters: Final = Meters()
        self.output: Final = Output(shared, self.meters, self.stream_ended, self.room_made)
        self.heads: Final = HeadCache(shared.methods, bounds)
        self.streams: Final[dict[int, Stream]] = {}
        self.last_id = 0
        self.early: Final[deque[int]] = deque(maxlen=_EARLY_MAX)
        self.calls: list[UnaryCall] = []  # of the turn
        self.fresh: Final[list[Stream]] = []  # begun in the turn
        self.events: Final[list[Event]] = []
        self.receipts: Final = Receipts(shared, self.output.parts)
        self.work = 0
        self.more = False
        self.pending = b""
        self.partial: inbound.PartialBlock | None = (
            None  # a header block that CONTINUATION goes on with
        )
        self.inflation: tuple[Stream, Inflation] | None = None
        self.on_wake: Callable[[], None] = _asleep
        self._at = 0  # in `pending`
        self._awake = False
        self._fault: ConnectionFault | None = None
        self._usual_max: Final = min(bounds.message_bytes_max, FRAME_BYTES_MAX - PREFIX_BYTES)
        self.output.parts.append(server_preface(bounds))

    # A turn

    def receive(self, data: bytes, now: float) -> list[UnaryCall]:
        """Take bytes of the peer. Returns the complete unary calls, in order."""
        self.heard_at = now
        self.pending = self.pending[self._at :] + data if self.pending else data
        self._at = 0
        return self.proceed(now)

    def proceed(self, now: float) -> list[UnaryCall]:
        """Go on with what is there. Returns complete unary calls, in order."""
        self.now = now
        self._awake = True
        self.more = False
        calls: list[UnaryCall] = []
        self.calls = calls
        self.work = self.shared.bounds.work_per_turn
        try:
            if self.output.ready:
                self.output.pump()
            if self.phase is Phase.OPENING:
                self._take_preface()
            if self.inflation is not None:
                requests.inflate(self)
            if self.inflation is not None:
                self.more = True
            elif self.output.paused:
                self.more = bool(self.pending)
            elif self.phase is not Phase.CLOSED:
                self._read(calls)
        except ConnectionFault as fault:
            self._fault = fault
        return calls

    def _take_preface(self) -> None:
        size = len(PREFACE)
        if self.pending[:size] == PREFACE:
            self.phase, self._at = Phase.GREETED, size
        elif not PREFACE.startswith(self.pending):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface", "preface")

    def _read(self, calls: list[UnaryCall]) -> None:
        """Handle the frames that are pending: usual calls here, all else by `inbound`."""
        data, at, most = self.pending, self._at, self.shared.bounds.calls_per_turn
        end = len(data) if self.phase is not Phase.OPENING else 0
        usual = self._takes_usual_calls()
        try:
            while end - at >= FRAME_HEAD_BYTES:
                head, flags, stream_id = FRAME.unpack_from(data, at)
                start = at + FRAME_HEAD_BYTES
                stop = start + (head >> 8)
                if usual and flags == END_HEADERS and head & 0xFF == HEADERS:
                    taken = self._usual_call(data, start, stop, stream_id)
                    if taken:
                        at = taken
                        if len(calls) >= most or self.work <= 0:
                            self.more = True
                            return
                        continue
                if stop - start > FRAME_BYTES_MAX:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame too large")
                if stop > end:
                    return
                at = stop
                inbound.on_frame(self, head & 0xFF, flags, stream_id, data[start:stop])
                if self.inflation is not None or len(calls) >= most or self.work <= 0:
                    self.more = True
                    return
                usual = self._takes_usual_calls()
        finally:
            self.pending, self._at = (data, at) if self.more else (data[at:], 0)

    def _takes_usual_calls(self) -> bool:
        """Whether a turn's worth of calls may go without a look at the connection's state."""
        bounds = self.shared.bounds
        return (
            self.phase is Phase.OPEN
            and self.partial is None
            and len(self.streams) + bounds.calls_per_turn <= bounds.streams_max
        )

    def _usual_call(self, data: bytes, start: int, stop: int, stream_id: int) -> int:
        """Take a whole call in two frames, HEADERS and DATA, as nearly all are.

        start, stop: where the header block is. Returns the position after what was taken, 0 if
        the call is not so.
        """
        if len(data) - stop < _MESSAGE.size or not self.last_id < stream_id <= STREAM_ID_MAX:
            return 0
        head, flags, data_id, compressed, size = _MESSAGE.unpack_from(data, stop)
        message_at = stop + _MESSAGE.size
        end: int = message_at + size
        if (
            flags != END_STREAM
            or data_id != stream_id
            or head != size + PREFIX_BYTES << 8 | DATA
            or compressed
            or size > self._usual_max
            or end > len(data)
            or not stream_id & 1
        ):
            return 0
        block = data[start:stop]
        request, seconds = self.heads.known.get(block), 0.0
        if request is None:
            request, seconds = inbound.usual_head(self, stream_id, block)
            if request is None:
                return stop
        elif not request.usual:
            return 0
        self.last_id = stream_id
        self.receipts.take(size + PREFIX_BYTES)
        self.calls.append(UnaryCall(self, stream_id, request, seconds, data[message_at:end]))
        return end

    def settle(self) -> None:
        """End the turn: what has not been answered yet is under way from now on."""
        for call in self.calls:
            if not call.ended:
                self._keep(call)
        self.meters.useful += len(self.calls)
        self.calls = []
        if self.fresh:
            for stream in self.fresh:
                if stream.deadline and not stream.over:
                    self.shared.timers.add(stream.deadline, stream)
            self.fresh.clear()
        if self._fault is not None:
            self.close(self._fault)
        elif self.phase is Phase.LEAVING and not self.streams:
            self.phase = Phase.CLOSED

    def sent(self) -> None:
        """The transport has taken `output.parts`."""
        self.output.start_turn()
        self._awake = False

    @property
    def unsettled(self) -> bool:
        """There is more to do than to wait for the peer."""
        return self.more or self.phase is Phase.CLOSED or self.output.can_go_on

    def wake(self) -> None:
        """There is something for the driver to do."""
        if not self._awake:
            self._awake = True
            self.on_wake()

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
        output.window -= size
        stream_id = call.stream_id
        output.parts += (
            _ANSWER.pack(
                *(_ANSWER_HEAD, END_HEADERS, stream_id, GRPC_RESPONSE),
                *(size << 8 | DATA, 0, stream_id, 0, size - PREFIX_BYTES),
            ),
            message,
            _END.pack(_END_HEAD, END_HEADERS | END_STREAM, stream_id, OK_TRAILERS),
        )
        if call.stream is not None:
            self.stream_ended(call.stream)
        if not self._awake:
            self.wake()

    def adopt(self, call: UnaryCall) -> Stream:
        """Give a call that took the usual path a stream."""
        stream = Stream(self, call.stream_id, call.head, call.deadline or 0.0)
        stream.remote_ended = True
        stream.call, call.stream = call, stream
        self.streams[stream.id] = stream
        self.fresh.append(stream)
        return stream

    def _keep(self, call: UnaryCall) -> None:
        stream = call.stream or self.adopt(call)
        if self.count(stream):
            return
        call.fail(answering.TOO_MANY_CALLS)

    def count(self, stream: Stream) -> bool:
        """Count a stream's call as under way; False if there are too many."""
        shared = self.shared
        if shared.calls >= shared.bounds.calls_max:
            shared.refused("calls")
            return False
        if not stream.counted:
            stream.counted = True
            shared.calls += 1
        return True

    def expire(self, stream: Stream) -> None:
        """A call's deadline has come."""
        status = Status(Code.DEADLINE_EXCEEDED, "Deadline Exceeded")
        answering.stop(self, stream, status)

    # Streams

    def stream_ended(self, stream: Stream) -> None:
        """A stream's answer is out, or nothing more will come of it."""
        stream.over = True
        self.streams.pop(stream.id, None)
        if stream.counted:
            self.shared.calls -= 1
        self.receipts.release(stream, stream.held_bytes)
        self.meters.useful += 1
        if not stream.remote_ended:
            self.output.parts.append(rst_stream(stream.id, ErrorCode.NO_ERROR))
            self.early.append(stream.id)
        if not self.streams and self.phase is Phase.LEAVING:
            self.wake()

    def room_made(self, stream: Stream) -> None:
        """A behaviour that waits to send may go on."""
        if isinstance(stream.call, TaskCall):
            self.events.append(Event(What.ROOM, stream.call))
            self.wake()

    def reset(self, stream_id: int, fault: StreamFault) -> None:
        """End a stream, or a call of this turn that has none, for a fault of the peer."""
        self.shared.refused(fault.kind)
        self.output.parts.append(rst_stream(stream_id, fault.code))
        self.early.append(stream_id)
        self.abandon(stream_id)
        self.meters.spend("rapid_reset", self.shared.bounds.resets, self.now)

    def abandon(self, stream_id: int) -> None:
        """Give up a stream, or a call of this turn that has none, without a word to the peer."""
        stream = self.streams.get(stream_id)
        if stream is None:
            for call in self.calls:
                if call.stream_id == stream_id:
                    call.ended = True
            return
        answering.give_up(self, stream)
        self.output.discard(stream)
        stream.remote_ended = True
        self.stream_ended(stream)

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
        for call in self.calls:
            call.ended = True
        for stream in list(self.streams.values()):
            self.abandon(stream.id)
        self.phase = Phase.CLOSED
        self.pending, self.more, self.inflation = b"", False, None
        self.wake()
