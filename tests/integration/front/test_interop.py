"""gRPC's interoperability cases with grpcio as the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias

import grpc
import pytest

from tests.integration.front.conftest import Run
from tests.support.front.interop_messages import message_class
from tests.support.front.interop_service import SERVICE, methods
from tests.support.front.serving import channel_to, serving

Case: TypeAlias = Callable[["Stub"], Coroutine[Any, Any, None]]

SPECIAL: Final = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP \U0001f608\t\n"
SIZES: Final = ((27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979))


class Stub:
    """The service's client."""

    def __init__(self, channel: Any) -> None:
        def method(kind: str, name: str, request: str, response: str) -> Any:
            return getattr(channel, kind)(
                f"{SERVICE}/{name}",
                request_serializer=message_class(request).SerializeToString,
                response_deserializer=message_class(response).FromString,
            )

        self.channel = channel
        self.unary = method("unary_unary", "UnaryCall", "SimpleRequest", "SimpleResponse")
        self.output = method(
            "unary_stream",
            "StreamingOutputCall",
            "StreamingOutputCallRequest",
            "StreamingOutputCallResponse",
        )
        self.input = method(
            "stream_unary",
            "StreamingInputCall",
            "StreamingInputCallRequest",
            "StreamingInputCallResponse",
        )
        self.duplex = method(
            "stream_stream",
            "FullDuplexCall",
            "StreamingOutputCallRequest",
            "StreamingOutputCallResponse",
        )


def simple(size: int, answer: int) -> Any:
    request = message_class("SimpleRequest")(response_size=answer)
    request.payload.body = bytes(size)
    return request


def output(*sizes: int, body: int = 0, interval_us: int = 0) -> Any:
    request = message_class("StreamingOutputCallRequest")()
    for size in sizes:
        request.response_parameters.add(size=size, interval_us=interval_us)
    request.payload.body = bytes(body)
    return request


async def empty_unary(stub: Stub) -> None:
    assert b"" == await stub.channel.unary_unary(f"{SERVICE}/EmptyCall")(b"")


async def large_unary(stub: Stub) -> None:
    response = await stub.unary(simple(271_828, 314_159))
    assert bytes(314_159) == response.payload.body


async def compressed_unary(stub: Stub) -> None:
    request = simple(271_828, 314_159)
    request.response_compressed.value = True
    response = await stub.unary(request, compression=grpc.Compression.Gzip)
    assert bytes(314_159) == response.payload.body


async def client_streaming(stub: Stub) -> None:
    requests = []
    for size in (27_182, 8, 1_828, 45_904):
        request = message_class("StreamingInputCallRequest")()
        request.payload.body = bytes(size)
        requests.append(request)
    assert 74_922 == (await stub.input(iter(requests))).aggregated_payload_size


async def server_streaming(stub: Stub) -> None:
    sizes = [answer for _, answer in SIZES]
    call = stub.output(output(*sizes))
    assert sizes == [len(response.payload.body) async for response in call]


async def ping_pong(stub: Stub) -> None:
    call = stub.duplex()
    for size, answer in SIZES:
        await call.write(output(answer, body=size))
        assert answer == len((await call.read()).payload.body)
    await call.done_writing()
    assert grpc.aio.EOF is await call.read()
    assert grpc.StatusCode.OK is await call.code()


async def empty_stream(stub: Stub) -> None:
    assert [] == [item async for item in stub.duplex(iter([]))]


async def timeout_on_sleeping_server(stub: Stub) -> None:
    call = stub.duplex(timeout=0.05)
    with suppress(asyncio.InvalidStateError, grpc.RpcError):  # the deadline may come first
        await call.write(output(31_415, body=27_182, interval_us=30_000_000))
    assert grpc.StatusCode.DEADLINE_EXCEEDED is await call.code()


async def cancel_after_begin(stub: Stub) -> None:
    call = stub.input()
    call.cancel()
    assert grpc.StatusCode.CANCELLED is await call.code()


async def cancel_after_first_response(stub: Stub) -> None:
    call = stub.duplex()
    await call.write(output(31_415, body=27_182))
    await call.read()
    call.cancel()
    assert grpc.StatusCode.CANCELLED is await call.code()


async def custom_metadata(stub: Stub) -> None:
    metadata = (
        ("x-grpc-test-echo-initial", "test_initial_metadata_value"),
        ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"),
    )
    duplex = stub.duplex(metadata=metadata)
    await duplex.write(output(314_159, body=271_828))
    await duplex.read()
    await duplex.done_writing()
    for call in (stub.unary(simple(271_828, 314_159), metadata=metadata), duplex):
        assert metadata[0] in tuple(await call.initial_metadata())
        assert metadata[1] in tuple(await call.trailing_metadata())
        assert grpc.StatusCode.OK is await call.code()


async def status_code_and_message(stub: Stub, message: str = "test status message") -> None:
    unary = simple(0, 0)
    unary.response_status.code, unary.response_status.message = 2, message
    duplex = output()
    duplex.response_status.code, duplex.response_status.message = 2, message
    for call in (stub.unary(unary), stub.duplex(iter([duplex]))):
        assert (grpc.StatusCode.UNKNOWN, message) == (await call.code(), await call.details())


async def special_status_message(stub: Stub) -> None:
    await status_code_and_message(stub, SPECIAL)


async def unimplemented_method(stub: Stub) -> None:
    call = stub.channel.unary_unary(f"{SERVICE}/UnimplementedCall")(b"")
    assert grpc.StatusCode.UNIMPLEMENTED is await call.code()


async def unimplemented_service(stub: Stub) -> None:
    call = stub.channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall")(b"")
    assert grpc.StatusCode.UNIMPLEMENTED is await call.code()


@pytest.mark.parametrize(
    "case",
    [
        empty_unary,
        large_unary,
        compressed_unary,
        client_streaming,
        server_streaming,
        ping_pong,
        empty_stream,
        timeout_on_sleeping_server,
        cancel_after_begin,
        cancel_after_first_response,
        custom_metadata,
        status_code_and_message,
        special_status_message,
        unimplemented_method,
        unimplemented_service,
    ],
    ids=lambda case: case.__name__,
)
def test_interop_case(run: Run, case: Case) -> None:
    async def main() -> None:
        async with serving(methods()) as at, channel_to(at.address) as channel:
            await case(Stub(channel))
            assert [] == at.refused

    run(main())
