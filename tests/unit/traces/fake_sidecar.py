"""A sidecar for tests of those who call one: a real gRPC server with everything in memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX, EVENT_PAST_US_MAX
from sidecar.shared.api_json import instant_of

_CODES = {code.value[0]: code for code in grpc.StatusCode}


@dataclass
class FakeSidecar:
    """Counts by feature. `hard` and `soft` are limits on that, by feature.

    `away` calls are answered UNAVAILABLE: every second one after it was counted, as when the
    answer is lost.
    """

    hard: dict[str, int] = field(default_factory=dict)
    soft: dict[str, int] = field(default_factory=dict)
    away: int = 0
    used: Counter[str] = field(default_factory=Counter)
    received: list[api.CheckAndIncrementRequest] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    unary_calls: int = 0
    most_in_flight: int = 0
    address: str = ""
    _in_flight: int = 0
    _answers: dict[tuple[str, str], tuple[bytes, api.CheckAndIncrementResponse]] = field(
        default_factory=dict
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check_and_increment(
        self, request: api.CheckAndIncrementRequest, context: grpc.ServicerContext
    ) -> api.CheckAndIncrementResponse:
        self.unary_calls += 1
        with self._counted_in_flight():
            away = self._is_away()
            if away == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            outcome = self._outcome(request)
            if away == 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "answer lost")
            if outcome.HasField("error"):
                context.abort(_CODES[outcome.error.code], outcome.error.message)
            return outcome.response

    def batch_check_and_increment(
        self, request: api.BatchCheckAndIncrementRequest, context: grpc.ServicerContext
    ) -> api.BatchCheckAndIncrementResponse:
        self.batches.append(len(request.checks))
        with self._counted_in_flight():
            away = self._is_away()
            if away == 1:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away")
            outcomes = [self._outcome(check) for check in request.checks]
            if away == 2:
                context.abort(grpc.StatusCode.UNAVAILABLE, "answer lost")
            return api.BatchCheckAndIncrementResponse(outcomes=outcomes)

    def _is_away(self) -> int:
        """0: no; 1: before counting; 2: after it."""
        with self._lock:
            if self.away == 0:
                return 0
            self.away -= 1
            return 1 + self.away % 2

    @contextmanager
    def _counted_in_flight(self) -> Iterator[None]:
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1

    def _outcome(self, request: api.CheckAndIncrementRequest) -> api.CheckOutcome:
        with self._lock:
            self.received.append(request)
            if request.HasField("event_time"):
                age_us = time.time_ns() // 1000 - instant_of(request.event_time)
                if not -EVENT_FUTURE_US_MAX <= age_us <= EVENT_PAST_US_MAX:
                    return _error(grpc.StatusCode.OUT_OF_RANGE, "event_time")
            return self._decided(request)

    def _decided(self, request: api.CheckAndIncrementRequest) -> api.CheckOutcome:
        name = (request.company, request.idempotency_key)
        payload = api.CheckAndIncrementRequest(
            feature=request.feature, quantity=request.quantity, dimensions=request.dimensions
        ).SerializeToString(deterministic=True)
        if request.idempotency_key and name in self._answers:
            first, answer = self._answers[name]
            if first != payload:
                return _error(grpc.StatusCode.ALREADY_EXISTS, "idempotency_key")
            replayed = api.CheckAndIncrementResponse(replayed=True)
            replayed.MergeFrom(answer)
            return api.CheckOutcome(response=replayed)
        answer = self._counted(request)
        if answer.decision.allowed:
            self._answers[name] = payload, answer
        return api.CheckOutcome(response=answer)

    def _counted(self, request: api.CheckAndIncrementRequest) -> api.CheckAndIncrementResponse:
        feature, quantity = request.feature, request.quantity
        after = self.used[feature] + quantity
        if after > self.hard.get(feature, after):
            denied = api.Decision(reason=api.REASON_LIMIT_EXCEEDED)
            return api.CheckAndIncrementResponse(decision=denied)
        self.used[feature] = after
        overage = min(quantity, max(0, after - self.soft.get(feature, after)))
        allowed = api.Decision(
            allowed=True, reason=api.REASON_ALLOWED, granted=quantity, overage=overage
        )
        return api.CheckAndIncrementResponse(decision=allowed, record_id=f"r-{len(self.received)}")


@contextmanager
def serving(fake: FakeSidecar) -> Iterator[FakeSidecar]:
    """Serve it on a free port while the block runs; its `address` is then set."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        server.add_generic_rpc_handlers([_handlers(fake)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        fake.address = f"127.0.0.1:{port}"
        try:
            yield fake
        finally:
            server.stop(grace=None).wait()


def _handlers(fake: FakeSidecar) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        "sidecar.api.enforcement.v1.EnforcementService",
        {
            "CheckAndIncrement": grpc.unary_unary_rpc_method_handler(
                fake.check_and_increment,
                request_deserializer=api.CheckAndIncrementRequest.FromString,
                response_serializer=api.CheckAndIncrementResponse.SerializeToString,
            ),
            "BatchCheckAndIncrement": grpc.unary_unary_rpc_method_handler(
                fake.batch_check_and_increment,
                request_deserializer=api.BatchCheckAndIncrementRequest.FromString,
                response_serializer=api.BatchCheckAndIncrementResponse.SerializeToString,
            ),
        },
    )


def _error(code: grpc.StatusCode, message: str) -> api.CheckOutcome:
    number: int = code.value[0]
    return api.CheckOutcome(error=api.CheckError(code=number, reason=code.name, message=message))
