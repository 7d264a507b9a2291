"""The native front as the transport."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from types import coroutine
from typing import Any

from sidecar.front import (
    Bounds,
    Method,
    Server,
    Status,
    UnaryCall,
    bidi_stream,
    client_stream,
    server_stream,
    unary,
    unary_async,
)
from sidecar.shared.host.errors import RichStatus, status_of
from sidecar.shared.host.listening import BoundSocket, tcp_socket, unix_socket
from sidecar.shared.host.service import CallCounts, Service, UnaryMethod


class NativeServer:
    """Hosts services on the front. `rich`: what errors are as statuses.

    `answer_read`: handles the calls that one read brought. `refused`: told the kind of each refusal
    of the front. `call_counts`: where calls are counted as they end.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        rich: RichStatus,
        bounds: Bounds,
        answer_read: Callable[[Sequence[UnaryCall]], None] | None = None,
        refused: Callable[[str], None],
        call_counts: CallCounts,
    ) -> None:
        self._bound: list[BoundSocket] = []
        self._sockets: list[socket.socket] = []
        self._waiting: set[asyncio.Task[None]] = set()
        methods: dict[str, Method] = {}
        for service in services:
            for name, method in self._methods_of(service).items():
                full_name = f"{service.name}/{name}"
                method.endings = call_counts(full_name)
                methods[f"/{full_name}"] = method
        self._server = Server(
            methods,
            bounds,
            answer_read=answer_read,
            status_of=lambda error: _status_of(error, rich),
            refused=refused,
        )

    def listen_unix(self, path: str) -> None:
        self._sockets.append(unix_socket(path))
        self._bound.append(BoundSocket(path))

    def listen_tcp(self, address: str) -> int:
        listening = tcp_socket(address)
        self._sockets.append(listening)
        port: int = listening.getsockname()[1]
        return port

    async def listen_again(self) -> list[str]:
        again = []
        for at, bound in enumerate(self._bound):
            if not bound.is_there():
                listening = unix_socket(bound.path)
                self._bound[at] = BoundSocket(bound.path)
                await self._server.start(listening)
                again.append(bound.path)
        return again

    async def start(self) -> None:
        await self._server.start(*self._sockets)
        self._sockets.clear()

    async def stop(self, grace_seconds: float) -> None:
        bound, self._bound = self._bound, []
        await self._server.stop(grace_seconds)
        for listening in self._sockets:
            listening.close()
        for socket_file in bound:
            socket_file.unlink()

    def _methods_of(self, service: Service) -> dict[str, Method]:
        methods = {name: unary(handler) for name, handler in service.handlers.items()}
        methods |= {name: unary(self._eager(method)) for name, method in service.unary.items()}
        methods |= {name: unary_async(method) for name, method in service.tasks.items()}
        methods |= {name: server_stream(method) for name, method in service.server_stream.items()}
        methods |= {name: client_stream(method) for name, method in service.client_stream.items()}
        methods |= {name: bidi_stream(method) for name, method in service.bidi_stream.items()}
        return methods

    def _eager(self, method: UnaryMethod) -> Callable[[UnaryCall], None]:
        """Run a method at once, as far as it comes; only one that has to wait becomes a task."""

        def handle(call: UnaryCall) -> None:
            behaviour = method(call.message, call)
            assert isinstance(behaviour, Coroutine)
            try:
                waits_for = behaviour.send(None)
            except StopIteration as end:
                call.answer(end.value)
                return
            try:
                call.defer()
            except Status:
                _cancel(behaviour)
                raise
            task = asyncio.create_task(_finish(behaviour, waits_for, call))
            self._waiting.add(task)
            task.add_done_callback(self._waiting.discard)

        return handle


async def _finish(behaviour: Coroutine[Any, Any, bytes], waits_for: Any, call: UnaryCall) -> None:
    try:
        call.answer(await _continued(behaviour, waits_for))
    except Exception as error:
        call.fail(error)


def _cancel(behaviour: Coroutine[Any, Any, bytes]) -> None:
    """End a coroutine that waits for something, as cancelling its task would.

    `close` alone would leave asynchronous generators within it running for ever.
    """
    try:
        behaviour.throw(asyncio.CancelledError())
    except (asyncio.CancelledError, StopIteration):
        return
    behaviour.close()


@coroutine
def _continued(behaviour: Coroutine[Any, Any, bytes], waits_for: Any) -> Generator[Any, Any, bytes]:
    """Go on with a coroutine that has begun, and waits for something."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:
            resume = partial(behaviour.throw, error)
        else:
            resume = partial(behaviour.send, value)
        try:
            waits_for = resume()
        except StopIteration as end:
            answer: bytes = end.value
            return answer


def _status_of(error: Exception, rich: RichStatus) -> Status:
    found = status_of(error, rich)
    return Status(found.code, found.message, found.details)
