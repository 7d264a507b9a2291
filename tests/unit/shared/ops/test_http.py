import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus

import pytest
from prometheus_client import CollectorRegistry

from sidecar.shared.ops.health import Health
from sidecar.shared.ops.http import HttpServer, Response, Route, probe_routes
from sidecar.shared.ops.instruments import MetricCounter, registry_of
from tests.support.bounds import HANG_SECONDS_MAX


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@contextlib.contextmanager
def serving(
    routes: Mapping[str, Route],
    *,
    connections_max: int = 64,
    head_seconds_max: float = HANG_SECONDS_MAX,
    answer_seconds_max: float = HANG_SECONDS_MAX,
) -> Iterator[int]:
    server = HttpServer(
        "127.0.0.1",
        0,
        routes,
        connections_max=connections_max,
        head_seconds_max=head_seconds_max,
        answer_seconds_max=answer_seconds_max,
    )
    try:
        yield server.port
    finally:
        server.close()


def ask(port: int, path: str, method: str = "GET") -> tuple[int, str, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANG_SECONDS_MAX)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock)


@pytest.fixture
def port(health: Health) -> Iterator[int]:
    counter = MetricCounter("tallyd_tests", "Tests.")
    counter.add(7)
    with serving(probe_routes(health, registry_of([counter]))) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/livez", 200, "no event loop yet\n"),
        ("/startupz", 503, "starting\n"),
        ("/readyz", 503, "starting\n"),
        ("/", 404, "not found\n"),
        ("/livez/", 404, "not found\n"),
        ("/metrics/../livez", 404, "not found\n"),
    ],
)
def test_probes_before_startup(port: int, path: str, status: int, body: str) -> None:
    assert ask(port, path)[:2] == (status, body)


def test_probes_of_a_running_process(port: int, health: Health) -> None:
    health.start()
    health.beat()

    assert ask(port, "/livez")[:2] == (200, "alive\n")
    assert ask(port, "/startupz?verbose")[:2] == (200, "started\n")
    assert ask(port, "/readyz")[:2] == (200, "ready\n")


def test_readyz_turns_503_in_a_drain_and_the_others_stay(port: int, health: Health) -> None:
    health.start()
    health.beat()
    health.drain()

    assert ask(port, "/readyz")[:2] == (503, "draining\n")
    assert ask(port, "/livez")[0] == 200
    assert ask(port, "/startupz")[0] == 200


def test_livez_turns_503_when_the_heartbeat_stops(port: int, health: Health, clock: Clock) -> None:
    health.beat()
    clock.seconds += 10
    assert ask(port, "/livez")[0] == 200

    clock.seconds += 1
    assert ask(port, "/livez")[:2] == (503, "the event loop has not turned for 11 s\n")

    health.beat()
    assert ask(port, "/livez")[0] == 200


def test_metrics_are_served_as_prometheus_text(port: int) -> None:
    status, body, headers = ask(port, "/metrics")

    assert status == 200
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "tallyd_tests_total 7.0\n" in body
    assert "process_resident_memory_bytes" in body


def test_head_answers_without_a_body(port: int) -> None:
    status, body, headers = ask(port, "/livez", "HEAD")

    assert (status, body) == (200, "")
    assert headers["Content-Length"] == str(len("no event loop yet\n"))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(port: int, method: str) -> None:
    status, body, headers = ask(port, "/livez", method)

    assert (status, body) == (405, "use GET or HEAD\n")
    assert headers["Allow"] == "GET, HEAD"


def test_answers_are_not_cached_and_name_no_version(port: int) -> None:
    headers = ask(port, "/livez")[2]

    assert headers["Cache-Control"] == "no-store"
    assert headers["Server"] == "tallyd"


@pytest.mark.parametrize(
    ("request_bytes", "status_line"),
    [
        (b"rubbish\r\n\r\n", b"400"),
        (b"GET /" + b"x" * 70_000 + b" HTTP/1.0\r\n\r\n", b"414"),
        (b"GET / HTTP/1.0\r\n" + b"".join(b"a%d: b\r\n" % n for n in range(200)), b"431"),
    ],
)
def test_broken_requests_get_an_error_and_the_server_lives_on(
    port: int, request_bytes: bytes, status_line: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", port), HANG_SECONDS_MAX) as sock:
        sock.sendall(request_bytes)
        sock.shutdown(socket.SHUT_WR)
        answer = sock.makefile("rb").read()

    assert status_line in answer
    assert ask(port, "/livez")[0] == 200


def test_a_failing_route_is_500_and_tells_no_details() -> None:
    def fail() -> Response:
        raise RuntimeError("secret")

    with serving({"/fails": fail}) as port:
        assert ask(port, "/fails")[:2] == (500, "internal error\n")


def connected(port: int, source: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), HANG_SECONDS_MAX, (source, 0))


