"""A gRPC server on HTTP/2 in plain Python: fast for unary calls, bounded in all that peers can do.

    async def main() -> None:
        server = Server({"/demo.Echo/Call": unary(lambda call: call.answer(call.message))})
        await server.start(listening_socket)
        ...
        await server.stop(grace_seconds=5.0)

It knows nothing of what it serves: messages are bytes. The protocol is a state machine without I/O
(`machine/`, whose rules stand at the top of `connection.py`); `driver.py` and `server.py` carry it
out on asyncio or uvloop.
"""

from sidecar.front.bounds import Allowance, Bounds
from sidecar.front.errors import Code, Status
from sidecar.front.machine.calls import Context, UnaryCall
from sidecar.front.methods import (
    Method,
    bidi_stream,
    client_stream,
    server_stream,
    unary,
    unary_async,
)
from sidecar.front.server import Server

__all__ = [
    "Allowance",
    "Bounds",
    "Code",
    "Context",
    "Method",
    "Server",
    "Status",
    "UnaryCall",
    "bidi_stream",
    "client_stream",
    "server_stream",
    "unary",
    "unary_async",
]
