"""Connections over real sockets: how they begin, are kept, are bounded and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import grpc
import grpc.aio
import pytest

from sidecar.front import Bounds, Context, Status, UnaryCall, server_stream, unary, unary_async
from sidecar.front.errors import Code, ErrorCode
from sidecar.front.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS_INITIAL_WINDOW_SIZE,
    STREAM_ID_MAX,
    frame,
    settings,
    window_update,
)
from sidecar.front.machine.control_frames import LEAVING_PING
from sidecar.front.machine.messages import packed
from tests.integration.front.conftest import Run
from tests.support.front.peer import ECHO, call, echo
from tests.support.front.serving import channel_to, link, serving, until

TRAILERS: Final = END_HEADERS | END_STREAM


def test_fault_is_told_before_the_connection_ends(run: Run) -> None:
    async def main() -> None:
        async with serving({ECHO: echo()}) as at, link(at) as peer:
            await peer.send(call(1), frame(PING, 0, 0, b"short"), bytes(100_000))
            goaway = await peer.until(lambda item: item.kind == GOAWAY)
            assert ErrorCode.FRAME_SIZE_ERROR == goaway.code
            await peer.ended()
            await until(lambda: at.server.connections == 0)

    run(main())


def test_peer_of_another_protocol_is_ended(run: Run) -> None:
    async def main() -> None:
        async with serving({ECHO: echo()}) as at, link(at, b"GET / HTTP/1.1\r\n\r\n") as peer:
            await peer.ended()
            assert ["preface"] == at.refused

    run(main())


def test_one_connection_too_many_is_ended(run: Run) -> None:
    async def main() -> None:
        async with (
            serving({ECHO: echo()}, Bounds(connections_max=2)) as at,
            link(at) as first,
            link(at) as second,
        ):
            for peer in (first, second):
                await peer.send(call(1))
                await peer.until(lambda item: item.kind == DATA)
            async with link(at, b"") as third:
                await third.ended()
            assert ["connections"] == at.refused
            await first.send(call(3))
            await first.until(lambda item: item.kind == DATA)

    run(main())


@pytest.mark.parametrize(
    ("hello", "kind"),
    [(b"", "slow_preface"), (b"PRI * HTTP/2", "slow_preface")],
)
def test_connection_that_does_not_begin_is_ended(run: Run, hello: bytes, kind: str) -> None:
    async def main() -> None:
        async with (
            serving({ECHO: echo()}, Bounds(preface_seconds=0.1)) as at,
            link(at, hello) as peer,
        ):
            await peer.ended()
            assert [kind] == at.refused

    run(main())


def test_idle_connection_is_ended_in_good_order(run: Run) -> None:
    async def main() -> None:
        async with serving({ECHO: echo()}, Bounds(idle_seconds=0.1)) as at, link(at) as peer:
            goaway = await peer.until(lambda item: item.kind == GOAWAY)
            assert ErrorCode.NO_ERROR == goaway.code
            await peer.ended()
            assert [] == at.refused

    run(main())


def test_behaviour_waits_for_a_peer_that_does_not_take_messages(run: Run) -> None:
    yielded: list[int] = []

    async def endless(_data: bytes, _context: Context) -> AsyncIterator[bytes]:
        while True:
            yielded.append(1)
            yield bytes(10_000)

    async def main() -> None:
        bounds = Bounds(queued_bytes_stream_max=50_000)
        async with serving({ECHO: server_stream(endless)}, bounds) as at, link(at) as peer:
            await peer.send(settings({SETTINGS_INITIAL_WINDOW_SIZE: 0}), call(1))
            await peer.until(lambda item: item.kind == HEADERS)
            await until(lambda: len(yielded) == 5)
            for _ in range(20):
                await asyncio.sleep(0)
            assert 5 == len(yielded)
            await peer.send(window_update(1, 30_000))
            await until(lambda: len(yielded) == 8)

    run(main())


def test_peer_that_reads_nothing_is_neither_read_nor_written_to(run: Run) -> None:
    answered: list[int] = []

    def answer(call: UnaryCall) -> None:
        answered.append(call.stream_id)
        call.answer(bytes(4_000))

    async def main() -> None:
        bounds = Bounds(stalled_seconds=0.2)
        async with serving({ECHO: unary(answer)}, bounds) as at, link(at) as peer:
            grown = settings({SETTINGS_INITIAL_WINDOW_SIZE: 2**31 - 1})
            peer.writer.write(grown + b"".join(call(number) for number in range(1, 20_001, 2)))
            peer.reader._limit = 0  # type: ignore[attr-defined]  # reads nothing from here on
            await until(lambda: "stalled_output" in at.refused)
            assert len(answered) < 10_000
            await until(lambda: at.server.connections == 0)

    run(main())


def test_peer_that_reads_slowly_gets_every_answer(run: Run) -> None:
    calls, size = 2_000, 4_000

    async def main() -> None:
        async with (
            serving({ECHO: unary(lambda call: call.answer(bytes(size)))}) as at,
            link(at) as peer,
        ):
            grown = settings({SETTINGS_INITIAL_WINDOW_SIZE: 2**31 - 1})
            numbers = range(1, 2 * calls, 2)
            peer.writer.write(grown + b"".join(call(number) for number in numbers))
            ended = 0
            while ended < calls:
                await peer.until(lambda item: item.kind == HEADERS and item.flags == TRAILERS)
                ended += 1
            assert [] == at.refused

    run(main())


def test_host_that_fails_in_a_read_fails_its_calls_and_no_others(run: Run) -> None:
    def answer_read(calls: Sequence[UnaryCall]) -> None:
        calls[0].handle()
        if calls[0].message == b"bad":
            raise ValueError

    async def main() -> None:
        async with (
            serving({ECHO: echo()}, answer_read=answer_read) as at,
            link(at) as peer,
        ):
            await peer.send(call(1, b"bad"), call(3))
            trailers = await peer.until(lambda item: item.stream_id == 3)
            assert END_STREAM & trailers.flags
            await peer.send(call(5, b"good"))
            answer = await peer.until(lambda item: item.kind == DATA)
            assert packed(b"good") == answer.payload

    run(main())


def test_stop_finishes_what_is_under_way(run: Run) -> None:
    async def main() -> None:
        going, release = asyncio.Event(), asyncio.Event()

        async def slow(data: bytes, _context: Context) -> bytes:
            going.set()
            await release.wait()
            return data

        async with serving({"/t/Slow": unary_async(slow), ECHO: echo()}) as at:
            async with channel_to(at.address) as channel, link(at) as peer:
                method = channel.unary_unary("/t/Slow")
                under_way = asyncio.ensure_future(method(b"x"))
                await going.wait()
                await peer.until(lambda item: item.kind != GOAWAY)
                stopping = asyncio.ensure_future(at.server.stop(grace_seconds=20))
                warning = await peer.until(lambda item: item.kind == GOAWAY)
                assert STREAM_ID_MAX == int.from_bytes(warning.payload[:4])
                await peer.send(call(1), frame(PING, ACK, 0, LEAVING_PING))  # began before it heard
                await peer.until(lambda item: item.kind == DATA)
                release.set()
                assert b"x" == await under_way
                await stopping
                await peer.ended()
            assert 0 == at.server.connections
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(*at.address.split(":"))

    run(main())


def test_stop_ends_what_does_not_finish_in_time(run: Run) -> None:
    waiting: list[UnaryCall] = []
    stopped: list[str] = []

    async def endless(_data: bytes, _context: Context) -> AsyncIterator[bytes]:
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            stopped.append("endless")

    async def main() -> None:
        methods = {"/t/Never": unary(waiting.append), "/t/Endless": server_stream(endless)}
        async with serving(methods) as at, channel_to(at.address) as channel:
            never = channel.unary_unary("/t/Never")
            under_way = never(b"x")
            stream = channel.unary_stream("/t/Endless")(b"x")
            assert b"first" == await stream.read()
            await until(lambda: len(waiting) == 1)
            await at.server.stop(grace_seconds=0.05)
            assert grpc.StatusCode.UNAVAILABLE is await under_way.code()
            assert grpc.StatusCode.UNAVAILABLE is await stream.code()
            assert ["endless"] == stopped
            assert 0 == at.server.calls_under_way

    run(main())


def test_lost_connection_ends_its_calls(run: Run) -> None:
    waiting: list[UnaryCall] = []

    async def main() -> None:
        async with serving({ECHO: unary(waiting.append)}) as at:
            async with link(at) as peer:
                await peer.send(call(1))
                await until(lambda: len(waiting) == 1)
            await until(lambda: waiting[0].ended)
            waiting[0].answer(b"to nobody")
            assert (0, 0) == (at.server.connections, at.server.calls_under_way)

    run(main())


def test_mistake_of_the_host_ends_one_connection_and_is_told(run: Run) -> None:
    told: list[Any] = []

    def status_of(_error: Exception) -> Status:
        raise RuntimeError("a mistake")

    def handle(call: UnaryCall) -> None:
        if call.message == b"bad":
            raise ValueError
        call.answer(call.message)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        async with (
            serving({ECHO: unary(handle)}, status_of=status_of) as at,
            link(at) as good,
            link(at) as bad,
        ):
            await bad.send(call(1, b"bad"))
            await bad.ended()
            await good.send(call(1, b"good"))
            answer = await good.until(lambda item: item.kind == DATA)
            assert packed(b"good") == answer.payload

    run(main())
    assert ["RuntimeError"] == [type(context["exception"]).__name__ for context in told]


def test_reset_of_a_call_is_heard(run: Run) -> None:
    waiting: list[UnaryCall] = []

    async def main() -> None:
        async with serving({ECHO: unary(waiting.append)}) as at, link(at) as peer:
            await peer.send(call(1))
            await until(lambda: len(waiting) == 1)
            await peer.send(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"))
            await until(lambda: waiting[0].ended)
            assert 0 == at.server.calls_under_way

    run(main())


def test_status_code_is_an_int_of_any_kind(run: Run) -> None:
    def refuse(call: UnaryCall) -> None:
        raise Status(Code.PERMISSION_DENIED, "not you")

    async def main() -> None:
        async with (
            serving({ECHO: unary(refuse)}) as at,
            channel_to(at.address) as channel,
        ):
            call = channel.unary_unary(ECHO)(b"x")
            assert grpc.StatusCode.PERMISSION_DENIED is await call.code()

    run(main())
