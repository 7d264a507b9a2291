r"""Requests to a web server, as Apache and nginx log them: common and combined format.

    host ident user [time] "request" status bytes ["referer" "user agent" [more]]

Servers escape what would break a line: `\"`, `\\` and `\xHH` are undone.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.domain.bounds import DIMENSION_VALUE_BYTES_MAX, INT64_MAX
from sidecar.domain.text import SPACES, is_displayable
from sidecar.traces.model import LineError, TraceCheck
from sidecar.traces.times import parse_log

NO_ENDPOINT: Final = "-"
"""Endpoint of a request whose request line has no path, such as that of a port scanner."""

_LINE: Final = re.compile(
    rb'(?P<host>\S+) \S+ [^\[]*\[(?P<time>[^\]]*)\] "(?P<request>(?:[^"\\]|\\.)*)"'
    rb" (?:\d{3}|-) (?P<bytes>\d{1,19}|-)(?: .*)?",
    re.DOTALL,
)
_REQUEST: Final = re.compile(
    rb"[A-Za-z0-9!#$%&'*+.^_`|~-]+ +(?P<target>\S.*?)(?: +HTTP/\d(?:\.\d+)?)?\s*", re.DOTALL
)
_ESCAPE: Final = re.compile(rb'\\(?:x([0-9A-Fa-f]{2})|(["\\]))')
_ABSOLUTE: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


def parse_access_log(line: bytes) -> tuple[TraceCheck, ...] | None:
    """Turn a line into checks of http_requests and, unless it is 0, response_bytes.

    The company is the client's address, the dimension `endpoint` the path of the request.
    """
    if not line.strip():
        return None
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise LineError("is not in the common or combined log format")
    company = found["host"].decode(errors="backslashreplace")
    event_us = parse_log(found["time"].decode(errors="replace"))
    size = 0 if found["bytes"] == b"-" else int(found["bytes"])
    if size > INT64_MAX:
        raise LineError(f"has {size} response bytes, more than 2^63-1")
    dimensions = {"endpoint": endpoint_of(found["request"])}
    requests = TraceCheck(company, "http_requests", 1, event_us, dimensions)
    if size == 0:
        return (requests,)
    return requests, TraceCheck(company, "response_bytes", size, event_us, dimensions)


def endpoint_of(request: bytes) -> str:
    """Return the path of a request line as it was logged, without query string.

    What is not printable, and spaces, are percent-encoded; the path is cut to 256 bytes, never
    within a character. `-` if there is no path.
    """
    found = _REQUEST.fullmatch(request)
    if found is None:
        return NO_ENDPOINT
    target = _ESCAPE.sub(_unescaped, found["target"])
    authority = _ABSOLUTE.match(target)
    path = target[authority.end() :] if authority else target
    path = path.partition(b"?")[0] or b"/"
    # Bytes that are no UTF-8 become lone surrogates here, and themselves again in _printable.
    return _cut([_printable(char) for char in path.decode(errors="surrogateescape")])


def _unescaped(escape: re.Match[bytes]) -> bytes:
    code, character = escape.groups()
    return bytes.fromhex(code.decode()) if code else bytes(character)


def _printable(char: str) -> str:
    if is_displayable(char) and char not in SPACES:
        return char
    return "".join(f"%{byte:02X}" for byte in char.encode(errors="surrogateescape"))


def _cut(pieces: list[str]) -> str:
    """Join as many of the pieces as fit into a dimension's value."""
    size_bytes = 0
    for place, piece in enumerate(pieces):
        size_bytes += len(piece.encode())
        if size_bytes > DIMENSION_VALUE_BYTES_MAX:
            return "".join(pieces[:place])
    return "".join(pieces)
