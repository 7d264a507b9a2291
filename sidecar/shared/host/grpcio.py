"""grpcio as the transport: the control plane's, and what the native front is held to."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc
from google.rpc import code_pb2

from sidecar.shared.host.addresses import split_host_port
from sidecar.shared.host.context import Metadata
from sidecar.shared.host.errors import CallFailed, CallStatus, RichStatus, status_of
from sidecar.shared.host.listening import SOCKET_MODE, BoundSocket, CannotListen, make_way
from sidecar.shared.host.service import (
    BidiStreamMethod,
    CallCounts,
    ClientStreamMethod,
    ServerStreamMethod,
    Service,
    UnaryHandler,
    UnaryMethod,
)

_Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
_Options: TypeAlias = Sequence[tuple[str, Any]]

_OK: Final[int] = code_pb2.OK
_CANCELLED: Final[int] = code_pb2.CANCELLED
_DEADLINE_EXCEEDED: Final[int] = code_pb2.DEADLINE_EXCEEDED
_UNAVAILABLE: Final[int] = code_pb2.UNAVAILABLE
_STOPS: Final = "the server stops"
_CUT_SECONDS: Final = 1.0
"""What calls that are given up may take to tell their callers."""

_CODES = {code.value[0]: code for code in grpc.StatusCode}


class GrpcioServer:
    """Hosts services with grpcio. `rich`: what errors are as statuses.

    `call_counts`: where calls are counted as they end.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        rich: RichStatus,
        options: _Options,
        concurrent_calls_max: int,
        call_counts: CallCounts,
    ) -> None:
        self._bound: list[BoundSocket] = []
        self._server = grpc.aio.server(
            options=options, maximum_concurrent_rpcs=concurrent_calls_max
        )
        self._handlers = _Handlers(rich, call_counts)
        for service in services:
            handlers = self._handlers.of(service)
            handler = grpc.method_handlers_generic_handler(service.name, handlers)
            self._server.add_generic_rpc_handlers((handler,))

    def listen_unix(self, path: str) -> None:
        """Listen on a Unix socket. A stale one, that a killed process left behind, is removed."""
        make_way(path)
        try:
            self._server.add_insecure_port(f"unix:{path}")
            Path(path).chmod(SOCKET_MODE)
            self._bound.append(BoundSocket(path))
        except (OSError, RuntimeError) as error:
            raise CannotListen(f"cannot listen on the socket {path}: {error}") from error

    def listen_tcp(self, address: str) -> int:
        """Listen on HOST:PORT; the port, which was chosen if 0 was asked for."""
        _require_free(address)
        try:
            return self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise CannotListen(f"cannot listen on {address}: {error}") from error

    async def listen_again(self) -> list[str]:
        """Grpcio cannot bind while it serves; a restart can, which `RuntimeError` asks for."""
        for bound in self._bound:
            if not bound.is_there():
                raise RuntimeError(f"the socket {bound.path} is gone; grpcio cannot bind it again")
        return []

    async def start(self) -> None:
        """Serve."""
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, let those under way finish within the grace, and end."""
        self._bound.clear()
        # What grpcio itself cuts ends as CANCELLED, which no client tries again.
        stopping = asyncio.ensure_future(self._server.stop(grace_seconds + 2 * _CUT_SECONDS))
        await asyncio.wait((stopping,), timeout=grace_seconds)
        if not stopping.done():
            await self._handlers.give_up()
        await stopping


class GrpcioContext:
    """A call's context as grpcio has it."""

    def __init__(self, context: _Context) -> None:
        self._context = context

    @property
    def peer(self) -> str:
        return str(self._context.peer())

    @property
    def metadata(self) -> Metadata:
        return tuple((str(key), value) for key, value in self._context.invocation_metadata() or ())

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()


class _Call(GrpcioContext):
    """A unary call whose handler answers it itself."""

    def __init__(self, message: bytes, context: _Context) -> None:
        super().__init__(context)
        self.message = message
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def defer(self) -> None:
        """Nothing to do: grpcio bounds calls before they begin."""

    def answer(self, message: bytes, /) -> None:
        if not self.answered.done():
            self.answered.set_result(message)

    def fail(self, error: Exception, /) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)


