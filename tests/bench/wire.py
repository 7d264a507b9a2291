"""HTTP/2 as a unary gRPC client needs it: frames and one connection. No I/O.

Built to cost so little that a benchmark measures the server and not its load driver. Sources:
RFC 9113 (HTTP/2) and gRPC's "gRPC over HTTP2".

The one idea that makes it cheap: both header tables stay empty (`headers.py`). Header blocks of
requests are made beforehand; SETTINGS_HEADER_TABLE_SIZE = 0 obliges the server to go without a
table, too, so equal trailers are equal bytes and need decoding once only. What no gRPC server sends
to such a client (padding, CONTINUATION, push) ends in a ProtocolError, never in a guess.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from sidecar.front.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    FRAME_BYTES_MAX,
    FRAME_HEAD_BYTES,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTING,
    SETTINGS,
    SETTINGS_ACK,
    SETTINGS_ENABLE_PUSH,
    SETTINGS_HEADER_TABLE_SIZE,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_CONCURRENT_STREAMS,
    SETTINGS_MAX_FRAME_SIZE,
    STREAM_ID_MAX,
    WINDOW_UPDATE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from tests.bench.errors import ProtocolError
from tests.bench.headers import RequestHeaders, trailers_status

PEER_WINDOW_BYTES: Final = 65_535  # the protocol's default
WINDOW_BYTES: Final = 16 * 1024 * 1024  # ours, of the connection and of each response
SEEN_TRAILERS_MAX: Final = 1_024
CANCEL: Final = 8  # an error code


@dataclass(slots=True)
class Call:
    """One unary call, from its request to its response (`failure` is empty) or its failure."""

    index: int
    request: bytes
    started_ns: int
    chunks: list[bytes] = field(default_factory=list)  # of the response, as DATA brought it
    failure: str = ""

    def response(self) -> bytes:
        """The response message; for calls that succeeded."""
        return b"".join(self.chunks)[5:]


@dataclass(slots=True)
class _Upload:
    """A request that flow control holds back."""

    message: bytes
    sent: int
    window: int


class Connection:
    """One connection: `open` calls, `feed` what arrives, send what `take_output` gives.

    `ready` turns true when the server has acknowledged our settings: open no call before that.
    """

    def __init__(self, headers: RequestHeaders) -> None:
        self.ready = False
        self.calls: dict[int, Call] = {}  # by stream
        self.calls_max = STREAM_ID_MAX
        self._headers = headers
        self._small_call = struct.Struct(f">IBI{headers.size}sIBIBI")
        self._next_stream_id = 1
        self._tail = b""  # the start of a frame
        self._peer_frame_bytes = FRAME_BYTES_MAX
        self._peer_stream_window = PEER_WINDOW_BYTES
        self._send_window = PEER_WINDOW_BYTES
        self._uploads: dict[int, _Upload] = {}  # by stream
        self._received_bytes = 0  # of DATA since our last WINDOW_UPDATE
        self._failures: dict[bytes, str] = {}  # by trailers
        ours = {
            SETTINGS_HEADER_TABLE_SIZE: 0,
            SETTINGS_ENABLE_PUSH: 0,
            SETTINGS_INITIAL_WINDOW_SIZE: WINDOW_BYTES,
        }
        grown = window_update(0, WINDOW_BYTES - PEER_WINDOW_BYTES)
        self._output = [PREFACE, settings(ours), grown]

    def take_output(self) -> bytes:
        """The bytes to send next; empty when there are none."""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def open(self, call: Call) -> None:
        """Queue a call. The caller keeps `calls` within `calls_max`."""
        stream_id = self._next_stream_id
        if stream_id > STREAM_ID_MAX:
            raise ProtocolError("no stream numbers left on this connection")
        self._next_stream_id = stream_id + 2
        self.calls[stream_id] = call
        body, block = call.request, self._headers.block(call.started_ns)
        size = len(body) + 5
        room = min(self._send_window, self._peer_stream_window, self._peer_frame_bytes)
        is_first = stream_id == 1
        if size <= room and not self._uploads and not is_first:
            self._send_window -= size
            start = self._small_call.pack(
                *(len(block) << 8 | HEADERS, END_HEADERS, stream_id, block),
                *(size << 8 | DATA, END_STREAM, stream_id, 0, len(body)),
            )
            self._output.append(start + body)
            return
        if is_first:
            block = self._headers.table_update + block
        self._output.append(frame(HEADERS, END_HEADERS, stream_id, block))
        message = b"\0" + len(body).to_bytes(4, "big") + body
        self._uploads[stream_id] = _Upload(message, 0, self._peer_stream_window)
        self._upload()

    def _upload(self) -> None:
        """Send as much as the windows allow of the requests held back, oldest first."""
        for stream_id, upload in list(self._uploads.items()):
            size = len(upload.message)
            while upload.sent < size:
                room = min(self._send_window, upload.window, self._peer_frame_bytes)
                if room <= 0:
                    break
                part = upload.message[upload.sent : upload.sent + room]
                upload.sent += len(part)
                upload.window -= len(part)
                self._send_window -= len(part)
                flags = END_STREAM if upload.sent == size else 0
                self._output.append(frame(DATA, flags, stream_id, part))
            if upload.sent == size:
                del self._uploads[stream_id]

    def feed(self, data: bytes) -> list[Call]:
        """Take received bytes; returns the calls that ended."""
        if self._tail:
            data = self._tail + data
        ended: list[Call] = []
        at, end = 0, len(data)
        while end - at >= FRAME_HEAD_BYTES:
            start, flags, stream_id = FRAME.unpack_from(data, at)
            length, kind = start >> 8, start & 0xFF
            if length > FRAME_BYTES_MAX:
                raise ProtocolError(f"frame of {length} bytes, allowed are {FRAME_BYTES_MAX}")
            stop = at + FRAME_HEAD_BYTES + length
            if stop > end:
                break
            payload = data[at + FRAME_HEAD_BYTES : stop]
            at = stop
            if kind in (DATA, HEADERS):
                self._on_response(kind, flags, stream_id, payload, ended)
            elif kind == RST_STREAM:
                self._uploads.pop(stream_id, None)
                failure = f"RST_STREAM {int.from_bytes(payload, 'big')}"
                self._end(stream_id, failure, ended)
            else:
                self._on_control(kind, flags, stream_id, payload)
        self._tail = data[at:]
        return ended

    def _on_response(
        self, kind: int, flags: int, stream_id: int, payload: bytes, ended: list[Call]
    ) -> None:
        expected = END_HEADERS if kind == HEADERS else 0
        if flags & ~END_STREAM != expected:
            raise ProtocolError(f"response with unsupported frame flags {flags:#x}")
        if kind == HEADERS:
            if flags & END_STREAM:  # the first HEADERS of a response say nothing we need
                self._end(stream_id, self._failure_in(payload), ended)
            return
        self._received_bytes += len(payload)
        if self._received_bytes >= WINDOW_BYTES // 2:
            self._output.append(window_update(0, self._received_bytes))
            self._received_bytes = 0
        call = self.calls.get(stream_id)
        if call is not None:
            call.chunks.append(payload)
        if flags & END_STREAM:
            self._end(stream_id, "response without trailers", ended)

    def _failure_in(self, trailers: bytes) -> str:
        failure = self._failures.get(trailers)
        if failure is None:
            status, message = trailers_status(trailers)
            failure = "" if status == 0 else f"grpc-status {status}: {message}"
            if len(self._failures) >= SEEN_TRAILERS_MAX:
                self._failures.clear()
            self._failures[trailers] = failure
        return failure

    def _end(self, stream_id: int, failure: str, ended: list[Call]) -> None:
        call = self.calls.pop(stream_id, None)
        if call is None:
            return
        call.failure = failure or _flaw(call.chunks)
        ended.append(call)
        if self._uploads.pop(stream_id, None):  # answered before it was asked in full
            self._output.append(rst_stream(stream_id, CANCEL))

    def _on_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE:
            increment = int.from_bytes(payload, "big")
            if stream_id == 0:
                self._send_window += increment
            elif stream_id in self._uploads:
                self._uploads[stream_id].window += increment
            self._upload()
        elif kind == PING and not flags & ACK:
            self._output.append(frame(PING, ACK, 0, payload))
        elif kind == SETTINGS and flags & ACK:
            self.ready = True
        elif kind == SETTINGS:
            self._on_settings(payload)
        elif kind == GOAWAY:
            reason = payload[8:].decode("ascii", "replace")
            code = int.from_bytes(payload[4:8], "big")
            raise ProtocolError(f"the server sent GOAWAY {code} {reason}".rstrip())

    def _on_settings(self, payload: bytes) -> None:
        for identifier, value in SETTING.iter_unpack(payload):
            if identifier == SETTINGS_MAX_CONCURRENT_STREAMS:
                self.calls_max = value
            elif identifier == SETTINGS_INITIAL_WINDOW_SIZE:
                for upload in self._uploads.values():
                    upload.window += value - self._peer_stream_window
                self._peer_stream_window = value
            elif identifier == SETTINGS_MAX_FRAME_SIZE:
                self._peer_frame_bytes = value
        self._output.append(SETTINGS_ACK)
        self._upload()


def _flaw(chunks: list[bytes]) -> str:
    """What is wrong with a response that claims success; empty if it is one whole message."""
    data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if len(data) < 5 or int.from_bytes(data[1:5], "big") != len(data) - 5:
        return "status 0 without one whole message"
    return "compressed response" if data[0] else ""
