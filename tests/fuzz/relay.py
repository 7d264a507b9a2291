"""A server that stands before a plane and passes the calls of sidecars on; others make it odd."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from sidecar.api.sync.v1 import sync_pb2
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to

_SERVICE: Final = sync_pb2.DESCRIPTOR.services_by_name["SyncService"]
SERVICE: Final = _SERVICE.full_name
ANSWERS: Final[dict[str, type[Message]]] = {
    method.name: GetMessageClass(method.output_type)
    for method in _SERVICE.methods
    if not method.server_streaming
}

SelfT = TypeVar("SelfT", bound="Relay")


class Relay:
    """Serves `SyncService` at `address`, as bytes, from the plane at `honest`."""

    def __init__(self, honest: str) -> None:
        self.address = ""
        self._honest = honest
        self._server = grpc.aio.server()
        self._channel: grpc.aio.Channel | None = None

    async def __aenter__(self: SelfT) -> SelfT:
        self._channel = channel_to(self._honest)
        handlers: dict[str, Any] = {
            name: grpc.unary_unary_rpc_method_handler(self._answering(name)) for name in ANSWERS
        }
        handlers["WatchSnapshots"] = grpc.unary_stream_rpc_method_handler(self.watch)
        handler = grpc.method_handlers_generic_handler(SERVICE, handlers)
        self._server.add_generic_rpc_handlers((handler,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._server.stop(0)
        assert self._channel is not None
        await self._channel.close()

    async def answer(self, name: str, request: bytes, context: Any) -> bytes:
        """The answer to a unary call."""
        return await self.ask(name, request, context)

    async def watch(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        """The steps of a watch."""
        async for step in self.steps(request):
            yield step

    async def ask(self, name: str, request: bytes, context: Any) -> bytes:
        """What the plane answers; where it fails, the call ends as it says."""
        assert self._channel is not None
        call: Any = self._channel.unary_unary(f"/{SERVICE}/{name}")
        try:
            data: bytes = await call(request, timeout=HANG_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            metadata = tuple(error.trailing_metadata() or ())
            await context.abort(error.code(), error.details() or "", metadata)
            raise
        return data

    async def steps(self, request: bytes) -> AsyncIterator[bytes]:
        """What the plane tells on a watch."""
        assert self._channel is not None
        method: Any = self._channel.unary_stream(f"/{SERVICE}/WatchSnapshots")
        call = method(request)
        try:
            async for step in call:
                yield step
        finally:
            call.cancel()

    def _answering(self, name: str) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            return await self.answer(name, request, context)

        return answer
