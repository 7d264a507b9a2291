"""Hangs a servicer into a server so that every method fails in the same, clear way.

A servicer's methods raise `FieldError`s; a request that cannot be parsed never reaches them. gRPC
by itself would answer both with an opaque status.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from sidecar.control.rpc.status import status_of_error
from sidecar.domain.errors import FieldError, InvalidInput

_log = structlog.get_logger(__name__)


class _Unreadable:
    """Stands in for a request that could not be parsed."""


class _Captured:
    """Takes what generated code would hand to a server."""

    def __init__(self) -> None:
        self.handlers: dict[str, Mapping[str, Any]] = {}

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Not needed: the same handlers come by name."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        self.handlers[service] = handlers


def register(server: grpc.aio.Server, add: Callable[[Any, Any], None], servicer: object) -> str:
    """Add a servicer through its generated `add_..._to_server`; returns the service's name."""
    captured = _Captured()
    add(servicer, captured)
    ((service, handlers),) = captured.handlers.items()
    wrapped = {name: _wrap(handler) for name, handler in handlers.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, wrapped),))
    return service


def _wrap(handler: Any) -> grpc.RpcMethodHandler[Any, Any]:
    parse = _tolerant(handler.request_deserializer)
    serialize = handler.response_serializer
    if handler.response_streaming:
        behaviour = _stream(handler.unary_stream)
        return grpc.unary_stream_rpc_method_handler(behaviour, parse, serialize)
    return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary), parse, serialize)


def _tolerant(parse: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def parse_or_mark(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:
            return _Unreadable()

    return parse_or_mark


def _unary(behaviour: Callable[..., Any]) -> Callable[..., Any]:
    async def call(request: Any, context: Any) -> Any:
        try:
            return await behaviour(_readable(request), context)
        except Exception as error:
            await _abort(context, error)

    return call


def _stream(behaviour: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for answer in behaviour(_readable(request), context):
                yield answer
        except Exception as error:
            await _abort(context, error)

    return call


def _readable(request: Any) -> Any:
    if isinstance(request, _Unreadable):
        raise InvalidInput("", "the request is no valid message, or has text that is not UTF-8")
    return request


async def _abort(context: Any, error: Exception) -> None:
    if isinstance(error, FieldError):
        status = status_of_error(error)
        await context.abort(status.code, status.details, status.trailing_metadata)
    _log.error("control.call_failed", exc_info=error)
    await context.abort(grpc.StatusCode.INTERNAL, "internal error")
