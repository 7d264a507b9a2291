"""What time does to a connection, looked at every few seconds (see `interval_seconds`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.front.bounds import Bounds
from sidecar.front.errors import Code, ConnectionFault, ErrorCode, Status
from sidecar.front.frames import PING, frame, rst_stream
from sidecar.front.machine import answering
from sidecar.front.machine.control_frames import KEEPALIVE_PING
from sidecar.front.machine.phases import Phase

if TYPE_CHECKING:
    from sidecar.front.machine.state import State
    from sidecar.front.machine.streams import Stream

_INTERVAL_SECONDS_MAX: Final = 5.0
_INTERVAL_SECONDS_MIN: Final = 0.02
_LEAVING_SECONDS: Final = 2.0
"""How long a peer may take to answer the ping that goes with our warning to leave."""


def interval_seconds(bounds: Bounds) -> float:
    """How often to look: a quarter of the shortest time that matters, 5 seconds at most."""
    shortest = min(
        bounds.preface_seconds,
        bounds.header_block_seconds,
        bounds.request_seconds,
        bounds.stalled_seconds,
        bounds.keepalive_seconds,
        bounds.keepalive_timeout_seconds,
        bounds.idle_seconds,
    )
    return min(_INTERVAL_SECONDS_MAX, max(_INTERVAL_SECONDS_MIN, shortest / 4))


def check(connection: State, now: float) -> None:
    """End, refuse, ping or leave what has been as it is for too long."""
    if connection.phase is Phase.CLOSED:
        return
    connection.now = now
    if connection.heard_at >= connection.pinged_at:
        connection.pinged_at = 0.0
    fault = _fault(connection, now)
    if fault is not None:
        connection.close(fault)
        return
    for stream in list(connection.streams.values()):
        _check_stream(connection, stream, now)
    if connection.streams:
        _keep_alive(connection, now)
    elif now - connection.heard_at > connection.shared.bounds.idle_seconds:
        if connection.warned:
            connection.leave()
        else:
            connection.warn()


def _fault(connection: State, now: float) -> ConnectionFault | None:
    bounds = connection.shared.bounds
    if connection.settings_due and now - connection.settings_since > bounds.preface_seconds:
        return ConnectionFault(ErrorCode.SETTINGS_TIMEOUT, "no SETTINGS in time", "slow_preface")
    partial = connection.partial
    if partial is not None and now - partial.since > bounds.header_block_seconds:
        return ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too slow", "slow_headers")
    waits_for_more = connection.pending and not connection.more
    if waits_for_more and now - connection.heard_at > bounds.request_seconds:
        return ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "frame too slow", "slow_frame")
    paused_at = connection.output.paused_at
    if paused_at and now - paused_at > bounds.stalled_seconds:
        return ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "takes nothing", "stalled_output")
    pinged_at = connection.pinged_at
    if pinged_at and now - pinged_at > bounds.keepalive_timeout_seconds:
        return ConnectionFault(ErrorCode.NO_ERROR, "no answer to a ping", "keepalive")
    return None


def _check_stream(connection: State, stream: Stream, now: float) -> None:
    """Refuse a request that makes no progress; reset a stream whose answer is not taken."""
    bounds, refused = connection.shared.bounds, connection.shared.refused
    silent_seconds = now - stream.moved_at
    if stream.queued_bytes:
        if silent_seconds > bounds.stalled_seconds:
            refused("stalled_output")
            connection.output.parts.append(rst_stream(stream.id, ErrorCode.CANCEL))
            connection.early.append(stream.id)
            connection.abandon(stream.id)
            connection.wake()
    elif stream.awaits_content and silent_seconds > bounds.request_seconds:
        refused("slow_request")
        if stream.head.refusal is not None:
            answering.refuse(connection, stream, stream.head.refusal)
            return
        status = Status(Code.DEADLINE_EXCEEDED, "the request was not complete in time")
        answering.stop(connection, stream, status)


def _keep_alive(connection: State, now: float) -> None:
    bounds = connection.shared.bounds
    if connection.pinged_at or now - connection.heard_at <= bounds.keepalive_seconds:
        return
    connection.pinged_at = now
    connection.output.parts.append(frame(PING, 0, 0, KEEPALIVE_PING))
    connection.wake()
