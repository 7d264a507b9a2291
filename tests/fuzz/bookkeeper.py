"""A plane whose ledger is a list that a test can look into, and whose catalog is a real plane's.

What it does with histories is `support/plane.py`, written from the contract.
"""

from __future__ import annotations

import copy
from typing import Any, Final

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from sidecar.api.sync.v1 import sync_pb2
from sidecar.storage.outbox import OutboxRun
from sidecar.storage.transaction import OutboxHead
from sidecar.sync.machine.push import PushAnswer, PushFenced, PushGap
from tests.fuzz.relay import Relay
from tests.support.ledger import now_us
from tests.support.plane import ModelPlane
from tests.support.stores import chain_of

CHAIN_BYTES: Final = 32
EPOCH: Final = "the bookkeeper's"


class Bookkeeper(Relay):
    """Greets and takes pushes by a model; passes everything else on. `model` may be replaced.

    `away`: takes nothing.
    """

    def __init__(self, honest: str) -> None:
        super().__init__(honest)
        self.model = ModelPlane()
        self.away = False

    def keep(self) -> ModelPlane:
        """A copy of what it has."""
        return copy.deepcopy(self.model)

    async def answer(self, name: str, request: bytes, context: Any) -> bytes:
        """Hello and PushUsage are answered here."""
        if name == "Hello":
            return self._hello(sync_pb2.HelloRequest.FromString(request))
        if name == "PushUsage":
            if self.away:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            return await self._push(sync_pb2.PushUsageRequest.FromString(request), context)
        return await self.ask(name, request, context)

    def _hello(self, request: sync_pb2.HelloRequest) -> bytes:
        head = OutboxHead(request.last_sequence, request.last_chain, 0)
        acknowledged, chain = request.acknowledged_sequence, request.acknowledged_chain
        answer = self.model.hello(
            head, acknowledged, chain or bytes(CHAIN_BYTES), request.incarnation
        )
        response = sync_pb2.HelloResponse(
            watermark=answer.watermark,
            fenced=answer.fenced,
            common_sequence=answer.common_sequence,
            epoch=EPOCH,
        )
        response.plane_time.FromMicroseconds(now_us())
        return response.SerializeToString()

    async def _push(self, request: sync_pb2.PushUsageRequest, context: Any) -> bytes:
        run = OutboxRun(
            request.incarnation,
            request.first_sequence,
            request.previous_chain,
            tuple(request.records),
        )
        answer = self._judged(run)
        if isinstance(answer, PushAnswer):
            response = sync_pb2.PushUsageResponse(watermark=answer.watermark)
            response.plane_time.FromMicroseconds(now_us())
            return response.SerializeToString()
        is_gap = isinstance(answer, PushGap)
        info = error_details_pb2.ErrorInfo(reason="SEQUENCE_GAP" if is_gap else "FENCED")
        if isinstance(answer, PushGap):
            info.metadata["expected_sequence"] = str(answer.expected_sequence)
        else:
            info.metadata["common_sequence"] = str(answer.common_sequence)
        detail = AnyMessage()
        detail.Pack(info)
        code: int = grpc.StatusCode.FAILED_PRECONDITION.value[0]
        status = status_pb2.Status(code=code, message="refused", details=[detail])
        metadata = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "refused", metadata)
        raise AssertionError("an aborted call goes on")

    def _judged(self, run: OutboxRun) -> PushAnswer | PushGap | PushFenced:
        """The model has only sidecars whose chains are whole; another one's history diverged."""
        model, before = self.model, run.first_sequence - 1
        history = model.histories.get(run.incarnation, [])
        if before <= len(history) and chain_of(*history[:before]) != run.previous_chain:
            model.fenced.add(run.incarnation)
            return PushFenced(0)
        return model.push(run)
