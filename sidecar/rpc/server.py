"""The grpcio front: hosts the methods, maps errors to statuses, keeps to the bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
import structlog

from sidecar.convert.status import status_of
from sidecar.domain.errors import FieldError
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.explain import ExplainMethods
from sidecar.rpc.missing import Deadline
from sidecar.rpc.watching import WatchMethods

ENFORCEMENT_SERVICE: Final = "sidecar.api.enforcement.v1.EnforcementService"

Unary: TypeAlias = Callable[[bytes, Deadline], Awaitable[bytes]]
Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

log = structlog.get_logger(__name__)


def server_options(message_bytes_max: int) -> Sequence[tuple[str, int]]:
    """Options of the transport. Pings of clients are tolerated down to every 5 seconds."""
    return (
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    )


def enforcement_handler(
    methods: EnforcementMethods, queries: ExplainMethods, watching: WatchMethods
) -> grpc.GenericRpcHandler:
    """The enforcement service. Messages stay bytes here: the methods parse them."""
    unary: Mapping[str, Unary] = {
        "CheckAndIncrement": methods.check_and_increment,
        "BatchCheckAndIncrement": methods.batch_check_and_increment,
        "RecordUsage": methods.record_usage,
        "Check": queries.check,
        "GetUsage": queries.get_usage,
        "GetEntitlement": queries.get_entitlement,
        "ListEntitlements": queries.list_entitlements,
        "ExplainEntitlement": queries.explain_entitlement,
    }
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        name: grpc.unary_unary_rpc_method_handler(unary_behaviour(method))
        for name, method in unary.items()
    }
    handlers["StreamCheckAndIncrement"] = grpc.stream_stream_rpc_method_handler(
        _stream_behaviour(methods)
    )
    handlers["WatchEntitlements"] = grpc.unary_stream_rpc_method_handler(_watch_behaviour(watching))
    return grpc.method_handlers_generic_handler(ENFORCEMENT_SERVICE, handlers)


def unary_behaviour(method: Unary) -> Callable[[bytes, Context], Awaitable[bytes]]:
    """Host a method: its errors become statuses with `ErrorInfo`."""

    async def behaviour(data: bytes, context: Context) -> bytes:
        try:
            return await method(data, context.time_remaining)
        except FieldError as error:
            await abort(context, error)
            raise  # not reached: `abort` raises
        except Exception:
            log.exception("rpc.failed", method=method.__name__)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the sidecar's log")
            raise

    return behaviour


async def abort(context: Context, error: FieldError) -> None:
    """End a call with an error's status."""
    status = status_of(error)
    await context.abort(status.code, status.details or "", status.trailing_metadata or ())


def _stream_behaviour(
    methods: EnforcementMethods,
) -> Callable[[AsyncIterator[bytes], Context], AsyncIterator[bytes]]:
    async def behaviour(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for response in methods.stream_check_and_increment(requests, context.time_remaining):
            yield response

    return behaviour


def _watch_behaviour(
    methods: WatchMethods,
) -> Callable[[bytes, Context], AsyncIterator[bytes]]:
    async def behaviour(data: bytes, context: Context) -> AsyncIterator[bytes]:
        try:
            async with aclosing(methods.watch_entitlements(data, context.time_remaining)) as events:
                async for event in events:
                    yield event
        except FieldError as error:
            await abort(context, error)
        except Exception:
            log.exception("rpc.failed", method="watch_entitlements")
            await context.abort(grpc.StatusCode.INTERNAL, "internal error; see the sidecar's log")

    return behaviour
