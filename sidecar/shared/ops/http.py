"""A small HTTP server for probes and metrics, in threads of its own.

It answers while the event loop stalls: that is what a liveness probe is there to see. One request a
connection, GET and HEAD only; connections at once and the time of each are bounded.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from sidecar.shared.ops.health import Health, Verdict

CONNECTIONS_MAX: Final = 16
CONNECTION_SECONDS_MAX: Final = 5.0
_POLL_SECONDS: Final = 0.1
_TEXT: Final = "text/plain; charset=utf-8"
_BUSY: Final = (
    b"HTTP/1.0 503 Service Unavailable\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"too many connections\n"
)

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

    Routes run in the server's threads and must not block. Port 0 takes a free port, see `port`.
    Raises OSError where the address cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        routes: Mapping[str, Route],
        *,
        connections_max: int = CONNECTIONS_MAX,
        connection_seconds_max: float = CONNECTION_SECONDS_MAX,
    ) -> None:
        self._server = _Server(host, port, routes, connections_max, connection_seconds_max)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_POLL_SECONDS,),
            name="tallyd-http",
            daemon=True,
        )
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._server.server_address[1]
        return port

    def close(self) -> None:
        """Stop listening and cut what is still open. Returns when all threads have ended."""
        self._server.shutdown()
        self._thread.join()
        self._server.cut_older_than(0.0)
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Gives a thread to each of a bounded number of connections, and cuts those that take long."""

    allow_reuse_address = True
    request_queue_size = 64
    daemon_threads = False  # so that server_close waits for them; their time is bounded

    def __init__(
        self,
        host: str,
        port: int,
        routes: Mapping[str, Route],
        connections_max: int,
        connection_seconds_max: float,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.routes = routes
        self._seconds_max = connection_seconds_max
        self._places = threading.BoundedSemaphore(connections_max)
        self._lock = threading.Lock()
        self._opened: dict[socket.socket, float] = {}
        super().__init__((host, port), _Handler)

    def process_request(self, request: object, client_address: object) -> None:
        """Give the connection a thread, or a short refusal when all places are taken."""
        assert isinstance(request, socket.socket)
        if not self._places.acquire(blocking=False):
            _refuse(request)
            self.shutdown_request(request)
            return
        with self._lock:
            self._opened[request] = time.monotonic()
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread to be had
            self._forget(request)
            raise

    def process_request_thread(self, request: object, client_address: object) -> None:
        """Serve one connection."""
        assert isinstance(request, socket.socket)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._forget(request)

    def _forget(self, request: socket.socket) -> None:
        with self._lock:
            del self._opened[request]
        self._places.release()

    def service_actions(self) -> None:
        """Cut connections that are over their time; called every poll."""
        self.cut_older_than(self._seconds_max)

    def cut_older_than(self, seconds: float) -> None:
        """Cut connections that have been open for `seconds`, which ends their threads."""
        opened_before = time.monotonic() - seconds
        with self._lock:
            late = [sock for sock, opened in self._opened.items() if opened <= opened_before]
        for sock in late:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # ended by itself meanwhile

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore what a client's end of the connection did; our own mistakes are answered 500."""
        _log.debug("http connection broke", exc_info=True)


def _refuse(request: socket.socket) -> None:
    try:
        request.setblocking(False)
        request.send(_BUSY)
    except OSError:
        return


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: _Server
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = _TEXT

    def do_GET(self) -> None:
        """Answer with the route's body."""
        self._answer(self._response())

    def do_HEAD(self) -> None:
        """Answer as GET would, without the body."""
        self._answer(self._response(), with_body=False)

    def do_POST(self) -> None:
        """Refuse, as every method that is not for reading."""
        self._answer(Response(HTTPStatus.METHOD_NOT_ALLOWED, b"use GET or HEAD\n"))

    do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_POST  # noqa: N815 - names of the base class

    def _response(self) -> Response:
        route = self.server.routes.get(self.path.partition("?")[0])
        if route is None:
            return Response(HTTPStatus.NOT_FOUND, b"not found\n")
        try:
            return route()
        except Exception:
            _log.exception("http route failed", path=self.path)
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"internal error\n")

    def _answer(self, response: Response, *, with_body: bool = True) -> None:
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        self.send_header("Cache-Control", "no-store")
        if response.status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if with_body:
            self.wfile.write(response.body)

    def version_string(self) -> str:
        """Name the server without its version."""
        return "tallyd"

    def log_message(self, *_args: object) -> None:
        """Write nothing: probes come every few seconds."""
