"""Generated servicers as services: of the control plane, and of gRPC's own health and reflection.

A request that cannot be parsed never reaches a method; gRPC by itself would answer it with an
opaque status.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from sidecar.domain.errors import InvalidInput
from sidecar.shared.host.context import CallContext, Metadata
from sidecar.shared.host.errors import CallFailed
from sidecar.shared.host.service import BidiStreamMethod, ServerStreamMethod, Service, UnaryMethod

_UNREADABLE: Final = "the request is no valid message, or has text that is not UTF-8"


class ServicerContext:
    """What servicers that were written for grpcio ask of their context."""

    def __init__(self, context: CallContext) -> None:
        self._context = context

    @property
    def call(self) -> CallContext:
        """The call's own context."""
        return self._context

    def peer(self) -> str:
        return self._context.peer

    def invocation_metadata(self) -> Metadata:
        return self._context.metadata

    def time_remaining(self) -> float | None:
        return self._context.time_remaining()

    async def abort(self, code: grpc.StatusCode, details: str = "") -> None:
        """End the call; raises."""
        number, _ = code.value
        raise CallFailed(number, details)


class _Captured:
    """Takes what generated code would hand to a server."""

    def __init__(self) -> None:
        self.handlers: dict[str, Mapping[str, Any]] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Not needed: the same handlers come by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.handlers[service] = handlers


def service_of(add: Callable[[Any, Any], None], servicer: object) -> Service:
    """The service of a servicer, through its generated `add_..._to_server`."""
    captured = _Captured()
    add(servicer, captured)
    ((name, handlers),) = captured.handlers.items()
    unary: dict[str, UnaryMethod] = {}
    server_stream: dict[str, ServerStreamMethod] = {}
    bidi_stream: dict[str, BidiStreamMethod] = {}
    for method, handler in handlers.items():
        if handler.request_streaming and handler.response_streaming:
            bidi_stream[method] = _bidi_stream(handler)
        elif handler.response_streaming:
            server_stream[method] = _server_stream(handler)
        else:
            assert not handler.request_streaming, "no servicer of ours has a client stream"
            unary[method] = _unary(handler)
    return Service(name, unary=unary, server_stream=server_stream, bidi_stream=bidi_stream)


def _unary(handler: Any) -> UnaryMethod:
    behaviour, serialized = handler.unary_unary, handler.response_serializer

    async def method(data: bytes, context: CallContext) -> bytes:
        request = _parsed(handler, data)
        answer: bytes = serialized(await behaviour(request, ServicerContext(context)))
        return answer

    return method


def _server_stream(handler: Any) -> ServerStreamMethod:
    behaviour, serialized = handler.unary_stream, handler.response_serializer

    async def method(data: bytes, context: CallContext) -> AsyncGenerator[bytes, None]:
        request = _parsed(handler, data)
        async for answer in behaviour(request, ServicerContext(context)):
            yield serialized(answer)

    return method


def _bidi_stream(handler: Any) -> BidiStreamMethod:
    behaviour, serialized = handler.stream_stream, handler.response_serializer

    async def method(
        requests: AsyncIterable[bytes], context: CallContext
    ) -> AsyncGenerator[bytes, None]:
        async def parsed() -> AsyncIterator[Any]:
            async for data in requests:
                yield _parsed(handler, data)

        async for answer in behaviour(parsed(), ServicerContext(context)):
            yield serialized(answer)

    return method


def _parsed(handler: Any, data: bytes) -> Any:
    try:
        return handler.request_deserializer(data)
    except DecodeError as error:
        raise InvalidInput("", _UNREADABLE) from error