def is_cut(sock: socket.socket) -> bool:
    """Whether the server has closed a connection."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.parametrize(
    "sent", [b"", b"GET /livez HTTP/1.1\r\n"], ids=["silent", "half a request"]
)
@pytest.mark.parametrize("sources", [1, 40], ids=["one address", "many addresses"])
def test_forty_slow_sockets_keep_no_probe_out(port: int, sources: int, sent: bytes) -> None:
    with contextlib.ExitStack() as stack:
        for number in range(200):
            slow = stack.enter_context(connected(port, f"127.0.0.{1 + number % sources}"))
            slow.sendall(sent)
        for path in ("/livez", "/startupz", "/metrics") * 5:
            assert ask(port, path)[0] in (200, 503)
        assert ask(port, "/livez")[:2] == (200, "no event loop yet\n")


def test_the_peer_with_most_connections_gives_way_and_its_oldest_goes_first() -> None:
    with serving({}, connections_max=4) as port, contextlib.ExitStack() as stack:
        few = stack.enter_context(connected(port, "127.0.0.2"))
        many = [stack.enter_context(connected(port, "127.0.0.3")) for _ in range(6)]
        assert ask(port, "/")[0] == 404  # behind them, so all of them were taken
        assert [is_cut(sock) for sock in (few, *many)] == [False, *[True] * 4, *[False] * 2]


def test_who_reads_no_answer_is_cut_and_keeps_nobody_waiting() -> None:
    large = Response(HTTPStatus.OK, bytes(64 << 20))
    with (
        serving({"/large": lambda: large}, answer_seconds_max=0.0) as port,
        connected(port) as sock,
    ):
        sock.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        assert ask(port, "/elsewhere")[0] == 404
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while read := sock.recv(1 << 20):
                received += len(read)
        assert received < len(large.body)


def test_a_second_request_on_a_connection_is_not_answered(port: int) -> None:
    with connected(port) as sock:
        sock.sendall(b"GET /livez HTTP/1.1\r\n\r\n" * 100)
        assert sock.makefile("rb").read().count(b"HTTP/1.1 200 OK\r\n") == 1


def test_a_request_may_come_byte_by_byte(port: int) -> None:
    with connected(port) as sock:
        for byte in b"GET /livez HTTP/1.1\r\nHost: here\r\n\r\n":
            sock.sendall(bytes((byte,)))
        assert sock.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_that_never_finishes_its_request_is_cut() -> None:
    with (
        serving({}, head_seconds_max=0.1) as port,
        socket.create_connection(("127.0.0.1", port), HANG_SECONDS_MAX) as sock,
    ):
        sock.sendall(b"GET /livez HT")
        assert sock.makefile("rb").read() == b""


def test_closing_cuts_what_is_open_and_frees_the_port() -> None:
    server = HttpServer("127.0.0.1", 0, {})
    with socket.create_connection(("127.0.0.1", server.port), HANG_SECONDS_MAX) as sock:
        sock.sendall(b"GET /livez HT")
        port = server.port
        server.close()
        with contextlib.suppress(ConnectionResetError):
            assert sock.makefile("rb").read() == b""

    HttpServer("127.0.0.1", port, {}).close()
    assert [t.name for t in threading.enumerate() if t.name == "tallyd-http"] == []


def test_a_port_in_use_is_an_error_at_once() -> None:
    with serving({}) as port, pytest.raises(OSError, match="in use"):
        HttpServer("127.0.0.1", port, {})


def test_ipv6_is_served() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        server = HttpServer("::1", 0, probe_routes(Health(), CollectorRegistry()))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    try:
        connection = http.client.HTTPConnection("::1", server.port, timeout=HANG_SECONDS_MAX)
        connection.request("GET", "/livez")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        server.close()
