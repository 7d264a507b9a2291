"""What fails under load says what the books say: how far it came, and what was refused last."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support import load as load_module
from tests.support.daemons import Sidecar
from tests.support.load import Books, load
from tests.support.processes import until

OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
WHY = "would overflow"


async def refuse(_: Any, context: Any) -> None:
    """Refuse a check, with a reason."""
    status = status_pb2.Status(code=OUT_OF_RANGE.value[0], message=WHY)
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="OUT_OF_RANGE", domain="tallyd"))
    status.details.append(detail)
    metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(OUT_OF_RANGE, WHY, metadata)


async def refuse_each(request: bytes, _: Any) -> bytes:
    """Refuse the checks of a batch."""
    batch = pb.BatchCheckAndIncrementRequest.FromString(request)
    error = pb.CheckError(code=OUT_OF_RANGE.value[0], reason="OUT_OF_RANGE", message=WHY)
    outcomes = [pb.CheckOutcome(error=error)] * len(batch.checks)
    return pb.BatchCheckAndIncrementResponse(outcomes=outcomes).SerializeToString()


METHODS: dict[str, Any] = {
    "CheckAndIncrement": grpc.unary_unary_rpc_method_handler(refuse),
    "BatchCheckAndIncrement": grpc.unary_unary_rpc_method_handler(refuse_each),
}


@asynccontextmanager
async def refusing() -> AsyncIterator[Sidecar]:
    server = grpc.aio.server()
    service = "sidecar.api.enforcement.v1.EnforcementService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, METHODS)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield cast("Sidecar", SimpleNamespace(address=f"127.0.0.1:{port}"))
    finally:
        await server.stop(None)


def said(failed: pytest.ExceptionInfo[BaseExceptionGroup[BaseException]]) -> str:
    return "\n".join(failed.value.__notes__)


async def refused(books: Books, then: Callable[[], None]) -> None:
    """Be under load until some calls were refused, and then do something."""

    async def enough() -> bool:
        return books.refused >= 3

    async with refusing() as sidecar, load(sidecar, books, 1, callers=1, rest_s=0.001):
        await until(enough, "nothing is refused")
        then()


def fail() -> None:
    raise AssertionError("the sidecar does not answer")


async def test_a_failure_under_load_says_what_was_refused_last() -> None:
    with pytest.raises(ExceptionGroup) as failed:
        await refused(Books(), fail)
    assert failed.group_contains(AssertionError, match="does not answer")
    assert " 0 answered" in said(failed)
    assert f"refused last: {WHY}" in said(failed)


async def test_a_call_that_is_refused_for_ever_ends_the_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(ExceptionGroup) as failed:
        await refused(Books(), lambda: monkeypatch.setattr(load_module, "HANG_SECONDS_MAX", 0.2))
    assert failed.group_contains(AssertionError, match="no answer to Call")
    assert f"refused last: {WHY}" in said(failed)
