"""The front with nothing behind it, to compare with `tests.bench.echo`.

`python -m tests.bench.front_echo --socket PATH` serves /bench.Echo/Call, which returns what it is
given, on uvloop. It prints `ready unix:PATH` and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
from pathlib import Path

import uvloop

from sidecar.front import Server, UnaryCall, unary
from tests.bench.echo import METHOD


def _echo(call: UnaryCall) -> None:
    call.answer(call.message)


async def serve(socket_path: Path) -> None:
    """Serve until a signal."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    socket_path.unlink(missing_ok=True)  # what a killed server left behind
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(socket_path))
    listening.listen()
    server = Server({METHOD: unary(_echo)})
    await server.start(listening)
    print(f"ready unix:{socket_path}", flush=True)
    await stopping.wait()
    await server.stop(grace_seconds=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="echo server on the front, for the benchmark")
    parser.add_argument("--socket", type=Path, required=True, help="path of the Unix socket")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(parser.parse_args().socket))


if __name__ == "__main__":
    main()
