"""How calls end is counted: each once, by its method and status, alike on both transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from sidecar.domain.errors import InvalidInput
from sidecar.front import Bounds
from sidecar.shared.convert.status import status_of
from sidecar.shared.host.context import CallContext, HostedCall
from sidecar.shared.host.errors import CallFailed
from sidecar.shared.host.grpcio import GrpcioServer
from sidecar.shared.host.native import NativeServer
from sidecar.shared.host.server import GrpcServer
from sidecar.shared.host.service import Service
from sidecar.shared.ops.call_metrics import CallMetrics
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.processes import until

NOT_FOUND: Final = 5
DEADLINE_SECONDS: Final = 0.05
LARGE: Final = bytes(200_000)
"""An answer that takes more than the window of a stream, and so not the usual path."""

waiting: Final[list[bytes]] = []
"""Streams that have sent their message, and are not within the transport any more."""


def handled(call: HostedCall) -> None:
    """Answer with what was asked, or fail as it says."""
    if call.message == b"wrong":
        call.fail(InvalidInput("field", "is wrong"))
    elif call.message == b"raise":
        raise ZeroDivisionError
    elif call.message == b"large":
        call.answer(LARGE)
    else:
        call.answer(call.message)


async def method(message: bytes, _context: CallContext) -> bytes:
    """The same of a coroutine; and it may wait for ever, at once or later."""
    if message == b"wrong":
        raise CallFailed(NOT_FOUND, "not found")
    await asyncio.sleep(0)
    if message == b"wait":
        await asyncio.Event().wait()
    return message


async def told(message: bytes, _context: CallContext) -> AsyncGenerator[bytes, None]:
    """The message, and then an end, a failure, a wait, or more than anybody takes."""
    yield message
    while message == b"flood":
        yield LARGE
    waiting.append(message)
    if message == b"wrong":
        raise CallFailed(NOT_FOUND, "not found")
    if message == b"wait":
        await asyncio.Event().wait()


async def echoed(
    requests: AsyncIterable[bytes], _context: CallContext
) -> AsyncGenerator[bytes, None]:
    async for request in requests:
        yield request


SERVICE: Final = Service(
    "test.Service",
    handlers={"Handled": handled},
    unary={"Eager": method},
    tasks={"Task": method},
    server_stream={"Told": told},
    bidi_stream={"Echoed": echoed},
)


class Hosted:
    """A server with the service, its client, and what it counted."""

    def __init__(self, server: GrpcServer, calls: CallMetrics) -> None:
        self.server = server
        self._calls = calls
        self.channel: Any = None

    def unary(self, name: str, message: bytes, seconds: float | None = None) -> Any:
        return self.channel.unary_unary(f"/test.Service/{name}")(message, timeout=seconds)

    def stream(self, name: str, message: bytes, seconds: float | None = None) -> Any:
        return self.channel.unary_stream(f"/test.Service/{name}")(message, timeout=seconds)

    async def ask(self, name: str, message: bytes, seconds: float | None = None) -> None:
        """Call a method, and take all that it answers."""
        if name == "Told":
            async for _ in self.stream(name, message, seconds):
                pass
        else:
            await self.unary(name, message, seconds)

    def counted(self) -> dict[tuple[str, str], float]:
        """By method and status; those at 0 are left out."""
        return {
            (sample.labels["method"].removeprefix("test.Service/"), sample.labels["code"]): value
            for sample in self._calls.read().samples
            if (value := sample.value)
        }

    async def counts(self, expected: dict[tuple[str, str], float]) -> None:
        """Wait until as many calls have ended; they must be those that are expected."""
        count = sum(expected.values())

        async def have_ended() -> bool:
            return sum(self.counted().values()) >= count

        await until(have_ended, f"counted only {self.counted()}")
        assert expected == self.counted()


@asynccontextmanager
async def hosted(transport: str, folder: Path, calls_max: int = 100) -> AsyncIterator[Hosted]:
    calls = CallMetrics()
    server: GrpcServer
    if transport == "native":
        bounds = Bounds(calls_max=calls_max)
        server = NativeServer(
            [SERVICE],
            rich=status_of,
            bounds=bounds,
            refused=lambda _kind: None,
            call_counts=calls.row,
        )
    else:
        server = GrpcioServer(
            [SERVICE],
            rich=status_of,
            options=(),
            concurrent_calls_max=calls_max,
            call_counts=calls.row,
        )
    found = Hosted(server, calls)
    server.listen_unix(str(folder / "s.sock"))
    await server.start()
    try:
        async with channel_to(f"unix:{folder}/s.sock") as found.channel:
            yield found
    finally:
        await server.stop(0)


@pytest.fixture(params=["native", "grpcio"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Hosted]:
    async with hosted(request.param, tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("name", "message", "code"),
    [
        ("Handled", b"fine", "OK"),
        ("Handled", b"large", "OK"),
        ("Handled", b"wrong", "INVALID_ARGUMENT"),
        ("Handled", b"raise", "INTERNAL"),
        ("Eager", b"fine", "OK"),
        ("Eager", b"wrong", "NOT_FOUND"),
        ("Task", b"fine", "OK"),
        ("Task", b"wrong", "NOT_FOUND"),
        ("Told", b"fine", "OK"),
        ("Told", b"wrong", "NOT_FOUND"),
    ],
)
async def test_a_call_that_ends_is_counted_once(
    host: Hosted, name: str, message: bytes, code: str
) -> None:
    for _ in range(3):
        with suppress(grpc.aio.AioRpcError):
            await host.ask(name, message)
    await host.counts({(name, code): 3})


async def test_a_stream_of_requests_ends_once(host: Hosted) -> None:
    requests = iter([b"a", b"b"])
    call = host.channel.stream_stream("/test.Service/Echoed")(requests)
    assert [b"a", b"b"] == [answer async for answer in call]
    await host.counts({("Echoed", "OK"): 1})


@pytest.mark.parametrize("name", ["Eager", "Task", "Told"])
async def test_a_call_that_comes_to_its_deadline_is_counted_as_that(
    host: Hosted, name: str
) -> None:
    async def has_ended() -> bool:
        with pytest.raises(grpc.aio.AioRpcError) as late:
            await host.ask(name, b"wait", DEADLINE_SECONDS)
        assert grpc.StatusCode.DEADLINE_EXCEEDED == late.value.code()
        return bool(host.counted())

    # On a busy machine the first of them may be over before they have reached the server.
    await until(has_ended, "it was never counted")
    # A client whose clock is a little ahead cancels before the server's deadline has come.
    assert host.counted().keys() <= {(name, "DEADLINE_EXCEEDED"), (name, "CANCELLED")}


async def test_a_call_that_its_caller_cancels_is_counted_as_cancelled(host: Hosted) -> None:
    call = host.stream("Told", b"wait")
    assert b"wait" == await call.read()
    call.cancel()
    await host.counts({("Told", "CANCELLED"): 1})


async def test_a_call_that_is_cancelled_while_its_answer_is_sent_is_counted_once(
    host: Hosted,
) -> None:
    call = host.stream("Told", b"flood")
    assert b"flood" == await call.read()
    assert LARGE == await call.read()
    call.cancel()
    await host.counts({("Told", "CANCELLED"): 1})


async def test_a_call_whose_connection_goes_away_is_counted_as_cancelled(host: Hosted) -> None:
    call = host.stream("Told", b"wait")
    assert b"wait" == await call.read()
    await host.channel.close()
    await host.counts({("Told", "CANCELLED"): 1})


async def test_what_outlasts_a_stop_is_counted_as_unavailable(host: Hosted) -> None:
    waiting.clear()
    call = host.stream("Told", b"wait")
    assert b"wait" == await call.read()

    async def waits() -> bool:
        return bool(waiting)

    await until(waits, "it never came to wait")
    async with asyncio.timeout(HANG_SECONDS_MAX):
        await host.server.stop(0)
    await host.counts({("Told", "UNAVAILABLE"): 1})


@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_a_method_that_is_not_hosted_is_no_label(transport: str, tmp_path: Path) -> None:
    async with hosted(transport, tmp_path) as host:
        for name in ("Nothing", 'a"b'):
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await host.unary(name, b"x")
            assert grpc.StatusCode.UNIMPLEMENTED == unknown.value.code()
        await host.unary("Handled", b"fine")
        await host.counts({("Handled", "OK"): 1})


async def test_one_call_too_many_is_counted_by_its_method(tmp_path: Path) -> None:
    async with hosted("native", tmp_path, calls_max=1) as host:
        call = host.stream("Told", b"wait")
        assert b"wait" == await call.read()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await host.unary("Task", b"fine")
        assert grpc.StatusCode.RESOURCE_EXHAUSTED == refused.value.code()
        await host.counts({("Task", "RESOURCE_EXHAUSTED"): 1})
        call.cancel()
