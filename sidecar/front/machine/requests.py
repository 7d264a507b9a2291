"""From heads and content to calls: requests that do not take the usual path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.front.errors import Code, ErrorCode, Status, StreamFault
from sidecar.front.frames import rst_stream
from sidecar.front.machine import answering
from sidecar.front.machine.calls import TaskCall, UnaryCall
from sidecar.front.machine.events import Event, What
from sidecar.front.machine.heads import IDENTITY, Refusal, RequestHead
from sidecar.front.machine.messages import (
    MESSAGE_WORK_BYTES,
    PREFIX,
    PREFIX_BYTES,
    STEP_WORK,
    Inflation,
    too_large,
)
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.streams import Stream

if TYPE_CHECKING:
    from sidecar.front.machine.state import State

_TASK_WORK: Final = 16
"""What it costs to start a task, in units of `Bounds.work_per_turn`."""
_MESSAGE_OVERHEAD_BYTES: Final = 48
"""What a message in an inbox takes beyond its content: counted, so that many tiny messages cannot
take many times the memory that the bounds allow."""


def on_request(
    connection: State, stream_id: int, head: RequestHead, seconds: float, end_stream: bool
) -> None:
    """A request begins. seconds: its timeout; 0.0: none. Raises StreamFault."""
    connection.last_id = stream_id
    if connection.phase is Phase.LEAVING:
        connection.early.append(stream_id)
        return
    shared = connection.shared
    if (
        _has_all_streams(connection, shared.bounds.streams_max)
        or shared.streams >= shared.bounds.streams_in_all_max
    ):
        raise StreamFault(ErrorCode.REFUSED_STREAM, "too many streams", "streams")
    stream = Stream(connection, stream_id, head, connection.now + seconds if seconds else 0.0)
    stream.remote_ended = end_stream
    if end_stream and stream.content_left > 0:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "content-length is not the content's")
    connection.open_stream(stream)
    try:
        connection.receipts.hold(stream, head.list_bytes)
    except Status as status:
        answering.stop(connection, stream, status)
        return
    if head.refusal is not None and not head.refusal.waits:
        answering.refuse(connection, stream, head.refusal)
        return
    if head.refusal is None and head.streams_request:
        _start(connection, stream, None)
    if end_stream:
        on_content(connection, stream, b"")


def _has_all_streams(connection: State, streams_max: int) -> bool:
    """Whether the peer has as many streams open as it may. A call of this turn may have one yet."""
    streams, calls = len(connection.streams), connection.calls
    if streams + len(calls) < streams_max:
        return False
    return streams + sum(call.stream is None for call in calls) >= streams_max


def refuse(connection: State, stream_id: int, refusal: Refusal, end_stream: bool) -> None:
    """Answer a request of which nothing is known, with trailers only."""
    connection.output.head(stream_id, refusal.block, end_stream=True)
    if not end_stream:
        connection.output.parts.append(rst_stream(stream_id, ErrorCode.NO_ERROR))
        connection.early.append(stream_id)


def on_content(connection: State, stream: Stream, content: bytes) -> None:
    """More of a request, or with `stream.remote_ended` its end."""
    if stream.over or stream.finish is not None:
        return
    refusal = stream.head.refusal
    if refusal is not None:
        if stream.remote_ended or 2 * stream.credit < connection.shared.bounds.stream_window_bytes:
            answering.refuse(connection, stream, refusal)
        return
    try:
        if content:
            _take(connection, stream, content)
        if stream.remote_ended and connection.inflation is None:
            _end_request(connection, stream)
    except Status as status:
        answering.stop(connection, stream, status)


def _take(connection: State, stream: Stream, content: bytes) -> None:
    """Cut messages out of content. Raises Status for what is no message, or too large."""
    buffer = stream.buffer
    if buffer is None:
        buffer = stream.buffer = bytearray()
    connection.receipts.hold(stream, len(content))
    buffer += content
    at = 0
    while len(buffer) - at >= PREFIX_BYTES and connection.inflation is None:
        compressed, size = PREFIX.unpack_from(buffer, at)
        _check_prefix(connection, stream, compressed, size)
        end = at + PREFIX_BYTES + size
        if end > len(buffer):
            connection.receipts.need(stream, end - len(buffer))
            break
        message = bytes(memoryview(buffer)[at + PREFIX_BYTES : end])
        at = end
        if compressed:
            connection.inflation = (
                stream,
                Inflation(message, connection.shared.bounds.message_bytes_max),
            )
        else:
            _deliver(connection, stream, message)
    del buffer[:at]


def _check_prefix(connection: State, stream: Stream, compressed: int, size: int) -> None:
    bytes_max = connection.shared.bounds.message_bytes_max
    if size > bytes_max:
        connection.shared.refused("message_bytes")
        raise too_large(size, bytes_max)
    if compressed > 1 or (compressed and stream.head.encoding == IDENTITY):
        raise Status(Code.INTERNAL, "message with an impossible compression flag")


def inflate(connection: State) -> None:
    """Go on decompressing a message for a turn; what follows it waits."""
    while connection.inflation is not None and connection.work > 0:
        stream, inflation = connection.inflation
        connection.work -= STEP_WORK
        if stream.over or stream.finish is not None:
            connection.inflation = None
            return
        try:
            message = inflation.step()
        except Status as status:
            connection.inflation = None
            if status.code == Code.RESOURCE_EXHAUSTED:
                connection.shared.refused("message_bytes")
            answering.stop(connection, stream, status)
            return
        if message is not None:
            connection.inflation = None
            _inflated(connection, stream, inflation.size, message)


def _inflated(connection: State, stream: Stream, size: int, message: bytes) -> None:
    """A compressed message of `size` bytes is `message`: as if it had come so."""
    try:
        connection.receipts.hold(stream, len(message) - size)
        stream.owed += size - len(message)  # the window counts what came
        _deliver(connection, stream, message)
    except Status as status:
        answering.stop(connection, stream, status)
        return
    on_content(connection, stream, b"")


def _deliver(connection: State, stream: Stream, message: bytes) -> None:
    """A message is whole."""
    connection.work -= 1 + len(message) // MESSAGE_WORK_BYTES
    connection.receipts.hold(stream, _MESSAGE_OVERHEAD_BYTES)
    stream.inbox.append(message)
    if stream.head.streams_request:
        _tell(connection, stream)
    elif len(stream.inbox) > 1:
        raise _not_one()


def take(connection: State, stream: Stream) -> bytes | None:
    """The next message for a behaviour; None if there is none yet (or no more)."""
    if not stream.inbox:
        return None
    message = stream.inbox.popleft()
    size = len(message) + PREFIX_BYTES
    connection.receipts.release(stream, size + _MESSAGE_OVERHEAD_BYTES)
    connection.receipts.give_back(stream, size)
    connection.wake()
    return message


def _end_request(connection: State, stream: Stream) -> None:
    """The request is whole. Raises Status where it is not what the method takes."""
    if stream.buffer:
        raise Status(Code.INTERNAL, "the request ends within a message")
    head = stream.head
    if head.streams_request:
        _tell(connection, stream)
        return
    if not stream.inbox:
        raise _not_one()
    message = stream.inbox.popleft()  # counts as held until the call ends
    if head.answers_at_once:
        call = UnaryCall(connection, stream.id, head, 0.0, message)
        call.stream, stream.call = stream, call
        connection.calls.append(call)
    else:
        _start(connection, stream, message)


def _not_one() -> Status:
    return Status(Code.UNIMPLEMENTED, "the method takes exactly one message")


def _start(connection: State, stream: Stream, message: bytes | None) -> None:
    """Begin a call whose behaviour runs as a task. message: None where it takes a stream."""
    try:
        connection.count(stream)
    except Status as status:
        answering.stop(connection, stream, status)
        return
    connection.work -= _TASK_WORK
    call = TaskCall(connection, stream, stream.head, message)
    stream.call = call
    connection.events.append(Event(What.STARTED, call))


def _tell(connection: State, stream: Stream) -> None:
    """Let the behaviour know that there is something to take, or no more to come."""
    call = stream.call
    if isinstance(call, TaskCall) and not call.told:
        call.told = True
        connection.events.append(Event(What.ARRIVED, call))
