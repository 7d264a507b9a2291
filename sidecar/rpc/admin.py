"""The methods of `AdminService`, without gRPC: bytes go in, bytes come out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from sidecar.api.admin.v1 import admin_pb2 as pb
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.units import SECOND_US
from sidecar.rpc.parse import parse_message
from sidecar.shared.host.context import CallContext

_SECONDS: Final = 10.0
_SECONDS_MAX: Final = 60.0


class Operations(Protocol):
    """What can be done with the running sidecar."""

    async def status(self) -> pb.GetStatusResponse:
        """What it is, has, and is doing."""
        ...

    async def flush(self, seconds: float) -> bool:
        """Send what is in the outbox; whether the plane has all of it."""
        ...

    async def drain(self, seconds: float) -> bool:
        """Turn readiness off, then flush."""
        ...

    def waiting_records(self) -> int:
        """Records that wait to be sent."""
        ...


class AdminMethods:
    """Answers the calls of the service."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def get_status(self, data: bytes, context: CallContext) -> bytes:
        """The status."""
        parse_message(pb.GetStatusRequest, data)
        return (await self._operations.status()).SerializeToString()

    async def flush(self, data: bytes, context: CallContext) -> bytes:
        """Send what is in the outbox."""
        request = parse_message(pb.FlushRequest, data)
        complete = await self._wait(self._operations.flush, request, context)
        waiting = self._operations.waiting_records()
        return pb.FlushResponse(complete=complete, outbox_records=waiting).SerializeToString()

    async def drain(self, data: bytes, context: CallContext) -> bytes:
        """Get ready to stop."""
        request = parse_message(pb.DrainRequest, data)
        complete = await self._wait(self._operations.drain, request, context)
        waiting = self._operations.waiting_records()
        return pb.DrainResponse(complete=complete, outbox_records=waiting).SerializeToString()

    async def _wait(
        self,
        operation: Callable[[float], Awaitable[bool]],
        request: pb.FlushRequest | pb.DrainRequest,
        context: CallContext,
    ) -> bool:
        seconds = _SECONDS
        if request.HasField("timeout"):
            seconds = request.timeout.ToMicroseconds() / SECOND_US
            if not 0 <= seconds <= _SECONDS_MAX:
                raise InvalidInput("timeout", f"must be 0 to {_SECONDS_MAX:.0f} seconds")
        left = context.time_remaining()
        if left is not None:
            # The answer has to be back before the caller gives up.
            seconds = min(seconds, max(0.0, left - 0.2))
        return await operation(seconds)
