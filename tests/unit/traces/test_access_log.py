import pytest

from sidecar.traces import LineError, TraceCheck
from sidecar.traces.access_log import endpoint_of, parse_access_log

TIME_US = 1_431_857_103_000_000


def line(
    host: str = "83.149.9.216",
    user: str = "-",
    request: str = "GET /a.png HTTP/1.1",
    status: str = "200",
    size: str = "203023",
    rest: str = ' "http://example.org/" "Mozilla/5.0"',
) -> bytes:
    time = "17/May/2015:10:05:03 +0000"
    return f'{host} - {user} [{time}] "{request}" {status} {size}{rest}'.encode()


def checks(company: str, endpoint: str, size: int) -> tuple[TraceCheck, ...]:
    dimensions = {"endpoint": endpoint}
    request = TraceCheck(company, "http_requests", 1, TIME_US, dimensions)
    if size == 0:
        return (request,)
    return request, TraceCheck(company, "response_bytes", size, TIME_US, dimensions)


@pytest.mark.parametrize(
    ("logged", "expected"),
    [
        pytest.param(line(), checks("83.149.9.216", "/a.png", 203023), id="combined"),
        pytest.param(line(rest=""), checks("83.149.9.216", "/a.png", 203023), id="common"),
        pytest.param(
            line(rest=' "-" "x" "10.0.0.1" rt=0.001'),
            checks("83.149.9.216", "/a.png", 203023),
            id="more fields at the end",
        ),
        pytest.param(
            line(rest=' "-" "cut off'), checks("83.149.9.216", "/a.png", 203023), id="cut off"
        ),
        pytest.param(line(size="-"), checks("83.149.9.216", "/a.png", 0), id="no bytes"),
        pytest.param(line(size="0"), checks("83.149.9.216", "/a.png", 0), id="zero bytes"),
        pytest.param(line(host="2001:db8::7"), checks("2001:db8::7", "/a.png", 203023), id="IPv6"),
        pytest.param(
            line(host="crawl-1.example.org"),
            checks("crawl-1.example.org", "/a.png", 203023),
            id="host name",
        ),
        pytest.param(
            line(user="Jane Doe"), checks("83.149.9.216", "/a.png", 203023), id="user with blank"
        ),
        pytest.param(
            line(rest=r' "-" "a \"quoted\" agent [x]"'),
            checks("83.149.9.216", "/a.png", 203023),
            id="escaped quotes in the agent",
        ),
        pytest.param(
            line(request=r"GET /say/\"hi\" HTTP/1.1"),
            checks("83.149.9.216", '/say/"hi"', 203023),
            id="escaped quotes in the request",
        ),
        pytest.param(
            line(request="-", status="408", size="-"),
            checks("83.149.9.216", "-", 0),
            id="no request line",
        ),
        pytest.param(
            line(request="", status="400", size="226"),
            checks("83.149.9.216", "-", 226),
            id="empty request line",
        ),
        pytest.param(
            line(request=r"\x16\x03\x01", status="400", size="226"),
            checks("83.149.9.216", "-", 226),
            id="TLS on a plain port",
        ),
    ],
)
def test_a_line_is_read(logged: bytes, expected: tuple[TraceCheck, ...]) -> None:
    assert expected == parse_access_log(logged)


def test_a_blank_line_is_no_row() -> None:
    assert parse_access_log(b"  ") is None


@pytest.mark.parametrize(
    "logged",
    [
        b"hello",
        b"{}",
        line()[:60],
        line(size="many"),
        line(size="9" * 19),
        line(size="-1"),
        line(status="2000"),
        line().replace(b"17/May", b"17/Mai"),
    ],
)
def test_a_line_of_another_kind_is_refused(logged: bytes) -> None:
    with pytest.raises(LineError):
        parse_access_log(logged)


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"GET / HTTP/1.1", "/"),
        (b"GET /a?b=1&c=/d HTTP/1.1", "/a"),
        (b"GET /a? HTTP/2", "/a"),
        (b"GET ?a=1 HTTP/1.1", "/"),
        (b"GET /old", "/old"),
        (b"GET  /a  HTTP/1.0", "/a"),
        (b"GET http://example.org/a/b?c HTTP/1.1", "/a/b"),
        (b"GET http://example.org HTTP/1.1", "/"),
        (b"GET /to/http://example.org/x HTTP/1.1", "/to/http://example.org/x"),
        (b"OPTIONS * HTTP/1.1", "*"),
        (b"CONNECT example.org:443 HTTP/1.1", "example.org:443"),
        (b"GET /a b HTTP/1.1", "/a%20b"),
        (b"GET /%41 HTTP/1.1", "/%41"),
        (b"GET /caf\xc3\xa9 HTTP/1.1", "/café"),
        (rb"GET /caf\xc3\xa9 HTTP/1.1", "/café"),
        (b"GET /caf\xe9 HTTP/1.1", "/caf%E9"),
        (rb"GET /\x00\x1b[0m HTTP/1.1", "/%00%1B[0m"),
        (rb"GET /a\\b HTTP/1.1", r"/a\b"),
        ("GET /\u200b HTTP/1.1".encode(), "/%E2%80%8B"),
        (b"GET", "-"),
        (b"GET ", "-"),
        (b"\xff\xfe /a HTTP/1.1", "-"),
    ],
)
def test_the_endpoint_is_the_printable_path(request_line: bytes, expected: str) -> None:
    assert expected == endpoint_of(request_line)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("/" + "a" * 255, "/" + "a" * 255, id="fits"),
        pytest.param("/" + "a" * 256, "/" + "a" * 255, id="one too long"),
        pytest.param("/" + "a" * 254 + "é", "/" + "a" * 254, id="not within a character"),
        pytest.param("/" + "a" * 253 + " ", "/" + "a" * 253, id="not within an encoded one"),
        pytest.param("/" + "é" * 200, "/" + "é" * 127, id="bytes, not characters"),
    ],
)
def test_the_endpoint_is_cut_to_256_bytes(path: str, expected: str) -> None:
    assert expected == endpoint_of(f"GET {path} HTTP/1.1".encode())
