"""A gRPC service as the methods that answer it: bytes in, bytes out, no transport.

Every transport of ours hosts all four kinds. A method raises what went wrong; the host makes a
status of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec

from sidecar.shared.host.context import CallContext, HostedCall

UnaryHandler: TypeAlias = Callable[[HostedCall], None]
"""Answers a call itself, now or later: for what must not cost a task, a future or a coroutine."""
UnaryMethod: TypeAlias = Callable[[bytes, CallContext], Awaitable[bytes]]
ServerStreamMethod: TypeAlias = Callable[[bytes, CallContext], AsyncGenerator[bytes, None]]
ClientStreamMethod: TypeAlias = Callable[[AsyncIterable[bytes], CallContext], Awaitable[bytes]]
BidiStreamMethod: TypeAlias = Callable[
    [AsyncIterable[bytes], CallContext], AsyncGenerator[bytes, None]
]

CallCounts: TypeAlias = Callable[[str], list[int]]
"""The counts of a method ("package.Service/Method") by number of the status, for what hosts it to
count up as a call ends."""


class Service(msgspec.Struct, frozen=True):
    """A service's full name, and its methods by name.

    `unary` methods are driven at once as far as they come: up to where they first wait they must
    not ask for the task that they run in, as `asyncio.timeout` does. `tasks` are unary methods
    that run in one from the start: for what waits anyway.
    """

    name: str
    handlers: Mapping[str, UnaryHandler] = {}
    unary: Mapping[str, UnaryMethod] = {}
    tasks: Mapping[str, UnaryMethod] = {}
    server_stream: Mapping[str, ServerStreamMethod] = {}
    client_stream: Mapping[str, ClientStreamMethod] = {}
    bidi_stream: Mapping[str, BidiStreamMethod] = {}
