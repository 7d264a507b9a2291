"""The server's side of one HTTP/2 connection that carries gRPC (RFC 9113). No I/O.

Bytes and the time go in; complete unary calls, events and bytes come out. A turn of the driver is

    calls = connection.receive(data, now)     or  connection.proceed(now)
    (handle the calls)
    connection.settle()
    (carry out connection.events, send connection.output.parts)
    connection.sent()

Rules
- The states of a connection are in phases.py.
- The states of a stream: one that the usual path reads and answers within a turn has none. Any
  other is in `streams` while it is not over: until its answer has been sent, or either side resets
  it. `remote_ended` is half-closed (remote). An answer that is complete before its request is ends
  the stream with RST_STREAM(NO_ERROR); what then crosses it on the way is ignored (`early`).
- Stream numbers grow. A number above `last_id` is idle, one below that is in neither `streams` nor
  `early` is closed.
- A fault of a stream resets it; a fault of the connection ends it with GOAWAY. Neither ever raises
  out of this module.
- Bytes of the peer are handled in bounded turns: what a turn leaves is in `pending`, and the driver
  reads nothing until `proceed` has used it up.
- A call is counted as under way from the end of the turn that began it to its end. One whose
  handler defers the answer: from then on, and until the handler has come to its end, too, so that
  peers who give up calls cannot have more handled than may be under way.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from sidecar.front.errors import ConnectionFault, ErrorCode
from sidecar.front.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    FRAME_BYTES_MAX,
    FRAME_HEAD_BYTES,
    HEADERS,
    PREFACE,
    STREAM_ID_MAX,
    WINDOW_UPDATE,
)
from sidecar.front.machine import inbound, requests
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.messages import MESSAGE_WORK_BYTES, PREFIX_BYTES
from sidecar.front.machine.output import WINDOW_MAX
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.shared import Shared
from sidecar.front.machine.state import State

# DATA's frame head and its message's prefix; or all of a WINDOW_UPDATE and a byte more.
_MESSAGE: Final = Struct(">IBIBI")
_UPDATE_BYTES: Final = FRAME_HEAD_BYTES + 4
_WINDOW_UPDATE: Final = 4 << 8 | WINDOW_UPDATE


class Connection(State):
    """One connection: turns, and the path of usual calls through them."""

    def __init__(self, shared: Shared, peer: str, now: float) -> None:
        super().__init__(shared, peer, now)
        bounds = shared.bounds
        self._at = 0  # in `pending`
        self._updates = 0  # WINDOW_UPDATE of the connection, in this turn
        self._fault: ConnectionFault | None = None
        self._work: Final = bounds.work_per_turn
        self._calls_max: Final = min(bounds.calls_per_turn, bounds.streams_max)
        self._usual_streams_max: Final = bounds.streams_max - self._calls_max
        self._usual_bytes_max: Final = min(bounds.message_bytes_max, FRAME_BYTES_MAX - PREFIX_BYTES)

    def receive(self, data: bytes, now: float) -> list[UnaryCall]:
        """Take bytes of the peer. Returns the complete unary calls, in order."""
        self.heard_at = now
        self.pending = self.pending[self._at :] + data if self.pending else data
        self._at = 0
        return self.proceed(now)

    def proceed(self, now: float) -> list[UnaryCall]:
        """Go on with what is there. Returns complete unary calls, in order."""
        self.now = now
        self.awake = True
        self.work = self._work
        try:
            output = self.output
            if (
                self.phase is Phase.OPEN
                and self.inflation is None
                and not output.ready
                and not output.paused
            ):
                self._read()
            else:
                self._proceed_unusually()
        except ConnectionFault as fault:
            self._fault = fault
        return self.calls

    def _proceed_unusually(self) -> None:
        self.output.pump()
        if self.phase is Phase.OPENING:
            self._take_preface()
        if self.inflation is not None:
            requests.inflate(self)
        if self.inflation is not None:
            self.more = True
        elif self.phase not in (Phase.OPENING, Phase.CLOSED) and not self.output.paused:
            self._read()

    def _take_preface(self) -> None:
        size = len(PREFACE)
        if self.pending[:size] == PREFACE:
            self.phase, self._at = Phase.GREETED, size
        elif not PREFACE.startswith(self.pending):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface", "preface")

    def _read(self) -> None:
        """Handle the frames that are pending: usual calls here, all else by `inbound`."""
        data, at, calls = self.pending, self._at, self.calls
        end = len(data)
        # As `_takes_usual_calls`: a call more is felt on the path of every call.
        usual = (
            self.phase is Phase.OPEN
            and self.partial is None
            and len(self.streams) <= self._usual_streams_max
        )
        self.more = False
        try:
            while end - at >= FRAME_HEAD_BYTES:
                if len(calls) >= self._calls_max or self.work <= 0 or self.inflation is not None:
                    self.more = True
                    break
                head, flags, stream_id = FRAME.unpack_from(data, at)
                start = at + FRAME_HEAD_BYTES
                stop = start + (head >> 8)
                if usual and flags == END_HEADERS and head & 0xFF == HEADERS:
                    taken = self._usual_call(data, start, stop, stream_id)
                    if taken:
                        at = taken
                        continue
                if usual and head == _WINDOW_UPDATE and not stream_id and stop <= end:
                    self._usual_update(data[start:stop])
                    at = stop
                    continue
                if stop - start > FRAME_BYTES_MAX:
                    raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame too large")
                if stop > end:
                    return
                at = stop
                inbound.on_frame(self, head & 0xFF, flags, stream_id, data[start:stop])
                usual = self._takes_usual_calls()
        finally:
            if self.inflation is not None:
                self.more = True
            self.pending, self._at = (data, at) if self.more else (data[at:], 0)

    def _takes_usual_calls(self) -> bool:
        """Whether a turn's worth of calls may go without a look at the connection's state."""
        return (
            self.phase is Phase.OPEN
            and self.partial is None
            and len(self.streams) <= self._usual_streams_max
        )

    def _usual_call(self, data: bytes, start: int, stop: int, stream_id: int) -> int:
        """Take a whole call in two frames, HEADERS and DATA, as nearly all are.

        Clients with grpc-core put a WINDOW_UPDATE of the stream between them.

        start, stop: where the header block is. Returns the position after what was taken, 0 if
        the call is not so.
        """
        if len(data) - stop < _MESSAGE.size or not self.last_id < stream_id <= STREAM_ID_MAX:
            return 0
        head, flags, data_id, compressed, size = _MESSAGE.unpack_from(data, stop)
        message_at = stop + _MESSAGE.size
        granted = 0  # by which the stream's window is larger than usual
        if head == _WINDOW_UPDATE and data_id == stream_id:
            granted = compressed << 24 | size >> 8
            at = stop + _UPDATE_BYTES
            room = WINDOW_MAX - self.output.initial_window
            if len(data) - at < _MESSAGE.size or not 0 < granted <= room:
                return 0
            head, flags, data_id, compressed, size = _MESSAGE.unpack_from(data, at)
            message_at += _UPDATE_BYTES
        end: int = message_at + size
        if (
            flags != END_STREAM
            or data_id != stream_id
            or head != size + PREFIX_BYTES << 8 | DATA
            or compressed
            or size > self._usual_bytes_max
            or end > len(data)
            or not stream_id & 1
        ):
            return 0
        block = data[start:stop]
        request, seconds = self.heads.known.get(block), 0.0
        if request is None:
            if len(block) > FRAME_BYTES_MAX:
                return 0
            found = self.heads.match(block) or inbound.usual_head(self, stream_id, block)
            request, seconds = found
            if request is None:
                return stop
        if not request.usual:
            return 0
        self.last_id = stream_id
        self.work -= size // MESSAGE_WORK_BYTES
        receipts = self.receipts
        receipts.credit -= size + PREFIX_BYTES
        if receipts.credit < receipts.low:
            receipts.replenish()
        message = data[message_at:end]
        self.calls.append(UnaryCall(self, stream_id, request, seconds, message, granted))
        return end

    def _usual_update(self, payload: bytes) -> None:
        """Take a WINDOW_UPDATE of the connection, which many clients send with each call."""
        increment = int.from_bytes(payload) & WINDOW_MAX
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        self.work -= 1
        self._updates += 1
        self.output.widen(increment)

    def settle(self) -> None:
        """End the turn: what has not been answered yet is under way from now on."""
        calls = self.calls
        if calls:
            for call in calls:
                if not call.ended:
                    self.keep(call)
                elif call.stream is None:
                    self.meters.answers += 1
            self.calls = []
        if self._updates:
            self._settle_updates()
        if self.fresh or self._fault is not None or self.phase is not Phase.OPEN:
            self._settle_unusually()

    def _settle_updates(self) -> None:
        allowance, count = self.shared.bounds.window_updates, self._updates
        self._updates = 0
        try:
            self.meters.spend("window_update_flood", allowance, self.now, count)
            self.output.pump()
        except ConnectionFault as fault:
            self._fault = self._fault or fault

    def _settle_unusually(self) -> None:
        for stream in self.fresh:
            if stream.deadline and not stream.over:
                self.shared.timers.add(stream.deadline, stream)
        self.fresh.clear()
        if self._fault is not None:
            self.close(self._fault)
        elif self.phase is Phase.LEAVING and not self.streams:
            self.phase = Phase.CLOSED

    def sent(self) -> None:
        """The driver has taken what there was to send."""
        output = self.output
        if output.burst_left != output.burst_bytes:
            output.start_turn()
        self.awake = False
