"""What a connection does with the frames of its peer that are not a usual call (RFC 9113, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.front.errors import ConnectionFault, ErrorCode, HeaderListTooLarge, StreamFault
from sidecar.front.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_ID_MAX,
    WINDOW_UPDATE,
)
from sidecar.front.machine import control_frames, requests
from sidecar.front.machine.heads import TOO_LARGE, RequestHead, check_trailers
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.streams import PartialBlock

if TYPE_CHECKING:
    from sidecar.front.machine.state import State

_WORK_BYTES: Final = 1024  # of a frame's payload, a unit of work
_BLOCK_WORK_BYTES: Final = 4  # of a header block: a field may take two


def on_frame(connection: State, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
    """Handle one frame. Raises ConnectionFault."""
    stream_id &= STREAM_ID_MAX
    connection.work -= 1 + len(payload) // _WORK_BYTES
    if connection.partial is not None and kind != CONTINUATION:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame within a header block")
    if connection.phase is Phase.GREETED and kind != SETTINGS:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")
    handle = _HANDLERS.get(kind, control_frames.on_unknown)
    try:
        handle(connection, flags, stream_id, payload)
    except StreamFault as fault:
        connection.reset(stream_id, fault)


def on_data(connection: State, flags: int, stream_id: int, payload: bytes) -> None:
    """Content of a request."""
    if not stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
    size = len(payload)
    connection.receipts.take(size)
    if flags & PADDED:
        payload = _unpadded(payload)
    stream = connection.streams.get(stream_id)
    if stream is None:
        _late(connection, stream_id)
        return
    if stream.remote_ended:
        raise StreamFault(ErrorCode.STREAM_CLOSED, "DATA after the end of the request")
    connection.receipts.take_on(stream, size, size - len(payload))
    if payload:
        stream.moved_at = connection.now
    if flags & END_STREAM:
        stream.remote_ended = True
    elif not payload:
        bounds = connection.shared.bounds
        connection.meters.spend("empty_frame_flood", bounds.empty_frames, connection.now)
    if stream.content_left >= 0:
        stream.content_left -= len(payload)
        if stream.content_left < 0 or (stream.content_left and stream.remote_ended):
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "content-length is not the content's")
    requests.on_content(connection, stream, payload)


def on_headers(connection: State, flags: int, stream_id: int, payload: bytes) -> None:
    """The start of a request, or its trailers."""
    if not stream_id & 1:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream of ours")
    if flags & PADDED:
        payload = _unpadded(payload)
    depends_on_itself = False
    if flags & HAS_PRIORITY:
        if len(payload) < control_frames.PRIORITY_BYTES:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short")
        depends_on_itself = int.from_bytes(payload[:4]) & STREAM_ID_MAX == stream_id
        payload = payload[control_frames.PRIORITY_BYTES :]
    if (
        stream_id <= connection.last_id
        and stream_id not in connection.streams
        and stream_id not in connection.early
    ):
        raise ConnectionFault(ErrorCode.STREAM_CLOSED, "HEADERS on a closed stream")
    end_stream = bool(flags & END_STREAM)
    if not flags & END_HEADERS:
        connection.partial = PartialBlock(stream_id, payload, end_stream, connection.now)
        _charge_empty(connection, payload)
        return
    _on_block(connection, stream_id, payload, end_stream)
    if depends_on_itself:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "stream that depends on itself")


def on_continuation(connection: State, flags: int, stream_id: int, payload: bytes) -> None:
    """More of a header block."""
    partial, bounds = connection.partial, connection.shared.bounds
    if partial is None or stream_id != partial.stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of nothing")
    partial.frames += 1
    partial.block += payload
    if (
        partial.frames > bounds.continuations_max
        or len(partial.block) > bounds.header_block_bytes_max
    ):
        raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too large", "header_block")
    if flags & END_HEADERS:
        connection.partial = None
        _on_block(connection, stream_id, bytes(partial.block), partial.end_stream)
    else:
        _charge_empty(connection, payload)


def _charge_empty(connection: State, payload: bytes) -> None:
    if not payload:
        bounds = connection.shared.bounds
        connection.meters.spend("empty_frame_flood", bounds.empty_frames, connection.now)


def _on_block(connection: State, stream_id: int, block: bytes, end_stream: bool) -> None:
    """A whole header block: a request's or a stream's trailers."""
    if stream_id > connection.last_id:
        head, seconds = read_request_head(connection, stream_id, block, end_stream)
        if head is not None:
            requests.on_request(connection, stream_id, head, seconds, end_stream)
        return
    connection.work -= len(block) // _BLOCK_WORK_BYTES
    try:
        fields = connection.heads.reader.read(block)
    except HeaderListTooLarge:
        raise StreamFault(
            ErrorCode.ENHANCE_YOUR_CALM, "trailers too large", "header_list"
        ) from None
    stream = connection.streams.get(stream_id)
    if stream is None:  # it was answered early
        _charge_late(connection)
        return
    if stream.remote_ended:
        raise StreamFault(ErrorCode.STREAM_CLOSED, "HEADERS after the end of the request")
    check_trailers(fields)
    if not end_stream:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers that end nothing")
    if stream.content_left > 0:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "content-length is not the content's")
    stream.remote_ended = True
    requests.on_content(connection, stream, b"")


def usual_head(connection: State, stream_id: int, block: bytes) -> tuple[RequestHead | None, float]:
    """The head of a whole call, and its timeout; None where it is not usual and was dealt with."""
    head, seconds = read_request_head(connection, stream_id, block, end_stream=False)
    if head is None or head.usual:
        return head, seconds
    try:
        requests.on_request(connection, stream_id, head, seconds, end_stream=False)
    except StreamFault as fault:
        connection.reset(stream_id, fault)
    return None, 0.0


def read_request_head(
    connection: State, stream_id: int, block: bytes, end_stream: bool
) -> tuple[RequestHead | None, float]:
    """Read the header block of a new stream.

    None where the stream was refused. Raises ConnectionFault for a block that is undecodable.
    """
    heads = connection.heads
    found = heads.match(block)
    if found is not None:
        return found
    connection.work -= 1
    try:
        head = heads.known.get(block)
        if head is None:
            connection.work -= len(block) // _BLOCK_WORK_BYTES
            head = heads.read(block)
            if not heads.reader.independent:
                control_frames.on_table_used(connection)
        return head, head.timeout_seconds
    except HeaderListTooLarge:
        connection.shared.refused("header_list")
        connection.last_id = stream_id
        requests.refuse(connection, stream_id, TOO_LARGE, end_stream)
    except StreamFault as fault:
        connection.last_id = stream_id
        connection.reset(stream_id, fault)
    return None, 0.0


def _late(connection: State, stream_id: int) -> None:
    """DATA for a stream that has ended, or never was."""
    control_frames.check_not_idle(connection, stream_id)
    if stream_id not in connection.early:
        raise StreamFault(ErrorCode.STREAM_CLOSED, "DATA on a closed stream")
    _charge_late(connection)


def _charge_late(connection: State) -> None:
    connection.meters.spend("late_frames", connection.shared.bounds.late_frames, connection.now)


def _unpadded(payload: bytes) -> bytes:
    """Raises ConnectionFault where there is more padding than payload."""
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding as long as the frame")
    return payload[1 : len(payload) - payload[0]]


_HANDLERS: Final = {
    DATA: on_data,
    HEADERS: on_headers,
    PRIORITY: control_frames.on_priority,
    RST_STREAM: control_frames.on_rst_stream,
    SETTINGS: control_frames.on_settings,
    PUSH_PROMISE: control_frames.on_push_promise,
    PING: control_frames.on_ping,
    GOAWAY: control_frames.on_goaway,
    WINDOW_UPDATE: control_frames.on_window_update,
    CONTINUATION: on_continuation,
}
