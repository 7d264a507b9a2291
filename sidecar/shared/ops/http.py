"""A small HTTP server for probes and metrics, in a thread of its own.

It answers while the event loop stalls: that is what a liveness probe is there to see. One request a
connection, GET and HEAD only. Connections at once, the time and the size of each are bounded, and a
connection costs no thread: forty that send nothing keep nobody out.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from time import monotonic
from typing import Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from sidecar.shared.ops.health import Health, Verdict
from sidecar.shared.ops.http_places import Acceptor, Connection, who_gives_way

CONNECTIONS_MAX: Final = 64
HEAD_SECONDS_MAX: Final = 1.0
ANSWER_SECONDS_MAX: Final = 5.0
_BACKLOG: Final = 128
_ACCEPTED_PER_TURN: Final = 64
_REST_SECONDS: Final = 0.1
"""Without a look at the listening socket, where there is no descriptor to be had."""
_LINGER_SECONDS: Final = 1.0
"""How long an answered connection is still read from, so that the peer's system does not throw our
answer away for what it has sent meanwhile."""
_DISCARDED_BYTES_MAX: Final = 1 << 20
_READ_BYTES: Final = 16 * 1024
_LINE_BYTES_MAX: Final = 4 * 1024
_HEAD_BYTES_MAX: Final = 16 * 1024
_FIELDS_MAX: Final = 100
_TEXT: Final = "text/plain; charset=utf-8"

_log = structlog.get_logger(__name__)


class Response(NamedTuple):
    """An answer over HTTP."""

    status: HTTPStatus
    body: bytes
    content_type: str = _TEXT


Route = Callable[[], Response]


def probe_routes(health: Health, registry: CollectorRegistry) -> dict[str, Route]:
    """Return the paths that every daemon serves."""
    return {
        "/livez": lambda: _probe(health.liveness()),
        "/readyz": lambda: _probe(health.readiness()),
        "/startupz": lambda: _probe(health.startup()),
        "/metrics": lambda: Response(
            HTTPStatus.OK, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
        ),
    }


def _probe(verdict: Verdict) -> Response:
    status = HTTPStatus.OK if verdict.passed else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(status, f"{verdict.reason}\n".encode())


class HttpServer:
    """Serves `routes` on `host`:`port` from its construction until `close`.

    Routes run in the server's thread, one after another, and must not block. Port 0 takes a free
    port, see `port`. Raises OSError where the address cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        routes: Mapping[str, Route],
        *,
        connections_max: int = CONNECTIONS_MAX,
        head_seconds_max: float = HEAD_SECONDS_MAX,
        answer_seconds_max: float = ANSWER_SECONDS_MAX,
    ) -> None:
        self._routes = routes
        self._connections_max = connections_max
        self._head_seconds_max = head_seconds_max
        self._answer_seconds_max = answer_seconds_max
        self._listening = _listening(host, port)
        self.port: int = self._listening.getsockname()[1]
        self._open: dict[socket.socket, Connection] = {}  # oldest first
        self._acceptor = Acceptor(self._listening, self._give_way)
        self._resting_until = 0.0
        self._told_to_end, self._end = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._told_to_end, selectors.EVENT_READ)
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="tallyd-http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and cut what is still open. Returns when the thread has ended."""
        self._end.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        finally:
            for connection in list(self._open.values()):
                self._close(connection)
            self._acceptor.close()
            self._selector.close()
            self._listening.close()
            self._told_to_end.close()

    def _turn(self) -> bool:
        """Do what can be done now; whether to go on."""
        for key, _ in self._selector.select(self._seconds_left()):
            if key.fileobj is self._told_to_end:
                return False
            if key.fileobj is self._listening:
                self._accept()
            elif (connection := self._open.get(key.fileobj)) is not None:  # type: ignore[call-overload]
                self._proceed(connection)
        moment = monotonic()
        for connection in [each for each in self._open.values() if each.deadline <= moment]:
            self._close(connection)
        if self._resting_until and self._resting_until <= moment:
            self._resting_until = 0.0
            self._selector.register(self._listening, selectors.EVENT_READ)
        return True

    def _seconds_left(self) -> float | None:
        """How long nothing has to be done if nothing comes; `None` for ever."""
        due = [connection.deadline for connection in self._open.values()]
        if self._resting_until:
            due.append(self._resting_until)
        return max(0.0, min(due) - monotonic()) if due else None

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_PER_TURN):
            try:
                accepted = self._acceptor.accept()
            except OSError:
                # Looking at once again would find the same, at full speed.
                self._selector.unregister(self._listening)
                self._resting_until = monotonic() + _REST_SECONDS
                return
            if accepted is None:
                return
            sock, peer = accepted
            if len(self._open) >= self._connections_max:
                self._close(who_gives_way(self._open.values(), peer))
            connection = Connection(sock, peer, monotonic() + self._head_seconds_max)
            self._open[sock] = connection
            self._selector.register(sock, selectors.EVENT_READ)
            # Most have asked by now: they are answered before anybody could push them out.
            self._proceed(connection)

    def _give_way(self) -> bool:
        """Close a connection for its descriptor; whether there was one."""
        if not self._open:
            return False
        self._close(who_gives_way(self._open.values(), ""))
        return True

    def _proceed(self, connection: Connection) -> None:
        try:
            if connection.unsent:
                self._send(connection)
                return
            received = connection.sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # what a peer does to its end of the connection
            received = b""
        if not received:
            self._close(connection)
        elif connection.closing:
            connection.discarded_bytes += len(received)
            if connection.discarded_bytes > _DISCARDED_BYTES_MAX:
                self._close(connection)
        else:
            connection.head += received
            if (answer := self._answer_to(connection.head)) is not None:
                connection.unsent = memoryview(answer)
                connection.deadline = monotonic() + self._answer_seconds_max
                self._selector.modify(connection.sock, selectors.EVENT_WRITE)
                with suppress(BlockingIOError, InterruptedError):
                    self._send(connection)

    def _send(self, connection: Connection) -> None:
        try:
            sent = connection.sock.send(connection.unsent)
            connection.unsent = connection.unsent[sent:]
            if connection.unsent:
                return
            connection.sock.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._close(connection)
            return
        connection.closing = True
        connection.deadline = monotonic() + _LINGER_SECONDS
        self._selector.modify(connection.sock, selectors.EVENT_READ)

    def _close(self, connection: Connection) -> None:
        del self._open[connection.sock]
        self._selector.unregister(connection.sock)
        connection.sock.close()
        self._acceptor.refill()

    def _answer_to(self, head: bytearray) -> bytes | None:
        """The answer to a request; `None` as long as it may become one."""
        request, ended, _ = head.partition(b"\r\n\r\n")
        line, _, fields = request.partition(b"\r\n")
        if len(line) > _LINE_BYTES_MAX:
            return _encoded(_error(HTTPStatus.REQUEST_URI_TOO_LONG))
        if len(request) > _HEAD_BYTES_MAX or fields.count(b"\r\n") >= _FIELDS_MAX:
            return _encoded(_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        if not ended:
            return None
        parts = line.decode("latin-1").split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return _encoded(_error(HTTPStatus.BAD_REQUEST))
        method, target, _ = parts
        if method not in ("GET", "HEAD"):
            return _encoded(Response(HTTPStatus.METHOD_NOT_ALLOWED, b"use GET or HEAD\n"))
        return _encoded(self._response(target), with_body=method == "GET")

    def _response(self, target: str) -> Response:
        path = target.partition("?")[0]
        route = self._routes.get(path)
        if route is None:
            return Response(HTTPStatus.NOT_FOUND, b"not found\n")
        try:
            return route()
        except Exception:
            _log.exception("http route failed", path=path)
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"internal error\n")


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _error(status: HTTPStatus) -> Response:
    return Response(status, f"{status.value} {status.phrase}\n".encode())


def _encoded(response: Response, *, with_body: bool = True) -> bytes:
    status = response.status
    fields = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        "Server: tallyd",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        fields.append("Allow: GET, HEAD")
    head = "\r\n".join((*fields, "", "")).encode("latin-1")
    return head + response.body if with_body else head