class _Handlers:
    """Methods as grpcio's handlers: what they raise becomes a status."""

    def __init__(self, rich: RichStatus, call_counts: CallCounts) -> None:
        self._rich = rich
        self._call_counts = call_counts
        self._under_way: set[asyncio.Task[Any]] = set()
        self._given_up = False

    async def give_up(self) -> None:
        """End all calls that are under way, and those that still begin, as UNAVAILABLE."""
        self._given_up = True
        under_way = set(self._under_way)
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=_CUT_SECONDS)

    @asynccontextmanager
    async def _call(self, context: _Context, counts: list[int]) -> AsyncIterator[None]:
        """What a call raises becomes its status; it is given up where the server stops."""
        task = asyncio.current_task()
        assert task is not None
        self._under_way.add(task)
        try:
            if self._given_up:
                raise CallFailed(_UNAVAILABLE, _STOPS)
            yield
            counts[_OK] += 1
        except asyncio.CancelledError:
            if not self._given_up:
                seconds_left = GrpcioContext(context).time_remaining()
                is_late = seconds_left is not None and seconds_left <= 0
                counts[_DEADLINE_EXCEEDED if is_late else _CANCELLED] += 1
                raise  # by its caller
            task.uncancel()
            await _abort(context, CallStatus(_UNAVAILABLE, _STOPS), counts)
        except GeneratorExit:
            # By its caller, too, while grpcio was at sending what the stream had given it.
            counts[_CANCELLED] += 1
            raise
        except Exception as error:
            await _abort(context, status_of(error, self._rich), counts)
        finally:
            self._under_way.discard(task)

    def of(self, service: Service) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Handlers of all methods, by name."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

        def counts(name: str) -> list[int]:
            return self._call_counts(f"{service.name}/{name}")

        for name, handler in service.handlers.items():
            unary = self._unary(_awaited(handler), counts(name))
            handlers[name] = grpc.unary_unary_rpc_method_handler(unary)
        for name, method in (*service.unary.items(), *service.tasks.items()):
            unary = self._unary(_plain(method), counts(name))
            handlers[name] = grpc.unary_unary_rpc_method_handler(unary)
        for name, server in service.server_stream.items():
            stream = self._stream(server, counts(name))
            handlers[name] = grpc.unary_stream_rpc_method_handler(stream)
        for name, client in service.client_stream.items():
            unary = self._unary(_plain(client), counts(name))
            handlers[name] = grpc.stream_unary_rpc_method_handler(unary)
        for name, bidi in service.bidi_stream.items():
            stream = self._stream(bidi, counts(name))
            handlers[name] = grpc.stream_stream_rpc_method_handler(stream)
        return handlers

    def _unary(
        self, method: Callable[[Any, _Context], Awaitable[bytes]], counts: list[int]
    ) -> Callable[[Any, _Context], Awaitable[bytes]]:
        async def behaviour(request: Any, context: _Context) -> bytes:
            async with self._call(context, counts):
                return await method(request, context)
            raise AssertionError("`abort` raises")

        return behaviour

    def _stream(
        self, method: ServerStreamMethod | BidiStreamMethod, counts: list[int]
    ) -> Callable[[Any, _Context], AsyncIterator[bytes]]:
        async def behaviour(request: Any, context: _Context) -> AsyncIterator[bytes]:
            # An iterator that is given up must be closed here, not by the collector.
            async with (
                self._call(context, counts),
                aclosing(method(request, GrpcioContext(context))) as answers,
            ):
                async for answer in answers:
                    yield answer

        return behaviour


def _plain(
    method: UnaryMethod | ClientStreamMethod,
) -> Callable[[Any, _Context], Awaitable[bytes]]:
    return lambda request, context: method(request, GrpcioContext(context))


def _awaited(handler: UnaryHandler) -> Callable[[bytes, _Context], Awaitable[bytes]]:
    async def method(message: bytes, context: _Context) -> bytes:
        call = _Call(message, context)
        handler(call)
        return await call.answered

    return method


async def _abort(context: _Context, status: CallStatus, counts: list[int]) -> None:
    counts[status.code] += 1
    metadata = (("grpc-status-details-bin", status.details),) if status.details else ()
    await context.abort(_CODES[status.code], status.message, metadata)


def _require_free(address: str) -> None:
    """Grpcio says only that binding failed; the operating system says why."""
    host, port = split_host_port(address)
    if port == 0:
        return
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror}") from error
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(where)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CannotListen(f"cannot listen on {address}: {reason}") from error
