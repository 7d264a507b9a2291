"""The yardstick of the benchmark: the sidecar's gRPC stack with nothing behind it.

`python -m tests.bench.echo --socket PATH` serves /bench.Echo/Call, which returns the request's
bytes, with grpc.aio on uvloop: no messages parsed, no interceptors, no compression. It listens on
a free loopback port, too, prints one line of JSON with that port, and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from pathlib import Path

import grpc
import grpc.aio
import uvloop

METHOD = "/bench.Echo/Call"


async def _echo(request: bytes, _context: object) -> bytes:
    return request


def _option(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    return name, int(value)


async def serve(socket_path: Path, options: list[tuple[str, int]]) -> None:
    """Serve until a signal; `options` are gRPC channel arguments beside the lean defaults."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    server = grpc.aio.server(
        options=[("grpc.so_reuseport", 0), *options],
        compression=grpc.Compression.NoCompression,
    )
    service, name = METHOD.strip("/").split("/")
    call: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: call}),))
    socket_path.unlink(missing_ok=True)  # what a killed server left behind
    server.add_insecure_port(f"unix:{socket_path}")
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(json.dumps({"event": "ready", "port": port}), flush=True)
    await stopping.wait()
    await server.stop(grace=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="gRPC echo server, the benchmark's yardstick")
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket")
    parser.add_argument(
        "--option",
        type=_option,
        action="append",
        default=[],
        metavar="NAME=INTEGER",
        help="gRPC channel argument, so that both servers run with the same ones; repeatable",
    )
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.socket, arguments.option))


if __name__ == "__main__":
    main()
