"""Frames that are about the connection or about a stream's state, not its content."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.front.bounds import Bounds
from sidecar.front.errors import ConnectionFault, ErrorCode, StreamFault
from sidecar.front.frames import (
    ACK,
    FRAME_BYTES_MAX,
    PING,
    SETTING,
    SETTINGS_ACK,
    SETTINGS_ENABLE_PUSH,
    SETTINGS_HEADER_TABLE_SIZE,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_CONCURRENT_STREAMS,
    SETTINGS_MAX_FRAME_SIZE,
    SETTINGS_MAX_HEADER_LIST_SIZE,
    STREAM_ID_MAX,
    frame,
    settings,
    window_update,
)
from sidecar.front.machine.output import INITIAL_WINDOW, WINDOW_MAX
from sidecar.front.machine.phases import Phase

if TYPE_CHECKING:
    from sidecar.front.machine.state import State

PRIORITY_BYTES: Final = 5
_TABLE_USES: Final = 2
_FRAME_BYTES_LIMIT: Final = 2**24 - 1
KEEPALIVE_PING: Final = b"alive?\0\0"
LEAVING_PING: Final = b"leaving\0"


def server_preface(bounds: Bounds) -> bytes:
    """What a server sends first."""
    values = {
        SETTINGS_MAX_CONCURRENT_STREAMS: bounds.streams_max,
        SETTINGS_INITIAL_WINDOW_SIZE: bounds.stream_window_bytes,
        SETTINGS_MAX_HEADER_LIST_SIZE: bounds.header_list_bytes_max,
    }
    grown = bounds.connection_window_bytes - INITIAL_WINDOW
    return settings(values) + (window_update(0, grown) if grown else b"")


def on_settings(connection: State, flags: int, stream_id: int, payload: bytes) -> None:
    """The peer's settings, or its acknowledgement of ours."""
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
    if len(payload) % SETTING.size or (flags & ACK and payload):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of an impossible length")
    bounds = connection.shared.bounds
    connection.meters.spend("settings_flood", bounds.settings, connection.now)
    if flags & ACK:
        _acknowledged(connection)
    else:
        _set(connection, payload)


def _acknowledged(connection: State) -> None:
    if connection.phase is Phase.GREETED:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")
    if connection.settings_due:
        connection.settings_due -= 1
        if connection.settings_due == 0 and connection.table_uses >= _TABLE_USES:
            connection.heads.reader.acknowledged()


def on_table_used(connection: State) -> None:
    """A request's header block depended on a table: the second time, ask the peer to use none."""
    connection.table_uses += 1
    if connection.table_uses == _TABLE_USES:
        connection.settings_due += 1
        connection.settings_since = connection.now
        connection.output.parts.append(settings({SETTINGS_HEADER_TABLE_SIZE: 0}))


def _set(connection: State, payload: bytes) -> None:
    # Only the last value of a setting has an effect that can be seen.
    values = dict(SETTING.iter_unpack(payload))
    for identifier, value in SETTING.iter_unpack(payload):
        _check_setting(identifier, value)
    output = connection.output
    if SETTINGS_INITIAL_WINDOW_SIZE in values:
        grown = output.set_initial_window(values[SETTINGS_INITIAL_WINDOW_SIZE])
        try:
            for stream in connection.streams.values():
                output.widen_stream(stream, grown)
        except StreamFault as fault:
            raise ConnectionFault(fault.code, fault.reason) from fault
    if connection.phase is Phase.GREETED:
        connection.phase = Phase.OPEN
    output.parts.append(SETTINGS_ACK)
    output.pump()


def _check_setting(identifier: int, value: int) -> None:
    if identifier == SETTINGS_ENABLE_PUSH and value > 1:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
    if identifier == SETTINGS_INITIAL_WINDOW_SIZE and value > WINDOW_MAX:
        raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE too large")
    if identifier == SETTINGS_MAX_FRAME_SIZE and not FRAME_BYTES_MAX <= value <= _FRAME_BYTES_LIMIT:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of bounds")


def on_ping(connection: State, flags: int, stream_id: int, payload: bytes) -> None:
    """A question whether we are alive, or the answer to one."""
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
    if len(payload) != len(KEEPALIVE_PING):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING of an impossible length")
    connection.meters.spend("ping_flood", connection.shared.bounds.pings, connection.now)
    if not flags & ACK:
        connection.output.parts.append(frame(PING, ACK, 0, payload))
    elif payload == LEAVING_PING and connection.warned:
        connection.leave()


def on_goaway(connection: State, _flags: int, stream_id: int, payload: bytes) -> None:
    """The peer opens no more streams; it closes the connection itself."""
    if stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
    if len(payload) < 8:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short")
    connection.meters.spend("goaway_flood", connection.shared.bounds.goaways, connection.now)


def on_window_update(connection: State, _flags: int, stream_id: int, payload: bytes) -> None:
    """The peer takes more."""
    if len(payload) != 4:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of an impossible length")
    bounds = connection.shared.bounds
    connection.meters.spend("window_update_flood", bounds.window_updates, connection.now)
    increment = int.from_bytes(payload) & WINDOW_MAX
    if not stream_id:
        if not increment:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        connection.output.widen(increment)
    else:
        check_not_idle(connection, stream_id)
        if not increment:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
        stream = connection.streams.get(stream_id)
        if stream is not None:
            connection.output.widen_stream(stream, increment)
    connection.output.pump()


def on_rst_stream(connection: State, _flags: int, stream_id: int, payload: bytes) -> None:
    """The peer gives up a stream."""
    check_not_idle(connection, stream_id)
    if len(payload) != 4:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of an impossible length")
    connection.abandon(stream_id)
    connection.meters.spend("rapid_reset", connection.shared.bounds.resets, connection.now)


def on_priority(connection: State, _flags: int, stream_id: int, payload: bytes) -> None:
    """Deprecated (RFC 9113, 5.3.2): checked and ignored."""
    if not stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
    bounds = connection.shared.bounds
    connection.meters.spend("priority_flood", bounds.priorities, connection.now)
    if len(payload) != PRIORITY_BYTES:
        raise StreamFault(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of an impossible length")
    if int.from_bytes(payload[:4]) & STREAM_ID_MAX == stream_id:
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "stream that depends on itself")


def on_push_promise(_connection: State, _flags: int, _stream_id: int, _payload: bytes) -> None:
    """Clients cannot push."""
    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")


def on_unknown(connection: State, _flags: int, _stream_id: int, _payload: bytes) -> None:
    """Frames that are not defined are ignored."""
    bounds = connection.shared.bounds
    connection.meters.spend("unknown_frame_flood", bounds.unknown_frames, connection.now)


def check_not_idle(connection: State, stream_id: int) -> None:
    """Raises ConnectionFault for streams that nobody has opened yet."""
    if not stream_id & 1 or stream_id > connection.last_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "frame on an idle stream")
