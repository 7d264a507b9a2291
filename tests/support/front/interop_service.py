"""gRPC's interoperability test service (grpc.testing.TestService), hosted on the front.

`python -m tests.support.front.interop_service --socket PATH` serves it on a Unix socket and on a
free TCP port of the loopback interface, prints `ready unix:PATH 127.0.0.1:PORT`, and ends on
SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import uvloop

from sidecar.front import (
    Bounds,
    Context,
    Method,
    Server,
    Status,
    UnaryCall,
    bidi_stream,
    client_stream,
    server_stream,
    unary,
)
from tests.support.front.interop_messages import message_class

SERVICE: Final = "/grpc.testing.TestService"
_ECHO_INITIAL: Final = "x-grpc-test-echo-initial"
_ECHO_TRAILING: Final = "x-grpc-test-echo-trailing-bin"


def methods() -> Mapping[str, Method]:
    """The service's methods. UnimplementedCall is not among them."""
    return {
        f"{SERVICE}/EmptyCall": unary(lambda call: call.answer(b"")),
        f"{SERVICE}/UnaryCall": unary(_unary_call),
        f"{SERVICE}/StreamingOutputCall": server_stream(_streaming_output_call),
        f"{SERVICE}/StreamingInputCall": client_stream(_streaming_input_call),
        f"{SERVICE}/FullDuplexCall": bidi_stream(_full_duplex_call),
    }


def _unary_call(call: UnaryCall) -> None:
    request = message_class("SimpleRequest").FromString(call.message)
    _echo_metadata(call)
    _raise_status(request)
    if request.response_compressed.value:
        call.compress()
    response = message_class("SimpleResponse")()
    response.payload.body = bytes(request.response_size)
    call.answer(response.SerializeToString())


async def _streaming_output_call(data: bytes, _context: Context) -> AsyncIterator[bytes]:
    request = message_class("StreamingOutputCallRequest").FromString(data)
    async for response in _responses(request):
        yield response


async def _streaming_input_call(requests: AsyncIterator[bytes], _context: Context) -> bytes:
    kind = message_class("StreamingInputCallRequest")
    size = 0
    async for data in requests:
        size += len(kind.FromString(data).payload.body)
    response = message_class("StreamingInputCallResponse")(aggregated_payload_size=size)
    answer: bytes = response.SerializeToString()
    return answer


async def _full_duplex_call(
    requests: AsyncIterator[bytes], context: Context
) -> AsyncIterator[bytes]:
    kind = message_class("StreamingOutputCallRequest")
    _echo_metadata(context)
    async for data in requests:
        request = kind.FromString(data)
        _raise_status(request)
        async for response in _responses(request):
            yield response


async def _responses(request: Any) -> AsyncIterator[bytes]:
    for parameters in request.response_parameters:
        if parameters.interval_us:
            await asyncio.sleep(parameters.interval_us / 1e6)
        response = message_class("StreamingOutputCallResponse")()
        response.payload.body = bytes(parameters.size)
        yield response.SerializeToString()


def _raise_status(request: Any) -> None:
    if request.response_status.code:
        raise Status(request.response_status.code, request.response_status.message)


def _echo_metadata(context: Context) -> None:
    metadata = dict(context.metadata)
    if _ECHO_INITIAL in metadata:
        context.send_initial_metadata([(_ECHO_INITIAL, metadata[_ECHO_INITIAL])])
    if _ECHO_TRAILING in metadata:
        context.set_trailing_metadata([(_ECHO_TRAILING, metadata[_ECHO_TRAILING])])


async def serve(path: Path) -> None:
    """Serve until a signal."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    path.unlink(missing_ok=True)  # what a killed server left behind
    local = socket.socket(socket.AF_UNIX)
    local.bind(str(path))
    remote = socket.socket()
    remote.bind(("127.0.0.1", 0))
    for listening in (local, remote):
        listening.listen()
    server = Server(methods(), Bounds())
    await server.start(local, remote)
    print(f"ready unix:{path} 127.0.0.1:{remote.getsockname()[1]}", flush=True)
    await stopping.wait()
    await server.stop(grace_seconds=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="gRPC's interoperability test service")
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args().socket))


if __name__ == "__main__":
    main()
