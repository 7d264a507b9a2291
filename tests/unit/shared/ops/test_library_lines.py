"""The libraries' own log lines: one of a kind a minute, short, and what was held back is told."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import pytest
import structlog

from sidecar.front.frames import CONTINUATION, END_HEADERS, HEADERS, frame
from sidecar.front.machine.messages import packed
from sidecar.shared.ops.logs import configure_logging
from tests.support.front.peer import ECHO, HELLO, data, literal_block, request_fields

GRPC = "grpc._cython.cygrpc"


class Log:
    """What a process writes. `now`: the clock, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.stream = io.StringIO()

    def events(self) -> list[dict[str, Any]]:
        """The lines."""
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging(stream=log.stream, clock=lambda: log.now)
    yield log
    logging.captureWarnings(False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def decode(value: bytes) -> None:
    """As grpcio reads a header value."""
    try:
        value.decode()
    except UnicodeDecodeError:
        logging.getLogger(GRPC).exception("Invalid encoding on %s", value)


def test_one_line_of_a_kind_is_written_whatever_comes(log: Log) -> None:
    for number in range(500):
        decode(b"\xff" * (4_000 + number))

    (event,) = log.events()
    assert GRPC == event["logger"]
    assert event["event"].startswith("Invalid encoding on b'\\xff")
    assert event["event"].endswith("... (16023 characters)")
    assert event["error"].startswith("UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff")
    assert "exception" not in event
    assert len(log.stream.getvalue()) < 2_000


def test_next_line_of_a_kind_tells_how_many_were_held_back(log: Log) -> None:
    for seconds in (0, 1, 58.9, 0.1, 60):
        log.now += seconds
        decode(b"\xff")

    assert [None, 2, None] == [event.get("held_back") for event in log.events()]


def test_kinds_do_not_hold_each_other_back(log: Log) -> None:
    library = logging.getLogger("library")
    for _ in range(2):
        library.error("lost %s", 1)
        library.error("found %s", 1)
        library.warning("found %s", 1)
        logging.getLogger("another").error("found %s", 1)
        for error in (ValueError("a"), KeyError("b")):
            library.error("found %s", 1, exc_info=error)

    assert 6 == len(log.events())


def test_text_that_a_library_has_put_together_is_one_kind(log: Log) -> None:
    for number in range(100):
        logging.getLogger("library").error(f"peer {number}" + " said much" * number)  # noqa: G003

    assert ["peer 0"] == [event["event"] for event in log.events()]


def test_kinds_without_number_share_a_line(log: Log) -> None:
    for number in range(5_000):
        logging.getLogger(f"library.{number}").error("lost %s", number)

    assert len(log.events()) <= 201


def test_mistake_on_the_event_loop_keeps_its_traceback_bounded(log: Log) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(_fail)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(serve())

    (event,) = log.events()
    assert "asyncio" == event["logger"]
    assert "in _fail" in event["exception"]
    assert event["exception"].endswith("ValueError: mine")


def _fail() -> None:
    raise ValueError("mine")


def test_long_traceback_is_cut_to_its_end(log: Log) -> None:
    error = ValueError("long " * 10_000 + "end")
    logging.getLogger("asyncio").error("failed", exc_info=error)

    (event,) = log.events()
    assert event["exception"].endswith("long end")
    assert len(event["exception"]) <= 4_000


def test_warnings_of_different_places_are_all_written(log: Log) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for text in ("one", "two"):
            warnings.warn_explicit(text, DeprecationWarning, f"{text}.py", 1)
            warnings.warn_explicit(text, DeprecationWarning, f"{text}.py", 1)

    assert 2 == len(log.events())


def test_own_lines_are_never_held_back(log: Log) -> None:
    for _ in range(3):
        structlog.get_logger("own").error("same", text="x" * 1_000)

    assert [1_000] * 3 == [len(event["text"]) for event in log.events()]


def not_utf8(number: int) -> bytes:
    """A call with a header value of 4,000 bytes that is no UTF-8."""
    block = literal_block(request_fields()) + b"\0\3x-a\x7f\xa1\x1e" + b"\xff" * 4_000
    assert len(block) < 16_384
    head = frame(HEADERS, 0, number, block[:100]) + frame(
        CONTINUATION, END_HEADERS, number, block[100:]
    )
    return head + data(number, packed(b"x"))


def test_calls_with_values_that_are_no_utf8_write_one_line(log: Log) -> None:
    served = asyncio.run(_serve([not_utf8(2 * at + 1) for at in range(20)]))

    assert 20 == served
    (event,) = [event for event in log.events() if GRPC == event["logger"]]
    assert event["event"].startswith("Invalid encoding on")
    assert len(log.stream.getvalue()) < 3_000


async def _serve(calls: list[bytes]) -> int:
    """Send calls to a server of grpcio's; how many came to their handler."""
    served = 0
    all_served = asyncio.Event()

    async def echo(message: bytes, _context: object) -> bytes:
        nonlocal served
        served += 1
        if served == len(calls):
            all_served.set()
        return message

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(echo),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HELLO + b"".join(calls))
    await all_served.wait()
    writer.close()
    await server.stop(None)
    return served


class _Echo(grpc.GenericRpcHandler):
    def __init__(self, behaviour: Callable[..., Any]) -> None:
        self._behaviour = behaviour

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The one method."""
        assert ECHO == details.method
        return grpc.unary_unary_rpc_method_handler(self._behaviour)
