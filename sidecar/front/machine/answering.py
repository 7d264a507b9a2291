"""How calls are answered where the usual path does not do: statuses, metadata, long messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.front.errors import Code, ErrorCode, Status
from sidecar.front.frames import rst_stream
from sidecar.front.machine import blocks
from sidecar.front.machine.calls import Context, Extras, TaskCall, UnaryCall
from sidecar.front.machine.events import Event, What
from sidecar.front.machine.heads import Refusal
from sidecar.front.machine.messages import gzipped, packed

if TYPE_CHECKING:
    from sidecar.front.machine.state import State
    from sidecar.front.machine.streams import Stream


def answer(connection: State, call: UnaryCall, message: bytes) -> None:
    """End a unary call with its message."""
    stream = call.stream or connection.adopt(call)
    try:
        send(connection, stream, message)
        finish(connection, stream)
        call.head.count_ending(Code.OK)
    except Status as status:
        call.head.count_ending(status.code)
        _end(connection, stream, status, call.extras)
    connection.wake()


def fail(connection: State, call: Context, status: Status) -> None:
    """End a call with a status other than OK, after the messages that it has sent."""
    call.head.count_ending(status.code)
    if call.stream is not None:
        _end(connection, call.stream, status, call.extras)
    else:
        trailers = _status_trailers(status, call.extras)
        block = blocks.GRPC_RESPONSE + _initial(call.extras) + trailers
        connection.output.head(call.stream_id, block, end_stream=True)
    connection.wake()


def send_head(connection: State, stream: Stream) -> None:
    """Send the head of a call's response, unless that has been done."""
    if stream.answering or stream.over:
        return
    extras = stream.call.extras if stream.call is not None else None
    block = blocks.GRPC_RESPONSE + _initial(extras)
    if extras is not None and extras.compressed:
        block += blocks.GZIP
    stream.answering = True
    connection.output.head(stream.id, block, end_stream=False)
    connection.wake()


def send(connection: State, stream: Stream, message: bytes) -> None:
    """Send a message, after those before it. Raises Status where too much waits to be sent."""
    output, shared = connection.output, connection.shared
    bounds = shared.bounds
    if (
        output.queued_bytes + len(message) > bounds.queued_bytes_connection_max
        or shared.queued_bytes + len(message) > bounds.queued_bytes_max
    ):
        shared.refused("queued_bytes")
        raise Status(Code.RESOURCE_EXHAUSTED, "too many bytes wait to be sent")
    send_head(connection, stream)
    extras = stream.call.extras if stream.call is not None else None
    compressed = extras is not None and extras.compressed
    output.enqueue(stream, gzipped(message) if compressed else packed(message))
    output.pump()
    connection.wake()


def finish(connection: State, stream: Stream) -> None:
    """End a call with OK, after its messages."""
    send_head(connection, stream)
    extras = stream.call.extras if stream.call is not None else None
    trailing = extras.trailing if extras is not None else b""
    connection.output.finish(stream, blocks.OK_TRAILERS + trailing)
    connection.wake()


def refuse(connection: State, stream: Stream, refusal: Refusal) -> None:
    """Answer a request that no method gets to see."""
    output = connection.output
    stream.answering = True
    if refusal.body:
        output.head(stream.id, refusal.block, end_stream=False)
        output.enqueue(stream, refusal.body)
        output.finish(stream, b"")
        output.pump()
    else:
        output.finish(stream, refusal.block)
    connection.wake()


def stop(connection: State, stream: Stream, status: Status) -> None:
    """End a call from this side, in place of what it would have answered."""
    give_up(connection, stream, status.code)
    if stream.finish is not None:
        return  # it is answered; the peer has only not taken all of it
    if stream.call is None:
        stream.head.count_ending(status.code)
    output = connection.output
    whole = not stream.offset
    output.discard(stream)
    if whole:
        extras = stream.call.extras if stream.call is not None else None
        _end(connection, stream, status, extras)
    else:
        # Part of a message is out, so that trailers cannot follow.
        output.parts.append(rst_stream(stream.id, ErrorCode.CANCEL))
        connection.early.append(stream.id)
        connection.abandon(stream.id)
    connection.wake()


def give_up(connection: State, stream: Stream, code: int) -> None:
    """Let a call know that it has ended. code: of its status."""
    call = stream.call
    if call is None or call.ended:
        return
    call.ended = True
    call.head.count_ending(code)
    stream.outlived = stream.deferred
    if isinstance(call, TaskCall):
        connection.events.append(Event(What.ENDED, call))
        connection.wake()


def _end(connection: State, stream: Stream, status: Status, extras: Extras | None) -> None:
    trailers = _status_trailers(status, extras)
    if not stream.answering:
        stream.answering = True
        trailers = blocks.GRPC_RESPONSE + _initial(extras) + trailers
    connection.output.finish(stream, trailers)


def _status_trailers(status: Status, extras: Extras | None) -> bytes:
    trailing = extras.trailing if extras is not None else b""
    try:
        return blocks.status_trailers(status) + trailing
    except ValueError:
        return blocks.status_trailers(Status(Code.INTERNAL, "metadata that must not be sent"))


def _initial(extras: Extras | None) -> bytes:
    return extras.initial if extras is not None else b""
