"""Calls of all kinds over real sockets, with grpcio as the client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from sidecar.front import (
    Bounds,
    Context,
    Method,
    Status,
    UnaryCall,
    bidi_stream,
    client_stream,
    server_stream,
    unary,
    unary_async,
)
from tests.integration.front.conftest import Run
from tests.support.front.serving import channel_to, serving, until


async def double(data: bytes, _context: Context) -> bytes:
    await asyncio.sleep(0)
    return data + data


async def count(data: bytes, _context: Context) -> AsyncIterator[bytes]:
    for number in range(int(data)):
        yield str(number).encode()


async def join(requests: AsyncIterator[bytes], _context: Context) -> bytes:
    return b"".join([data async for data in requests])


async def upper(requests: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
    async for data in requests:
        yield data.upper()


async def raises(_data: bytes, _context: Context) -> bytes:
    raise ValueError("secret")


async def fails(_data: bytes, context: Context) -> AsyncIterator[bytes]:
    context.set_trailing_metadata([("why", "because")])
    yield b"first"
    raise Status(9, "no more ä", details=b"\x08\x09")


METHODS: Mapping[str, Method] = {
    "/t/Echo": unary(lambda call: call.answer(call.message)),
    "/t/Double": unary_async(double),
    "/t/Count": server_stream(count),
    "/t/Join": client_stream(join),
    "/t/Upper": bidi_stream(upper),
    "/t/Raises": unary_async(raises),
    "/t/Fails": server_stream(fails),
}


def outcome(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    assert isinstance(error, grpc.aio.AioRpcError)
    return error.code(), error.details() or ""


@pytest.mark.parametrize("over", ["tcp", "unix"])
def test_all_kinds_of_calls(run: Run, tmp_path: Path, over: str) -> None:
    async def main() -> None:
        async with serving(METHODS, folder=tmp_path) as at:
            target = at.address if over == "tcp" else f"unix:{at.path}"
            async with channel_to(target) as channel:
                assert b"abc" == await channel.unary_unary("/t/Echo")(b"abc", timeout=20)
                assert b"abcabc" == await channel.unary_unary("/t/Double")(b"abc")
                counted = [item async for item in channel.unary_stream("/t/Count")(b"3")]
                assert [b"0", b"1", b"2"] == counted
                parts = [b"a" * 100_000, b"", b"b" * 300_000]
                assert b"".join(parts) == await channel.stream_unary("/t/Join")(iter(parts))
                answers = channel.stream_stream("/t/Upper")(iter([b"a", b"", b"c"]))
                assert [b"A", b"", b"C"] == [item async for item in answers]
            assert 0 == at.server.calls_under_way
            assert [] == at.refused

    run(main())


def test_large_messages_both_ways(run: Run) -> None:
    async def main() -> None:
        async with serving(METHODS) as at, channel_to(at.address) as channel:
            large = bytes(range(256)) * 14_000
            options = grpc.Compression.Gzip
            assert large == await channel.unary_unary("/t/Echo")(large)
            assert large == await channel.unary_unary("/t/Echo")(large, compression=options)
            with pytest.raises(grpc.RpcError) as caught:
                await channel.unary_unary("/t/Echo")(bytes(4_194_305))
            assert grpc.StatusCode.RESOURCE_EXHAUSTED is outcome(caught.value)[0]

    run(main())


def test_failures_are_statuses_and_leak_nothing(run: Run) -> None:
    async def main() -> None:
        async with serving(METHODS) as at, channel_to(at.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                await channel.unary_unary("/t/Raises")(b"")
            assert (grpc.StatusCode.UNKNOWN, "internal error") == outcome(caught.value)
            call = channel.unary_stream("/t/Fails")(b"")
            with pytest.raises(grpc.RpcError) as caught:
                assert [b"first"] == [item async for item in call]
            assert (grpc.StatusCode.FAILED_PRECONDITION, "no more ä") == outcome(caught.value)
            trailing = dict(await call.trailing_metadata() or ())
            assert {"why": "because", "grpc-status-details-bin": b"\x08\x09"} == trailing
            with pytest.raises(grpc.RpcError) as caught:
                await channel.unary_unary("/t/Nothing")(b"")
            assert (grpc.StatusCode.UNIMPLEMENTED, "Method not found!") == outcome(caught.value)

    run(main())


def test_context_tells_peer_metadata_and_deadline(run: Run, tmp_path: Path) -> None:
    seen: list[Context] = []

    async def look(_data: bytes, context: Context) -> bytes:
        seen.append(context)
        remaining = context.time_remaining()
        return b"none" if remaining is None else b"%d" % (0 < remaining < 40)

    async def main() -> None:
        async with serving({"/t/Look": unary_async(look)}, folder=tmp_path) as at:
            for target in (at.address, f"unix:{at.path}"):
                async with channel_to(target) as channel:
                    method = channel.unary_unary("/t/Look")
                    metadata = (("k", "v"), ("k-bin", b"\0\1"))
                    assert b"1" == await method(b"", timeout=30, metadata=metadata)
                    assert b"none" == await method(b"")

    run(main())
    assert [True, False] == [seen[at].peer.startswith("ipv4:127.0.0.1:") for at in (0, 2)]
    assert "unix:" == seen[2].peer
    metadata = dict(seen[0].metadata)
    assert ("v", b"\0\1") == (metadata["k"], metadata["k-bin"])
    assert "grpc-python-asyncio" in str(metadata["user-agent"])
    assert {"k", "k-bin", "user-agent"} == set(metadata)


@pytest.mark.parametrize("method", ["/t/Unary", "/t/Stream", "/t/Later"])
def test_deadline_ends_what_waits(run: Run, method: str) -> None:
    stopped: list[str] = []
    waiting: list[UnaryCall] = []

    async def forever(_data: bytes, _context: Context) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("/t/Unary")
        return b""

    async def stream(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            yield await forever(data, context)
        finally:
            stopped.append("/t/Stream")

    methods = {
        "/t/Unary": unary_async(forever),
        "/t/Stream": server_stream(stream),
        "/t/Later": unary(waiting.append),
    }

    async def main() -> None:
        async with serving(methods) as at, channel_to(at.address) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                await channel.unary_unary(method)(b"", timeout=0.2)
            assert grpc.StatusCode.DEADLINE_EXCEEDED is outcome(caught.value)[0]
            await until(lambda: at.server.calls_under_way == 0)
            if method == "/t/Later":
                await until(lambda: waiting[0].ended)
            else:
                await until(lambda: method in stopped)

    run(main())


def test_cancelled_call_stops_its_behaviour(run: Run) -> None:
    stopped: list[str] = []
    started = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], _context: Context) -> AsyncIterator[bytes]:
        try:
            async for data in requests:
                started.set()
                yield data
        finally:
            stopped.append("here")

    async def main() -> None:
        methods = {"/t/Stream": bidi_stream(stream)}
        async with serving(methods) as at, channel_to(at.address) as channel:
            call = channel.stream_stream("/t/Stream")()
            await call.write(b"x")
            assert b"x" == await call.read()
            call.cancel()
            await until(lambda: stopped == ["here"])
            await until(lambda: at.server.calls_under_way == 0)

    run(main())


def test_unary_calls_are_answered_later_by_another_thread(run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def answer_in_thread(call: UnaryCall) -> None:
            def work() -> None:
                loop.call_soon_threadsafe(call.answer, call.message)

            threading.Thread(target=work).start()

        methods = {"/t/Later": unary(answer_in_thread)}
        async with serving(methods) as at, channel_to(at.address) as channel:
            method = channel.unary_unary("/t/Later")
            answers = await asyncio.gather(*(method(b"%d" % number) for number in range(50)))
            assert [b"%d" % number for number in range(50)] == answers

    run(main())


def test_host_decides_all_calls_of_a_read_together(run: Run) -> None:
    reads: list[int] = []

    def answer_read(calls: Any) -> None:
        reads.append(len(calls))
        for call in calls:
            call.handle()

    async def main() -> None:
        async with (
            serving(METHODS, answer_read=answer_read) as at,
            channel_to(at.address) as channel,
        ):
            method = channel.unary_unary("/t/Echo")
            await asyncio.gather(*(method(b"x") for _ in range(200)))

    run(main())
    assert 200 == sum(reads)
    assert max(reads) <= Bounds().calls_per_turn


def test_too_many_calls_at_once_end_resource_exhausted_or_well(run: Run) -> None:
    async def slow(data: bytes, _context: Context) -> bytes:
        await asyncio.sleep(0.05)
        return data

    async def main() -> None:
        bounds = Bounds(calls_max=20)
        async with (
            serving({"/t/Slow": unary_async(slow)}, bounds) as at,
            channel_to(at.address) as channel,
        ):
            method = channel.unary_unary("/t/Slow")
            calls = [method(b"x") for _ in range(500)]
            ended = [await call.code() for call in calls]
            assert {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED} == set(ended)
            assert ended.count(grpc.StatusCode.OK) >= 20
            assert {"calls"} == set(at.refused)

    run(main())
